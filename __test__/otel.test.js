'use strict'
// tidecache/otel with the real SDK: spans that are the parents of what loaders do, counters that are those of
// metrics(), nothing personal, nothing without the peer.

const assert = require('node:assert/strict')
const { cpSync, mkdtempSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { after, before, test } = require('node:test')
const { inspect } = require('node:util')
const { SpanKind, SpanStatusCode, context, metrics, trace } = require('@opentelemetry/api')
const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks')
const { AggregationTemporality, InMemoryMetricExporter, MeterProvider } = require('@opentelemetry/sdk-metrics')
const { PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics')
const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-base')
const { instrument } = require('tidecache/otel')
const { counted, eventually, failing, freshNamespace, gated, sleep } = require('./support/kit.js')
const { parsePrometheus } = require('./support/prometheus.js')
const { adoptFolder, discardFolder } = require('./support/reaper.js')
const { ROOT, runScript } = require('./support/script.js')
const { inBothSetups, open, withRedis } = require('./support/setups.js')

before(() => context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()))
after(() => context.disable())

/** A tracer provider and the spans that it has ended. */
function useTracing(t) {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  t.after(() => tracerProvider.shutdown())
  return { tracerProvider, tracer: tracerProvider.getTracer('test'), spans: () => exporter.getFinishedSpans() }
}

/** A meter provider, and what it would export now: [{ descriptor, dataPoints }]. */
function useMetering(t) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  t.after(() => meterProvider.shutdown())
  const collect = async () => {
    const { resourceMetrics, errors } = await reader.collect()
    assert.deepEqual(errors, [])
    return resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
  }
  return { meterProvider, collect }
}

/** The values of a metric by one of its labels. */
function points(collected, name, label) {
  const { dataPoints } = collected.find(({ descriptor }) => descriptor.name === name)
  return Object.fromEntries(dataPoints.map(({ attributes, value }) => [attributes[label], value]))
}

inBothSetups((openCache, { receipt }) => {
  test('a load is a span: child of its caller, parent of what the loader does', async (t) => {
    const { spans, tracer, tracerProvider } = useTracing(t)
    const namespace = freshNamespace()
    const cache = openCache(t, { namespace })
    instrument(cache, { tracerProvider })

    await tracer.startActiveSpan('request', async (request) => {
      await cache.getOrSet('k', async () => {
        await sleep(5)
        tracer.startSpan('query').end()
        return 1
      })
      await cache.getOrSet('k', counted(2))
      request.end()
    })

    assert.deepEqual(
      spans().map(({ name }) => name),
      ['query', 'cache.load', 'request'],
    )
    const [query, load, request] = spans()
    assert.equal(load.parentSpanContext.spanId, request.spanContext().spanId)
    assert.equal(query.parentSpanContext.spanId, load.spanContext().spanId)
    assert.deepEqual(load.attributes, { 'tidecache.namespace': namespace, 'tidecache.refresh': false })
    assert.deepEqual([load.kind, load.status.code], [SpanKind.INTERNAL, SpanStatusCode.UNSET])
    assert.ok(load.duration[1] >= 4e6)
    assert.equal(load.instrumentationScope.name, 'tidecache')
  })

  test('a loader that fails marks its span; callers get the same error', async (t) => {
    const { spans, tracerProvider } = useTracing(t)
    const cache = openCache(t)
    instrument(cache, { tracerProvider })
    const error = new TypeError('down')

    await assert.rejects(cache.getOrSet('k', failing(error)), (seen) => seen === error)
    await assert.rejects(
      cache.getOrSet('k2', () => {
        throw error
      }),
      (seen) => seen === error,
    )

    for (const span of spans()) {
      assert.deepEqual(span.status, { code: SpanStatusCode.ERROR, message: 'down' })
      assert.equal(span.attributes['error.type'], 'TypeError')
      assert.equal(span.events[0].name, 'exception')
    }
    assert.equal(spans().length, 2)
  })

  test('a loader that takes too long ends its span at the deadline, without naming the key', async (t) => {
    const { spans, tracerProvider } = useTracing(t)
    const cache = openCache(t)
    instrument(cache, { tracerProvider })
    const loader = gated(1)

    await cache.getOrSet('customer-4711', loader, { loadTimeout: '20ms' }).catch(() => {})
    const atDeadline = spans().length
    loader.release()
    await sleep(5)

    assert.deepEqual([atDeadline, spans().length], [1, 1])
    assert.equal(spans()[0].attributes['error.type'], 'CacheTimeoutError')
    assert.doesNotMatch(inspect(spans(), { depth: 9 }), /-4711/)
  })

  test('a load is measured once, when it ends for those who wait: also one that returns late, or never', async (t) => {
    const { spans, tracerProvider } = useTracing(t)
    const { collect, meterProvider } = useMetering(t)
    const cache = openCache(t)
    instrument(cache, { tracerProvider, meterProvider })
    const [late, never, left] = [gated(1), gated(2), gated(3)]
    const leaving = new AbortController()

    const calls = Promise.allSettled([
      cache.getOrSet('late', late, { loadTimeout: '20ms' }),
      cache.getOrSet('never', never, { loadTimeout: '20ms' }),
      cache.getOrSet('left', left, { signal: leaving.signal }),
      cache.getOrSet('bad', failing(new Error('down'))),
      cache.getOrSet('good', counted(1)),
    ])
    await left.began
    leaving.abort()
    await calls
    late.release()
    left.fail(new Error('nobody hears it'))
    await sleep(5)

    const measured = points(await collect(), 'tidecache.load.duration', 'outcome')
    const counts = Object.entries(measured).map(([outcome, { count }]) => [outcome, count])
    assert.deepEqual(Object.fromEntries(counts), { succeeded: 1, failed: 1, timed_out: 2, abandoned: 1 })
    assert.equal(spans().length, 5)
    never.release()
  })

  test('the loader of many is one span, the parent of what it does', async (t) => {
    const { spans, tracer, tracerProvider } = useTracing(t)
    const { collect, meterProvider } = useMetering(t)
    const namespace = freshNamespace()
    const cache = openCache(t, { namespace })
    instrument(cache, { tracerProvider, meterProvider })
    const load = (keys) => {
      tracer.startSpan('query').end()
      return Object.fromEntries(keys.map((key) => [key, 1]))
    }

    await tracer.startActiveSpan('request', async (request) => {
      await cache.getOrSetMany(['customer-4711', 'b', 'c'], load)
      request.end()
    })

    const [query, one, request] = spans()
    assert.deepEqual(
      spans().map(({ name }) => name),
      ['query', 'cache.load', 'request'],
    )
    assert.equal(query.parentSpanContext.spanId, one.spanContext().spanId)
    assert.equal(one.parentSpanContext.spanId, request.spanContext().spanId)
    assert.deepEqual(one.attributes, {
      'tidecache.namespace': namespace,
      'tidecache.refresh': false,
      'tidecache.count': 3,
    })
    assert.equal(points(await collect(), 'tidecache.load.duration', 'outcome').succeeded.count, 1)

    instrument(cache, { tracerProvider, recordKeys: true })
    await assert.rejects(cache.namespace('v').getOrSetMany(['d', 'e'], failing(new TypeError('down'))))
    const { attributes, status } = spans().at(-1)
    assert.deepEqual([attributes['tidecache.key'], attributes['tidecache.view']], [['d', 'e'], 'v'])
    assert.deepEqual([attributes['error.type'], status.message, spans().length], ['TypeError', 'down', 4])
  })

  test('a refresh of many is one span of its own', async (t) => {
    const { spans, tracerProvider } = useTracing(t)
    const cache = openCache(t)
    instrument(cache, { tracerProvider })
    await Promise.all(['a', 'b'].map((key) => cache.set(key, 1, { ttl: '20ms' })))
    await sleep(40)

    await cache.getOrSetMany(['a', 'b'], () => ({ a: 2, b: 2 }))

    await eventually(() => spans().length === 1)
    const { attributes } = spans()[0]
    assert.deepEqual([attributes['tidecache.refresh'], attributes['tidecache.count']], [true, 2])
  })

  test('a refresh is a span of its own', async (t) => {
    const { spans, tracerProvider } = useTracing(t)
    const cache = openCache(t)
    instrument(cache, { tracerProvider })
    await cache.set('k', 1, { ttl: '20ms' })
    await sleep(40)

    await cache.getOrSet('k', counted(2))

    await eventually(() => spans().length === 1)
    assert.equal(spans()[0].attributes['tidecache.refresh'], true)
  })

  test('an invalidation is a span that tells what it was of, and how it went', async (t) => {
    const { spans, tracerProvider } = useTracing(t)
    const cache = openCache(t)
    instrument(cache, { tracerProvider })

    await cache.invalidate({ keys: ['customer-4711'], tag: 'tag-4711' }, { mode: 'stale' })
    await cache.invalidate({ all: true })

    const [some, all] = spans().map(({ attributes }) => attributes)
    assert.deepEqual([some['tidecache.target'], some['tidecache.mode']], [['key', 'tag'], 'stale'])
    assert.deepEqual([all['tidecache.target'], all['tidecache.receipt']], [['all'], receipt])
    assert.doesNotMatch(inspect(spans(), { depth: 9 }), /-4711/)
  })

  test('keys and tags are recorded when asked for', async (t) => {
    const { spans, tracerProvider } = useTracing(t)
    const cache = openCache(t)
    instrument(cache, { tracerProvider, recordKeys: true })

    await cache.getOrSet('k', counted(1))
    await cache.invalidate('k')
    await cache.invalidate({ tags: ['a', 'b'] })

    const [load, key, tags] = spans().map(({ attributes }) => attributes)
    assert.equal(load['tidecache.key'], 'k')
    assert.deepEqual(key['tidecache.key'], ['k'])
    assert.deepEqual(tags['tidecache.tag'], ['a', 'b'])
  })
})

test('instrumented again, the new options alone hold; taken away, nothing is told', async (t) => {
  const [first, second] = [useTracing(t), useTracing(t)]
  const cache = open(t, { redis: false })

  instrument(cache, { tracerProvider: first.tracerProvider })
  const undo = instrument(cache, { tracerProvider: second.tracerProvider })
  await cache.getOrSet('a', counted(1))
  undo()
  await cache.getOrSet('b', counted(1))

  assert.deepEqual([first.spans().length, second.spans().length], [0, 1])
})

test('a view that is instrumented too tells its loads and invalidations itself, once, with counters of its own', async (t) => {
  const { spans, tracerProvider } = useTracing(t)
  const { collect, meterProvider } = useMetering(t)
  const cache = open(t, { redis: false })
  const view = cache.namespace('v')
  instrument(cache, { tracerProvider, meterProvider })
  const undo = instrument(view, { tracerProvider, meterProvider, recordKeys: true })

  await view.getOrSet('k', counted(1))
  await view.invalidate('k')
  await view.namespace('below').getOrSet('k', counted(1))
  await cache.getOrSet('k', counted(1))
  const told = spans().map(({ name, attributes }) => [name, attributes['tidecache.view'], attributes['tidecache.key']])
  const collected = await collect()
  undo()
  await view.getOrSet('k', counted(1))

  assert.deepEqual(told, [
    ['cache.load', 'v', 'k'],
    ['cache.invalidate', 'v', ['k']],
    ['cache.load', 'v/below', 'k'],
    ['cache.load', undefined, undefined],
  ])
  assert.equal(points(collected, 'tidecache.load.duration', 'outcome').succeeded.count, 3)
  assert.deepEqual(points(collected, 'tidecache.loads.started', 'view'), { undefined: 3, v: 1 })
  assert.deepEqual([spans().length, spans().at(-1).attributes['tidecache.key']], [5, undefined])
})

test('other caches are left alone', async (t) => {
  const { spans, tracerProvider } = useTracing(t)
  instrument(open(t, { redis: false }), { tracerProvider })

  await open(t, { redis: false }).getOrSet('k', counted(1))

  assert.deepEqual(spans(), [])
})

test('without providers the global ones are used', async (t) => {
  const { spans, tracerProvider } = useTracing(t)
  const { collect, meterProvider } = useMetering(t)
  trace.setGlobalTracerProvider(tracerProvider)
  metrics.setGlobalMeterProvider(meterProvider)
  t.after(() => {
    trace.disable()
    metrics.disable()
  })
  const cache = open(t, { redis: false })
  instrument(cache)

  await cache.getOrSet('k', counted(1))

  assert.equal(spans().length, 1)
  assert.deepEqual(points(await collect(), 'tidecache.hits', 'tier'), { memory: 0 })
})

const caught = (promise) =>
  promise.then(
    () => assert.fail('must be rejected'),
    (error) => error,
  )

test('a cache of tidecache/next is instrumented as any other; no message of ours tells a key', async (t) => {
  const { createCache } = require('tidecache/next')
  const { spans, tracerProvider } = useTracing(t)
  const cache = createCache({ redis: false, namespace: freshNamespace(), maxLoads: 1, maxQueuedLoads: 0 })
  t.after(() => cache.close())
  const undo = instrument(cache, { tracerProvider })
  const gate = gated('x')

  const late = await caught(cache.getOrSet('late secret', () => new Promise(() => {}), { loadTimeout: '20ms' }))
  const first = cache.getOrSet('first secret', gate)
  await gate.began
  const overload = await caught(cache.getOrSet('second secret', () => 1))
  gate.release()
  await first
  await caught(cache.getOrSet('third', () => Promise.reject(overload)))
  undo()

  for (const error of [late, overload]) assert.match(error.message, /secret/)
  assert.equal(spans().length, 3)
  assert.ok(!inspect(spans(), { depth: 9 }).includes('secret'))
})

test('bad arguments are refused', (t) => {
  const cache = open(t, { redis: false })
  const refused = [
    [undefined],
    [{}],
    [cache, null],
    [cache, { tracer: 1 }],
    [cache, { tracerProvider: {} }],
    [cache, { meterProvider: null }],
    [cache, { recordKeys: 'yes' }],
  ]
  for (const args of refused) assert.throws(() => instrument(...args), { code: 'ERR_CACHE_CONFIG' }, inspect(args))
})

withRedis('metrics of OpenTelemetry', (redis) => {
  test('counters are those of metrics(), read when they are collected', async (t) => {
    const { collect, meterProvider } = useMetering(t)
    const namespace = freshNamespace()
    const cache = open(t, { redis: redis.url, namespace })
    instrument(cache, { meterProvider })
    await cache.ready()

    await cache.getOrSet('a', counted(1, 12))
    await cache.getOrSet('a', counted(1))
    await cache.getOrSet('b', failing(new Error('down'))).catch(() => {})
    await cache.invalidate('a')
    const collected = await collect()

    assert.deepEqual(points(collected, 'tidecache.hits', 'tier'), { memory: 1, redis: 0 })
    assert.deepEqual(points(collected, 'tidecache.misses', 'namespace'), { [namespace]: 2 })
    assert.deepEqual(points(collected, 'tidecache.loads', 'outcome'), {
      succeeded: 1,
      failed: 1,
      timed_out: 0,
      abandoned: 0,
    })
    assert.deepEqual(points(collected, 'tidecache.invalidations', 'outcome'), { applied: 1, queued: 0 })
    assert.deepEqual(points(collected, 'tidecache.redis.breaker', 'state'), { closed: 1, open: 0, 'half-open': 0 })
    const { count, sum, buckets } = points(collected, 'tidecache.load.duration', 'outcome').succeeded
    assert.deepEqual([count, sum >= 0.011 && sum < 5, buckets.boundaries[0]], [1, true, 0.001])
  })

  test('their names are those that Prometheus is told, once translated by its rules', async (t) => {
    const { collect, meterProvider } = useMetering(t)
    const cache = open(t, { redis: redis.url })
    instrument(cache, { meterProvider })
    await cache.ready()
    await cache.getOrSet('k', counted(1))
    const units = { s: '_seconds', By: '_bytes' }

    const names = (await collect()).map(({ descriptor: { name, unit, type } }) => {
      const suffix = type === 'OBSERVABLE_COUNTER' ? '_total' : ''
      return `${name.replaceAll('.', '_')}${units[unit] ?? ''}${suffix}`
    })

    // The core's own histograms cannot be read by an observer.
    const own = ['tidecache_memory_read_duration_seconds', 'tidecache_redis_duration_seconds']
    const told = [...parsePrometheus(await cache.metrics({ format: 'prometheus' })).keys()]
    assert.deepEqual(names.sort(), told.filter((name) => !own.includes(name)).sort())
  })

  test('a closed cache is no error of the collection, and one taken away tells nothing', async (t) => {
    const { collect, meterProvider } = useMetering(t)
    const [closed, left] = [open(t, { redis: redis.url }), open(t, { redis: redis.url })]
    instrument(closed, { meterProvider })
    instrument(left, { meterProvider })()
    await closed.close()

    assert.deepEqual(
      (await collect()).filter(({ dataPoints }) => dataPoints.length > 0),
      [],
    )
  })
})

test('without @opentelemetry/api the import says what is missing, and the cache does not need it', async (t) => {
  const folder = adoptFolder(mkdtempSync(join(tmpdir(), 'tidecache-otel-')))
  t.after(() => discardFolder(folder))
  for (const name of ['lib', 'otel.js', 'package.json'])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true })

  const { code, said, stderr } = await runScript(`
    try {
      require(${JSON.stringify(join(folder, 'otel.js'))})
    } catch (error) {
      say([error.name, error.code, error.message, error.cause.code])
    }
  `)

  assert.equal(code, 0, stderr)
  const [[name, errorCode, message, cause]] = said
  assert.deepEqual([name, errorCode, cause], ['CacheConfigError', 'ERR_CACHE_CONFIG', 'MODULE_NOT_FOUND'])
  assert.match(message, /needs the package @opentelemetry\/api .* npm install @opentelemetry\/api/)
})

test('the cache itself does not load OpenTelemetry, and both kinds of import reach one module', async () => {
  const { said } = await runScript(`
    const cache = tidecache.createCache({ redis: false })
    await cache.getOrSet('k', () => 1)
    say(Object.keys(require.cache).filter((file) => file.includes('opentelemetry') || file.includes('otel')))
    const { instrument } = await import('tidecache/otel')
    say(instrument === require('tidecache/otel').instrument)
  `)

  assert.deepEqual(said, [[], true])
})
