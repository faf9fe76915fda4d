'use strict'
// tidecache/testing: the public cache on a clock that only the test moves.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { CacheClosedError, CacheConfigError, CacheTimeoutError, createCache } = require('..')
const { createTestCache } = require('../testing.js')
const { counted, failing, gated, read, sleep } = require('./support/kit.js')
const { lastSaid, runScript } = require('./support/script.js')

const PENDING = Symbol('pending')

function open(t, options) {
  const cache = createTestCache(options)
  t.after(() => cache.close())
  return cache
}

/** What a promise has come to by now. */
const soFar = (promise) =>
  Promise.race([promise.catch((error) => error), new Promise((resolve) => setImmediate(resolve, PENDING))])

const never = () => new Promise(() => {})

test('time alone changes nothing', async (t) => {
  const cache = open(t)
  await cache.set('k', 'v', { ttl: '1ms', staleWhileRevalidate: 0 })

  await sleep(20)

  const { outcome, age, waited } = await read(cache, 'k', counted('new'))
  assert.deepEqual([outcome, age, waited], ['fresh', 0, 0])
})

const WINDOWS = { ttl: '5m', staleWhileRevalidate: '1m' }
for (const [after, outcome, age] of [
  ['0ms', 'fresh', 0],
  ['299999ms', 'fresh', 299_999],
  ['5m', 'stale', 300_000],
  ['359999ms', 'stale', 359_999],
  ['6m', 'miss', 0],
]) {
  test(`an entry of 5m and 1m is ${outcome} after ${after}`, async (t) => {
    const cache = open(t)
    await cache.getOrSet('k', counted('old'), WINDOWS)

    await cache.advance(after)

    const result = await read(cache, 'k', counted('new'), WINDOWS)
    assert.deepEqual([result.outcome, result.age], [outcome, age])
  })
}

test('a stale read starts one refresh, and the next advance finds it done', async (t) => {
  const cache = open(t)
  const loader = counted((call) => call)
  await cache.getOrSet('k', loader, WINDOWS)
  await cache.advance('5m')

  const stale = await Promise.all([1, 2, 3].map(() => cache.getOrSet('k', loader, WINDOWS)))
  await cache.advance(0)

  assert.deepEqual(stale, [1, 1, 1])
  assert.equal(await cache.getOrSet('k', loader, WINDOWS), 2)
  assert.equal(cache.loads('k'), 2)
})

test('idle waits for refreshes whose loaders really wait', async (t) => {
  const cache = open(t)
  await cache.set('k', 'old', WINDOWS)
  await cache.advance('5m')
  await cache.getOrSet('k', counted('new', 30), WINDOWS)

  await cache.idle()

  assert.equal(await cache.get('k'), 'new')
})

test('advance does not wait for loaders that wait for the world', async (t) => {
  const cache = open(t)
  const loader = gated('v')
  const call = cache.getOrSet('k', loader)

  await cache.advance('10s')

  assert.equal(loader.calls, 1, 'it was called before the clock moved')
  assert.equal(await soFar(call), PENDING)
  loader.release()
  assert.equal(await call, 'v')
})

test('staleIfError serves the old value inside its window and not after it', async (t) => {
  const cache = open(t)
  const options = { ttl: '1m', staleWhileRevalidate: 0, staleIfError: '1h' }
  const error = new Error('down')
  await cache.set('k', 'old', options)

  await cache.advance('60m')
  assert.equal(await cache.getOrSet('k', failing(error), options), 'old')

  await cache.advance('1m')
  await assert.rejects(cache.getOrSet('k', failing(error), options), error)
})

test('a refresh that fails is tried again after 1 s, 2 s, 4 s, not by every read', async (t) => {
  const cache = open(t)
  const options = { ttl: '1m', staleWhileRevalidate: '1h' }
  const loader = failing(new Error('down'))
  await cache.set('k', 'old', options)
  await cache.advance('1m')

  const began = []
  for (let tenth = 0; tenth <= 80; tenth++) {
    const before = cache.loads('k')
    assert.equal(await cache.getOrSet('k', loader, options), 'old')
    await cache.advance('100ms')
    if (cache.loads('k') > before) began.push(tenth / 10)
  }

  assert.deepEqual(began, [0, 1, 3, 7])
})

test('a loader times out at loadTimeout, not before', async (t) => {
  const cache = open(t)
  let signal
  const loader = (ctx) => {
    signal = ctx.signal
    return never()
  }
  const call = cache.getOrSet('k', loader, { loadTimeout: '30s' })
  call.catch(() => {})

  await cache.advance('29999ms')
  assert.equal(await soFar(call), PENDING)
  await cache.advance('1ms')

  await assert.rejects(call, CacheTimeoutError)
  assert.ok(signal.aborted)
})

test('a caller with staleAfter gets the stale value at its time, and the load goes on', async (t) => {
  const cache = open(t)
  const options = { ttl: '1m', staleWhileRevalidate: 0, staleIfError: '1h', staleAfter: '200ms' }
  await cache.set('k', 'old', options)
  await cache.advance('1m')
  const loader = gated('new')
  const call = read(cache, 'k', loader, options)

  await cache.advance('199ms')
  assert.equal(await soFar(call), PENDING)
  await cache.advance('1ms')

  const { value, outcome, waited } = await call
  assert.deepEqual([value, outcome, waited], ['old', 'stale', 200])
  loader.release()
  await cache.idle()
  assert.equal(await cache.get('k'), 'new')
})

test('staleAfter 0 gives the stale value without anybody moving the clock', async (t) => {
  const cache = open(t)
  const options = { ttl: '1m', staleWhileRevalidate: 0, staleIfError: '1h', staleAfter: 0 }
  await cache.set('k', 'old', options)
  await cache.advance('1m')

  assert.equal(await cache.getOrSet('k', never, options), 'old')
})

test('what follows from a deadline happens at its time, inside one advance', async (t) => {
  const cache = open(t)
  const waits = []
  const onResult = ({ waited }) => waits.push(waited)
  const first = cache.getOrSet('first', never, { loadTimeout: '10s' })
  const second = first.catch(() => cache.getOrSet('second', never, { loadTimeout: '5s' }))
  const third = second.catch(() => cache.getOrSet('third', () => 'v', { ttl: '4s', staleWhileRevalidate: 0, onResult }))

  await cache.advance('20s')

  assert.equal(await soFar(third), 'v')
  assert.deepEqual(waits, [0])
  assert.equal(await cache.get('third'), undefined, 'it was loaded at 15 s and lived until 19 s')
})

test('deadlines of one advance come in the order of time', async (t) => {
  const cache = open(t)
  const order = []
  const timeOut = (key, loadTimeout) => cache.getOrSet(key, never, { loadTimeout }).catch(() => order.push(key))
  const calls = [timeOut('c', '3s'), timeOut('a', '1s'), timeOut('b', '2s'), timeOut('d', '4s')]

  await cache.advance('3s')

  assert.deepEqual(order, ['a', 'b', 'c'])
  await cache.advance('1s')
  await Promise.all(calls)
})

test('moves that are not awaited follow each other', async (t) => {
  const cache = open(t)
  await cache.set('k', 'v', { ttl: '10m' })

  await Promise.all([cache.advance('1m'), cache.advance(30_000), cache.advance('1m')])

  assert.equal((await read(cache, 'k', counted('new'))).age, 150_000)
})

test('jitter is no chance: the whole ttl, or what `random` says', async (t) => {
  const options = { ttl: '10m', staleWhileRevalidate: 0, jitter: 0.5 }
  const longest = open(t)
  const shortest = open(t, { random: () => 1 })
  for (const cache of [longest, shortest]) {
    await cache.set('set', 'v', options)
    await cache.getOrSet('loaded', () => 'v', options)
    await cache.advance('5m')
  }

  for (const key of ['set', 'loaded']) {
    assert.equal(await longest.get(key), 'v')
    assert.equal(await shortest.get(key), undefined)
  }
})

test('loads counts the runs of loaders by key, failed ones too, and joined callers not', async (t) => {
  const cache = open(t)
  const loader = counted('v', 5)
  await Promise.all([1, 2, 3].map(() => cache.getOrSet('a', loader)))
  await cache.getOrSet('a', loader)
  await assert.rejects(cache.getOrSet('b', failing(new Error('down'))))
  await cache.getOrSet('b', loader, { ttl: 0 })

  assert.deepEqual([cache.loads('a'), cache.loads('b'), cache.loads('c'), cache.loads()], [1, 2, 0, 3])
  assert.throws(() => cache.loads(1), CacheConfigError)
})

test('every cache for tests has an engine of its own, also with equal options', async (t) => {
  const options = { namespace: 'same', memory: { maxBytes: 1_000_000 } }
  const [one, other] = [open(t, options), open(t, options)]
  const ordinary = createCache({ ...options, redis: false })
  t.after(() => ordinary.close())

  await one.set('k', 'v')
  await one.advance('1h')

  assert.equal(await other.get('k'), undefined)
  assert.equal(await ordinary.get('k'), undefined)
  await other.set('k', 'v', { ttl: '1m', staleWhileRevalidate: 0 })
  await one.advance('1h')
  assert.equal(await other.get('k'), 'v')
})

test('tags, modes and fences work as in any cache', async (t) => {
  const cache = open(t)
  const loader = gated('old')
  const call = cache.getOrSet('k', loader, { tags: ['t'] })
  await loader.began

  assert.deepEqual(await cache.invalidate({ tag: 't' }), { redis: 'off' })
  loader.release()

  assert.equal(await call, 'old')
  assert.equal(await cache.getOrSet('k', () => 'new', { tags: ['t'] }), 'new')
  await cache.invalidate({ tag: 't' }, { mode: 'stale' })
  assert.equal((await read(cache, 'k', counted('newer'))).outcome, 'stale')
})

test('reset forgets entries, counts and pauses, and stores nothing that was loading', async (t) => {
  const cache = open(t)
  const options = { ttl: '1m', staleWhileRevalidate: '1h' }
  await cache.set('stale', 'old', options)
  await cache.advance('1m')
  await cache.getOrSet('stale', failing(new Error('down')), options)
  const loader = gated('late')
  const call = cache.getOrSet('loading', loader)
  await loader.began

  await cache.reset()

  assert.deepEqual([await cache.get('stale'), cache.loads()], [undefined, 0])
  loader.release()
  assert.equal(await call, 'late')
  assert.equal(await cache.get('loading'), undefined)

  await cache.set('stale', 'old', options)
  await cache.advance('1m')
  await cache.getOrSet('stale', () => 'new', options)
  await cache.advance(0)
  assert.equal(await cache.get('stale'), 'new', 'it was tried again at once')
})

test('health, ready and metrics tell of a cache without Redis', async (t) => {
  const cache = open(t)
  await cache.ready()
  await cache.getOrSet('k', () => 'v')

  assert.equal((await cache.health()).status, 'memory-only')
  const { loads, redis, memory } = await cache.metrics()
  assert.deepEqual([loads.started, redis.enabled, memory.entries], [1, false, 1])
})

test('after close everything that moves is refused', async () => {
  const cache = createTestCache()
  await cache.getOrSet('k', () => 'v')

  await cache.close()

  for (const call of [cache.advance('1m'), cache.idle(), cache.reset(), cache.get('k')]) {
    await assert.rejects(call, CacheClosedError)
  }
  assert.equal(cache.loads('k'), 1)
})

test('bad input is refused by name, and the clock stands', async (t) => {
  const cache = open(t)
  await cache.set('k', 'v')

  for (const duration of [-1, 1.5, Number.NaN, '5 minutes', '-5m', undefined, null, 'forever', '366d']) {
    await assert.rejects(cache.advance(duration), (error) => {
      assert.ok(error instanceof CacheConfigError && error.message.startsWith('advance'), error.message)
      return true
    })
  }
  assert.equal((await read(cache, 'k', counted('new'))).age, 0)

  for (const [options, name] of [
    [null, 'createTestCache'],
    [[], 'createTestCache'],
    [{ redis: 'redis://:secret@127.0.0.1' }, 'redis'],
    [{ redis: {} }, 'redis'],
    [{ random: 0.5 }, 'random'],
    [{ clock: Date.now }, 'clock'],
    [{ foo: 1 }, 'waitUntil, random'],
    [{ randm: () => 1 }, "did you mean 'random'"],
    [{ defaults: { ttl: -1 } }, 'ttl'],
  ]) {
    assert.throws(
      () => createTestCache(options),
      (error) => error instanceof CacheConfigError && error.message.includes(name) && !error.message.includes('secret'),
    )
  }
})

test("the application's environment does not reach it", async () => {
  const env = { REDIS_URL: 'nonsense', TIDECACHE_DISABLED: '1', TIDECACHE_MEMORY_BYTES: '0', TIDECACHE_NAMESPACE: '?' }

  const said = await lastSaid(
    `
    const { createTestCache } = require('./testing.js')
    const cache = createTestCache()
    await cache.set('k', 'v')
    say([await cache.get('k'), (await cache.health()).status])`,
    { env },
  )

  assert.deepEqual(said, ['v', 'memory-only'])
})

test('a cache that is neither closed nor at rest keeps no process alive', async () => {
  const { code, lingered } = await runScript(`
    const { createTestCache } = require('./testing.js')
    const cache = createTestCache()
    await cache.set('k', 'v', { ttl: '1m' })
    await cache.advance('1m')
    await cache.getOrSet('k', () => new Promise(() => {}))
    say('done')`)

  assert.equal(code, 0)
  assert.ok(lingered < 2_000, `${lingered} ms`)
})

test('a loader that never ends does not keep the process of its test: the runner sees that nothing comes', async () => {
  const waits = {
    leads: "cache.getOrSet('k', never)",
    joins: "cache.getOrSet('k', never); await cache.advance(0); cache.getOrSet('k', never)",
    many: "cache.getOrSetMany(['a', 'b'], never)",
    idles: "cache.getOrSet('k', never); cache.idle()",
  }
  const scripts = Object.values(waits).map((wait) =>
    runScript(`
      const { createTestCache } = require('./testing.js')
      const cache = createTestCache()
      const never = () => new Promise(() => {})
      await cache.set('other', 'v')
      ${wait}
      await cache.getOrSet('beside', () => new Promise((resolve) => setTimeout(resolve, 20)))
      say(await cache.getOrSet('beside too', () => 'v'))`),
  )

  for (const [n, { code, said, lingered }] of (await Promise.all(scripts)).entries()) {
    assert.deepEqual([code, said], [0, ['v']], Object.keys(waits)[n])
    assert.ok(lingered < 3_000, `${Object.keys(waits)[n]}: ${lingered} ms`)
  }
})
