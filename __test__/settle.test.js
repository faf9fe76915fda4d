'use strict'
// `settle`: after an invalidation the source still answers with the old value for a while (a replica that lags). What is
// loaded meanwhile is returned, and kept by nobody.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, eventually, freshNamespace, gated, sleep } = require('./support/kit.js')
const { usePeer, usePeers } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { inBothSetups, open, withRedis } = require('./support/setups.js')

const SETTLE = 400
const settle = `${SETTLE}ms`
/** A little over, for the two clocks. */
const settled = () => sleep(SETTLE + 50)

/** Targets, and how an entry that they name is read. */
const TARGETS = [
  ['a key', 'k', (cache, loader) => cache.getOrSet('k', loader)],
  ['a tag', { tag: 'red' }, (cache, loader) => cache.getOrSet('k', loader, { tags: ['red'] })],
  ['all', { all: true }, (cache, loader) => cache.getOrSet('k', loader)],
  ['a pattern', { pattern: 'k*' }, (cache, loader) => cache.getOrSet('k', loader)],
]
const LATE = [
  'a tag its loader names',
  { tag: 'red' },
  (cache, loader) =>
    cache.getOrSet('k', async (ctx) => {
      ctx.tag('red')
      return loader(ctx)
    }),
]

inBothSetups((open) => {
  for (const [name, target, read] of [...TARGETS, LATE]) {
    test(`what is loaded while the source of ${name} settles is returned and not kept`, async (t) => {
      const cache = open(t)
      await read(cache, () => 'old')
      await cache.invalidate(target, { settle })

      const lagging = counted((call) => `lagging ${call}`)
      assert.equal(await read(cache, lagging), 'lagging 1')
      await eventually(async () => (await cache.get('k')) === undefined)
      await settled()

      assert.equal(await read(cache, () => 'new'), 'new')
      assert.equal(await read(cache, () => 'newer'), 'new')
    })

    test(`a load of ${name} that begins before the end of the wait is joined by nobody after it`, async (t) => {
      const cache = open(t)
      await cache.invalidate(target, { settle })
      const lagging = gated('lagging')
      const first = read(cache, lagging)
      await lagging.began

      await settled()
      const later = read(cache, () => 'new')
      lagging.release()

      assert.equal(await first, 'lagging')
      assert.equal(await later, 'new')
      await sleep(30)
      assert.equal(await read(cache, () => 'newer'), 'new')
    })
  }

  test('callers of one key share a load while its source settles', async (t) => {
    const cache = open(t)
    await cache.invalidate('k', { settle })
    const lagging = counted('lagging', 30)

    const values = await Promise.all(Array.from({ length: 50 }, () => cache.getOrSet('k', lagging)))

    assert.deepEqual([...new Set(values)], ['lagging'])
    assert.equal(lagging.calls, 1)
  })

  test('a forced refresh is not kept either, and a value that is set is', async (t) => {
    const cache = open(t)
    await cache.invalidate('k', { settle })

    assert.equal(await cache.getOrSet('k', () => 'lagging', { refresh: 'force' }), 'lagging')
    await eventually(async () => (await cache.get('k')) === undefined)
    await cache.set('k', 'set')

    assert.equal(await cache.getOrSet('k', () => 'loaded'), 'set')
  })

  for (const [name, forget] of [
    ['invalidated again', (cache) => cache.invalidate('k')],
    ['marked stale', (cache) => cache.invalidate('k', { mode: 'stale' })],
    ['set for a moment', (cache) => cache.set('k', 'set', { ttl: '20ms', staleWhileRevalidate: 0 })],
  ]) {
    test(`a key that is ${name} while its source settles still waits`, async (t) => {
      const cache = open(t)
      await cache.invalidate('k', { settle })
      await forget(cache)
      await sleep(60)

      assert.equal(await cache.getOrSet('k', () => 'lagging'), 'lagging')
      await sleep(30)
      assert.equal(await cache.get('k'), undefined)
    })
  }

  test('a pattern that does not settle is not held up by one that does', async (t) => {
    const cache = open(t)
    await cache.invalidate({ pattern: 'a*' }, { settle: '5s' })
    await cache.invalidate({ pattern: 'b*' })
    const loader = counted('kept')

    for (let i = 0; i < 3; i++) assert.equal(await cache.getOrSet('b', loader), 'kept')
    assert.equal(loader.calls, 1)
  })

  test('other keys are kept meanwhile', async (t) => {
    const cache = open(t)
    await cache.invalidate({ keys: ['k'], tags: ['red'], pattern: 'p*' }, { settle })
    const loader = counted('kept')

    for (let i = 0; i < 3; i++) assert.equal(await cache.getOrSet('other', loader, { tags: ['blue'] }), 'kept')
    assert.equal(loader.calls, 1)
  })
})

withRedis('between processes', (redis) => {
  for (const [name, target] of TARGETS) {
    test(`every process keeps nothing while the source of ${name} settles`, async (t) => {
      const peers = await usePeers(t, 3, { redis: redis.url, namespace: freshNamespace() })
      await Promise.all(peers.map((peer) => peer.ready()))
      const tags = ['red']
      for (const peer of peers) await peer.getOrSet('k', { value: 'old' }, { tags })

      await peers[0].invalidate(target, { settle })
      await sleep(30)
      for (const peer of peers) assert.equal(await peer.getOrSet('k', { value: 'lagging' }, { tags }), 'lagging')
      await settled()

      assert.equal(await peers[1].getOrSet('k', { value: 'new' }, { tags }), 'new')
      for (const peer of peers) assert.equal(await peer.getOrSet('k', { value: 'newer' }, { tags }), 'new')
    })
  }

  for (const [name, target] of TARGETS) {
    test(`a peer that starts while the source of ${name} settles keeps nothing, and nobody joins it later`, async (t) => {
      const setup = { redis: redis.url, namespace: freshNamespace() }
      const tags = ['red']
      const [a] = await usePeers(t, 1, setup)
      await a.getOrSet('k', { value: 'old' }, { tags })
      const late = await usePeer(t, setup)
      await a.invalidate(target, { settle: '1s' })
      const ends = Date.now() + 1_000

      const first = late.getOrSet('k', { value: 'lagging', gate: 'g' }, { tags })
      await late.began('g')
      await sleep(ends + 100 - Date.now())
      const later = late.getOrSet('k', { value: 'new' }, { tags })
      await sleep(20)
      await late.release('g')

      assert.equal(await first, 'lagging')
      assert.equal(await later, 'new')
      assert.equal(await a.getOrSet('k', { value: 'newer' }, { tags }), 'new')
    })
  }

  test('processes share no convoy while a pattern settles', async (t) => {
    const peers = await usePeers(t, 4, { redis: redis.url, namespace: freshNamespace() })
    await Promise.all(peers.map((peer) => peer.ready()))
    await peers[0].invalidate({ pattern: 'k*' }, { settle: '5s' })
    await sleep(30)

    const times = await Promise.all(peers.map(async (peer) => (await peer.read('k', { value: 1, ms: 200 })).ms))
    assert.ok(Math.max(...times) < 600, `waited ${times.map(Math.round)} ms for loaders of 200 ms`)
  })

  test('who waits for the load of another process when the wait begins loads for himself', async (t) => {
    const [a, b] = await usePeers(t, 2, { redis: redis.url, namespace: freshNamespace() })
    await Promise.all([a.ready(), b.ready()])
    const first = a.getOrSet('k', { value: 'before', gate: 'g' })
    await a.began('g')
    const waiting = b.getOrSet('k', { value: 'lagging' })
    await sleep(50)

    await b.invalidate('k', { settle: '5s' })

    assert.equal(await waiting, 'lagging')
    await a.release('g')
    assert.equal(await first, 'before')
    await sleep(30)
    assert.equal(await a.get('k'), undefined)
  })
})

test('while Redis is away the wait holds for memory, and it reaches Redis afterwards', async (t) => {
  const redis = await useRedis(t)
  const proxy = await useProxy(t, redis.port)
  const namespace = freshNamespace()
  const cache = open(t, { redis: { url: proxy.url, commandTimeout: '100ms' }, namespace })
  const peer = await usePeer(t, { redis: redis.url, namespace })
  await cache.ready()
  await proxy.cut()

  assert.deepEqual(await cache.invalidate('k', { settle: '2s' }), { redis: 'queued' })
  assert.equal(await cache.getOrSet('k', () => 'lagging'), 'lagging')
  assert.equal(await cache.get('k'), undefined)

  await proxy.heal()
  await eventually(async () => (await cache.health()).status === 'ok', 3_000)
  assert.equal(await peer.getOrSet('k', { value: 'lagging' }), 'lagging')
  await sleep(30)
  assert.equal(await peer.get('k'), undefined)
})
