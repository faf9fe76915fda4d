'use strict'
// Entries that are larger than one reply should be: read in pieces beside everything else, and with a limit.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { clock, counted, eventually, failing, freshNamespace, gated } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { open, rejectsWith, withRedis } = require('./support/setups.js')

const MB = 1024 * 1024
const TTL = { ttl: '10m' }
const never = failing(new Error('this must be a hit'))

/** A cache whose warnings are kept; `memory: false`, so that each read asks Redis. */
function openTold(t, redis, options = {}) {
  const warnings = []
  const cache = open(t, { memory: false, logger: { warn: (message) => warnings.push(message) }, ...options, redis })
  return { cache, warnings }
}

/** How many bytes a server has sent. */
async function bytesSent({ server }) {
  const info = await server.command('INFO', 'stats')
  return Number(/total_net_output_bytes:(\d+)/.exec(info)[1])
}

async function entriesOf({ server }, namespace) {
  return server.command('KEYS', `${namespace}:e:*`)
}

withRedis('large entries', (redis) => {
  for (const integrityKey of [undefined, '0123456789abcdef0123456789abcdef']) {
    const seal = integrityKey === undefined ? 'plain' : 'sealed'
    test(`values of all sizes around the ends of pieces come back as they were, ${seal}`, async (t) => {
      const { cache } = openTold(t, { url: redis.url, integrityKey, commandTimeout: '2s' })
      const ends = [64, 64 + 128, 64 + 2 * 128].map((kilobytes) => kilobytes * 1024)
      // Header, one stamp, key and seal are within 300 bytes: somewhere in each range an entry ends where a piece does.
      const sizes = ends.flatMap((end) => Array.from({ length: 300 }, (_, n) => end - 299 + n))
      for (const size of sizes) await cache.set(`k${size}`, Buffer.alloc(size, size % 251), TTL)

      for (const size of sizes) {
        const value = await cache.getOrSet(`k${size}`, never)
        assert.ok(value.equals(Buffer.alloc(size, size % 251)), `${size} bytes`)
      }
      const many = await cache.getOrSetMany(
        sizes.map((size) => `k${size}`),
        never,
      )
      assert.deepEqual(
        [...many.values()].map((value) => value.length),
        sizes,
      )
      assert.equal((await cache.metrics()).redis.errors, 0)
    })
  }

  for (const integrityKey of [undefined, '0123456789abcdef0123456789abcdef']) {
    for (const maxEntryBytes of [10_000, 64 * 1024 + 16, 200_000]) {
      const which = `${maxEntryBytes} bytes, ${integrityKey === undefined ? 'plain' : 'sealed'}`
      test(`the longest entry that may be written is read by another process, one of a byte more is not written: ${which}`, async (t) => {
        const namespace = freshNamespace()
        const options = { url: redis.url, maxEntryBytes, integrityKey }
        const { cache, warnings } = openTold(t, options, { namespace })
        const peer = await usePeer(t, { redis: options, namespace, memory: false })
        const nearly = maxEntryBytes - 400
        await cache.set('k', Buffer.alloc(nearly), TTL)
        const [entry] = await entriesOf(redis, namespace)
        const most = nearly + maxEntryBytes - (await redis.server.command('STRLEN', entry))

        await cache.set('k', Buffer.alloc(most, 7), TTL)
        assert.equal(await redis.server.command('STRLEN', entry), maxEntryBytes)
        assert.equal((await peer.getOrSet('k', { error: 'no' })).length, most)
        assert.equal((await cache.getOrSet('k', never)).length, most)
        assert.deepEqual(warnings, [])

        await cache.set('k', Buffer.alloc(most + 1, 7), TTL)
        assert.deepEqual(await entriesOf(redis, namespace), [])
        assert.equal(await peer.get('k'), undefined)
        assert.equal((await cache.metrics()).redis.oversized, 1)
        assert.match(warnings[0], new RegExp(`^an entry of ${maxEntryBytes + 1} bytes is not written to Redis`))
      })
    }
  }

  test('I1 read-your-writes, I3 no resurrection: an entry that is replaced while it is read comes from one time, and none from before', async (t) => {
    const namespace = freshNamespace()
    const { cache } = openTold(t, { url: redis.url }, { namespace })
    const writer = await usePeer(t, { redis: redis.url, namespace, memory: false })
    const letters = 'abcdefghij'
    let written = -1
    let isOver = false
    const write = async () => {
      for (let n = 0; n < 60; n++) {
        await writer.set('k', letters[n % 10].repeat(3 * MB + n), TTL)
        written = n
      }
      isOver = true
    }
    const writing = write()

    let reads = 0
    while (!isOver) {
      const before = written
      const value = await cache.getOrSet('k', () => 'nothing there yet', { ttl: 0 })
      const read = await cache.get('k')
      for (const text of [value, read]) {
        if (text === undefined || text === 'nothing there yet') continue
        const n = text.length - 3 * MB
        assert.equal(text, letters[n % 10].repeat(text.length), 'all of it is from one write')
        assert.ok(n >= before, `written was ${before}, read ${n}`)
        reads++
      }
    }
    await writing

    assert.ok(reads > 10, `${reads} reads`)
    assert.equal((await cache.metrics()).redis.errors, 0, 'what was torn was read again, not taken for damage')
  })

  test('an entry that was cut off in Redis is a miss', async (t) => {
    const namespace = freshNamespace()
    const { cache } = openTold(t, { url: redis.url }, { namespace })
    await cache.set('k', 'x'.repeat(MB), TTL)
    const [entry] = await entriesOf(redis, namespace)
    const cut = 'redis.call("SET", KEYS[1], string.sub(redis.call("GET", KEYS[1]), 1, ARGV[1]))'
    await redis.server.command('EVAL', cut, '1', entry, String(300 * 1024))

    assert.equal(await cache.getOrSet('k', () => 'loaded'), 'loaded')
    assert.equal(await cache.getOrSet('k', never), 'loaded')
  })

  test('who asks for small entries in the same tick does not wait for a large one', async (t) => {
    const proxy = await useProxy(t, redis.server.port)
    const { cache } = openTold(t, { url: proxy.url, commandTimeout: '5s' })
    await cache.set('large', 'x'.repeat(6 * MB), TTL)
    await cache.set('small', 'y', TTL)
    // 6 MB take some 300 ms.
    proxy.throttle(20 * 1024)
    let isLargeThere = false

    const large = cache.getOrSet('large', never).then(() => (isLargeThere = true))
    assert.equal(await cache.getOrSet('small', never), 'y')
    assert.equal(isLargeThere, false)
    assert.equal(await cache.getOrSet('small', never), 'y', 'nor who comes later')
    assert.equal(isLargeThere, false)

    await large
  })

  test('many large entries at once are all read, over two connections', async (t) => {
    const server = await useRedis(t)
    const { cache } = openTold(t, { url: server.url, commandTimeout: '2s' })
    const keys = Array.from({ length: 40 }, (_, n) => `k${n}`)
    for (const key of keys) await cache.set(key, key.repeat(MB / 2), TTL)

    const values = await cache.getOrSetMany(keys, never)

    for (const key of keys) assert.equal(values.get(key), key.repeat(MB / 2))
    const clients = await server.command('CLIENT', 'LIST')
    assert.equal(clients.trim().split('\n').length, 3, 'two, and who asks')
  })

  test('I5 Redis never hurts: who waits for the turn of a large entry waits no longer than the budget once Redis is silent', async (t) => {
    const proxy = await useProxy(t, redis.server.port)
    const { cache } = openTold(t, { url: proxy.url, commandTimeout: '1s' })
    const keys = Array.from({ length: 8 }, (_, n) => `k${n}`)
    for (const key of keys) await cache.set(key, key.repeat(MB), TTL)
    // Each takes 100 ms and more: most still wait for their turns, and have seen bytes arrive, when silence falls.
    proxy.throttle(20 * 1024)
    const reads = keys.map((key) => cache.getOrSet(key, () => 'loaded'))
    await new Promise((resolve) => setTimeout(resolve, 300))
    const began = clock()
    proxy.freeze()

    const values = await Promise.all(reads)

    assert.ok(clock() - began < 1_600, `${clock() - began} ms`)
    assert.ok(values.filter((value) => value === 'loaded').length >= 4)
    await proxy.heal()
  })

  test('a value over maxEntryBytes is returned and kept in memory, and is not in Redis; that is counted, and told once', async (t) => {
    const namespace = freshNamespace()
    const { cache, warnings } = openTold(t, { url: redis.url, maxEntryBytes: 10_000 }, { namespace, memory: undefined })
    const loader = counted('x'.repeat(10_000))

    assert.equal(await cache.getOrSet('k', loader, TTL), 'x'.repeat(10_000))
    assert.equal(await cache.getOrSet('k', never), 'x'.repeat(10_000))
    await cache.getOrSet('other', () => 'y'.repeat(20_000), TTL)
    await cache.getOrSet('small', () => 'z'.repeat(9_000), TTL)

    await eventually(async () => (await entriesOf(redis, namespace)).length > 0)
    assert.equal((await entriesOf(redis, namespace)).length, 1, 'the small one')
    assert.equal((await cache.metrics()).redis.oversized, 2)
    assert.match(await cache.metrics({ format: 'prometheus' }), /tidecache_redis_oversized_total\{.*\} 2\n/)
    assert.equal(warnings.length, 1)
    assert.match(
      warnings[0],
      /^an entry of 10\d\d\d bytes is not written to Redis, .*: redis\.maxEntryBytes is 10000 \(key 'k'\)/,
    )
  })

  test('an invalidation reaches a value that is in memory alone, in every process', async (t) => {
    const options = { redis: { url: redis.url, maxEntryBytes: 1_024 }, namespace: freshNamespace() }
    const { cache } = openTold(t, options.redis, { namespace: options.namespace, memory: undefined })
    const peer = await usePeer(t, options)
    const load = (who) => ({ value: `${who}${'x'.repeat(5_000)}`, tags: ['group'] })
    await cache.getOrSet('k', () => load('a').value, { ...TTL, tags: ['group'] })
    // For a moment who asks loads for himself, and keeps nothing.
    const noMark = () =>
      eventually(async () => (await redis.server.command('KEYS', `${options.namespace}:l:*`)).length === 0)
    await noMark()
    await peer.getOrSet('k', load('b'), TTL)
    assert.equal((await peer.getOrSet('k', { error: 'no' })).slice(0, 1), 'b')

    await noMark()
    await cache.invalidate({ tag: 'group' })

    assert.equal(await cache.getOrSet('k', () => 'new', TTL), 'new')
    assert.equal(await peer.getOrSet('k', { error: 'no' }), 'new')
  })

  test('an entry over maxEntryBytes that lies in Redis is a miss, and never comes as a whole', async (t) => {
    const namespace = freshNamespace()
    const writer = await usePeer(t, { redis: redis.url, namespace })
    await writer.set('k', 'x'.repeat(4 * MB), TTL)
    const { cache, warnings } = openTold(t, { url: redis.url, maxEntryBytes: MB }, { namespace })
    await cache.get('nothing')
    const before = await bytesSent(redis)

    assert.equal(await cache.get('k'), undefined)
    assert.equal(await cache.getOrSet('k', () => 'small', TTL), 'small')

    assert.ok((await bytesSent(redis)) - before < MB / 2)
    assert.equal((await cache.metrics()).redis.oversized, 2)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0], /^an entry of 4\d+ bytes lies in Redis and is not read: redis\.maxEntryBytes is 1048576/)
    assert.equal(await cache.getOrSet('k', never), 'small', 'what was loaded has taken its place')
  })

  test('who waits in another process for a value that cannot be shared loads it as soon as that is known', async (t) => {
    const namespace = freshNamespace()
    const { cache } = openTold(t, { url: redis.url, maxEntryBytes: 1_024 }, { namespace })
    const peer = await usePeer(t, { redis: { url: redis.url, maxEntryBytes: 1_024 }, namespace })
    await peer.ready()
    const loader = gated('x'.repeat(5_000))
    const leading = cache.getOrSet('k', loader, TTL)
    await loader.began
    const waiting = peer.getOrSet('k', { value: 'its own' }, { ...TTL, waitTimeout: '20s' })
    await redis.server.command('WAIT', '0', '50')
    const began = clock()

    loader.release()
    await leading

    assert.equal(await waiting, 'its own')
    assert.ok(clock() - began < 1_000, 'not when the lease would have ended, which is after 4 s')
  })

  test('`set` of a value over maxEntryBytes removes the entry that was there, everywhere', async (t) => {
    const options = { redis: { url: redis.url, maxEntryBytes: 10_000 }, namespace: freshNamespace() }
    const { cache } = openTold(t, options.redis, { namespace: options.namespace, memory: undefined })
    const peer = await usePeer(t, options)
    await cache.set('k', 'old', TTL)
    assert.equal(await peer.get('k'), 'old')

    await cache.set('k', 'x'.repeat(20_000), TTL)

    assert.equal((await cache.get('k')).length, 20_000)
    assert.equal(await peer.get('k'), undefined)
    assert.equal(await peer.getOrSet('k', { value: 'its own' }, TTL), 'its own', 'at once: the lease was given back')
  })

  test('a cache with another maxEntryBytes on the same engine is refused', async (t) => {
    const namespace = freshNamespace()
    openTold(t, { url: redis.url, maxEntryBytes: 1_024 }, { namespace })
    const second = async () => openTold(t, { url: redis.url }, { namespace })

    await rejectsWith(
      second(),
      'CacheConfigError',
      'ERR_CACHE_CONFIG',
      'redis.maxEntryBytes is 1024',
      'and 8388608 here',
    )
  })
})

test('an entry of 8 MB, read again and again, leaves heartbeats their time: the link stays up', async (t) => {
  const redis = await useRedis(t)
  const { cache, warnings } = openTold(t, { url: redis.url, commandTimeout: '2s' })
  // The limit is for what lies in Redis, header and all.
  await cache.set('k', Buffer.alloc(8 * MB - 1_024, 7), TTL)

  for (let n = 0; n < 20; n++) assert.equal((await cache.getOrSet('k', never)).length, 8 * MB - 1_024)

  const { redis: link } = await cache.metrics()
  assert.deepEqual([link.errors, link.oversized, link.breaker, warnings], [0, 0, 'closed', []])
})
