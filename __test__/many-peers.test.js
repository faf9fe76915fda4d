'use strict'
// getOrSetMany between processes: each missing key is loaded once in the fleet, nobody waits for somebody who waits.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { eventually, freshNamespace, sleep, timed } = require('./support/kit.js')
const { usePeer, usePeers } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { open, withRedis } = require('./support/setups.js')
const { useTurns } = require('./support/turns.js')

const numbered = (count, from = 0) => Array.from({ length: count }, (_, n) => `k${from + n}`)
const sum = (numbers) => numbers.reduce((total, n) => total + n, 0)

withRedis('getOrSetMany between processes', (redis) => {
  const options = (more) => ({ redis: redis.url, namespace: freshNamespace(), ...more })

  async function readyPeers(t, count, more) {
    const peers = await usePeers(t, count, options(more))
    await Promise.all(peers.map((peer) => peer.ready()))
    return peers
  }

  test('100 keys by 4 processes, overlapping: each missing key is loaded once', async (t) => {
    const peers = await readyPeers(t, 4)
    const asked = peers.map((_, n) => numbered(100, n * 25))

    const found = await Promise.all(peers.map((peer, n) => peer.many(asked[n], { value: 'v', ms: 50 })))

    found.forEach((map, n) => {
      assert.deepEqual(
        [...map],
        asked[n].map((key) => [key, `v of ${key}`]),
      ) // prettier-ignore
    })
    assert.equal(sum(await Promise.all(peers.map((peer) => peer.loads()))), 175)
    const calls = await Promise.all(peers.map((peer) => peer.manyCalls()))
    assert.ok(
      calls.every((list) => list.length <= 1),
      `one call each: ${calls.map((list) => list.length)}`,
    ) // prettier-ignore
  })

  test('the reads of 100 keys are one round trip, there or not; and so are the leases of those that are not', async (t) => {
    const proxy = await useTurns(t, redis.server.port)
    const url = `redis://127.0.0.1:${proxy.port}`
    const cache = open(t, { redis: { url, commandTimeout: '2s' }, memory: false })
    const keys = numbered(100)
    await cache.ready()
    await cache.getOrSet('warm-up', () => 1)
    /** Turns with reads, of all connections: heartbeats read too, one key at a time. */
    const reads = () => proxy.turns().flatMap((turns) => turns.filter(({ GETRANGE = 0 }) => GETRANGE > 5))
    const leases = () => proxy.turns().flatMap((turns) => turns.filter(({ EVALSHA = 0 }) => EVALSHA >= 100))

    proxy.forget()
    await cache.getOrSetMany(keys, async (missing) => new Map(missing.map((key) => [key, 1])))
    assert.deepEqual(
      reads().map(({ GETRANGE }) => GETRANGE),
      [100],
    )
    assert.equal(leases().length, 1)
    await eventually(async () => (await cache.get('k99')) === 1)
    proxy.forget()
    await cache.getOrSetMany(keys, () => assert.fail('all are there'))
    assert.deepEqual(
      reads().map(({ GETRANGE }) => GETRANGE),
      [100],
    )
  })

  test('100 keys that are there take as long as one', async (t) => {
    const link = await useProxy(t, redis.server.port)
    const same = options()
    const keys = numbered(100)
    const peer = await usePeer(t, same)
    await peer.many(keys, { value: 'v' })
    const cache = open(t, { ...same, redis: { url: link.url, commandTimeout: '2s' } })
    await cache.ready()
    await cache.getOrSet('warm-up', () => 1)
    link.delay(60)

    const { value, ms } = await timed(() => cache.getOrSetMany(keys, () => assert.fail('all are there')))

    assert.equal(value.size, 100)
    assert.ok(ms >= 120 && ms < 220, `a round trip takes 120 ms; took ${ms.toFixed(0)} ms`)
  })

  test('two processes that ask for the same keys in opposite order do not wait for each other', async (t) => {
    const [a, b] = await readyPeers(t, 2)

    for (let round = 0; round < 20; round++) {
      const keys = numbered(10, round * 10)
      const { value, ms } = await timed(
        () =>
          Promise.all([
            a.many(keys, { value: 'v', ms: 5 }),
            b.many(keys.toReversed?.() ?? [...keys].reverse(), { value: 'v', ms: 5 }),
          ]), // prettier-ignore
      )
      assert.ok(value.every((map) => map.size === 10))
      assert.ok(ms < 1_500, `${ms} ms`)
    }
    assert.equal((await a.loads()) + (await b.loads()), 200)
  })

  test('what another process loads is awaited beside the call of the loader, not before it', async (t) => {
    const [a, b] = await readyPeers(t, 2)
    const held = a.read('k0', { value: 'from a', gate: 'g' })
    await a.began('g')

    const call = b.many(['k0', 'k1', 'k2'], { value: 'from b', gate: 'h' })
    await b.began('h')
    assert.deepEqual(await b.manyCalls(), [['k1', 'k2']])
    await a.release('g')
    await b.release('h')

    assert.deepEqual(
      [...(await call)],
      [
        ['k0', 'from a'],
        ['k1', 'from b of k1'],
        ['k2', 'from b of k2'],
      ],
    ) // prettier-ignore
    assert.equal((await held).value, 'from a')
    assert.equal((await b.manyCalls()).length, 1)
  })

  test('left-overs of a process whose loader fails are one further call', async (t) => {
    const [a, b] = await readyPeers(t, 2)
    const failing = a.many(numbered(8), { error: 'down', gate: 'g' })
    await a.began('g')
    const call = b.many(numbered(12), { value: 'from b' })
    await eventually(async () => (await b.manyCalls()).length === 1)
    await sleep(30)
    await a.release('g')

    await assert.rejects(failing, /down/)
    assert.deepEqual([...(await call).keys()], numbered(12))
    const calls = await b.manyCalls()
    assert.deepEqual(calls[0], numbered(4, 8))
    assert.deepEqual(calls.slice(1).flat().sort(), numbered(8))
    assert.ok(calls.length <= 3, `one further call, two on a slow machine: ${JSON.stringify(calls)}`)
  })

  test('keys that one process finds absent are free at once for the next', async (t) => {
    const [a, b] = await readyPeers(t, 2)

    const first = await a.many(['k0', 'k1'], { value: 'v', absent: ['k1'] })
    const { value, ms } = await timed(() => b.many(['k0', 'k1'], { value: 'w' }))

    assert.deepEqual([...first], [['k0', 'v of k0']])
    assert.deepEqual(
      [...value],
      [
        ['k0', 'v of k0'],
        ['k1', 'w of k1'],
      ],
    ) // prettier-ignore
    assert.ok(ms < 500, `no lease was left: ${ms} ms`)
  })

  test('a process that dies in its call is replaced, key by key, once its leases are over', async (t) => {
    const [a, b, c] = await readyPeers(t, 3)
    a.many(numbered(5), { value: 'v', gate: 'g' })
    await a.began('g')
    const calls = [b.many(numbered(5), { value: 'v', ms: 20 }), c.many(numbered(5), { value: 'v', ms: 20 })]
    await sleep(50)
    await a.kill()

    const { value, ms } = await timed(() => Promise.all(calls))

    assert.ok(value.every((map) => map.size === 5))
    assert.ok(ms < 6_000, `${ms} ms`)
    assert.equal((await b.loads()) + (await c.loads()), 5)
  })

  test('an invalidation in another process reaches keys that were loaded together', async (t) => {
    const [a, b] = await readyPeers(t, 2)
    await a.many(numbered(10), { value: 'old' }, { tags: ['group'] })
    await b.many(numbered(10), { value: 'unused' })
    await a.invalidate({ tag: 'group' })

    await eventually(async () => (await b.get('k3')) === undefined)
    assert.deepEqual(
      [...(await b.many(['k3', 'k4'], { value: 'new' }))],
      [
        ['k3', 'new of k3'],
        ['k4', 'new of k4'],
      ],
    ) // prettier-ignore
  })
})
