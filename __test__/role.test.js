'use strict'
// A server that is made a replica while its clients stay connected is no source of truth any more.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, eventually, freshNamespace, sleep } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useRedis } = require('./support/redis.js')
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
