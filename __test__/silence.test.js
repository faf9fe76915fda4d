'use strict'
// A Redis that takes connections and says nothing: a process waits for it once, whatever it reads next and through
// whichever cache. What is merely slow is not given up.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { clock, eventually, freshNamespace, percentile, read, sleep, timed } = require('./support/kit.js')
const { usePeers } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')

/** commandTimeout's default. */
const COMMAND = 250
/** One wait by an outage that nobody has noticed yet, less than two; and what any read after it may lose. */
const FIRST = 2 * COMMAND - 50
const LATER = 5

/** Cold keys one after another, by each cache: how long all took together, then how long each took that came after. */
async function readInTurn(caches) {
  const times = []
  for (let n = 0; n < 20; n++) {
    for (const cache of caches) times.push((await timed(() => cache.getOrSet(`cold ${n}`, () => n))).ms)
  }
  const first = times.splice(0, 3 * caches.length)
  return { first: first.reduce((sum, ms) => sum + ms), later: percentile(times, 0.9) }
}

function assertOneWait({ first, later }) {
  assert.ok(first >= COMMAND - 10, `${first} ms: Redis was given no chance`)
  assert.ok(first <= FIRST, `${first} ms for the first reads together`)
  assert.ok(later <= LATER, `${later} ms for the others`)
}

/** Caches of two namespaces, connected. */
async function openTwo(t, redis) {
  const caches = [open(t, { redis: redis.url }), open(t, { redis: redis.url })]
  await Promise.all(caches.map((cache) => cache.ready()))
  return caches
}

const isClosed = async (cache) => (await cache.metrics()).redis.breaker === 'closed'

test('I5 Redis never hurts: reads one after another, in two caches, wait for a silent Redis once, all together', async (t) => {
  const redis = await useRedis(t)
  const caches = await openTwo(t, redis)
  for (const cache of caches) await cache.getOrSet('k', () => 1)

  redis.pause()
  const times = await readInTurn(caches)

  assertOneWait(times)
  redis.resume()
  for (const cache of caches) {
    const { ms } = await timed(() => eventually(() => isClosed(cache), 2_000, 'it closes again'))
    assert.ok(ms <= 1_500, `${ms} ms`)
  }
})

test('I5 Redis never hurts: after a pause without reads it is one wait, too', async (t) => {
  const redis = await useRedis(t)
  const caches = await openTwo(t, redis)
  await sleep(1_200) // maxUnverified: from here on a read has a heartbeat prove memory first

  redis.pause()

  assertOneWait(await readInTurn(caches))
  redis.resume()
})

test('I5 Redis never hurts: silent when the process starts, it is waited for once', async (t) => {
  const redis = await useRedis(t)
  redis.pause()
  const caches = [open(t, { redis: redis.url }), open(t, { redis: redis.url })]

  assertOneWait(await readInTurn(caches))
  redis.resume()
  for (const cache of caches) await eventually(async () => (await cache.health()).status === 'ok', 5_000)
})

test('I5 Redis never hurts: who waits for another process to load does not wait for a silent Redis to tell', async (t) => {
  const redis = await useRedis(t)
  const [holder, waiter] = await usePeers(t, 2, { redis: redis.url, namespace: freshNamespace() })
  await Promise.all([holder.ready(), waiter.ready()])
  const held = holder.read('k', { gate: 'g', value: 1 })
  await holder.began('g')
  const began = clock()
  const waiting = waiter.read('k', { value: 2 })
  await sleep(100)

  redis.pause()
  const { value } = await waiting
  const ms = clock() - began - 100

  // A heartbeat each 150 ms, and its budget.
  assert.equal(value, 2)
  assert.ok(ms <= 150 + COMMAND + 150, `${ms} ms`)
  redis.resume()
  await holder.release('g')
  await held
})

test('one large and slow reply is waited for while bytes arrive, and nothing else is given up for it', async (t) => {
  const redis = await useRedis(t)
  const proxy = await useProxy(t, redis.port)
  const namespace = freshNamespace()
  const writer = open(t, { redis: redis.url, namespace })
  const reader = open(t, { redis: proxy.url, namespace, memory: false })
  await writer.set('large', 'x'.repeat(1 << 20))
  await reader.ready()
  const states = []
  reader.on('breaker', ({ state }) => states.push(state))

  proxy.throttle((1 << 20) / 800)
  const { tier, value } = await read(reader, 'large', () => 'loaded')

  assert.deepEqual([tier, value.length], ['redis', 1 << 20])
  assert.deepEqual(states, [])
})

test('a process that was held up itself finds the answer in its socket: Redis is not silent', async (t) => {
  const redis = await useRedis(t)
  const proxy = await useProxy(t, redis.port)
  const namespace = freshNamespace()
  const [writer] = await usePeers(t, 1, { redis: redis.url, namespace })
  const [reader] = await usePeers(t, 1, { redis: proxy.url, namespace })
  await Promise.all([writer.ready(), reader.ready()])

  for (let round = 0; round < 3; round++) {
    await writer.set(`k${round}`, 'stored')
    proxy.delay(40)
    const reading = reader.getOrSet(`k${round}`, { value: 'loaded' })
    await sleep(40)
    reader.pause()
    await sleep(2 * COMMAND)
    reader.resume()

    assert.equal(await reading, 'stored')
    assert.equal((await reader.metrics()).redis.breaker, 'closed')
    proxy.delay(0)
  }
})
