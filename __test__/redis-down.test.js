'use strict'
// Redis itself is paused, gone, not there yet, or answers with errors: getOrSet answers all the same, and soon.

const assert = require('node:assert/strict')
const { rmSync } = require('node:fs')
const { describe, test } = require('node:test')
const { eventually, failing, freshNamespace, percentile, read, sleep } = require('./support/kit.js')
const { usePeer, usePeers } = require('./support/peer.js')
const { freePort } = require('../scripts/lib/ports.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')

const COMMAND = 250
const LOAD = 20

/** Cold keys one after another; how long each took. */
async function coldReads(peer, count, prefix = 'cold') {
  const times = []
  for (let i = 0; i < count; i++) {
    const { value, ms } = await peer.read(`${prefix} ${i}`, { value: i, ms: LOAD })
    assert.equal(value, i)
    times.push(ms)
  }
  return times
}

function assertCheap(times) {
  const worst = Math.max(...times)
  const median = percentile(times, 0.5)
  assert.ok(worst <= COMMAND + LOAD + 150, `worst ${worst} ms`)
  assert.ok(median <= LOAD + 20, `median ${median} ms of ${times.map(Math.round)}`)
}

async function twoPeers(t, redis) {
  const peers = await usePeers(t, 2, { redis: redis.url, namespace: freshNamespace() })
  await Promise.all(peers.map((peer) => peer.ready()))
  return peers
}

/** What one process writes is in Redis again, and the other reads it there. */
async function recovers(a, b) {
  let n = 0
  const shared = async () => {
    const key = `probe ${++n}`
    await a.read(key, { value: 'shared' })
    return (await b.get(key)) === 'shared'
  }
  await eventually(shared, 2_000, 'Redis is used again')
}

describe('Redis down', { concurrency: 4 }, () => {
  test('I5 Redis never hurts: paused by SIGSTOP, then resumed', async (t) => {
    const redis = await useRedis(t)
    const [a, b] = await twoPeers(t, redis)
    await a.set('kept', 1)

    redis.pause()
    const times = await coldReads(a, 40)
    assert.equal((await a.read('kept')).tier, 'memory')
    const receipt = await a.invalidate('kept')

    assertCheap(times)
    assert.deepEqual(receipt, { redis: 'queued' })
    assert.equal((await a.health()).status, 'degraded')
    redis.resume()
    await recovers(a, b)
    assert.equal((await a.health()).status, 'ok')
  })

  test('I5 Redis never hurts: many callers of one key share the wait for a paused Redis', async (t) => {
    const redis = await useRedis(t)
    const [a] = await twoPeers(t, redis)
    redis.pause()

    const reads = await a.readAll(Array(200).fill('k'), { value: 'v', ms: LOAD })

    assert.ok(reads.every(({ value }) => value === 'v'))
    assert.ok(Math.max(...reads.map(({ ms }) => ms)) <= COMMAND + LOAD + 150)
    assert.equal(await a.loads('k'), 1)
    redis.resume()
  })

  test('I5 Redis never hurts: killed and refusing, then back on its port', async (t) => {
    const redis = await useRedis(t)
    const [a, b] = await twoPeers(t, redis)

    await redis.kill()
    assertCheap(await coldReads(a, 40))
    assert.deepEqual(await b.invalidate('x'), { redis: 'queued' })

    await redis.restart()
    await recovers(a, b)
    assert.deepEqual(await b.invalidate('x'), { redis: 'applied' })
  })

  test('I5 Redis never hurts: down at boot, there later', async (t) => {
    const redis = await useRedis(t)
    await redis.kill()
    const peers = await usePeers(t, 2, { redis: redis.url, namespace: freshNamespace() })

    const times = await coldReads(peers[0], 40)
    const again = await peers[0].read('cold 0', { value: 'not asked' })

    assertCheap(times)
    assert.deepEqual([again.value, again.tier], [0, 'memory'])
    await redis.restart()
    await recovers(...peers)
  })

  test('I5 Redis never hurts: a port where nobody answers, and a name that does not resolve', async (t) => {
    for (const url of [`redis://127.0.0.1:${await freePort()}`, 'redis://no-such-host.invalid:6379']) {
      const peer = await usePeer(t, { redis: url, namespace: freshNamespace() })
      assertCheap(await coldReads(peer, 10))
    }
  })

  test('I6 nothing lost: invalidations made while Redis is paused are applied before its entries are read', async (t) => {
    const redis = await useRedis(t)
    const [a, b] = await twoPeers(t, redis)
    const keys = Array.from({ length: 50 }, (_, i) => `k${i}`)
    await a.readAll(keys, { value: 'old' })
    await b.readAll(keys, { value: 'old' })

    redis.pause()
    await Promise.all(keys.map((key) => a.invalidate(key)))
    await sleep(300)
    redis.resume()

    for (let i = 0; i < 10; i++) {
      for (const { value } of await a.readAll(keys, { value: 'new' })) assert.equal(value, 'new')
      await sleep(20)
    }
    const heard = async () => (await b.readAll(keys, { value: 'new' })).every(({ value }) => value === 'new')
    await eventually(heard, 2_000, 'the peer hears of them')
  })

  test('I6 nothing lost: what a closed cache could not send, the next one of the process does, before it reads', async (t) => {
    const redis = await useRedis(t)
    const options = { redis: redis.url, namespace: freshNamespace() }
    const peer = await usePeer(t, options)
    const first = open(t, options)
    await first.set('k', 'old')
    assert.equal(await peer.get('k'), 'old')

    await redis.command('CONFIG', 'SET', 'min-replicas-to-write', 9)
    const receipt = await first.invalidate('k')
    await first.close()
    const next = open(t, options)
    const meanwhile = await next.getOrSet('k', () => 'new')
    await redis.command('CONFIG', 'SET', 'min-replicas-to-write', 0)
    await eventually(async () => (await next.health()).status === 'ok', 2_000, 'it is applied')

    assert.equal(receipt.redis, 'queued')
    assert.equal(meanwhile, 'new')
    await eventually(async () => (await peer.get('k')) !== 'old', 2_000, 'its peer hears of it')
  })

  test('I5 Redis never hurts: out of memory, a lost connection is made again and invalidations are applied', async (t) => {
    const redis = await useRedis(t)
    const proxy = await useProxy(t, redis.port)
    const cache = open(t, { redis: proxy.url })
    await cache.set('k', 'old')
    await redis.command('CONFIG', 'SET', 'maxmemory', '1')
    const before = proxy.accepted
    await proxy.cut()
    await eventually(async () => (await cache.health()).status === 'degraded')

    await proxy.heal()
    await eventually(async () => (await cache.health()).status === 'ok', 3_000, 'connected again')

    assert.ok(proxy.accepted > before)
    for (const target of ['k', { tag: 't' }, { all: true }]) {
      assert.deepEqual(await cache.invalidate(target), { redis: 'applied' })
    }
    assert.equal(await cache.getOrSet('k', () => 'new'), 'new')
  })

  test('staleIfError serves the old value when Redis and the loader are down, for as long as it allows', async (t) => {
    const redis = await useRedis(t)
    const cache = open(t, { redis: { url: redis.url, isolated: '300ms' } })
    const options = { ttl: '200ms', staleWhileRevalidate: 0, staleIfError: '1h' }
    await cache.set('k', 'old', options)
    await cache.set('gone', 'old', options)
    await redis.kill()
    await cache.invalidate('gone')

    const began = Date.now()
    while (Date.now() - began < 1_500) {
      const { value, outcome } = await read(cache, 'k', failing(new Error('down')), { ...options, ttl: '1ms' })
      assert.deepEqual([value, outcome], ['old', 'stale'], `${Date.now() - began} ms after Redis was lost`)
      await sleep(50)
    }
    assert.equal(await cache.getOrSet('k', () => 'new', options), 'new')
    await assert.rejects(cache.getOrSet('gone', failing(new Error('down')), options), /^Error: down$/)
  })

  const refusals = {
    OOM: (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '1'),
    NOREPLICAS: (redis) => redis.command('CONFIG', 'SET', 'min-replicas-to-write', '1'),
    READONLY: (redis) => redis.command('REPLICAOF', '127.0.0.1', '1'),
    MISCONF: async (redis) => {
      rmSync(redis.dir, { recursive: true }) // no folder, no snapshot, no writes
      await redis.command('CONFIG', 'SET', 'save', '3600 1')
      await redis.command('SET', 'unsaved', '1')
      await redis.command('BGSAVE')
      const refused = () =>
        redis.command('SET', 'x', '1').then(
          () => false,
          (error) => /MISCONF/.test(error.message),
        )
      await eventually(refused, 3_000)
    },
    NOAUTH: async (redis) => {
      await redis.command('CONFIG', 'SET', 'requirepass', 'hunter2')
      await redis.command('CLIENT', 'KILL', 'TYPE', 'normal').catch(() => {})
    },
  }
  for (const [name, refuse] of Object.entries(refusals)) {
    test(`I5 Redis never hurts: ${name}`, async (t) => {
      const redis = await useRedis(t)
      const [a] = await twoPeers(t, redis)
      await a.read('kept', { value: 'old' })
      await refuse(redis)

      const times = await coldReads(a, 15)
      const receipt = await a.invalidate('kept')
      const { value } = await a.read('kept', { value: 'new' })

      assert.ok(Math.max(...times) <= COMMAND + LOAD + 150, `cold reads took ${times.map(Math.round)} ms`)
      assert.ok(['applied', 'queued'].includes(receipt.redis))
      if (name === 'OOM') assert.equal(receipt.redis, 'applied')
      assert.equal(value, 'new')
    })
  }
})
