'use strict'
// The user that a cache is at the Sentinels: docs/redis.md says what it needs. Exactly that is enough, and what is missing is said.

const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const path = require('node:path')
const { describe, test } = require('node:test')
const { eventually, freshNamespace } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { ROOT } = require('./support/script.js')
const { MASTER, useSentinels } = require('./support/sentinel.js')

const PAGE = readFileSync(path.join(ROOT, 'docs', 'redis.md'), 'utf8')
const [, USER, LINE] = /^ACL SETUSER (\S+) (.*\+sentinel\|master.*)$/m.exec(PAGE)
const RULES = LINE.split(' ')

const optionsOf = ({ sentinels }, username) => {
  const nodes = sentinels.map(({ port }) => `127.0.0.1:${port}`)
  return { redis: { nodes, sentinel: { master: MASTER, username, password: 'secret' } }, namespace: freshNamespace() }
}
const grant = (redis, user, rules) =>
  Promise.all(redis.sentinels.map((sentinel) => sentinel.command('ACL', 'SETUSER', user, ...rules)))

/** What the Sentinels refused this user. */
async function refusals({ sentinels }, user) {
  const logs = await Promise.all(sentinels.map((sentinel) => sentinel.command('ACL', 'LOG', '100')))
  const entries = logs
    .flat()
    .map((flat) => Object.fromEntries(flat.flatMap((v, i) => (i % 2 ? [] : [[v, flat[i + 1]]]))))
  return entries.filter(({ username }) => username === user).map(({ object }) => object)
}

describe('the user at the Sentinels', { concurrency: 2 }, () => {
  test('with the documented rights the master is found, a failover is followed, and nothing is refused', async (t) => {
    const redis = await useSentinels(t)
    await grant(redis, USER, RULES)
    const peer = await usePeer(t, optionsOf(redis, USER))
    await peer.ready()
    assert.equal(await peer.getOrSet('k', { value: 1 }), 1)

    const before = await redis.masterPort()
    const asked = () => redis.sentinels[0].command('SENTINEL', 'FAILOVER', MASTER)
    await eventually(() => asked().catch(() => false), 10_000, 'a failover is agreed to')
    await eventually(async () => (await redis.masterPort()) !== before, 15_000, 'another master')
    const isThere = async () => {
      await peer.set('after', 2)
      const [, replica] = redis.servers
      // It drops its connections when it is made the master.
      const names = await replica.command('KEYS', '*').catch(() => [])
      const entries = names.filter((name) => String(name).includes(':e:'))
      return entries.length === 2 && (await peer.health()).status === 'ok'
    }
    await eventually(isThere, 10_000, 'written to the new master')

    assert.deepEqual(await refusals(redis, USER), [])
  })

  test('without any one of them ready() and health() say which', async (t) => {
    const redis = await useSentinels(t)
    // HELLO is everybody's from Redis 7 on.
    for (const [right, said] of [
      ['+sentinel|master', /Sentinel 127\.0\.0\.1:\d+: .*NOPERM.*'sentinel\|master'/],
      ['+subscribe', /Sentinel 127\.0\.0\.1:\d+: .*NOPERM.*'subscribe'/],
      ['&+switch-master', /Sentinel 127\.0\.0\.1:\d+: .*NOPERM.*channels/],
    ]) {
      const user = `without-${right.replace(/\W/g, '')}`
      await grant(
        redis,
        user,
        RULES.filter((rule) => rule !== right),
      )
      const peer = await usePeer(t, optionsOf(redis, user))

      await assert.rejects(peer.ready(), said, right)

      const { status, redis: state } = await peer.health()
      assert.equal(status, 'degraded')
      assert.match(state.error, said)
      assert.equal(await peer.getOrSet('k', { value: 1 }), 1)
      assert.notDeepEqual(await refusals(redis, user), [])
    }
  })
})
