'use strict'
// The cache never keeps a process alive, and what leaves with a process (leases, queued invalidations) is let go of.

const assert = require('node:assert/strict')
const { describe, before, after, test } = require('node:test')
const { eventually, freshNamespace, sleep, timed } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { freePort } = require('../scripts/lib/ports.js')
const { startProxy, useProxy } = require('./support/proxy.js')
const { startRedis } = require('./support/redis.js')
const { runScript } = require('./support/script.js')

const USE = `
  const value = await cache.getOrSet('k', async () => { await sleep(5); return 1 })
  await cache.getOrSet('k', () => 2)
  await cache.set('s', 3)
  await cache.invalidate('other')
`

describe('exit', () => {
  let redis
  let holes
  before(async () => {
    redis = await startRedis()
    holes = await startProxy(redis.port)
    holes.freeze()
  })
  after(async () => {
    await holes.close()
    await redis.stop()
  })

  const servers = {
    'memory only': () => false,
    'Redis up': () => redis.url,
    'Redis refusing': async () => `redis://127.0.0.1:${await freePort()}`,
    'Redis a black hole': () => holes.url,
  }
  for (const [name, urlOf] of Object.entries(servers)) {
    for (const ending of ['', 'await cache.close()']) {
      test(`a script that caches something leaves by itself: ${name}, ${ending || 'no close'}`, async () => {
        const options = JSON.stringify({ redis: await urlOf(), namespace: freshNamespace() })

        const body = `const cache = tidecache.createCache(${options}); ${USE}; ${ending}; say(value)`
        const { code, said, lingered, stderr } = await runScript(body)

        assert.deepEqual([code, said], [0, [1]], stderr)
        assert.ok(lingered <= 200, `lingered ${lingered} ms`)
      })
    }
  }

  test('import alone opens nothing and leaves at once', async () => {
    const { code, lingered } = await runScript('say(process.getActiveResourcesInfo())', {
      env: { REDIS_URL: redis.url },
    })

    assert.equal(code, 0)
    assert.ok(lingered <= 200, `lingered ${lingered} ms`)
  })

  test('a pending load keeps the process alive until its caller has the value', async () => {
    const options = JSON.stringify({ redis: redis.url, namespace: freshNamespace() })

    const { code, said } = await runScript(`
      const [a, b] = [tidecache.createCache(${options}), tidecache.createCache(${options})]
      const loader = () => new Promise((resolve) => setTimeout(resolve, 150, 'slow'))
      say(await Promise.all([a.getOrSet('k', loader), b.getOrSet('k', loader)]))`)

    assert.deepEqual([code, said], [0, [['slow', 'slow']]])
  })

  test('a refresh that waitUntil was given keeps the process alive while somebody waits for it', async () => {
    for (const server of [false, redis.url]) {
      const options = JSON.stringify({ redis: server, namespace: freshNamespace() })

      const { code, said } = await runScript(`
        const given = []
        const cache = tidecache.createCache({ ...${options}, waitUntil: (promise) => given.push(promise) })
        await cache.set('k', 'old', { ttl: '100ms', staleWhileRevalidate: '1m' })
        await sleep(150)
        const served = await cache.getOrSet('k', () => 'new')
        await Promise.all(given)
        say([served, await cache.get('k')])`)

      assert.deepEqual([code, said], [0, [['old', 'new']]])
    }
  })

  test('a refresh whose loader never ends keeps the process, and whom waitUntil told, up to loadTimeout', async () => {
    for (const server of [false, redis.url]) {
      const options = JSON.stringify({ redis: server, namespace: freshNamespace() })

      const { code, said } = await runScript(`
        const given = []
        const cache = tidecache.createCache({ ...${options}, waitUntil: (promise) => given.push(promise) })
        const policy = { ttl: '50ms', staleWhileRevalidate: '1m', loadTimeout: '300ms' }
        await cache.set('k', 'old', policy)
        await sleep(100)
        const served = await cache.getOrSet('k', () => new Promise(() => {}), policy)
        await Promise.all(given)
        say([served, given.length])`)

      assert.deepEqual([code, said], [0, [['old', 1]]])
    }
  })

  test('a waitUntil that throws does not keep the process alive', async () => {
    for (const server of [false, redis.url]) {
      const options = JSON.stringify({ redis: server, namespace: freshNamespace() })

      const { code, said, lingered, stderr } = await runScript(`
        const waitUntil = () => { throw new Error('outside of a request') }
        const cache = tidecache.createCache({ ...${options}, waitUntil, logger: { warn() {} } })
        say(await cache.getOrSet('k', () => 'loaded'))`)

      assert.deepEqual([code, said], [0, ['loaded']], stderr)
      assert.ok(lingered <= 200, `lingered ${lingered} ms`)
    }
  })

  test('waiting for the lease of another process keeps the process alive', async (t) => {
    const options = { redis: redis.url, namespace: freshNamespace() }
    const holder = await usePeer(t, options)
    holder.getOrSet('k', { value: 'held', gate: 'g' }).catch(() => {})
    await holder.began('g')

    const script = runScript(`
      const cache = tidecache.createCache(${JSON.stringify(options)})
      say(await cache.getOrSet('k', () => 'own'))`)
    await sleep(600)
    await holder.release('g')

    const { code, said } = await script
    assert.deepEqual([code, said], [0, ['held']])
  })

  for (const [when, loader] of Object.entries({
    'its key is looked up': '() => 1',
    'its loader runs': 'async () => (await sleep(200), 1)',
  })) {
    test(`a call that is under way at close, while ${when}, is answered, and the process ends`, async (t) => {
      const link = await useProxy(t, redis.port)
      link.delay(60)
      const options = JSON.stringify({ redis: link.url, namespace: freshNamespace() })

      const { code, said, lingered, stderr } = await runScript(`
        const cache = tidecache.createCache(${options})
        await cache.ready()
        const pending = cache.getOrSet('k', ${loader}).then((value) => value, (error) => error.code)
        await sleep(${when.includes('loader') ? 250 : 20})
        await cache.close()
        say(await pending)`)

      assert.equal(code, 0, stderr)
      assert.ok([1, 'ERR_CACHE_CLOSED'].includes(said[0]), `${said}`)
      assert.ok(lingered <= 200, `lingered ${lingered} ms`)
    })
  }

  test('process.exit() with a lease held releases it', async (t) => {
    const options = { redis: redis.url, namespace: freshNamespace() }
    const [holder, waiter] = [await usePeer(t, options), await usePeer(t, options)]
    await waiter.ready()
    holder.getOrSet('k', { value: 'held', gate: 'g' }).catch(() => {})
    await holder.began('g')
    const waiting = waiter.read('k', { value: 'loaded' })
    await sleep(100)

    const { value, ms } = await timed(() => {
      holder.end(0).catch(() => {})
      return waiting
    })

    assert.equal(value.value, 'loaded')
    assert.ok(ms <= 300, `took ${ms} ms`)
  })

  test('an invalidation that was not awaited is sent before process.exit() is done', async (t) => {
    const options = { redis: redis.url, namespace: freshNamespace() }
    const reader = await usePeer(t, options)
    await reader.set('k', 'old')

    const { code } = await runScript(`
      const cache = tidecache.createCache(${JSON.stringify(options)})
      await cache.ready()
      cache.invalidate('k')
      process.exit(0)`)

    assert.equal(code, 0)
    await sleep(50)
    assert.equal(await reader.get('k'), undefined)
  })

  for (const [name, leave] of [
    ['close()', 'await cache.close(); process.exit(0)'],
    ['process.exit()', 'process.exit(0)'],
  ]) {
    test(`I6 nothing lost: an invalidation that was not awaited is sent before ${name} is done, also at boot`, async (t) => {
      const options = { redis: redis.url, namespace: freshNamespace() }
      const reader = await usePeer(t, options)

      for (let i = 0; i < 3; i++) {
        await reader.set('k', 'old')
        const { code } = await runScript(`
          const cache = tidecache.createCache(${JSON.stringify(options)})
          cache.invalidate('k')
          ${leave}`)

        assert.equal(code, 0)
        await sleep(50)
        assert.equal(await reader.get('k'), undefined)
      }
    })
  }

  test('process.exit() while Redis is a black hole takes at most 100 ms more', async () => {
    const options = JSON.stringify({ redis: holes.url, namespace: freshNamespace() })

    const { code, lingered } = await runScript(`
      const cache = tidecache.createCache(${options})
      await cache.getOrSet('k', () => 1)
      await cache.invalidate('k')
      cache.getOrSet('j', () => new Promise(() => {}))
      await sleep(20)
      say('leaving')
      process.exit(3)`)

    assert.equal(code, 3)
    assert.ok(lingered <= 200, `lingered ${lingered} ms`)
  })

  test('process.exit() with 8 caches that owe something to a Redis gone silent takes no longer than with one', async (t) => {
    const link = await useProxy(t, redis.port)
    const options = JSON.stringify({ redis: link.url, namespace: freshNamespace() })
    const script = runScript(`
      const caches = Array.from({ length: 8 }, (_, i) => {
        return tidecache.createCache({ ...${options}, namespace: 'n' + i + ${options}.namespace })
      })
      await Promise.all(caches.map((cache) => cache.ready()))
      for (const cache of caches) cache.getOrSet('k', () => new Promise(() => {})).catch(() => {})
      await sleep(600)
      const receipts = await Promise.all(caches.map((cache) => cache.invalidate('other')))
      say(receipts.map(({ redis }) => redis))
      process.exit(3)`)
    await eventually(() => link.open > 0, 5_000)
    await sleep(300)
    link.freeze()

    const { code, said, lingered } = await script

    assert.deepEqual([code, said], [3, [Array(8).fill('queued')]])
    assert.ok(lingered <= 250, `lingered ${lingered} ms`)
  })

  test('an uncaught error ends the process as it would without a cache', async () => {
    const options = JSON.stringify({ redis: redis.url, namespace: freshNamespace() })

    const { code, stderr } = await runScript(`
      const cache = tidecache.createCache(${options})
      await cache.set('k', 1)
      setTimeout(() => { throw new Error('crash of the app') })
      await cache.getOrSet('j', () => new Promise(() => {}))`)

    assert.equal(code, 1)
    assert.match(stderr, /crash of the app/)
  })
})
