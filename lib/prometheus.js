'use strict'
// The counters as Prometheus reads them: the text format 0.0.4,
// https://prometheus.io/docs/instrumenting/exposition_formats/
//
// Names keep to its conventions: base units, `_total` for what only grows, labels whose values add up to something.

const { instrumentsOf } = require('./instruments.js')
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
function* family(name, type, help, samples, common) {
  if (samples.length === 0) return
  yield `# HELP ${name} ${help}`
  yield `# TYPE ${name} ${type}`
  for (const [suffix, labels, value] of samples) yield sample(`${name}${suffix}`, { ...common, ...labels }, value)
}

function* plain({ name, type, unit, help, samples }, report, common) {
  const suffix = `${UNITS[unit] ?? ''}${type === 'counter' ? '_total' : ''}`
  const told = samples(report).map(([labels, value]) => ['', labels, value])
  yield* family(`tidecache_${name.replaceAll('.', '_')}${suffix}`, type, help, told, common)
}

function* histogram(name, help, { buckets, count, sum }, common) {
  const edges = [...buckets, ['+Inf', count]]
  const samples = edges.map(([le, upTo]) => ['_bucket', { le }, upTo])
  yield* family(name, 'histogram', help, [...samples, ['_sum', {}, sum], ['_count', {}, count]], common)
}

function* lines(report, histograms, { namespace, view }) {
  const common = view === undefined ? { namespace } : { namespace, view }
  for (const instrument of instrumentsOf(view)) yield* plain(instrument, report, common)
  if (view !== undefined) return
  for (const [name, help, part] of HISTOGRAMS) {
    if (part === 'load' || report[part].enabled) yield* histogram(name, help, histograms[part], common)
  }
}

/**
 * @param {object} report what `metrics()` resolves to
 * @param {object} histograms what the core tells in buckets: { memory, redis, load }
 * @param {{ namespace: string, view?: string }} place labels of every sample; `view`: its own counts alone
 * @returns {string} to be served as `text/plain; version=0.0.4; charset=utf-8`
 */
function prometheus(report, histograms, place) {
  return `${[...lines(report, histograms, place)].join('\n')}\n`
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
