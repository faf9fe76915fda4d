'use strict'
// Redis Sentinel: the master is found, a failover is followed, and nothing of the master before is served.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { eventually, freshNamespace, sleep } = require('./support/kit.js')
const { usePeer, usePeers } = require('./support/peer.js')
const { DOWN_AFTER, useSentinels } = require('./support/sentinel.js')

const KEYS = Array.from({ length: 10 }, (_, n) => `k${n}`)
/** What an election takes after the master was taken for down; and after it, the time to be connected again. */
const ELECTION = 2_500
const RECOVERY = 2_000

async function fleet(t, { count = 2, ...timeouts } = {}) {
  const redis = await useSentinels(t)
  const options = { redis: { url: redis.url, ...timeouts }, namespace: freshNamespace() }
  const peers = await usePeers(t, count, options)
  await Promise.all(peers.map((peer) => peer.ready()))
  return { redis, options, peers }
}

const readAll = (peer, loader) => Promise.all(KEYS.map((key) => peer.getOrSet(key, loader)))

async function elected(redis, { not }) {
  await eventually(async () => (await redis.masterPort()) !== not, 15_000, 'another master')
}

/** Resolves when all are connected, and tells how long that took, ms. */
async function connected(peers) {
  const began = Date.now()
  const isUp = async (peer) => (await peer.health()).status === 'ok'
  await Promise.all(peers.map((peer) => eventually(() => isUp(peer), 10_000, 'connected')))
  return Date.now() - began
}

describe('Sentinel', { concurrency: 2 }, () => {
  test('the master is found, also when a Sentinel is gone and one knows nothing of it', async (t) => {
    const redis = await useSentinels(t)
    const [gone, ignorant] = redis.sentinels
    await gone.stop()
    await ignorant.command('SENTINEL', 'REMOVE', 'm')
    const peer = await usePeer(t, { redis: redis.url, namespace: freshNamespace() })

    await peer.ready()

    assert.equal(await peer.getOrSet('k', { value: 1 }), 1)
    const { topology, coherence, health } = (await peer.metrics()).redis
    assert.deepEqual([topology, coherence, health.connected], ['sentinel', 'tracking', true])
    assert.match(await redis.servers[0].command('KEYS', '*').then(String), /:e:/)
  })

  test('a name that no Sentinel knows is said at once, and values come from loaders', async (t) => {
    const redis = await useSentinels(t)
    const peer = await usePeer(t, {
      redis: redis.url.replace('master=m', 'master=nobody'),
      namespace: freshNamespace(),
    })

    await assert.rejects(peer.ready(), /Sentinel 127\.0\.0\.1:\d+: .*No such master with that name/)
    assert.equal(await peer.getOrSet('k', { value: 1 }), 1)
  })

  test('I7 metadata may vanish: a failover to a replica that lags brings back nothing, and each key is loaded once', async (t) => {
    const { redis, options, peers } = await fleet(t)
    const [issuer, witness] = peers
    const [master, replica] = redis.servers
    await readAll(issuer, { value: 'old' })
    await readAll(witness, { value: 'old' })
    await eventually(async () => (await replica.command('DBSIZE')) >= KEYS.length, 2_000, 'replicated')

    const versions = await replica.command('KEYS', `${options.namespace}:t:*`)
    const before = await replica.command('MGET', ...versions)
    replica.pause()
    // What is sent to a process that stands still waits in its socket: without a connection it is truly lost.
    await master.command('CLIENT', 'KILL', 'TYPE', 'replica')
    assert.deepEqual(await issuer.invalidate({ all: true }), { redis: 'applied' })
    await issuer.kill()
    await master.kill()
    replica.resume()
    const began = Date.now()
    await elected(redis, { not: master.port })
    const election = Date.now() - began
    // Sentinels end the connections of a server whose role they change: ours is made anew.
    let now
    await eventually(async () => (now = await replica.command('MGET', ...versions).catch(() => undefined)), 5_000)
    assert.deepEqual(now, before, 'the invalidation is lost')
    const recovery = await connected([witness])
    const late = await usePeer(t, options)
    await late.ready()

    const [a, b] = await Promise.all([
      readAll(witness, { value: 'new', ms: 20 }),
      readAll(late, { value: 'new', ms: 20 }),
    ])

    t.diagnostic(`elected after ${election} ms, connected ${recovery} ms later`)
    assert.deepEqual(new Set([...a, ...b]), new Set(['new']))
    const loads = await Promise.all(KEYS.map(async (key) => (await witness.loads(key)) + (await late.loads(key))))
    assert.deepEqual(new Set(loads), new Set([1]))
    assert.ok(recovery <= RECOVERY, `${recovery} ms`)
  })

  test('I2 bounded elsewhere: a master that was frozen and comes back is not believed, also by who reads nothing', async (t) => {
    // What memory holds of the master before is past that bound when another is elected.
    const { redis, peers } = await fleet(t, { isolated: '500ms', maxUnverified: '500ms' })
    const [busy, idle] = peers
    const [master] = redis.servers
    await busy.getOrSet('k', { value: 'old' })
    await idle.getOrSet('k', { value: 'old' })

    master.pause()
    await elected(redis, { not: master.port })
    await connected([busy])
    assert.deepEqual(await busy.invalidate('k'), { redis: 'applied' })
    await busy.getOrSet('k', { value: 'new' })
    master.resume()

    for (let n = 0; n < 50; n++) {
      assert.equal(await idle.getOrSet('k', { value: 'new' }), 'new')
      assert.equal(await busy.getOrSet('k', { value: 'new' }), 'new')
      await sleep(10)
    }
  })

  test('a switch that somebody asks for is followed within seconds, while reads go on', async (t) => {
    const { redis, peers } = await fleet(t)
    const [a, b] = peers
    const [master] = redis.servers
    await a.set('k', 0)

    await redis.sentinels[0].command('SENTINEL', 'FAILOVER', 'm')
    const until = Date.now() + DOWN_AFTER + ELECTION
    let value = 0
    while (Date.now() < until) {
      value++
      const { redis: receipt } = await a.invalidate('k')
      assert.equal(await a.getOrSet('k', { value }), value)
      if (receipt === 'applied') await sleep(20)
    }
    await elected(redis, { not: master.port })
    await connected(peers)

    await a.set('k', 'last')
    await eventually(async () => (await b.getOrSet('k', { value: 'none' })) === 'last', 2_000, 'the last value')
  })
})
