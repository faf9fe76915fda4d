'use strict'
// OpenTelemetry, through the API that the application brings: spans around loads and invalidations, and the counters.
//
// A span of a load is the parent of what its loader does. There are no conventions for caches: attributes are named
// `tidecache.…`, but for `error.type` (https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/).

const { CacheClosedError, CacheConfigError } = require('./errors.js')
const { Events } = require('./events.js')
const { instrumentsOf } = require('./instruments.js')
const { checkNames, isObject, refuse } = require('./options/check.js')
const { version } = require('../package.json')

const NAME = 'tidecache'
/** As those that Prometheus is told. */
const LOAD_EDGES = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

function openTelemetry() {
  try {
    return require('@opentelemetry/api')
  } catch (cause) {
    if (cause?.code !== 'MODULE_NOT_FOUND') throw cause
    throw new CacheConfigError(
      'tidecache/otel needs the package @opentelemetry/api (1.3 or later), which is not installed here: npm install @opentelemetry/api',
      { cause },
    )
  }
}

const { SpanStatusCode, ValueType, context, metrics, trace } = openTelemetry()

/** In place of messages of ours, which name keys. */
const WITHOUT_KEYS = {
  ERR_CACHE_TIMEOUT: 'the loader took longer than loadTimeout',
  ERR_CACHE_OVERLOAD: 'as many loads run and wait as may',
  ERR_CACHE_ENCODE: 'the value cannot be stored without loss',
  ERR_CACHE_REQUEST_DATA: 'the loader asked for data of a request',
}

/** By the events of what was instrumented: what takes it away again. */
const instrumented = new WeakMap()

// --- spans ----------------------------------------------------------------------------------------------------------

/** The names in a target, as they may be shown. */
function namesOf(target) {
  const { key, keys, tag, tags, pattern, all } = typeof target === 'string' ? { key: target } : target
  const list = (single, several = []) => (single === undefined ? [...several] : [single, ...several])
  const names = { key: list(key, keys), tag: list(tag, tags), pattern: list(pattern), all: all === true ? ['all'] : [] }
  return Object.entries(names).filter(([, given]) => given.length > 0)
}

const ATTRIBUTES = {
  load: ({ key, keys, refresh }, withKeys) => ({
    'tidecache.refresh': refresh,
    ...(keys !== undefined && { 'tidecache.count': keys.length }),
    ...(withKeys && { 'tidecache.key': keys ?? key }),
  }),
  invalidate({ target, mode }, withKeys) {
    const names = namesOf(target)
    const shown = withKeys
      ? names.filter(([kind]) => kind !== 'all').map(([kind, of]) => [`tidecache.${kind}`, of])
      : []
    return {
      'tidecache.mode': mode,
      'tidecache.target': names.map(([kind]) => kind),
      ...Object.fromEntries(shown),
    }
  },
}

/** Ends a span, once: when the operation does, or when nobody waits for it any more. */
class Ending {
  #span
  #withKeys
  #onEnd
  #isOver = false

  /** @param {(outcome: string) => void} onEnd */
  constructor(span, withKeys, onEnd) {
    this.#span = span
    this.#withKeys = withKeys
    this.#onEnd = onEnd
  }

  well(attributes) {
    this.#end('succeeded', () => this.#span.setAttributes(attributes))
  }

  badly(error, outcome = 'failed') {
    this.#end(outcome, () => {
      const shown = this.#shown(error)
      this.#span.recordException(shown)
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message: shown.message })
      this.#span.setAttribute('error.type', nameOf(error))
    })
  }

  #shown(error) {
    const { code } = error ?? {}
    if (!this.#withKeys && typeof code === 'string' && code.startsWith('ERR_CACHE')) {
      return { name: nameOf(error), message: WITHOUT_KEYS[code] ?? code }
    }
    return error instanceof Error ? error : { name: nameOf(error), message: String(error) }
  }

  #end(outcome, say) {
    if (this.#isOver) return
    this.#isOver = true
    say()
    this.#span.end()
    this.#onEnd(outcome)
  }
}

function nameOf(error) {
  return typeof error?.name === 'string' ? error.name : '_OTHER'
}

/** @returns a wrapper for `Events.wrap` */
function spans(tracer, { namespace, withKeys, onLoad }) {
  return (name, info, operation) => {
    const attributes = { 'tidecache.namespace': namespace, ...ATTRIBUTES[name](info, withKeys) }
    if (info.view !== undefined) attributes['tidecache.view'] = info.view
    const active = context.active()
    const span = tracer.startSpan(`cache.${name}`, { attributes }, active)
    const began = performance.now()
    const tell = (outcome) => onLoad((performance.now() - began) / 1_000, outcome)
    const ending = new Ending(span, withKeys, name === 'load' ? tell : () => {})
    endAtAbort(info.signal?.(), ending)
    return context.with(trace.setSpan(active, span), () => settle(name, operation, ending))
  }
}

/** A loader that nobody waits for any more may never end. */
function endAtAbort(signal, ending) {
  const onAbort = () => {
    const { reason } = signal
    ending.badly(reason, reason?.code === 'ERR_CACHE_TIMEOUT' ? 'timed_out' : 'abandoned')
  }
  signal?.addEventListener('abort', onAbort, { once: true })
}

async function settle(name, operation, ending) {
  try {
    const result = await operation()
    ending.well(name === 'invalidate' ? { 'tidecache.receipt': result.state } : {})
    return result
  } catch (error) {
    ending.badly(error)
    throw error
  }
}

// --- metrics --------------------------------------------------------------------------------------------------------

/** Instruments that read the counters when they are collected. @returns {() => void} takes them away */
function observe(meter, cache, { namespace, view }) {
  const common = view === undefined ? { namespace } : { namespace, view }
  const made = instrumentsOf(view).map(({ type, name, unit, help, samples }) => {
    const make = type === 'counter' ? 'createObservableCounter' : 'createObservableGauge'
    const instrument = meter[make](`${NAME}.${name}`, { description: help, unit })
    return { instrument, samples }
  })
  const all = made.map(({ instrument }) => instrument)
  const read = async (result) => {
    const report = await cache.metrics().catch((error) => {
      // Closed: there is nothing to tell any more.
      if (!(error instanceof CacheClosedError)) throw error
    })
    if (report === undefined) return
    for (const { instrument, samples } of made) {
      for (const [labels, value] of samples(report)) result.observe(instrument, value, { ...common, ...labels })
    }
  }
  meter.addBatchObservableCallback(read, all)
  return () => meter.removeBatchObservableCallback(read, all)
}

// --- the door -------------------------------------------------------------------------------------------------------

function checked(options) {
  if (!isObject(options)) refuse('options of instrument', options, 'an object')
  checkNames(options, ['tracerProvider', 'meterProvider', 'recordKeys'])
  const { tracerProvider = trace.getTracerProvider(), meterProvider = metrics.getMeterProvider(), recordKeys } = options
  if (typeof tracerProvider?.getTracer !== 'function') refuse('tracerProvider', tracerProvider, 'a TracerProvider')
  if (typeof meterProvider?.getMeter !== 'function') refuse('meterProvider', meterProvider, 'a MeterProvider')
  if (recordKeys !== undefined && typeof recordKeys !== 'boolean') refuse('recordKeys', recordKeys, 'a boolean')
  return { tracerProvider, meterProvider, withKeys: recordKeys === true }
}

/** @see otel.d.ts */
function instrument(cache, options = {}) {
  const events = Events.of(cache)
  const { tracerProvider, meterProvider, withKeys } = checked(options)
  instrumented.get(events)?.()

  const { namespace, view } = events
  const meter = meterProvider.getMeter(NAME, version)
  const durations = meter.createHistogram(`${NAME}.load.duration`, {
    description: 'Runs of loaders.',
    unit: 's',
    valueType: ValueType.DOUBLE,
    advice: { explicitBucketBoundaries: LOAD_EDGES },
  })
  const onLoad = (seconds, outcome) => durations.record(seconds, { namespace, outcome })
  const unwrap = events.wrap(spans(tracerProvider.getTracer(NAME, version), { namespace, withKeys, onLoad }))
  const unobserve = observe(meter, cache, { namespace, view })

  const undo = () => {
    unwrap()
    unobserve()
    if (instrumented.get(events) === undo) instrumented.delete(events)
  }
  instrumented.set(events, undo)
  return undo
}

module.exports = { instrument }
