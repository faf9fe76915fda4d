'use strict'
// A server that is made a replica while its clients stay connected is no source of truth any more; one that gets a replica is
// of another history than before, and is the same all the same.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, eventually, freshNamespace, sleep } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { startRedis, useRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')

const ISOLATED = 500

test('I2 bounded elsewhere: beats of a demoted master prove nothing; it is used again once it is master', async (t) => {
  const redis = await useRedis(t)
  const namespace = freshNamespace()
  const cache = open(t, { redis: { url: redis.url, isolated: `${ISOLATED}ms` }, namespace })
  await cache.set('k', 'old', { ttl: '10m' })
  await redis.command('REPLICAOF', '127.0.0.1', '1')
  const demoted = Date.now()

  // The next beat tells, at most `maxUnverified` later; from then on memory is served for `isolated`.
  const loader = counted((call) => `loaded ${call}`)
  await eventually(async () => (await cache.getOrSet('k', loader)) !== 'old', 1_000 + ISOLATED + 500)
  const served = Date.now() - demoted
  t.diagnostic(`served from memory for ${served} ms`)
  for (let i = 0; i < 10; i++) {
    assert.notEqual(await cache.getOrSet('k', loader), 'old', `${Date.now() - demoted} ms after`)
    await sleep(20)
  }
  assert.equal((await cache.health()).status, 'degraded')

  await redis.command('REPLICAOF', 'NO', 'ONE')
  await eventually(async () => (await cache.health()).status === 'ok', 2_000)
  await cache.set('k', 'new')
  const peer = await usePeer(t, { redis: redis.url, namespace })
  assert.equal(await peer.get('k'), 'new')
})

test('a running master that gets its first replica: who connected before it and who came after share their entries', async (t) => {
  const redis = await useRedis(t)
  const options = { redis: redis.url, namespace: freshNamespace() }
  const before = open(t, options)
  await before.set('first', 1)
  const history = await historyOf(redis)
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(redis.port)] })
  t.after(() => replica.stop())
  await eventually(async () => (await historyOf(redis)) !== history, 5_000)
  const after = await usePeer(t, options)

  // The next heartbeat tells.
  let round = 0
  await eventually(async () => {
    const key = `key ${++round}`
    await before.getOrSet(key, () => 'of the one')
    return (await after.getOrSet(key, { value: 'of the other' })) === 'of the one'
  }, 2_000)
  for (let i = 0; i < 50; i++) {
    const [there, back] = [`there ${i}`, `back ${i}`]
    await before.getOrSet(there, () => 'of the one')
    assert.equal(await after.getOrSet(there, { value: 'of the other' }), 'of the one')
    await after.getOrSet(back, { value: 'of the other' })
    assert.equal(await before.getOrSet(back, () => 'of the one'), 'of the other')
  }
})

const historyOf = async (redis) => /master_replid:(\w+)/.exec(await redis.command('INFO', 'replication'))[1]
