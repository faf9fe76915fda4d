'use strict'
// A forced refresh replaces what is there, whoever else loads meanwhile and whether or not Redis takes the new value.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, eventually, freshNamespace, gated, sleep } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { inBothSetups, open } = require('./support/setups.js')

const FORCE = { refresh: 'force' }

inBothSetups((openCache) => {
  test('I3 no resurrection: an older load that ends after a forced one changes nothing', async (t) => {
    const cache = openCache(t)
    const older = gated('old')
    const pending = cache.getOrSet('k', older)
    await older.began

    assert.equal(await cache.getOrSet('k', () => 'new', FORCE), 'new')
    older.release()

    assert.equal(await pending, 'old')
    await sleep(30)
    assert.equal(await cache.get('k'), 'new')
    assert.equal(await cache.getOrSet('k', () => 'newer'), 'new')
  })

  for (const [name, target] of [
    ['its tag', { tag: 'red' }],
    ['a pattern', { pattern: 'k*' }],
    ['all', { all: true }],
  ]) {
    test(`a forced load whose entry is made stale on the way, by ${name}, is stale`, async (t) => {
      const cache = openCache(t)
      const policy = { ttl: '1h', staleWhileRevalidate: '1h', tags: ['red'] }
      await cache.set('k', 'older', policy)
      const loader = gated('old')
      const pending = cache.getOrSet('k', loader, { ...policy, ...FORCE })
      await loader.began

      await cache.invalidate(target, { mode: 'stale' })
      loader.release()
      assert.equal(await pending, 'old')
      const outcomes = []
      const onResult = ({ outcome }) => outcomes.push(outcome)
      await cache.getOrSet('k', () => 'new', { ...policy, onResult })

      // 'miss' where the entry was not stored.
      assert.deepEqual(outcomes, ['stale'])
      await eventually(async () => (await cache.get('k')) === 'new')
    })
  }

  test('reads after a forced load return the new value, also once the older fill has arrived', async (t) => {
    const cache = openCache(t)
    await cache.set('warm', 1)
    const keys = Array.from({ length: 100 }, (_, i) => `k${i}`)

    for (const key of keys) {
      const loader = counted((call) => call)
      await cache.getOrSet(key, loader)
      assert.equal(await cache.getOrSet(key, loader, FORCE), 2)
      assert.equal(await cache.get(key), 2, 'right after')
    }

    await sleep(50)
    // A miss is possible: keys whose hashes share a slot fall together.
    for (const key of keys) assert.ok([2, undefined].includes(await cache.get(key)), 'later')
  })
})

test('a forced load whose value Redis refuses does not leave the old value, here or elsewhere', async (t) => {
  const redis = await useRedis(t)
  const options = { redis: redis.url, namespace: freshNamespace() }
  const [cache, peer] = [open(t, options), await usePeer(t, options)]
  await cache.ready()
  await cache.set('k', 'old')
  assert.equal(await peer.get('k'), 'old')

  const loader = async () => {
    await redis.command('CONFIG', 'SET', 'maxmemory', '1')
    return 'new'
  }
  assert.equal(await cache.getOrSet('k', loader, FORCE), 'new')
  assert.notEqual(await cache.get('k'), 'old')
  await redis.command('CONFIG', 'SET', 'maxmemory', '0')

  assert.notEqual(await cache.get('k'), 'old')
  await eventually(async () => (await peer.get('k')) !== 'old', 1_500, 'the peer hears of it')
  assert.notEqual(await cache.get('k'), 'old')
})

test('a forced load whose value Redis does not answer does not leave the old value, here or elsewhere', async (t) => {
  const redis = await useRedis(t)
  const proxy = await useProxy(t, redis.port)
  const namespace = freshNamespace()
  const cache = open(t, { redis: proxy.url, namespace })
  const peer = await usePeer(t, { redis: redis.url, namespace })
  await cache.ready()
  await cache.set('k', 'old')
  assert.equal(await peer.get('k'), 'old')

  const loader = () => {
    proxy.freeze()
    return 'new'
  }
  assert.equal(await cache.getOrSet('k', loader, FORCE), 'new')
  assert.notEqual(await cache.get('k'), 'old')
  await sleep(400)
  assert.notEqual(await cache.get('k'), 'old', 'once the fill has timed out')
  await proxy.heal()

  assert.notEqual(await cache.get('k'), 'old', 'once the link is back')
  await eventually(async () => (await peer.get('k')) !== 'old', 2_000, 'the peer hears of it')
  assert.notEqual(await cache.get('k'), 'old')
})
