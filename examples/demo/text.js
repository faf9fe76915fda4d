'use strict'
// How the story looks in a terminal: columns that stand under each other, 80 columns, colours on a TTY only.

const isColourful = process.stdout.isTTY === true && process.env.NO_COLOR === undefined
const style = (code) => (text) => (isColourful ? `\u001b[${code}m${text}\u001b[0m` : text)
const bold = style(1)
const dim = style(2)
const red = style(31)
const green = style(32)
const cyan = style(36)

const WIDTHS = { call: 26, result: 24, queries: 3, hits: 6, misses: 7, ms: 8 }
const INDENT = '     '
const START = INDENT.length + WIDTHS.call + WIDTHS.result

/** µs below 1 ms, ms below 1 s: never more than four figures. */
function time(ms) {
  const [value, unit] = ms < 0.9995 ? [ms * 1_000, 'µs'] : ms < 1_000 ? [ms, 'ms'] : [ms / 1_000, 's']
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`
}

const fit = (text, width) => (text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width))
const number = (value) => (value === undefined ? '' : value.toLocaleString('en'))
const short = (value) => (value < 100_000 ? number(value) : `${number(Math.round(value / 1_000))}k`)

/** Figures as text, under each other; what is undefined stays empty. */
function figures({ queries, hits, misses, ms }) {
  const cells = [queries.padStart(WIDTHS.queries), hits.padStart(WIDTHS.hits), misses.padStart(WIDTHS.misses)]
  return [bold(cells[0]), ...cells.slice(1), dim(ms.padStart(WIDTHS.ms))].join('')
}

const HEADINGS = figures({ queries: 'SQL', hits: 'hits', misses: 'misses', ms: 'time' })

function row({ call, result, queries, hits, misses, ms }) {
  const shown = { queries: number(queries), hits: hits === undefined ? '' : short(hits), misses: number(misses) }
  const cost = figures({ ...shown, ms: ms === undefined ? '' : time(ms) })
  return `${INDENT}${cyan(fit(call, WIDTHS.call))}${fit(result, WIDTHS.result)}${cost}`.trimEnd()
}

const verdict = (step) => (step.failures.length === 0 ? green('✔') : red('✖'))

/** A step, numbered: its title with the verdict, the lines of it, and what does not hold. */
function block(step, position, headings, lines) {
  const failures = step.failures.map((failure) => `${INDENT}${red(failure)}`)
  const title = `${String(position).padStart(2)}  ${step.title}`
  const first = `${verdict(step)} ${bold(title.padEnd(START - 2))}${dim(headings)}`
  return ['', first.trimEnd(), ...lines, ...failures].join('\n')
}

const stepText = (step, position) => block(step, position, HEADINGS, step.rows.map(row))

/** The counters that the story is about, of each process. */
const FIGURES = [
  ['hits', (m) => m.hits],
  ['  of them stale', (m) => m.stale],
  ['  from memory', (m) => m.memory.hits],
  ['  from Redis', (m) => m.redis.hits],
  ['misses', (m) => m.misses],
  ['hit rate', (m) => `${m.hitRate} %`],
  ['loads', (m) => m.loads.started],
  ['  of them refreshes', (m) => m.loads.refreshed],
  ['callers that joined one', (m) => m.loads.joined],
  ['bytes in memory', (m) => m.memory.bytes],
]

/** A step whose lines are a table: @param {[name: string, metrics: object][]} processes */
function metricsText(step, position, processes) {
  const inColumns = (cells) => cells.map((cell) => cell.padStart(12)).join('')
  const lines = FIGURES.map(([label, of]) => {
    const cells = processes.map(([, metrics]) => number(of(metrics)))
    return `${INDENT} ${cyan(label.padEnd(START - 6))}${inColumns(cells)}`
  })
  return block(step, position, inColumns(processes.map(([name]) => name)), lines)
}

module.exports = { bold, dim, green, metricsText, red, stepText, time }
