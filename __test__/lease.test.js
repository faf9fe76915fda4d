'use strict'
// The holder of a lease dies, leaves or hangs in the middle of its load: one other process takes over, nobody errs,
// and what the first one brings late is refused.

const assert = require('node:assert/strict')
const { describe, test, before, after } = require('node:test')
const { eventually, freshNamespace, sleep, timed } = require('./support/kit.js')
const { usePeer, usePeers } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { startRedis, useRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')

/** A lease that nobody renews lapses within this. */
const LAPSE = 5_500
/** It is renewed to more than this. */
const LONG_LIFE = 3_000

/** How many commands a server has processed. */
async function commandsOf(server) {
  return Number(/total_commands_processed:(\d+)/.exec(await server.command('INFO', 'stats'))[1])
}

describe('leases', { concurrency: 4 }, () => {
  let redis
  before(async () => {
    redis = await startRedis()
  })
  after(() => redis.stop())

  /** A holder in the middle of its load, and two processes that have just begun to wait for it. */
  async function holding(t) {
    const [holder, ...waiters] = await usePeers(t, 3, { redis: redis.url, namespace: freshNamespace() })
    await Promise.all([holder, ...waiters].map((peer) => peer.ready()))
    const held = holder.getOrSet('k', { value: 'holder', gate: 'g' }).catch((error) => error)
    await holder.began('g')
    const waiting = waiters.map((peer, i) => peer.read('k', { value: `waiter ${i}`, ms: 20 }))
    await sleep(150)
    return { holder, held, waiters, waiting }
  }

  /** One waiter loaded, once; both have its value. */
  async function oneTookOver(waiters, waiting) {
    const reads = await Promise.all(waiting)
    const loads = await Promise.all(waiters.map((peer) => peer.loads('k')))
    assert.deepEqual([...loads].sort(), [0, 1])
    assert.equal(reads[0].value, reads[1].value)
    assert.equal(reads[0].value, `waiter ${loads.indexOf(1)}`)
    return reads[0].value
  }

  test('I4 one load: a killed holder is replaced by one process after the lease lapsed', async (t) => {
    const { holder, waiters, waiting } = await holding(t)

    await holder.kill('SIGKILL')
    const { ms } = await timed(() => oneTookOver(waiters, waiting))

    assert.ok(ms <= LAPSE, `took ${ms} ms`)
  })

  test('I4 one load: a holder that leaves by SIGTERM is replaced at once', async (t) => {
    const { holder, waiters, waiting } = await holding(t)

    const { ms } = await timed(async () => {
      await holder.kill('SIGTERM')
      await oneTookOver(waiters, waiting)
    })

    assert.ok(ms <= 300, `took ${ms} ms`)
  })

  test('I3 no resurrection: a stopped holder is replaced, and its late fill is refused', async (t) => {
    const { holder, held, waiters, waiting } = await holding(t)

    holder.pause()
    const { value, ms } = await timed(() => oneTookOver(waiters, waiting))
    assert.ok(ms <= LAPSE, `took ${ms} ms`)

    holder.resume()
    await holder.release('g')
    assert.equal(await held, 'holder')
    await sleep(100)
    assert.equal(await waiters[0].get('k'), value)
    assert.equal(await holder.getOrSet('k', { value: 'again' }), value)
  })

  test('I4 one load: a load longer than the lease keeps it', async (t) => {
    const { holder, held, waiters, waiting } = await holding(t)

    await sleep(6_000)
    await holder.release('g')

    assert.equal(await held, 'holder')
    for (const { value } of await Promise.all(waiting)) assert.equal(value, 'holder')
    assert.deepEqual(await Promise.all(waiters.map((peer) => peer.loads('k'))), [0, 0])
  })

  test('I4 one load: a lease whose holder lost the link as its load ended is given back once the link is back', async (t) => {
    const link = await useProxy(t, redis.port)
    const namespace = freshNamespace()
    const holder = await usePeer(t, { redis: link.url, namespace })
    const other = await usePeer(t, { redis: redis.url, namespace })
    await Promise.all([holder.ready(), other.ready()])
    const held = holder.getOrSet('k', { value: 'holder', gate: 'g' })
    await holder.began('g')
    const lifeOf = async () => {
      const lease = (await redis.command('KEYS', '*')).find((key) => key.includes(namespace) && key.includes(':l:'))
      return redis.command('PTTL', lease)
    }
    await eventually(async () => (await lifeOf()) > LONG_LIFE, 2_000, 'the lease is renewed to its full life')

    await link.cut()
    await holder.release('g')
    assert.equal(await held, 'holder')
    assert.ok((await lifeOf()) > LONG_LIFE, 'the lease is not given back while the link is cut')
    await link.heal()
    const { value, ms } = await timed(() => other.getOrSet('k', { value: 'other' }))

    assert.equal(value, 'other')
    assert.ok(ms < LONG_LIFE / 2, `${ms} ms`)
  })

  test('I4 one load: loadTimeout ends the lease', async (t) => {
    const [holder, waiter] = await usePeers(t, 2, { redis: redis.url, namespace: freshNamespace() })
    const timedOut = holder.getOrSet('k', { value: 'holder', gate: 'g' }, { loadTimeout: '400ms' })
    const code = timedOut.then(
      () => 'resolved',
      (error) => error.code,
    )
    await holder.began('g')

    const { value, ms } = await waiter.read('k', { value: 'waiter' })

    assert.equal(await code, 'ERR_CACHE_TIMEOUT')
    assert.equal(value, 'waiter')
    assert.ok(ms <= 700, `took ${ms} ms`)
  })

  test('a waiter whose watch of the lease is refused honours waitTimeout, and asks Redis seldom', async (t) => {
    const server = await useRedis(t)
    await server.command('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '&*', '+@all', '-client|caching')
    const namespace = freshNamespace()
    const cache = open(t, { redis: { url: server.url, username: 'app', password: 'pw' }, namespace })
    const holder = await usePeer(t, { redis: server.url, namespace })
    await Promise.all([cache.ready(), holder.ready()])
    const held = holder.getOrSet('k', { value: 'holder', gate: 'g' })
    await holder.began('g')

    const before = await commandsOf(server)
    const { value, ms } = await timed(() => cache.getOrSet('k', () => 'own', { waitTimeout: '500ms' }))
    const commands = (await commandsOf(server)) - before

    assert.equal(value, 'own')
    assert.ok(ms >= 400 && ms <= 900, `waited ${ms} ms`)
    assert.ok(commands <= 300, `${commands} commands in ${ms} ms`)
    await holder.release('g')
    assert.equal(await held, 'holder')
  })
})
