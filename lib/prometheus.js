'use strict'
// The counters as Prometheus reads them: the text format 0.0.4,
// https://prometheus.io/docs/instrumenting/exposition_formats/
//
// Names keep to its conventions: base units, `_total` for what only grows, labels whose values add up to something.

const { instrumentsOf } = require('./instruments.js')
const { viewPrefixes } = require('./options/cache.js')
const { checkNames, checkOneOf, isObject, refuse } = require('./options/check.js')

/** Units in names; those in braces are only told to OpenTelemetry. */
const UNITS = { s: '_seconds', By: '_bytes' }

const HISTOGRAMS = [
  ['tidecache_memory_read_duration_seconds', 'Looks into memory that hit; one in 64 is measured.', 'memory'],
  ['tidecache_redis_duration_seconds', 'Round trips to Redis for reads.', 'redis'],
  ['tidecache_load_duration_seconds', 'Loads, from the miss to the value or the failure.', 'load'],
]

const ESCAPES = { '\\': '\\\\', '"': '\\"', '\n': '\\n' }
const escaped = (value) => String(value).replace(/[\\"\n]/g, (character) => ESCAPES[character])

function sample(name, labels, value) {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
  return `${name}{${pairs.join(',')}} ${value}`
}

/** Samples are [suffix of the name, labels, value]. */
function* family(name, type, help, samples) {
  if (samples.length === 0) return
  yield `# HELP ${name} ${help}`
  yield `# TYPE ${name} ${type}`
  for (const [suffix, labels, value] of samples) yield sample(`${name}${suffix}`, labels, value)
}

const labelsOf = ({ namespace, view }) => (view === undefined ? { namespace } : { namespace, view })

/** One family, whoever tells of it: the format wants its lines together. */
function* plain(instrument, sources) {
  const { name, type, unit, help, samples } = instrument
  const suffix = `${UNITS[unit] ?? ''}${type === 'counter' ? '_total' : ''}`
  const told = sources
    .filter(({ place: { view } }) => instrumentsOf(view).includes(instrument))
    .flatMap(({ report, place }) => samples(report).map(([own, value]) => ['', { ...labelsOf(place), ...own }, value]))
  yield* family(`tidecache_${name.replaceAll('.', '_')}${suffix}`, type, help, told)
}

function* histogram(name, help, { buckets, count, sum }, labels) {
  const edges = [...buckets, ['+Inf', count]]
  const samples = edges.map(([le, upTo]) => ['_bucket', { ...labels, le }, upTo])
  yield* family(name, 'histogram', help, [...samples, ['_sum', labels, sum], ['_count', labels, count]])
}

function* lines(sources, histograms) {
  const [{ report, place }] = sources
  for (const instrument of instrumentsOf(place.view)) yield* plain(instrument, sources)
  if (place.view !== undefined) return
  for (const [name, help, part] of HISTOGRAMS) {
    if (part === 'load' || report[part].enabled) yield* histogram(name, help, histograms[part], labelsOf(place))
  }
}

/**
 * @param {{ report: object, place: { namespace: string, view?: string } }[]} sources the cache, and views that are told
 *   beside it: what its `metrics()` resolves to, and the labels of every sample. With `view`: its own counts alone
 * @param {object} histograms what the core tells in buckets: { memory, redis, load }
 * @returns {string} to be served as `text/plain; version=0.0.4; charset=utf-8`
 */
function prometheus(sources, histograms) {
  return `${[...lines(sources, histograms)].join('\n')}\n`
}

/**
 * @returns {{ format: 'object' | 'prometheus', views: string[][] }} views: the prefixes that lead to each
 * @throws {CacheConfigError}
 */
function metricsOptions(options) {
  if (options === undefined) return { format: 'object', views: [] }
  if (!isObject(options)) refuse('options of metrics', options, 'an object')
  checkNames(options, ['format', 'views'])
  const { format, views } = options
  if (format !== undefined) checkOneOf(format, 'format', ['prometheus'])
  if (views === undefined) return { format: format ?? 'object', views: [] }
  if (!Array.isArray(views)) refuse('views', views, 'an array of names of views')
  if (format === undefined) refuse('views', views, "absent without format: 'prometheus'")
  // A series must not be told twice.
  return { format, views: [...new Set(views)].map((name, n) => viewPrefixes(name, `views[${n}]`)) }
}

module.exports = { metricsOptions, prometheus }
