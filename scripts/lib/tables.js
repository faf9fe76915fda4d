'use strict'
// What reports are made of: percentiles, and tables for a terminal and for a page. The first column is text, the others figures.

/** Nearest rank; 0 of nothing. */
function percentile(values, share) {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0
}

/** Columns of equal width. A row may be shorter than the head. */
function textTable(head, rows) {
  const all = [head, ...rows].map((row) => head.map((_, column) => row[column] ?? ''))
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)))
  const line = (row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('   ')
  return all.map((row) => `  ${line(row).trimEnd()}`).join('\n')
}

function markdownTable(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), `|---|${'---:|'.repeat(head.length - 1)}`, ...rows.map(line)].join('\n')
}

module.exports = { markdownTable, percentile, textTable }
