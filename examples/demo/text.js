'use strict'
// How the story looks in a terminal: columns that stand under each other, colours on a TTY only.

const isColourful = process.stdout.isTTY === true && process.env.NO_COLOR === undefined
const style = (code) => (text) => (isColourful ? `\u001b[${code}m${text}\u001b[0m` : text)
const bold = style(1)
const dim = style(2)
const red = style(31)
const green = style(32)
const cyan = style(36)

const WIDTHS = { call: 27, result: 50, queries: 7, time: 9 }

/** µs below 1 ms, ms below 1 s: never more than four figures. */
function time(ms) {
  const [value, unit] = ms < 1 ? [ms * 1_000, 'µs'] : ms < 1_000 ? [ms, 'ms'] : [ms / 1_000, 's']
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`
}

const fit = (text, width) => (text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width))

function row([call, result, queries, ms]) {
  const start = `    ${cyan(fit(call, WIDTHS.call))}`
  if (queries === undefined && ms === undefined) return `${start} ${result}`
  const counted = queries === undefined ? '' : `${queries} SQL`
  const measured = ms === undefined ? '' : time(ms)
  const figures = `${bold(counted.padStart(WIDTHS.queries))} ${measured.padStart(WIDTHS.time)}`
  return `${start} ${fit(result, WIDTHS.result)} ${figures}`.trimEnd()
}

const verdict = (step) => (step.failures.length === 0 ? green('✔') : red('✖'))

/** A step, numbered: its title with the verdict, the lines of it, and what does not hold. */
function block(step, number, lines) {
  const failures = step.failures.map((failure) => `    ${red(failure)}`)
  return ['', `${verdict(step)} ${bold(`${number} · ${step.title}`)}`, ...lines, ...failures].join('\n')
}

const stepText = (step, number) => block(step, number, step.rows.map(row))

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
  ['entries in memory', (m) => m.memory.entries],
  ['bytes in memory', (m) => m.memory.bytes],
]

/** A step whose lines are a table: @param {[name: string, metrics: object][]} processes */
function metricsText(step, number, processes) {
  const line = (label, cells) => `    ${label} ${cells.map((cell) => cell.padStart(12)).join('')}`
  const names = processes.map(([name]) => name)
  const lines = FIGURES.map(([label, of]) => {
    const cells = processes.map(([, metrics]) => of(metrics).toLocaleString('en'))
    return line(cyan(label.padEnd(WIDTHS.call)), cells)
  })
  return block(step, number, [dim(line(' '.repeat(WIDTHS.call), names)), ...lines])
}

module.exports = { bold, dim, green, metricsText, red, stepText, time }
