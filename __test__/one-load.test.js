'use strict'
// One cold key, many callers in many processes: the loader runs once, and waiting for it costs little.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DECIMAL, Decimal } = require('./support/codec.js')
const { clock, counted, freshNamespace, long, percentile } = require('./support/kit.js')
const { usePeer, usePeers } = require('./support/peer.js')
const { open, withRedis } = require('./support/setups.js')

const LOAD = 50

withRedis('one load', (redis) => {
  const options = () => ({ redis: redis.url, namespace: freshNamespace() })

  async function readyPeers(t, count) {
    const peers = await usePeers(t, count, options())
    await Promise.all(peers.map((peer) => peer.ready()))
    return peers
  }

  /** All peers ask for one key at one moment. */
  async function burst(peers, plan) {
    const at = clock() + 150
    const bursts = await Promise.all(peers.map((peer) => peer.burst({ loader: { value: 'v', ms: LOAD }, at, ...plan })))
    return {
      loads: bursts.reduce((sum, one) => sum + one.loads, 0),
      values: [...new Set(bursts.flatMap((one) => one.values))],
      failures: bursts.flatMap((one) => one.failures),
      beyond: bursts.flatMap((one) => one.waits.map((ms) => ms - LOAD)),
      took: Math.max(...bursts.map((one) => one.took)),
    }
  }

  const fleets = [
    { processes: 8, callers: 500, p99: 60 },
    { processes: 4, callers: 100, p99: 10 },
  ]
  // The figures are for a machine that does nothing else.
  const slack = long ? 1 : 3
  for (const { processes, callers, p99 } of fleets) {
    test(`I4 one load: ${processes} processes × ${callers} callers of a cold key`, async (t) => {
      const peers = await readyPeers(t, processes)

      // The first round warms what a process compiles once; each further one is a cold key again.
      const rounds = []
      for (const key of ['warm-up', 'a', 'b', 'c']) rounds.push(await burst(peers, { key, callers }))

      for (const { loads, values, failures } of rounds) {
        assert.deepEqual([loads, values, failures], [1, ['v'], []])
      }
      const waits = rounds.slice(1).map(({ beyond }) => percentile(beyond, 0.99))
      t.diagnostic(`waiting beyond the load, p99 of each round: ${waits.map((ms) => ms.toFixed(1)).join(', ')} ms`)
      assert.ok(Math.min(...waits) <= p99 * slack, `p99 ${waits} ms, allowed ${p99 * slack} ms`)
    })
  }

  test('I4 one load: a failing loader causes no convoy', async (t) => {
    const peers = await readyPeers(t, 4)

    const { loads, failures, took } = await burst(peers, { key: 'k', callers: 50, loader: { error: 'down', ms: LOAD } })

    assert.equal(failures.length, 200)
    assert.deepEqual([...new Set(failures)], ['down'])
    assert.ok(loads <= 8, `${loads} loads for 4 processes`)
    assert.ok(took <= 3 * LOAD + 150, `the last caller was answered after ${took} ms`)
  })

  test('I4 one load: an entry of another release that cannot be decoded is one load for 50 callers', async (t) => {
    const same = options()
    const other = open(t, { ...same, types: [DECIMAL] })
    await other.set('here', new Decimal('1.5'))
    await other.set('there', new Decimal('1.5'))
    const [cache, peer] = [open(t, same), await usePeer(t, same)]
    const loader = counted('loaded', LOAD)

    const reads = await Promise.all(Array.from({ length: 50 }, () => cache.getOrSet('here', loader)))
    const elsewhere = await peer.readAll(Array(50).fill('there'), { value: 'loaded', ms: LOAD })

    assert.deepEqual([new Set(reads), loader.calls], [new Set(['loaded']), 1])
    assert.ok(elsewhere.every(({ value }) => value === 'loaded'))
    assert.equal(await peer.loads('there'), 1)
    assert.equal(await other.get('here'), 'loaded')
  })

  test('I4 one load: who asks while another process loads waits for that load', async (t) => {
    const [a, b] = await readyPeers(t, 2)
    const first = a.read('k', { value: 'from a', gate: 'g' })
    await a.began('g')

    const second = b.read('k', { value: 'from b' })
    setTimeout(() => a.release('g'), 100)

    assert.equal((await first).value, 'from a')
    const { value, waited, ms } = await second
    assert.equal(value, 'from a')
    assert.ok(waited >= 60 && ms < 250, `waited ${waited} of ${ms} ms`)
    assert.equal(await b.loads(), 0)
  })

  test('I4 one load: 200 keys asked by 4 processes at once load once each', async (t) => {
    const peers = await readyPeers(t, 4)
    const keys = Array.from({ length: 200 }, (_, i) => `k${i}`)

    const answers = await Promise.all(peers.map((peer) => peer.readAll(keys, { value: 'v', ms: 30 })))

    assert.ok(answers.flat().every(({ value }) => value === 'v'))
    const loads = await Promise.all(peers.map((peer) => peer.loads()))
    assert.equal(
      loads.reduce((sum, n) => sum + n),
      200,
    )
  })

  test('waitTimeout ends the wait for another process: the value is loaded, and not stored over its load', async (t) => {
    const [a, b] = await readyPeers(t, 2)
    const slow = a.getOrSet('k', { value: 'from a', gate: 'g' })
    await a.began('g')

    const { value, ms } = await b.read('k', { value: 'from b' }, { waitTimeout: '200ms' })

    assert.equal(value, 'from b')
    assert.ok(ms >= 180 && ms < 450, `took ${ms} ms`)
    await a.release('g')
    assert.equal(await slow, 'from a')
  })

  test('what one process loaded is a Redis hit in the next', async (t) => {
    const [a, b] = await readyPeers(t, 2)
    await a.read('k', { value: { n: 1 } })
    await a.read('k')

    const hit = await b.read('k')

    assert.deepEqual([hit.value, hit.outcome, hit.tier], [{ n: 1 }, 'fresh', 'redis'])
    assert.equal((await b.read('k')).tier, 'memory')
  })

  test('a process that starts later has the entry', async (t) => {
    const same = options()
    const a = await usePeer(t, same)
    await a.set('k', 'kept')
    await a.stop()

    const b = await usePeer(t, same)

    assert.equal(await b.getOrSet('k', { value: 'loaded' }), 'kept')
  })
})
