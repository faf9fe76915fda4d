'use strict'
// From what two runs counted to figures, a table, bars for the terminal, and a chart.

const { markdownTable, percentile, textTable } = require('../lib/tables.js')

const sum = (values) => values.reduce((total, value) => total + value, 0)

/** Of [edge, count] pairs: those after, less those before. */
function percentileOfBuckets(before, after, share) {
  const counts = new Map(after)
  for (const [edge, count] of before) counts.set(edge, counts.get(edge) - count)
  const sorted = [...counts].sort(([a], [b]) => a - b)
  const rank = Math.ceil(share * sum(sorted.map(([, count]) => count)))
  let seen = 0
  for (const [edge, count] of sorted) {
    seen += count
    if (seen >= rank && rank > 0) return edge
  }
  return undefined
}

function figuresOf({ took, refused, failed, changes, seconds, before, after }) {
  const difference = (of) => sum(after.map((counts, i) => of(counts) - of(before[i])))
  const hits = difference(({ metrics }) => metrics.hits)
  const misses = difference(({ metrics }) => metrics.misses)
  const queries = difference((counts) => counts.queries)
  const waits = (share) => {
    const both = (list) => list.flatMap((counts) => counts.waits)
    const merged = (list) => [
      ...both(list).reduce((map, [edge, count]) => map.set(edge, (map.get(edge) ?? 0) + count), new Map()),
    ]
    return percentileOfBuckets(merged(before), merged(after), share)
  }
  return {
    requests: took.length,
    refused: refused.length,
    failed,
    changes,
    seconds,
    reads: hits + misses,
    hitRate: hits + misses === 0 ? 0 : (100 * hits) / (hits + misses),
    memoryShare: (100 * difference(({ metrics }) => metrics.memory.hits)) / Math.max(1, hits),
    queries,
    queriesPer1000: (1_000 * queries) / took.length,
    hitP50: waits(0.5),
    hitP99: waits(0.99),
    memoryP99: Math.max(...after.map(({ metrics }) => metrics.latency.memory.p99)),
    redisP99: Math.max(...after.map(({ metrics }) => metrics.latency.redis.p99)),
    perSecond: took.length / seconds,
    p50: percentile(took, 0.5),
    p99: percentile(took, 0.99),
  }
}

const number = (value) => Math.round(value).toLocaleString('en')
const ms = (value) =>
  value === undefined ? '–' : value < 1 ? `${Math.round(value * 1_000)} µs` : `${value.toFixed(1)} ms`
const percent = (value) => `${value.toFixed(1)} %`

function change(without, withCache) {
  const ratio = withCache / without
  if (ratio >= 2) return `× ${ratio.toFixed(1)}`
  return `${ratio < 1 ? '−' : '+'}${Math.abs(100 * (1 - ratio)).toFixed(ratio < 0.1 ? 1 : 0)} %`
}

/** [what, without, with, change], of two runs of one phase */
const both = (runs, name, of, show) => [name, ...runs.map((run) => show(of(run))), change(...runs.map(of))]
/** The same, of both phases together. */
const total = (runs, name, of) => [name, ...runs.map((run) => number(of(run.steady) + of(run.fast))), '']
const only = (name, value) => [name, '–', value, '']

function pageRows(runs) {
  const [, withCache] = runs
  return [
    both(runs, 'a page, p50', ({ p50 }) => p50, ms),
    both(runs, 'a page, p99', ({ p99 }) => p99, ms),
    only('a cache hit as the page waits for it, p50', ms(withCache.hitP50)),
    only('a cache hit as the page waits for it, p99', ms(withCache.hitP99)),
  ]
}

/** A title and rows for each phase. */
function groupsOf(without, withCache, rate) {
  const { fast, steady } = withCache
  const steadies = [without.steady, steady]
  const fasts = [without.fast, fast]
  const all = [without, withCache]
  return [
    [`At ${rate} requests a second`, pageRows(steadies)],
    [
      'As fast as the pages are answered',
      [
        both(fasts, 'requests/s', ({ perSecond }) => perSecond, number),
        ...pageRows(fasts),
        both(fasts, 'database queries per 1,000 requests', ({ queriesPer1000 }) => queriesPer1000, number),
        both(fasts, 'database queries/s', ({ queries, seconds }) => queries / seconds, number),
        only('hit rate', percent(fast.hitRate)),
        only('hits from memory', percent(fast.memoryShare)),
      ],
    ],
    [
      'In both phases',
      [
        total(all, 'changes made', ({ changes }) => changes),
        total(all, 'changes that failed', ({ failed }) => failed.length),
        total(all, 'requests refused: a build that is not there any more', ({ refused }) => refused),
      ],
    ],
    [
      'In the cache itself, warming up included',
      [only('a memory hit, p99', ms(fast.memoryP99)), only('a round trip to Redis, p99', ms(fast.redisP99))],
    ],
  ]
}

const HEAD = ['', 'without the cache', 'with it', '']

const textOf = (groups) =>
  textTable(
    HEAD,
    groups.flatMap(([title, rows]) => [[''], [title], ...rows]),
  )

const markdownOf = (groups) =>
  markdownTable(
    HEAD,
    groups.flatMap(([title, rows]) => [[`**${title}**`, '', '', ''], ...rows]),
  )

/** What must hold, and whether it does. */
function verdictsOf(without, withCache, rate) {
  const { fast, steady } = withCache
  const saved = 100 * (1 - fast.queriesPer1000 / without.fast.queriesPer1000)
  const phases = [without.steady, without.fast, steady, fast]
  const failed = phases.flatMap((phase) => phase.failed)
  const changes = sum(phases.map((phase) => phase.changes))
  const refused = Math.max(...phases.map((phase) => (100 * phase.refused) / (phase.requests + phase.refused)))
  return [
    [`hit rate ${percent(fast.hitRate)}: at least 97 %`, fast.hitRate >= 97],
    [`database queries −${percent(saved)}: at least 95 % fewer`, saved >= 95],
    [`p99 of cache hits at ${rate} requests a second ${ms(steady.hitP99)}: below 1 ms`, steady.hitP99 < 1],
    [
      `${number(changes)} changes made, ${failed.length} failed${failed.length > 0 ? ` (${failed[0]})` : ''}`,
      changes > 0 && failed.length === 0,
    ],
    [`${percent(refused)} of the requests refused, at most: no more than 1 %`, refused <= 1],
  ]
}

// --- the chart ----------------------------------------------------------------------------------------------------

const WIDTH = 760
const LEFT = 220
const RIGHT = 90
const BAR = 22

const STYLE = `
    text { font: 14px system-ui, sans-serif; fill: #182229 }
    .quiet { fill: #54616a }
    .with { fill: #0b6670 }
    .without { fill: #b3561b }
    .ground { fill: #ffffff }
    @media (prefers-color-scheme: dark) {
      text { fill: #e8eef1 } .quiet { fill: #a2b1ba } .with { fill: #52c4cb } .without { fill: #f0a264 } .ground { fill: #151f26 }
    }`

function bars(y, [name, without, withCache, show]) {
  const most = Math.max(without, withCache)
  const bar = (value, offset, kind) => {
    const width = Math.max(2, ((WIDTH - LEFT - RIGHT) * value) / most)
    const top = y + offset
    return `  <rect class="${kind}" x="${LEFT}" y="${top}" width="${width.toFixed(1)}" height="${BAR}" rx="4"/>
  <text x="${(LEFT + width + 8).toFixed(1)}" y="${top + 16}">${show(value)}</text>`
  }
  return `  <text x="${LEFT - 16}" y="${y + BAR + 6}" text-anchor="end">${name}</text>\n${bar(without, 0, 'without')}\n${bar(withCache, BAR + 3, 'with')}`
}

function chartOf(without, withCache, rate) {
  const row = (name, phase, figure, show) => [name, without[phase][figure], withCache[phase][figure], show]
  const groups = [
    row('queries per 1,000 requests', 'fast', 'queriesPer1000', number),
    row('requests/s', 'fast', 'perSecond', number),
    row(`a page at ${rate}/s, p50`, 'steady', 'p50', ms),
    row(`a page at ${rate}/s, p99`, 'steady', 'p99', ms),
  ]
  const height = 60 + groups.length * 72
  const said = groups
    .map(([name, a, b, show]) => `${name}: ${show(a)} without the cache, ${show(b)} with it`)
    .join('; ')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title">
  <title id="title">${said}</title>
  <style>${STYLE}
  </style>
  <rect class="ground" width="${WIDTH}" height="${height}" rx="12"/>
  <rect class="without" x="${LEFT}" y="20" width="14" height="14" rx="3"/><text x="${LEFT + 22}" y="32">without the cache</text>
  <rect class="with" x="${LEFT + 170}" y="20" width="14" height="14" rx="3"/><text x="${LEFT + 192}" y="32">with it</text>
${groups.map((group, i) => bars(54 + i * 72, group)).join('\n')}
</svg>
`
}

module.exports = { chartOf, figuresOf, groupsOf, markdownOf, textOf, verdictsOf }
