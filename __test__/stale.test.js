'use strict'
// Entries past their ttl: served at once while one caller refreshes, served when the loader fails or is slow.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, eventually, failing, freshNamespace, read, sleep, timed, within } = require('./support/kit.js')
const { usePeer, usePeers } = require('./support/peer.js')
const { inBothSetups, open, withRedis } = require('./support/setups.js')

const SWR = { ttl: '150ms', staleWhileRevalidate: '1m' }
const ON_ERROR = { ttl: '150ms', staleWhileRevalidate: 0, staleIfError: '1m' }
const reasonOf = (promise) =>
  promise.then(
    () => assert.fail('must reject'),
    (reason) => reason,
  )

inBothSetups((open) => {
  async function withStaleEntry(t, options, setup) {
    const cache = open(t, setup)
    await cache.set('k', 'old', options)
    await sleep(200)
    return cache
  }

  test('a stale value is served at once to all, and one refresh replaces it', async (t) => {
    const cache = await withStaleEntry(t, SWR)
    const loader = counted('new', 100)

    const { value: reads, ms } = await timed(() =>
      Promise.all(Array.from({ length: 20 }, () => read(cache, 'k', loader, SWR))),
    )

    assert.ok(ms < 80, `waited ${ms} ms for the loader`)
    for (const { value, outcome } of reads) assert.deepEqual([value, outcome], ['old', 'stale'])
    assert.ok(reads[0].age >= 150, `age ${reads[0].age}`)
    await eventually(async () => (await cache.get('k')) === 'new')
    assert.equal((await read(cache, 'k', loader)).value, 'new')
    assert.equal(loader.calls, 1)
  })

  test('past every window the caller waits for the loader', async (t) => {
    const cache = await withStaleEntry(t, { ttl: '50ms', staleWhileRevalidate: '50ms' })

    assert.equal(await cache.get('k'), undefined)
    assert.equal((await read(cache, 'k', counted('new'))).outcome, 'miss')
  })

  test('get returns a stale entry and refreshes nothing', async (t) => {
    const cache = await withStaleEntry(t, SWR)

    assert.equal(await cache.get('k'), 'old')
    assert.equal(await cache.get('k'), 'old')
  })

  test('refresh never serves the stale value and starts no refresh', async (t) => {
    const cache = await withStaleEntry(t, SWR)
    const loader = counted('new')

    assert.equal(await cache.getOrSet('k', loader, { ...SWR, refresh: 'never' }), 'old')

    await sleep(50)
    assert.equal(loader.calls, 0)
  })

  test('the refreshing loader gets the stale value as ctx.previous', async (t) => {
    const cache = await withStaleEntry(t, SWR)
    const previous = []
    const loader = counted((_, ctx) => previous.push(ctx.previous))

    await cache.getOrSet('k', loader, SWR)

    await eventually(() => loader.calls === 1)
    assert.deepEqual(previous, ['old'])
  })

  test('an invalidated value is never ctx.previous, nor served when the loader fails', async (t) => {
    const cache = await withStaleEntry(t, ON_ERROR)
    const error = new Error('down')
    let previous = 'not asked'
    await cache.invalidate('k')

    const loader = (ctx) => {
      previous = ctx.previous
      throw error
    }
    assert.equal(await reasonOf(cache.getOrSet('k', loader, ON_ERROR)), error)
    assert.equal(previous, undefined)
  })

  test('staleIfError serves the old value when the loader fails, and not before', async (t) => {
    const cache = await withStaleEntry(t, ON_ERROR)

    const failed = await read(cache, 'k', failing(new Error('down'), 50), ON_ERROR)
    assert.deepEqual([failed.value, failed.outcome], ['old', 'stale'])

    const fresh = await read(cache, 'other', counted('new'), ON_ERROR)
    assert.deepEqual([fresh.value, fresh.outcome], ['new', 'miss'])
  })

  test('staleAfter serves the old value when the loader is slow; its load goes on', async (t) => {
    const options = { ...ON_ERROR, staleAfter: '60ms' }
    const cache = await withStaleEntry(t, options)
    const loader = counted('new', 300)

    const { value, ms } = await timed(() => cache.getOrSet('k', loader, { ...options, ttl: '1m' }))

    assert.equal(value, 'old')
    assert.ok(ms >= 50 && ms < 200, `took ${ms} ms`)
    await eventually(async () => (await cache.get('k')) === 'new')
    assert.equal(loader.calls, 1)
  })

  test('a failed refresh is retried after 1 s, not by every request', async (t) => {
    const cache = await withStaleEntry(t, SWR)
    const loader = failing(new Error('down'))
    const began = Date.now()

    while (Date.now() - began < 1_400) {
      assert.equal(await cache.getOrSet('k', loader, SWR), 'old')
      await sleep(20)
    }

    assert.ok(loader.calls >= 2 && loader.calls <= 3, `${loader.calls} loads`)
  })

  test("a reader's ttl only shortens freshness", async (t) => {
    const cache = open(t)
    await cache.set('long', 'old', { ttl: '1h', staleWhileRevalidate: '1h' })
    await cache.set('short', 'old', { ttl: '100ms', staleWhileRevalidate: '1h' })
    await sleep(150)

    assert.equal((await read(cache, 'long', counted('new'), { ttl: '100ms' })).outcome, 'stale')
    assert.equal((await read(cache, 'short', counted('new'), { ttl: '1h' })).outcome, 'stale')
  })

  for (const target of ['k', { tag: 'red' }, { all: true }]) {
    test(`mode stale by ${JSON.stringify(target)} keeps serving and refreshes on the next read`, async (t) => {
      const cache = open(t)
      const options = { ttl: '1h', staleWhileRevalidate: '1h', tags: ['red'] }
      await cache.set('k', 'old', options)
      const loader = counted('new', 50)

      await cache.invalidate(target, { mode: 'stale' })

      const { value, outcome } = await read(cache, 'k', loader, options)
      assert.deepEqual([value, outcome], ['old', 'stale'])
      await eventually(async () => (await read(cache, 'k', loader, options)).value === 'new')
      assert.equal((await read(cache, 'k', loader, options)).outcome, 'fresh')
      assert.equal(loader.calls, 1)
    })
  }

  test('mode stale without a window makes the caller wait', async (t) => {
    const cache = open(t)
    await cache.set('k', 'old', { staleWhileRevalidate: 0 })

    await cache.invalidate('k', { mode: 'stale' })

    assert.equal(await cache.getOrSet('k', () => 'new'), 'new')
  })

  test('waitUntil is given every background refresh', async (t) => {
    const given = []
    const cache = await withStaleEntry(t, SWR, { waitUntil: (promise) => given.push(promise) })
    const loader = counted('new', 80)
    given.length = 0

    await cache.getOrSet('k', loader, SWR)

    assert.ok(given.length >= 1)
    assert.notEqual(await within(Promise.all(given), 1_000, 'never'), 'never')
    assert.equal(await cache.get('k'), 'new')
  })

  test('a waitUntil that throws changes nothing: not for callers who join, not for the refresh', async (t) => {
    const warnings = []
    const cache = await withStaleEntry(t, SWR, {
      waitUntil() {
        throw new Error('outside of a request')
      },
      logger: { warn: (text) => warnings.push(String(text)) },
    })
    const loader = counted('new', 50)

    const reads = Promise.all(Array.from({ length: 5 }, () => cache.getOrSet('k', loader, { ...SWR, ttl: '1m' })))
    assert.deepEqual(await within(reads, 1_000, 'never'), Array(5).fill('old'))
    assert.equal(await cache.getOrSet('cold', () => 'loaded'), 'loaded')

    await eventually(async () => (await cache.get('k')) === 'new')
    assert.equal(loader.calls, 1)
    assert.ok(
      warnings.some((text) => text.includes('waitUntil')),
      String(warnings),
    )
  })
})

withRedis('between processes', (redis) => {
  test('callers of an entry that went stale in Redis are all served when waitUntil throws', async (t) => {
    const options = { redis: redis.url, namespace: freshNamespace() }
    const peer = await usePeer(t, options)
    await peer.set('k', 'old', SWR)
    await sleep(200)
    const waitUntil = () => {
      throw new Error('outside of a request')
    }
    const cache = open(t, { ...options, waitUntil })
    await cache.ready()

    const reads = Promise.all(Array.from({ length: 3 }, () => cache.getOrSet('k', () => 'new', SWR)))

    assert.deepEqual(await within(reads, 1_000, 'never'), Array(3).fill('old'))
  })

  test('a stale entry is refreshed once in the fleet', async (t) => {
    const peers = await usePeers(t, 3, { redis: redis.url, namespace: freshNamespace() })
    await peers[0].set('k', 'old', SWR)
    await sleep(200)

    const ask = (peer) => peer.readAll(Array(20).fill('k'), { value: 'new', ms: 150 }, { ...SWR, ttl: '1m' })
    const reads = (await Promise.all(peers.map(ask))).flat()

    for (const { value, outcome } of reads) assert.deepEqual([value, outcome], ['old', 'stale'])
    const refreshed = async (peer) => (await peer.read('k', { value: 'again' }, SWR)).value === 'new'
    for (const peer of peers) await eventually(() => refreshed(peer))
    const loads = await Promise.all(peers.map((peer) => peer.loads('k')))
    assert.equal(loads[0] + loads[1] + loads[2], 1)
  })

  test('mode stale reaches the peers', async (t) => {
    const [a, b] = await usePeers(t, 2, { redis: redis.url, namespace: freshNamespace() })
    await a.set('k', 'old')
    assert.equal((await b.read('k')).value, 'old')

    await a.invalidate('k', { mode: 'stale' })

    await eventually(async () => (await b.read('k', { value: 'new' }, { refresh: 'never' })).outcome === 'stale', 500)
    await b.read('k', { value: 'new' })
    const refreshed = async (peer) => (await peer.read('k', { value: 'again' })).value === 'new'
    // b first: a would start a refresh of its own while b's is on its way.
    for (const peer of [b, a]) await eventually(() => refreshed(peer))
  })
})
