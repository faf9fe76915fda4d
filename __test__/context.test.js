'use strict'
// Loaders run in the async context of the caller that started them, and each caller keeps its own after its await:
// request-scoped stores (AsyncLocalStorage; in Next.js headers and cookies) depend on it.

const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { test } = require('node:test')
const { eventually, sleep } = require('./support/kit.js')
const { inBothSetups } = require('./support/setups.js')

const store = new AsyncLocalStorage()

inBothSetups((open) => {
  test('a loader sees the store of its caller, also after its own awaits', async (t) => {
    const cache = open(t)
    const seen = []
    const loader = async () => {
      seen.push(store.getStore())
      await sleep(10)
      seen.push(store.getStore())
      return 1
    }

    await store.run('request 1', () => cache.getOrSet('k', loader))

    assert.deepEqual(seen, ['request 1', 'request 1'])
  })

  test('after its await each caller has its own store: miss, joined, memory hit', async (t) => {
    const cache = open(t)
    const loader = () => sleep(20).then(() => 'value')
    const ask = (name) =>
      store.run(name, async () => {
        await cache.getOrSet('k', loader)
        return store.getStore()
      })

    assert.deepEqual(await Promise.all(['leader', 'joiner 1', 'joiner 2'].map(ask)), ['leader', 'joiner 1', 'joiner 2'])
    assert.equal(await ask('hit'), 'hit')
  })

  test('the same holds for get, set, invalidate and metrics', async (t) => {
    const cache = open(t)
    const calls = {
      get: () => cache.get('k'),
      set: () => cache.set('k', 1),
      invalidate: () => cache.invalidate('k'),
      metrics: () => cache.metrics(),
      health: () => cache.health(),
    }

    const ask = ([name, call]) =>
      store.run(name, async () => {
        await call()
        return store.getStore()
      })
    const names = await Promise.all(Object.entries(calls).map(ask))

    assert.deepEqual(names, Object.keys(calls))
  })

  test('a joined load runs in the context of its leader, an interleaved other load in its own', async (t) => {
    const cache = open(t)
    const seen = {}
    const loader = async ({ key }) => {
      await sleep(10)
      seen[key] = store.getStore()
    }

    const ask = (key, name) => store.run(name, () => cache.getOrSet(key, loader))
    await Promise.all([ask('a', 'first'), ask('a', 'second'), ask('b', 'third'), ask('b', 'fourth')])

    assert.deepEqual(seen, { a: 'first', b: 'third' })
  })

  test('a background refresh runs in the context of the caller that caused it', async (t) => {
    const cache = open(t)
    await store.run('writer', () => cache.set('k', 'old', { ttl: '100ms', staleWhileRevalidate: '1m' }))
    await sleep(150)
    let seen

    await store.run('reader', () =>
      cache.getOrSet('k', () => {
        seen = store.getStore()
        return 'new'
      }),
    )

    await eventually(() => seen !== undefined)
    assert.equal(seen, 'reader')
  })

  test('a caller without a store gets none from the others', async (t) => {
    const cache = open(t)
    const loader = () => sleep(10).then(() => store.getStore() ?? 'none')

    const inside = store.run('request', () => cache.getOrSet('a', loader))
    const outside = cache.getOrSet('b', loader)

    assert.deepEqual(await Promise.all([inside, outside]), ['request', 'none'])
    assert.equal(store.getStore(), undefined)
  })

  test('onResult is called in the context of its caller', async (t) => {
    const cache = open(t)
    const seen = []
    const ask = (name) =>
      store.run(name, () => cache.getOrSet('k', () => sleep(10), { onResult: () => seen.push(store.getStore()) }))

    await Promise.all([ask('first'), ask('second')])
    await ask('third')

    assert.deepEqual(seen.sort(), ['first', 'second', 'third'])
  })
})
