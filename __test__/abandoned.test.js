'use strict'
// Stale hits whose caller leaves, or fails, before the refresh that came with them has begun: who comes later refreshes.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { clock, counted, eventually, failing, freshNamespace, sleep, within } = require('./support/kit.js')
const { useProxy } = require('./support/proxy.js')
const { inBothSetups, open, rejectsWith, withRedis } = require('./support/setups.js')

const STALE = { ttl: 20, staleWhileRevalidate: '1h' }
const HOUR = { ttl: '1h' }
const never = failing(new Error('this must not be loaded'))

/** A later read is served the stale value, and brings a new one. */
async function isRefreshed(cache) {
  const loader = counted('new')
  const stale = cache.getOrSet('k', loader, HOUR)
  assert.equal(await within(stale, 3_000, 'nothing'), 'old')
  await eventually(async () => (await cache.get('k')) === 'new', 3_000)
  assert.equal(loader.calls, 1)
}

inBothSetups((openIt) => {
  test('a stale hit that a faulty validate refuses leaves no refresh that nobody runs', async (t) => {
    const cache = openIt(t)
    await cache.set('k', 'old', STALE)
    await sleep(40)

    const refused = cache.getOrSet('k', never, { ...HOUR, validate: () => 'yes' })
    await rejectsWith(refused, 'CacheConfigError', 'ERR_CACHE_CONFIG', /validate/)

    await isRefreshed(cache)
  })
})

withRedis('who leaves while Redis is asked', (redis) => {
  /** A stale entry in Redis, and a cache without memory that is to be asked for it. */
  async function withStaleEntry(t, ofOthers, url) {
    const namespace = freshNamespace()
    await open(t, { redis: { url: ofOthers, commandTimeout: '5s' }, namespace }).set('k', 'old', STALE)
    const engine = { redis: { url, commandTimeout: '5s' }, namespace, memory: false }
    const cache = open(t, engine)
    await cache.ready()
    await sleep(40)
    const controller = new AbortController()
    const leave = () => controller.abort(new Error('gone'))
    return { cache, engine, leave, options: { ...HOUR, signal: controller.signal } }
  }

  /** How many entries the server was asked for. */
  async function reads() {
    const stats = await redis.server.command('INFO', 'commandstats')
    return Number(/cmdstat_getrange:calls=(\d+)/.exec(stats)?.[1] ?? 0)
  }

  test('before the answer comes: it begins no refresh', async (t) => {
    const proxy = await useProxy(t, redis.server.port)
    const { cache, leave, options } = await withStaleEntry(t, redis.url, proxy.url)
    const before = await reads()
    proxy.delay(100)
    const left = cache.getOrSet('k', never, options)
    await eventually(async () => (await reads()) > before, 10_000)

    leave()
    await assert.rejects(left, /gone/)
    await eventually(async () => (await cache.metrics()).redis.hits === 1, 10_000)
    await proxy.heal()

    await isRefreshed(cache)
  })

  test('a thread that ends before the answer comes: it begins no refresh', async (t) => {
    const proxy = await useProxy(t, redis.server.port)
    const { cache, engine } = await withStaleEntry(t, redis.url, proxy.url)
    const code = `
      const { parentPort, workerData: { index, engine } } = require('node:worker_threads')
      const cache = require(index).createCache(engine)
      parentPort.once('message', () => {
        cache.getOrSet('k', () => 'of the thread')
      })
      cache.ready().then(() => parentPort.postMessage('ready'))`
    const worker = new Worker(code, { eval: true, workerData: { index: require.resolve('..'), engine } })
    await once(worker, 'message')
    const before = await reads()
    proxy.delay(200)
    worker.postMessage('ask')
    await eventually(async () => (await reads()) > before, 10_000)

    await worker.terminate()
    await eventually(async () => (await cache.metrics()).redis.hits === 1, 10_000)
    await proxy.heal()

    await isRefreshed(cache)
  })

  test('when the answer has come and was not taken yet: the refresh that it began is given up', async (t) => {
    const proxy = await useProxy(t, redis.server.port)
    const { cache, leave, options } = await withStaleEntry(t, proxy.url, redis.url)
    const left = cache.getOrSet('k', never, options)
    await new Promise((resolve) => process.nextTick(resolve))
    // The event loop does not turn, so nobody takes the answer.
    const until = clock() + 5_000
    while ((await cache.metrics()).redis.hits === 0) assert.ok(clock() < until)
    const soon = clock() + 20
    while (clock() < soon);

    leave()
    await assert.rejects(left, /gone/)

    await isRefreshed(cache)
  })
})
