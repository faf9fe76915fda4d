'use strict'
// A Redis user without a right that an invalidation needs: more falls than was asked for, never less, and it is said.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { counted, eventually, freshNamespace } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')

describe('rights', () => {
  for (const [right, target, options] of [
    ['zadd', { pattern: 'user:*' }],
    ['zremrangebyscore', { pattern: 'user:*' }],
    ['setrange', 'user:1', { mode: 'stale' }],
  ]) {
    const what = `${JSON.stringify(target)}${options === undefined ? '' : ` in mode ${options.mode}`}`
    test(`without ${right}, ${what} is the invalidation of all, and that is said once`, async (t) => {
      const redis = await useRedis(t)
      await redis.command('ACL', 'SETUSER', `no-${right}`, 'reset', 'on', '>pw', '~*', '&*', '+@all', `-${right}`)
      const namespace = freshNamespace()
      const peer = await usePeer(t, { redis: redis.url, namespace })
      const url = redis.url.replace('redis://', `redis://no-${right}:pw@`)
      const warnings = []
      const cache = open(t, { redis: url, namespace, logger: { warn: (message) => warnings.push(message) } })
      await peer.set('user:1', 'old', { ttl: '1h' })
      await cache.getOrSet('user:1', () => 'not loaded')

      assert.deepEqual(await cache.invalidate(target, options), { redis: 'applied' })
      const loader = counted(() => 'new')
      assert.equal(await cache.getOrSet('user:1', loader), 'new')
      assert.equal(loader.calls, 1)
      await eventually(async () => (await peer.get('user:1')) === 'new', 2_000)

      await cache.invalidate(target, options)
      assert.equal(warnings.length, 1)
      assert.match(
        warnings[0],
        /^Redis refuses an invalidation \(ERR The user executing the script .*; all entries of the namespace are invalidated/,
      )
      // It goes on with Redis.
      await cache.set('user:2', 'kept')
      assert.equal(await peer.get('user:2'), 'kept')
      assert.equal((await cache.health()).status, 'ok')
    })
  }

  test('without any right to invalidate it stays queued, and health says so', async (t) => {
    const redis = await useRedis(t)
    const url = redis.url.replace('redis://', 'redis://no-del:pw@')
    await redis.command('ACL', 'SETUSER', 'no-del', 'reset', 'on', '>pw', '~*', '&*', '+@all')
    const cache = open(t, { redis: url, namespace: freshNamespace(), logger: { warn() {} } })
    await cache.ready()
    await redis.command('ACL', 'SETUSER', 'no-del', '-set', '-del', '-unlink')

    assert.deepEqual(await cache.invalidate('k'), { redis: 'queued' })
    const { status, redis: state } = await cache.health()
    assert.deepEqual([status, state.connected], ['degraded', false])
    assert.match(state.error, /invalidations are queued/)
  })
})
