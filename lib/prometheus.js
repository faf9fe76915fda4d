'use strict'
// The counters as Prometheus reads them: the text format 0.0.4,
// https://prometheus.io/docs/instrumenting/exposition_formats/
//
// Names keep to its conventions: base units, `_total` for what only grows, labels whose values add up to something.
// Labels are bounded: namespace, view, tier, outcome, state. Never a key, never a tag.

const { checkNames, checkOneOf, isObject, refuse } = require('./options/check.js')
const { version } = require('../package.json')

const TIERS = ['memory', 'redis']
const BREAKER = ['closed', 'open', 'half-open']
const COHERENCE = ['tracking', 'none']

/** One sample per state, 1 for the present one: how Prometheus shows an enumeration. */
const states = (all, now) => all.map((state) => [{ state }, state === now ? 1 : 0])
const tiers = (report, name) =>
  TIERS.filter((tier) => report[tier].enabled).map((tier) => [{ tier }, report[tier][name]])
const one = (value) => [[{}, value]]

/** [name, type, help, (report) → samples]; a sample is [labels, value]. */
const METRICS = [
  ['info', 'gauge', 'What this is: always 1.', ({ redis }) => [[{ version, topology: redis.topology }, 1]]],
  ['hits_total', 'counter', 'Reads that a tier answered, stale ones included.', (report) => tiers(report, 'hits')],
  ['stale_hits_total', 'counter', 'Those of the hits that were stale.', ({ stale }) => one(stale)],
  ['misses_total', 'counter', 'Reads that waited for a load, joined ones included.', ({ misses }) => one(misses)],
  ['tier_misses_total', 'counter', 'Lookups of a tier that it could not answer.', (report) => tiers(report, 'misses')],
  ['loads_started_total', 'counter', 'Loaders called.', ({ loads }) => one(loads.started)],
  [
    'loads_total',
    'counter',
    'Loaders that ended.',
    ({ loads }) => [
      [{ outcome: 'succeeded' }, loads.succeeded],
      [{ outcome: 'failed' }, loads.failed],
      [{ outcome: 'timed_out' }, loads.timedOut],
    ],
  ],
  ['loads_joined_total', 'counter', 'Callers who shared the load of another one.', ({ loads }) => one(loads.joined)],
  ['refreshes_total', 'counter', 'Loads in the background, for a stale value.', ({ loads }) => one(loads.refreshed)],
  ['fenced_fills_total', 'counter', 'Fills that an invalidation overtook.', ({ loads }) => one(loads.fenced)],
  [
    'invalidations_total',
    'counter',
    'Invalidations made by this process: confirmed by Redis, or queued until it is back.',
    ({ invalidations: { applied, queued } }) => [
      [{ outcome: 'applied' }, applied],
      [{ outcome: 'queued' }, queued],
    ],
  ],
  [
    'invalidations_received_total',
    'counter',
    'Invalidations made by other processes.',
    ({ invalidations }) => one(invalidations.received),
  ],
  ['evictions_total', 'counter', 'Entries that left memory for others.', ({ memory }) => one(memory.evictions)],
  ['memory_entries', 'gauge', 'Entries in memory.', ({ memory }) => one(memory.entries)],
  ['memory_bytes', 'gauge', 'Bytes of the entries in memory, with overhead.', ({ memory }) => one(memory.bytes)],
  ['memory_max_bytes', 'gauge', 'The ceiling of memory_bytes.', ({ memory }) => one(memory.maxBytes)],
]

/** Left out when there is no Redis: `redis_up 0` is an alarm. */
const REDIS_METRICS = [
  ['redis_up', 'gauge', 'Whether Redis is connected and answers.', ({ health }) => one(health.connected ? 1 : 0)],
  [
    'redis_round_trip_seconds',
    'gauge',
    'The last round trip to Redis.',
    ({ health }) => (health.latency === null ? [] : one(health.latency / 1_000)),
  ],
  ['redis_errors_total', 'counter', 'What Redis refused or did not answer.', ({ errors }) => one(errors)],
  ['redis_breaker', 'gauge', 'The state of the circuit breaker.', ({ breaker }) => states(BREAKER, breaker)],
  ['redis_coherence', 'gauge', 'How invalidations reach memory.', ({ coherence }) => states(COHERENCE, coherence)],
]

const HISTOGRAMS = [
  ['memory_read_duration_seconds', 'Looks into memory that hit; one in 64 is measured.', 'memory'],
  ['redis_duration_seconds', 'Round trips to Redis for reads.', 'redis'],
  ['load_duration_seconds', 'Loads, from the miss to the value or the failure.', 'load'],
]

const ESCAPES = { '\\': '\\\\', '"': '\\"', '\n': '\\n' }
const escaped = (value) => String(value).replace(/[\\"\n]/g, (character) => ESCAPES[character])

function sample(name, labels, value) {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
  return `tidecache_${name}{${pairs.join(',')}} ${value}`
}

function* family(name, type, help, samples, common) {
  if (samples.length === 0) return
  yield `# HELP tidecache_${name} ${help}`
  yield `# TYPE tidecache_${name} ${type}`
  for (const [suffix, labels, value] of samples) yield sample(`${name}${suffix}`, { ...common, ...labels }, value)
}

function* histogram(name, help, { buckets, count, sum }, common) {
  const edges = [...buckets, ['+Inf', count]]
  const samples = edges.map(([le, upTo]) => ['_bucket', { le }, upTo])
  yield* family(name, 'histogram', help, [...samples, ['_sum', {}, sum], ['_count', {}, count]], common)
}

function* lines(report, histograms, common) {
  const plain = (samples) => samples.map(([labels, value]) => ['', labels, value])
  for (const [name, type, help, of] of METRICS) yield* family(name, type, help, plain(of(report)), common)
  if (report.redis.enabled) {
    for (const [name, type, help, of] of REDIS_METRICS) yield* family(name, type, help, plain(of(report.redis)), common)
  }
  for (const [name, help, part] of HISTOGRAMS) {
    if (part === 'load' || report[part].enabled) yield* histogram(name, help, histograms[part], common)
  }
}

/**
 * @param {object} report what `metrics()` resolves to
 * @param {object} histograms what the core tells in buckets: { memory, redis, load }
 * @param {Record<string, string>} common labels of every sample
 * @returns {string} to be served as `text/plain; version=0.0.4; charset=utf-8`
 */
function prometheus(report, histograms, common) {
  return `${[...lines(report, histograms, common)].join('\n')}\n`
}

/** @throws {CacheConfigError} */
function metricsFormat(options) {
  if (options === undefined) return 'object'
  if (!isObject(options)) refuse('options of metrics', options, 'an object')
  checkNames(options, ['format'])
  const { format } = options
  return format === undefined ? 'object' : checkOneOf(format, 'format', ['prometheus'])
}

module.exports = { metricsFormat, prometheus }
