'use strict'
// What is counted, once for all who tell it: Prometheus's text (lib/prometheus.js) and OpenTelemetry (lib/otel.js).
//
// Names are OpenTelemetry's, with dots and without units; Prometheus's follow from them, the way the Collector and
// Prometheus itself translate them: `tidecache.loads.started` is `tidecache_loads_started_total`. So one dashboard serves both.
// Labels are bounded: namespace, view, tier, outcome, state, version, topology. Never a key, never a tag.

const { version } = require('../package.json')

const TIERS = ['memory', 'redis']
const BREAKER = ['closed', 'open', 'half-open']
const COHERENCE = ['tracking', 'none']

const one = (value) => [[{}, value]]
const tiers = (report, count) =>
  TIERS.filter((tier) => report[tier].enabled).map((tier) => [{ tier }, report[tier][count]])
/** One sample per state, 1 for the present one: how an enumeration is shown. */
const states = (all, now) => all.map((state) => [{ state }, state === now ? 1 : 0])
/** Left out when there is no Redis: that it is not up would be an alarm. */
const ofRedis = (samples) => (report) => (report.redis.enabled ? samples(report.redis) : [])

const ofCoherence = (samples) => (report) => (report.redis.enabled ? samples(report.coherence) : [])

const counter = (name, unit, help, samples) => ({ type: 'counter', name, unit, help, samples })
const gauge = (name, unit, help, samples) => ({ type: 'gauge', name, unit, help, samples })

/** `samples(report)` gives [labels, value] for each series, where `report` is what `metrics()` resolves to. */
const READS = [
  counter('hits', '{read}', 'Reads that a tier answered, stale ones included.', (report) => tiers(report, 'hits')),
  counter('stale_hits', '{read}', 'Those of the hits that were stale.', ({ stale }) => one(stale)),
  counter('misses', '{read}', 'Reads that waited for a load, joined ones included.', ({ misses }) => one(misses)),
  counter('tier_misses', '{read}', 'Reads that a tier was asked for and could not answer.', (report) =>
    tiers(report, 'misses'),
  ),
  counter('loads.started', '{load}', 'Loaders called.', ({ loads }) => one(loads.started)),
  counter('loads', '{load}', 'Loads that ended.', ({ loads: { succeeded, failed, timedOut, abandoned } }) => [
    [{ outcome: 'succeeded' }, succeeded],
    [{ outcome: 'failed' }, failed],
    [{ outcome: 'timed_out' }, timedOut],
    [{ outcome: 'abandoned' }, abandoned],
  ]),
  counter('loads.joined', '{read}', 'Callers who shared the load of another one.', ({ loads }) => one(loads.joined)),
  counter('refreshes', '{load}', 'Loads in the background, for a stale value.', ({ loads }) => one(loads.refreshed)),
]

const OF_ENGINE = [
  gauge('info', '', 'What this is: always 1.', ({ redis }) => [[{ version, topology: redis.topology }, 1]]),
  gauge('loads.queued', '{load}', 'Loads that wait for a place among those that run.', ({ loads }) =>
    one(loads.queued),
  ),
  counter('loads.rejected', '{load}', 'Loads that found neither a place nor room to wait.', ({ loads }) =>
    one(loads.rejected),
  ),
  counter('fenced_fills', '{load}', 'Fills that an invalidation overtook.', ({ loads }) => one(loads.fenced)),
  counter(
    'invalidations',
    '{invalidation}',
    'Invalidations made by this process: confirmed by Redis, or queued until it is back.',
    ({ invalidations: { applied, queued } }) => [
      [{ outcome: 'applied' }, applied],
      [{ outcome: 'queued' }, queued],
    ],
  ),
  counter('invalidations.received', '{invalidation}', 'Invalidations made by other processes.', (report) =>
    one(report.invalidations.received),
  ),
  counter(
    'coherence.checks',
    '{check}',
    'Memory hits that were held against Redis afterwards.',
    ofCoherence(({ checked }) => one(checked)),
  ),
  counter(
    'coherence.violations',
    '{check}',
    'Those of the checks that found an entry served past the bound of an invalidation.',
    ofCoherence(({ violations }) => one(violations)),
  ),
  counter(
    'coherence.unclear',
    '{check}',
    'Those of the checks in which eviction or a refresh explains the difference as well.',
    ofCoherence(({ unclear }) => one(unclear)),
  ),
  counter('evictions', '{entry}', 'Entries that left memory for others.', ({ memory }) => one(memory.evictions)),
  gauge('memory.entries', '{entry}', 'Entries in memory.', ({ memory }) => one(memory.entries)),
  gauge('memory', 'By', 'Size of the entries in memory, with overhead.', ({ memory }) => one(memory.bytes)),
  gauge('memory.max', 'By', 'The ceiling of that size.', ({ memory }) => one(memory.maxBytes)),
  gauge(
    'redis.up',
    '',
    'Whether Redis is connected and answers.',
    ofRedis(({ health }) => one(health.connected ? 1 : 0)),
  ),
  gauge(
    'redis.round_trip',
    's',
    'The last round trip to Redis.',
    ofRedis(({ health: { latency } }) => (latency === null ? [] : one(latency / 1_000))),
  ),
  counter(
    'redis.errors',
    '{error}',
    'What Redis refused or did not answer.',
    ofRedis(({ errors }) => one(errors)),
  ),
  counter(
    'redis.oversized',
    '{entry}',
    'Entries over maxEntryBytes, not written or not read.',
    ofRedis(({ oversized }) => one(oversized)),
  ),
  gauge(
    'redis.breaker',
    '',
    'The state of the circuit breaker.',
    ofRedis(({ breaker }) => states(BREAKER, breaker)),
  ),
  gauge(
    'redis.coherence',
    '',
    'How invalidations reach memory.',
    ofRedis(({ coherence }) => states(COHERENCE, coherence)),
  ),
]

/**
 * A view tells what it counts by itself; the rest is the engine's, and told by the cache alone.
 *
 * @param {string} [view]
 */
function instrumentsOf(view) {
  return view === undefined ? [...READS, ...OF_ENGINE] : READS
}

module.exports = { instrumentsOf }
