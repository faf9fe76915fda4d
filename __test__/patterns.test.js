'use strict'
// Invalidation by pattern: a rule in Redis that costs nothing when it is made, and reaches what it names wherever that
// lies. (Under random writes: coherence.test.js; loads in flight: resurrection.test.js.)

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, eventually, freshNamespace, sleep } = require('./support/kit.js')
const { usePeer, usePeers } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { inBothSetups, withRedis } = require('./support/setups.js')

/** Keys, and which of them each pattern names. */
const KEYS = ['user:1', 'user:2', 'user:12', 'USER:1', 'build:1', 'a*b', 'a[b', 'ü:1', '']
const PATTERNS = [
  ['user:*', ['user:1', 'user:2', 'user:12']],
  ['user:?', ['user:1', 'user:2']],
  ['?:1', ['ü:1']],
  ['*:1', ['user:1', 'USER:1', 'build:1', 'ü:1']],
  ['[a-u]*:1', ['user:1', 'build:1']],
  ['[^u]*', ['USER:1', 'build:1', 'a*b', 'a[b', 'ü:1']],
  ['a\\*b', ['a*b']],
  ['a\\[*', ['a[b']],
  ['user:1', ['user:1']],
  ['*', KEYS],
]

inBothSetups((open) => {
  for (const [pattern, named] of PATTERNS) {
    test(`${pattern} invalidates the keys that it names, and no others`, async (t) => {
      const cache = open(t)
      const keys = KEYS.filter((key) => key !== '')
      for (const key of keys) await cache.getOrSet(key, () => 'old')

      await cache.invalidate({ pattern })

      const loader = counted('new')
      for (const key of keys) {
        assert.equal(await cache.getOrSet(key, loader), named.includes(key) ? 'new' : 'old', key)
      }
      assert.equal(loader.calls, keys.filter((key) => named.includes(key)).length)
    })
  }

  test('mode stale keeps serving what a pattern names, and refreshes it', async (t) => {
    const cache = open(t)
    await cache.set('user:1', 'old', { staleWhileRevalidate: '1m' })

    await cache.invalidate({ pattern: 'user:*' }, { mode: 'stale' })

    assert.equal(await cache.getOrSet('user:1', () => 'new'), 'old')
    await eventually(async () => (await cache.get('user:1')) === 'new')
    let outcome
    await cache.getOrSet('user:1', () => 'newer', { onResult: (result) => (outcome = result.outcome) })
    assert.equal(outcome, 'fresh')
  })

  test('a removal after a stale mark removes, and a stale mark after a removal brings nothing back', async (t) => {
    const cache = open(t)
    for (const modes of [
      ['stale', 'remove'],
      ['remove', 'stale'],
    ]) {
      await cache.set('k', 'old', { staleWhileRevalidate: '1m' })
      for (const mode of modes) await cache.invalidate({ pattern: 'k*' }, { mode })
      assert.equal(await cache.getOrSet('k', () => 'new'), 'new')
    }
  })

  test('what is stored after a rule is kept, however often it is read', async (t) => {
    const cache = open(t)
    await cache.invalidate({ pattern: 'k*' })
    await cache.set('k', 'stored')
    const loader = counted('loaded')

    for (let i = 0; i < 5; i++) assert.equal(await cache.getOrSet('k', loader), 'stored')
    assert.equal(loader.calls, 0)
  })

  test('past 10,000 rules the oldest are forgotten, and what they named stays invalid', async (t) => {
    const cache = open(t)
    await cache.set('k', 'old')
    await cache.set('other', 'kept')
    await cache.invalidate({ pattern: 'k' })
    for (let i = 0; i < 10_100; i += 100) {
      const some = Array.from({ length: 100 }, (_, n) => cache.invalidate({ pattern: `x${i + n}` }))
      await Promise.all(some)
    }

    assert.equal(await cache.get('k'), undefined)
    await cache.set('k', 'new')
    assert.equal(await cache.get('k'), 'new')
  })
})

withRedis('between processes', (redis) => {
  const options = () => ({ redis: redis.url, namespace: freshNamespace() })

  test('a pattern reaches the memory of every process, and what lies in Redis', async (t) => {
    const setup = options()
    const [a, b] = await usePeers(t, 2, setup)
    for (const peer of [a, b]) await peer.getOrSet('user:1', { value: 'old' })

    await a.invalidate({ pattern: 'user:*' })

    await sleep(30)
    assert.equal(await b.getOrSet('user:1', { value: 'new' }), 'new')
    const late = await usePeer(t, setup)
    assert.equal(await late.getOrSet('user:1', { value: 'newest' }), 'new')
    assert.equal(await a.getOrSet('user:1', { value: 'newest' }), 'new')
  })

  test('a process that learns of older rules later forgets none of the younger', async (t) => {
    const setup = options()
    const [a, b] = await usePeers(t, 2, { ...setup, memory: false })
    await a.set('foo:y', 'old')
    await a.invalidate({ pattern: '*:x' })
    await a.set('bar', 'kept')
    await a.invalidate({ pattern: '*:y' })

    assert.equal(await b.getOrSet('bar', { value: 'lost' }), 'kept')
    assert.equal(await b.getOrSet('foo:y', { value: 'new' }), 'new')
  })

  test('a process that has read nothing for a while hears of a pattern before its next read', async (t) => {
    const [a, b] = await usePeers(t, 2, options())
    await b.getOrSet('k', { value: 'old' }, { ttl: '1m' })
    await sleep(5_500)

    await a.invalidate({ pattern: 'k*' })
    await sleep(30)

    assert.equal(await b.getOrSet('k', { value: 'new' }), 'new')
  })

  test('peers without tracking hear of a pattern within maxUnverified', async (t) => {
    const setup = { redis: { url: redis.url, coherence: 'none', maxUnverified: '100ms' }, namespace: freshNamespace() }
    const [a, b] = await usePeers(t, 2, setup)
    for (const peer of [a, b]) await peer.getOrSet('k', { value: 'old' })

    await a.invalidate({ pattern: '?' })

    assert.equal(await a.getOrSet('k', { value: 'new' }), 'new')
    await sleep(120)
    assert.equal(await b.getOrSet('k', { value: 'newer' }), 'new')
  })
})

test('without memory each read is held against the rules, which are fetched once', async (t) => {
  const redis = await useRedis(t)
  const setup = { redis: redis.url, namespace: freshNamespace(), memory: false }
  const [a, b] = await usePeers(t, 2, setup)
  await a.getOrSet('build:1', { value: 1 })
  for (let i = 0; i < 50; i++) await a.invalidate({ pattern: `user:${i}` })
  assert.equal(await b.getOrSet('build:1', { value: 2 }), 1)

  const before = await redis.command('INFO', 'commandstats')
  for (let i = 0; i < 50; i++) assert.equal(await b.getOrSet('build:1', { value: 2 }), 1)
  const after = await redis.command('INFO', 'commandstats')

  const calls = (stats) => Number(/cmdstat_zrangebyscore:calls=(\d+)/.exec(stats)?.[1] ?? 0)
  assert.ok(calls(after) - calls(before) < 20, `${calls(after) - calls(before)} fetches for 50 reads`)
})

/** The Redis key of the rules, beside the versions of the namespace. */
const rulesOf = async (redis) => (await redis.command('KEYS', '*')).find((key) => key.endsWith('}p'))

test('I7 metadata may vanish: rules that are lost make what is older than they were invalid', async (t) => {
  const redis = await useRedis(t)
  const setup = { redis: redis.url, namespace: freshNamespace(), memory: false }
  const [a, b] = await usePeers(t, 2, setup)
  await a.set('k', 'old')
  await a.invalidate({ pattern: 'k*' })

  assert.equal(await redis.command('DEL', await rulesOf(redis)), 1)

  assert.equal(await b.getOrSet('k', { value: 'new' }), 'new')
  await b.invalidate({ pattern: 'x' })
  assert.equal(await b.getOrSet('k', { value: 'newer' }), 'new')
})

test('I6 nothing lost: a pattern is queued during an outage, and applied before the first read from Redis', async (t) => {
  const redis = await useRedis(t)
  const proxy = await useProxy(t, redis.port)
  const namespace = freshNamespace()
  const far = await usePeer(t, { redis: { url: proxy.url, commandTimeout: '100ms' }, namespace })
  const near = await usePeer(t, { redis: redis.url, namespace })
  for (const peer of [far, near]) await peer.getOrSet('user:1', { value: 'old' })
  await proxy.cut()

  assert.deepEqual(await far.invalidate({ pattern: 'user:*' }), { redis: 'queued' })
  assert.equal(await far.getOrSet('user:1', { value: 'own' }), 'own')

  await proxy.heal()
  await eventually(async () => (await far.health()).status === 'ok', 3_000)
  assert.notEqual(await far.getOrSet('user:1', { value: 'later' }), 'old')
  await eventually(async () => (await near.get('user:1')) !== 'old', 2_000)
})

test('I5 Redis never hurts: a pattern passes while Redis is out of memory', async (t) => {
  const redis = await useRedis(t)
  const setup = { redis: redis.url, namespace: freshNamespace() }
  const [a, b] = await usePeers(t, 2, setup)
  for (const peer of [a, b]) await peer.getOrSet('k', { value: 'old' })
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '1')

  assert.deepEqual(await a.invalidate({ pattern: 'k*' }), { redis: 'applied' })

  await sleep(30)
  assert.equal(await b.getOrSet('k', { value: 'new' }), 'new')
})
