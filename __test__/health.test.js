'use strict'
// health() asks Redis now and never fails; ready() is for boot checks and fails at the connect deadline.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { eventually, sleep, timed } = require('./support/kit.js')
const { freePort } = require('../scripts/lib/ports.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { open, rejectsWith, withRedis } = require('./support/setups.js')

test('memory only: health says so, ready resolves', async (t) => {
  const cache = open(t, { redis: false })

  await cache.ready()

  const { status, redis } = await cache.health()
  assert.deepEqual([status, redis.connected, redis.latency], ['memory-only', false, null])
})

withRedis('health', (redis) => {
  test('Redis up: ready resolves, health is ok with the time of a round trip', async (t) => {
    const cache = open(t, { redis: redis.url })

    assert.equal(await cache.ready(), undefined)

    const health = await cache.health()
    assert.equal(health.status, 'ok')
    assert.equal(health.redis.connected, true)
    assert.ok(health.redis.latency > 0 && health.redis.latency < 500, `latency ${health.redis.latency}`)
  })

  test('health alone is enough to be told: nothing has to be used before', async (t) => {
    assert.equal((await open(t, { redis: redis.url }).health()).status, 'ok')
  })

  test('health asks now: it sees a broken link, and its return', async (t) => {
    const proxy = await useProxy(t, redis.server.port)
    const cache = open(t, { redis: proxy.url })
    await cache.ready()

    for (const how of ['cut', 'freeze']) {
      await proxy[how]()
      const { value, ms } = await timed(() => cache.health())
      assert.equal(value.status, 'degraded', how)
      assert.equal(value.redis.connected, false, how)
      assert.ok(ms <= 1_000, `${how}: took ${ms} ms`)

      await proxy.heal()
      await eventually(async () => (await cache.health()).status === 'ok', 2_500, `ok again after ${how}`)
    }
  })
})

test('Redis refusing: ready rejects with CacheRedisError at the connect deadline, and getOrSet works meanwhile', async (t) => {
  const cache = open(t, { redis: { url: `redis://127.0.0.1:${await freePort()}`, connectTimeout: '400ms' } })
  const outcome = cache.ready().catch((reason) => reason)

  assert.equal(await cache.getOrSet('k', () => 1), 1)
  const { value: error, ms } = await timed(() => outcome)

  await rejectsWith(Promise.reject(error), 'CacheRedisError', 'ERR_CACHE_REDIS')
  assert.ok(ms <= 700, `took ${ms} ms`)
  assert.equal((await cache.health()).status, 'degraded')
})

test('Redis a black hole: ready rejects at the connect deadline', async (t) => {
  const redis = await useRedis(t)
  const proxy = await useProxy(t, redis.port)
  proxy.freeze()
  const cache = open(t, { redis: { url: proxy.url, connectTimeout: '400ms' } })

  const { ms } = await timed(() => rejectsWith(cache.ready(), 'CacheRedisError', 'ERR_CACHE_REDIS'))

  assert.ok(ms >= 300 && ms <= 800, `took ${ms} ms`)
})

test('ready waits for a Redis that comes up before the deadline, and holds afterwards', async (t) => {
  const redis = await useRedis(t)
  await redis.kill()
  const cache = open(t, { redis: { url: redis.url, connectTimeout: '5s' } })

  const ready = cache.ready()
  await sleep(200)
  await redis.restart()

  await ready
  assert.equal((await cache.health()).status, 'ok')
  await cache.ready()
})

test('a wrong password and a database that is not there are reported, without the password', async (t) => {
  const redis = await useRedis(t, { args: ['--requirepass', 'right', '--databases', '2'] })
  const urls = [`redis://:hunter2@127.0.0.1:${redis.port}`, `redis://:right@127.0.0.1:${redis.port}/9`]

  for (const url of urls) {
    const cache = open(t, { redis: { url, connectTimeout: '300ms' } })
    const error = await rejectsWith(cache.ready(), 'CacheRedisError', 'ERR_CACHE_REDIS')
    assert.doesNotMatch(error.stack + error.cause?.stack, /hunter2|:right/)
    assert.equal(await cache.getOrSet('k', () => 'loaded'), 'loaded')
  }
})

test('credentials and database of the url, and of options, are used', async (t) => {
  const redis = await useRedis(t, { args: ['--requirepass', 'p@ss:w/rd'] })
  const address = `127.0.0.1:${redis.port}`
  const accepted = [
    `redis://:${encodeURIComponent('p@ss:w/rd')}@${address}/3`,
    { url: `redis://${address}`, password: 'p@ss:w/rd', db: 3 },
    { url: `redis://${address}/3`, username: 'default', password: 'p@ss:w/rd' },
  ]

  for (const setting of accepted) {
    const cache = open(t, { redis: setting })
    await cache.ready()
    await cache.set('k', 1)
  }

  await redis.command('AUTH', 'p@ss:w/rd')
  assert.match(await redis.command('INFO', 'keyspace'), /db3:/)
  assert.doesNotMatch(await redis.command('INFO', 'keyspace'), /db0:/)
})
