'use strict'
// The counters of a process: their shape, what counts as what, and what never appears in them.
// Each test asks a process of its own, because counters are per process.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { inspect } = require('node:util')
const { createCache } = require('..')
const { counted, eventually, failing, freshNamespace, gated, sleep } = require('./support/kit.js')
const { usePeer, usePeers } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { open, withRedis } = require('./support/setups.js')
const { useRedis } = require('./support/redis.js')

const latency = { p50: 'number', p99: 'number', max: 'number' }
const SHAPE = {
  process: { id: 'string', pid: 'number', host: 'string', since: 'string' },
  hits: 'number',
  misses: 'number',
  stale: 'number',
  errors: 'number',
  hitRate: 'number',
  memory: {
    enabled: 'boolean',
    hits: 'number',
    misses: 'number',
    hitRate: 'number',
    entries: 'number',
    bytes: 'number',
    maxBytes: 'number',
    evictions: 'number',
  },
  redis: {
    enabled: 'boolean',
    topology: 'string',
    hits: 'number',
    misses: 'number',
    hitRate: 'number',
    errors: 'number',
    oversized: 'number',
    coherence: 'string',
    breaker: 'string',
    health: { connected: 'boolean', latency: 'number' },
  },
  loads: {
    started: 'number',
    succeeded: 'number',
    failed: 'number',
    timedOut: 'number',
    abandoned: 'number',
    queued: 'number',
    rejected: 'number',
    joined: 'number',
    refreshed: 'number',
    fenced: 'number',
  },
  invalidations: { applied: 'number', queued: 'number', received: 'number' },
  coherence: { checked: 'number', violations: 'number', unclear: 'number' },
  latency: { memory: latency, redis: latency, load: latency },
}

/** The types of a value's members, member by member of the shape it must have. */
function assertShape(value, shape, path = 'metrics') {
  for (const [name, type] of Object.entries(shape)) {
    const at = `${path}.${name}`
    if (typeof type === 'object') assertShape(value[name], type, at)
    else assert.equal(typeof value[name], type, at)
  }
}

withRedis('metrics', (redis) => {
  const options = () => ({ redis: redis.url, namespace: freshNamespace() })

  test('all members are there, with their types and the values of an idle process', async (t) => {
    const peer = await usePeer(t, options())
    await peer.ready()
    await peer.getOrSet('k', { value: 1 })

    const metrics = await peer.metrics()

    assertShape(metrics, SHAPE)
    assert.equal(metrics.process.pid, peer.pid)
    assert.ok(Date.now() - Date.parse(metrics.process.since) < 60_000)
    assert.equal(metrics.memory.maxBytes, 64 * 1024 * 1024)
    const { enabled, topology, coherence, breaker, health } = metrics.redis
    assert.deepEqual([enabled, topology, coherence, breaker], [true, 'standalone', 'tracking', 'closed'])
    assert.ok(health.connected && health.latency >= 0 && health.latency < 1_000)
  })

  test('hits and misses are counted, and the rate has two decimals', async (t) => {
    const peer = await usePeer(t, options())
    assert.equal((await peer.metrics()).hitRate, 0)

    for (let i = 0; i < 3; i++) await peer.getOrSet('k', { value: 1 })

    const { hits, misses, hitRate, memory, redis: second, loads } = await peer.metrics()
    assert.deepEqual([hits, misses, hitRate], [2, 1, 66.67])
    assert.deepEqual([memory.hits, memory.misses, memory.hitRate], [2, 1, 66.67])
    assert.deepEqual([second.hits, second.misses, second.hitRate], [0, 1, 0])
    assert.deepEqual([loads.started, loads.succeeded, loads.failed], [1, 1, 0])
    // A value is answered before it is stored.
    await eventually(async () => (await peer.metrics()).memory.entries === 1)
    assert.ok((await peer.metrics()).memory.bytes > 0)
  })

  test('a hit in Redis is a miss of the memory and a hit of the cache', async (t) => {
    const [a, b] = await usePeers(t, 2, options())
    await a.set('k', 1)

    await b.getOrSet('k', { value: 2 })
    await b.getOrSet('k', { value: 2 })

    const { hits, misses, memory, redis: second } = await b.metrics()
    assert.deepEqual([hits, misses, memory.hits, memory.misses, second.hits], [2, 0, 1, 1, 1])
  })

  test('stale hits are hits, refreshes are counted', async (t) => {
    const peer = await usePeer(t, options())
    await peer.set('k', 1, { ttl: '100ms', staleWhileRevalidate: '1m' })
    await sleep(150)

    await peer.getOrSet('k', { value: 2 })

    await eventually(async () => (await peer.metrics()).loads.refreshed === 1)
    const { hits, misses, stale, hitRate } = await peer.metrics()
    assert.deepEqual([hits, misses, stale, hitRate], [1, 0, 1, 100])
  })

  test('failed, timed out and joined loads are counted', async (t) => {
    const peer = await usePeer(t, options())

    await peer.getOrSet('a', { error: 'down' }).catch(() => {})
    await peer.getOrSet('b', { gate: 'g' }, { loadTimeout: '100ms' }).catch(() => {})
    await peer.readAll(Array(10).fill('c'), { value: 1, ms: 30 })

    const { loads } = await peer.metrics()
    assert.equal(loads.started, 3)
    assert.equal(loads.succeeded, 1)
    assert.equal(loads.failed + loads.timedOut, 2)
    assert.equal(loads.timedOut, 1)
    assert.equal(loads.joined, 9)
    await peer.release('g')
  })

  test('every load that started has ended in one of four ways, or runs: also those that all callers left', async (t) => {
    const place = options()
    const [root, other] = [open(t, place), createCache(place)]
    const view = root.namespace('v')
    const left = new AbortController()
    const [run, leave, hang, late] = [gated(1), gated(2), gated(3), gated(4)]
    const settled = Promise.allSettled([
      view.getOrSet('left', leave, { signal: left.signal }),
      view.getOrSet('left at once', leave, { signal: left.signal, ttl: 0 }),
      view.getOrSet('slow', hang, { loadTimeout: '50ms' }),
      view.getOrSet('bad', failing(new Error('down'))),
      view.getOrSet('good', counted(1)),
      view.getOrSet('skipped', (context) => context.skip()),
    ])
    const running = view.getOrSet('runs', run)
    await Promise.all([run.began, leave.began, hang.began])
    await eventually(() => leave.calls === 2)
    left.abort()
    await settled
    // Left before it is known whether there is anything to load: no load.
    const early = new AbortController()
    const unborn = view.getOrSet('unborn', late, { signal: early.signal }).catch(() => {})
    early.abort()
    await unborn

    const own = (await view.metrics()).loads
    const { loads } = await root.metrics()
    const closed = other.getOrSet('of one that is closed', late).catch(() => {})
    await late.began
    await other.close()
    const after = (await root.metrics()).loads
    for (const loader of [run, leave, hang, late]) loader.release()
    await Promise.all([running, closed])
    await eventually(async () => (await root.metrics()).loads.succeeded === 3)

    const counts = ({ started, succeeded, failed, timedOut, abandoned }) => [
      started,
      succeeded,
      failed,
      timedOut,
      abandoned,
    ]
    assert.deepEqual(counts(own), [7, 2, 1, 1, 2])
    assert.deepEqual(counts(loads), [7, 2, 1, 1, 2])
    assert.deepEqual(counts(after), [8, 2, 1, 1, 3])
    assert.deepEqual(counts((await root.metrics()).loads), [8, 3, 1, 1, 3])
    assert.equal(leave.ctx.signal.aborted, true)
  })

  test('invalidations are counted where they were made and where they were heard', async (t) => {
    const [a, b] = await usePeers(t, 2, options())
    await Promise.all([a.ready(), b.ready()])
    await b.getOrSet('k', { value: 1 })

    await a.invalidate('k')
    await a.invalidate({ tag: 'red' })

    await eventually(async () => (await b.metrics()).invalidations.received >= 2)
    const own = (await a.metrics()).invalidations
    assert.deepEqual([own.applied, own.queued], [2, 0])
    assert.equal((await b.metrics()).invalidations.applied, 0)
  })

  test('a fill that an invalidation overtook is counted as fenced', async (t) => {
    const peer = await usePeer(t, options())
    const pending = peer.getOrSet('k', { value: 1, gate: 'g' })
    await peer.began('g')

    await peer.invalidate('k')
    await peer.release('g')
    await pending

    await eventually(async () => (await peer.metrics()).loads.fenced === 1)
  })

  test('an outage shows: errors, breaker, queued', async (t) => {
    const proxy = await useProxy(t, redis.server.port)
    const peer = await usePeer(t, { ...options(), redis: proxy.url })
    await peer.ready()
    await proxy.cut()

    for (let i = 0; i < 20; i++) await peer.getOrSet(`k${i}`, { value: i })
    await peer.invalidate('k')

    const { redis: second, invalidations, misses, errors } = await peer.metrics()
    assert.equal(second.health.connected, false)
    assert.equal(invalidations.queued, 1)
    assert.deepEqual([misses, errors >= 0], [20, true])
    await proxy.heal()
    await eventually(async () => (await peer.metrics()).redis.health.connected)
    await eventually(async () => (await peer.metrics()).redis.breaker === 'closed')
  })

  test('memory only: Redis is not there', async (t) => {
    const peer = await usePeer(t, { redis: false, namespace: freshNamespace() })
    await peer.getOrSet('k', { value: 1 })

    const { redis: second } = await peer.metrics()

    assert.deepEqual(
      [second.enabled, second.topology, second.coherence, second.health],
      [false, 'none', 'none', { connected: false, latency: null }],
    )
  })

  test('memory off: Redis alone is used', async (t) => {
    const peer = await usePeer(t, { ...options(), memory: false })
    await peer.getOrSet('k', { value: 1 })

    assert.equal((await peer.read('k', { value: 2 })).tier, 'redis')
    const { memory, redis: second } = await peer.metrics()
    assert.deepEqual([memory.enabled, memory.entries, memory.hits, second.hits], [false, 0, 0, 1])
  })

  test('no keys and no tags are in the metrics', async (t) => {
    const peer = await usePeer(t, options())
    await peer.getOrSet('customer-4711', { value: 'payload-4711' }, { tags: ['tag-4711'] })
    await peer.invalidate({ tag: 'tag-4711' })

    assert.doesNotMatch(inspect(await peer.metrics(), { depth: 9 }), /4711/)
  })
})

test('readers who share the look at an entry in Redis are hits, each once, and so are those of a view', async (t) => {
  const redis = await useRedis(t)
  const namespace = freshNamespace()
  const peer = await usePeer(t, { redis: redis.url, namespace })
  const cache = open(t, { redis: redis.url, namespace })
  const view = cache.namespace('view')
  await peer.set('k', 1)
  await view.set('k', 1)
  await cache.invalidate('other')

  const never = () => assert.fail('it is in Redis')
  await Promise.all(Array.from({ length: 10 }, () => cache.getOrSet('k', never)))
  const first = await cache.metrics()
  assert.deepEqual([first.hits, first.misses, first.redis.hits, first.loads.joined], [10, 0, 10, 0])

  await peer.invalidate('k')
  const loader = counted(() => sleep(100).then(() => 2))
  const reads = Array.from({ length: 10 }, () => view.getOrSet('new', loader))
  await eventually(() => loader.calls === 1, 2_000)
  await view.invalidate('new')
  await Promise.all([...reads, view.getOrSet('new', loader)])
  const [whole, own] = [await cache.metrics(), await view.metrics()]
  assert.deepEqual([own.hits + own.misses, own.loads.started, own.loads.joined], [11, 2, 9])
  assert.deepEqual([whole.hits + whole.misses, whole.loads.started, whole.loads.joined], [21, 2, 9])
})

test('no password is in metrics, errors, health, logs or util.inspect', async (t) => {
  const redis = await useRedis(t, { args: ['--requirepass', 'right'] })
  const logged = []
  const log = (...args) => logged.push(args)
  const url = `redis://:hunter2@127.0.0.1:${redis.port}`
  const cache = open(t, { redis: { url, connectTimeout: '300ms' }, logger: { warn: log, info: log } })

  const error = await cache.ready().catch((reason) => reason)
  const strict = await cache.invalidate('k', { strict: true }).catch((reason) => reason)
  const seen = [error, strict, error.cause, await cache.metrics(), await cache.health(), cache, logged]

  assert.equal(error.code, 'ERR_CACHE_REDIS')
  assert.doesNotMatch(inspect(seen, { depth: 9, showHidden: true }), /hunter2/)
  assert.doesNotMatch(JSON.stringify(seen), /hunter2/)
})
