'use strict'
// Events and diagnostics channels: what is told, with which payload, in which order, and that nobody is hurt by it.

const assert = require('node:assert/strict')
const dc = require('node:diagnostics_channel')
const { once } = require('node:events')
const { test } = require('node:test')
const { inspect } = require('node:util')
const { counted, eventually, failing, freshNamespace, gated, sleep } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { runScript } = require('./support/script.js')
const { inBothSetups, open, withRedis } = require('./support/setups.js')

const NAMES = [
  'hit',
  'miss',
  'stale',
  'load',
  'loadError',
  'invalidate',
  'redisDown',
  'redisUp',
  'breaker',
  'encodeError',
  'warning',
]
/** Of reads and writes, without those of the link. */
const CALLS = NAMES.filter((name) => !['redisDown', 'redisUp', 'breaker', 'warning'].includes(name))

/** Collects [name, payload] of these events. */
function listen(cache, names = CALLS) {
  const seen = []
  for (const name of names) cache.on(name, (payload) => seen.push([name, payload]))
  return seen
}

const names = (seen) => seen.map(([name]) => name)
const payload = (seen, name) => seen.find(([at]) => at === name)?.[1]

/** Numbers by their being numbers: durations differ. */
const rough = (seen) =>
  seen.map(([name, told]) => [
    name,
    Object.fromEntries(Object.entries(told).map(([k, v]) => [k, typeof v === 'number' && v >= 0 ? '#' : v])),
  ])

inBothSetups((openCache, { receipt }) => {
  test('a miss, its load and a hit are told in this order', async (t) => {
    const cache = openCache(t)
    const seen = listen(cache)

    await cache.getOrSet('k', counted(1, 5))
    await cache.getOrSet('k', counted(2))
    await cache.get('k')

    assert.deepEqual(rough(seen), [
      ['miss', { key: 'k', joined: false }],
      ['load', { key: 'k', duration: '#', refresh: false }],
      ['hit', { key: 'k', tier: 'memory', age: '#' }],
      ['hit', { key: 'k', tier: 'memory', age: '#' }],
    ])
    assert.ok(payload(seen, 'load').duration >= 4)
  })

  test('each caller of a shared load is told as a miss, one of them as its leader', async (t) => {
    const cache = openCache(t)
    const seen = listen(cache)
    const loader = gated(1)

    const reads = [cache.getOrSet('k', loader), cache.getOrSet('k', loader), cache.getOrSet('k', loader)]
    await loader.began
    loader.release()
    await Promise.all(reads)

    const misses = seen.filter(([name]) => name === 'miss').map(([, told]) => told.joined)
    assert.deepEqual(misses, [false, true, true])
    assert.equal(names(seen).filter((name) => name === 'load').length, 1)
  })

  test('a loader that fails is told, to those who joined as a miss', async (t) => {
    const cache = openCache(t)
    const seen = listen(cache)
    const error = new Error('down')
    const loader = failing(error, 5)

    await Promise.allSettled([cache.getOrSet('k', loader), cache.getOrSet('k', loader)])

    assert.deepEqual(names(seen).sort(), ['loadError', 'miss', 'miss'])
    const told = payload(seen, 'loadError')
    assert.equal(told.error, error)
    assert.deepEqual([told.key, told.refresh, told.duration >= 4], ['k', false, true])
  })

  test('a loader that takes too long is told once, also when it ends later', async (t) => {
    const cache = openCache(t)
    const seen = listen(cache)
    const loader = gated(1)

    await assert.rejects(cache.getOrSet('k', loader, { loadTimeout: '30ms' }), { code: 'ERR_CACHE_TIMEOUT' })
    loader.release()
    await sleep(5)

    assert.deepEqual(names(seen), ['miss', 'loadError'])
    assert.equal(payload(seen, 'loadError').error.code, 'ERR_CACHE_TIMEOUT')
  })

  test('a stale hit is told with its age, and its refresh as a load in the background', async (t) => {
    const cache = openCache(t)
    await cache.set('k', 1, { ttl: 20 })
    await sleep(40)
    const seen = listen(cache)

    await cache.getOrSet('k', counted(2))
    await eventually(() => names(seen).includes('load'))

    const [[first, stale], [second, load]] = seen
    assert.deepEqual([first, stale.key, stale.tier, stale.age >= 20], ['stale', 'k', 'memory', true])
    assert.deepEqual([second, load.key, load.refresh], ['load', 'k', true])
    assert.equal(seen.length, 2)
  })

  test('a stale value in place of an error is told after the miss and the failure', async (t) => {
    const cache = openCache(t)
    await cache.set('k', 1, { ttl: 20, staleWhileRevalidate: 0, staleIfError: '1m' })
    await sleep(40)
    const seen = listen(cache)

    assert.equal(await cache.getOrSet('k', failing(new Error('down'))), 1)

    assert.deepEqual(names(seen), ['miss', 'loadError', 'stale'])
  })

  test('invalidations are told with target, mode and receipt', async (t) => {
    const cache = openCache(t)
    await cache.set('k', 1)
    const seen = listen(cache)

    await cache.invalidate('k')
    await cache.invalidate({ tags: ['a', 'b'] }, { mode: 'stale' })

    assert.deepEqual(seen, [
      ['invalidate', { target: { key: 'k' }, mode: 'remove', receipt: { redis: receipt } }],
      ['invalidate', { target: { tags: ['a', 'b'] }, mode: 'stale', receipt: { redis: receipt } }],
    ])
  })

  test('a value that cannot be stored is told with its path, rejected or not', async (t) => {
    const cache = openCache(t)
    const seen = listen(cache, ['encodeError'])
    const value = { items: [{ run() {} }] }

    await assert.rejects(cache.getOrSet('a', () => value))
    await cache.getOrSet('b', () => value, { onEncodeError: 'bypass' })
    await assert.rejects(cache.set('c', value))
    await cache.getOrSet('d', (ctx) => {
      ctx.skip()
      return value
    })

    const told = seen.map(([, { key, path, error }]) => [key, path, error.code])
    assert.deepEqual(
      told,
      ['a', 'b', 'c'].map((key) => [key, '.items[0].run', 'ERR_CACHE_ENCODE']),
    )
  })

  test('get tells hits and misses', async (t) => {
    const cache = openCache(t)
    const seen = listen(cache)

    await cache.get('k')
    await cache.set('k', 1)
    await cache.get('k')

    assert.deepEqual(rough(seen), [
      ['miss', { key: 'k', joined: false }],
      ['hit', { key: 'k', tier: 'memory', age: '#' }],
    ])
  })

  test('one event per read: hits, stale hits and misses add up to the calls', async (t) => {
    const cache = openCache(t)
    const seen = listen(cache, ['hit', 'stale', 'miss'])
    let calls = 0

    for (let round = 0; round < 5; round++) {
      const reads = Array.from({ length: 20 }, (_, i) => {
        calls++
        return cache.getOrSet(`k${i % 7}`, counted(i, i % 3), { ttl: 10 })
      })
      await Promise.all(reads)
      await sleep(round * 5)
    }

    assert.equal(seen.length, calls)
  })

  test('a listener that throws or rejects is reported once, and hurts neither the caller nor the others', async (t) => {
    const cache = openCache(t)
    const warned = []
    const keep = (warning) => warned.push(warning.message)
    process.on('warning', keep)
    t.after(() => process.off('warning', keep))
    let heard = 0
    cache.on('hit', () => {
      throw new Error('listener broke')
    })
    cache.on('hit', async () => {
      throw new Error('promise broke')
    })
    cache.on('hit', () => heard++)

    await cache.set('k', 1)
    for (let i = 0; i < 3; i++) assert.equal(await cache.getOrSet('k', counted(2)), 1)

    await eventually(() => warned.length >= 2)
    assert.equal(heard, 3)
    const ours = warned.filter((text) => text.includes('broke'))
    assert.equal(ours.length, 2)
    assert.match(ours.join(), /a listener of 'hit' failed: Error: listener broke/)
  })
})

test('on and off return the cache, add a listener once and take it away', async (t) => {
  const cache = open(t, { redis: false })
  let heard = 0
  const listener = () => heard++

  assert.equal(cache.on('hit', listener).on('hit', listener), cache)
  await cache.set('k', 1)
  await cache.getOrSet('k', counted(1))
  assert.equal(cache.off('hit', listener).off('hit', listener), cache)
  await cache.getOrSet('k', counted(1))

  assert.equal(heard, 1)
})

test('a listener that is added or taken away while an event is told changes the next one', async (t) => {
  const cache = open(t, { redis: false })
  const heard = []
  const second = () => heard.push('second')
  cache.on('invalidate', () => {
    heard.push('first')
    cache.off('invalidate', second)
  })
  cache.on('invalidate', second)

  await cache.invalidate('k')
  await cache.invalidate('k')

  assert.deepEqual(heard, ['first', 'second', 'first'])
})

test('unknown events and listeners that are no functions are refused', (t) => {
  const cache = open(t, { redis: false })

  const refused = (...args) => {
    for (const name of ['on', 'off']) assert.throws(() => cache[name](...args), { code: 'ERR_CACHE_CONFIG' })
  }
  refused('hits', () => {})
  refused(undefined, () => {})
  refused('constructor', () => {})
  refused('hit')
  refused('hit', {})
  assert.throws(() => cache.on('hits', () => {}), /event must be one of hit, miss, .*; got 'hits'/)
})

test('listeners belong to their cache, channels to the process', async (t) => {
  const [mine, other] = [open(t, { redis: false }), open(t, { redis: false })]
  const seen = listen(mine)
  const published = []
  const subscriber = (message, name) => published.push([name, message])
  dc.subscribe('tidecache:miss', subscriber)
  t.after(() => dc.unsubscribe('tidecache:miss', subscriber))

  await other.getOrSet('k', counted(1))

  assert.deepEqual(seen, [])
  assert.equal(published.length, 1)
  const [[name, { namespace, ...rest }]] = published
  assert.deepEqual([name, typeof namespace, rest], ['tidecache:miss', 'string', { key: 'k', joined: false }])
})

test('hits are published while the channel has subscribers', async (t) => {
  const namespace = freshNamespace()
  const cache = open(t, { redis: false, namespace })
  await cache.set('k', 1)
  const published = []
  const subscriber = (message) => published.push(message)

  await cache.getOrSet('k', counted(1))
  dc.subscribe('tidecache:hit', subscriber)
  await cache.getOrSet('k', counted(1))
  dc.unsubscribe('tidecache:hit', subscriber)
  await cache.getOrSet('k', counted(1))

  assert.equal(published.length, 1)
  assert.deepEqual({ ...published[0], age: 0 }, { key: 'k', tier: 'memory', age: 0, namespace })
})

withRedis('events with Redis', (redis) => {
  const LINK = ['redisDown', 'redisUp', 'breaker', 'warning']

  test('a hit in Redis is told with its tier', async (t) => {
    const namespace = freshNamespace()
    const peer = await usePeer(t, { redis: redis.url, namespace })
    await peer.set('k', 1)
    const cache = open(t, { redis: redis.url, namespace })
    const seen = listen(cache)

    await cache.getOrSet('k', counted(2))

    assert.deepEqual(rough(seen), [['hit', { key: 'k', tier: 'redis', age: '#' }]])
  })

  test('a load of another process that was waited for is a joined miss', async (t) => {
    const namespace = freshNamespace()
    const peer = await usePeer(t, { redis: redis.url, namespace })
    const cache = open(t, { redis: redis.url, namespace })
    await cache.ready()
    const seen = listen(cache)
    const loading = peer.getOrSet('k', { value: 1, gate: 'g' })
    await peer.began('g')

    const read = cache.getOrSet('k', counted(2))
    await sleep(30)
    await peer.release('g')
    await Promise.all([loading, read])

    assert.deepEqual(seen, [['miss', { key: 'k', joined: true }]])
  })

  test('the first connection is told, with the server and how coherence works', async (t) => {
    const cache = open(t, { redis: redis.url })
    const seen = listen(cache, LINK)

    await cache.ready()
    await eventually(() => seen.length > 0)

    assert.equal(seen.length, 1)
    const [[name, { server, ...rest }]] = seen
    assert.deepEqual([name, rest], ['redisUp', { reason: 'connected', coherence: 'tracking' }])
    assert.match(server, /^(Redis|Valkey) \d+\.\d+/)
  })

  test('a loss is told once, with its reason, and its end; nobody has to call anything for it', async (t) => {
    const proxy = await useProxy(t, redis.server.port)
    const logged = []
    const logger = { warn: (text) => logged.push(['warn', text]), info: (text) => logged.push(['info', text]) }
    const cache = open(t, { redis: proxy.url, logger })
    await cache.ready()
    const seen = listen(cache, LINK)
    await eventually(() => logged.length > 0)

    await proxy.cut()
    await eventually(() => names(seen).includes('warning'))
    await sleep(300) // several attempts to connect
    await proxy.heal()
    await eventually(() => names(seen).includes('redisUp'))

    assert.deepEqual(names(seen), ['redisDown', 'warning', 'redisUp'])
    assert.equal(payload(seen, 'redisDown').reason, 'the connection ended')
    assert.equal(payload(seen, 'redisUp').reason, 'reconnected')
    assert.deepEqual(
      logged.map(([level]) => level),
      ['info', 'warn', 'info'],
    )
    assert.match(logged[0][1], /^connected to (Redis|Valkey) [\d.]+ \(standalone\); coherence: tracking$/)
    assert.match(logged[1][1], /^Redis cannot be reached/)
    assert.equal(payload(seen, 'warning').message, logged[1][1])
    assert.match(logged[2][1], /^Redis is back/)
  })

  test('a Redis that never was there is down once', async (t) => {
    const cache = open(t, { redis: 'redis://127.0.0.1:1' })
    const seen = listen(cache, LINK)

    await cache.getOrSet('k', counted(1))
    await eventually(() => names(seen).includes('warning'))
    await sleep(200)

    assert.deepEqual(names(seen), ['redisDown', 'warning'])
    assert.match(payload(seen, 'redisDown').reason, /refused/)
  })

  test('a logger without info is told by warn that Redis is back', async (t) => {
    const proxy = await useProxy(t, redis.server.port)
    const logged = []
    const cache = open(t, { redis: proxy.url, logger: { warn: (text) => logged.push(text) } })
    await cache.ready()

    await proxy.cut()
    await eventually(() => logged.length === 1)
    await proxy.heal()
    await eventually(() => logged.length === 2)

    assert.match(logged[1], /^Redis is back/)
  })

  test('a logger that throws does not take the cache with it', async (t) => {
    const warned = once(process, 'warning')
    const info = () => {
      throw new Error('disk full')
    }
    const cache = open(t, { redis: redis.url, logger: { warn() {}, info } })

    await cache.ready()

    const [{ message }] = await warned
    assert.match(message, /logger\.info threw: disk full/)
    assert.equal(await cache.getOrSet('k', counted(1)), 1)
  })

  test('every cache of an engine is told; without loggers a process prints a line once', async () => {
    const { code, stderr } = await runScript(`
      const { createCache } = tidecache
      const options = { redis: 'redis://127.0.0.1:1', namespace: 'print' }
      const told = []
      const caches = [createCache(options), createCache(options), createCache({ ...options, logger: { warn: (m) => told.push(m) } })]
      const warned = caches.map((cache) => new Promise((resolve) => cache.on('warning', resolve)))
      await caches[0].getOrSet('k', () => 1)
      await Promise.all(warned)
      if (told.length !== 1) throw new Error('the logger was told ' + told.length + ' times')
      await Promise.all(caches.map((cache) => cache.close()))
    `)

    assert.equal(code, 0, stderr)
    assert.equal(stderr.match(/Redis cannot be reached/g)?.length, 1, stderr)
  })

  test('listeners keep no process alive', async () => {
    const { code, said, lingered } = await runScript(`
      const cache = tidecache.createCache({ redis: ${JSON.stringify(redis.url)}, namespace: 'alive' })
      let told = 0
      for (const name of ${JSON.stringify(NAMES)}) cache.on(name, () => told++)
      await cache.getOrSet('k', () => 1)
      await cache.getOrSet('k', () => 1)
      say(told)
    `)

    assert.deepEqual([code, said[0] >= 3, lingered < 1_000], [0, true, true])
  })
})

test('no password is in an event, whatever is wrong', async (t) => {
  const redis = await useRedis(t, { args: ['--requirepass', 'right'] })
  const place = `127.0.0.1:${redis.port}`
  const urls = [`redis://:hunter2@${place}`, `rediss://:hunter2@${place}`, 'redis://:hunter2@127.0.0.1:1']
  for (const url of urls) {
    const cache = open(t, { redis: { url, connectTimeout: '300ms' } })
    const seen = listen(cache, NAMES)

    await cache.getOrSet('k', counted(1))
    await eventually(() => names(seen).includes('warning'))

    assert.ok(payload(seen, 'redisDown').reason.length > 5)
    assert.doesNotMatch(inspect(seen, { depth: 9, showHidden: true }), /hunter2/)
  }
})

test('a Redis that stops answering opens the breaker, and closes it when it answers', async (t) => {
  const redis = await useRedis(t)
  const cache = open(t, { redis: { url: redis.url, commandTimeout: '50ms' } })
  await cache.ready()
  const seen = listen(cache, ['breaker', 'redisDown', 'redisUp'])

  redis.pause()
  for (let i = 0; i < 3; i++) await cache.getOrSet(`k${i}`, counted(i))
  await eventually(() => names(seen).includes('breaker'))
  redis.resume()
  await eventually(() => seen.filter(([name]) => name === 'breaker').length === 2)

  const states = seen.filter(([name]) => name === 'breaker').map(([, { state }]) => state)
  assert.deepEqual(states, ['open', 'closed'])
})
