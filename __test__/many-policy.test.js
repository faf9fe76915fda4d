'use strict'
// getOrSetMany and lifetimes: what a loader asks for, stale values, and the clock of a test.

const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { describe, test } = require('node:test')
const { createTestCache } = require('../testing.js')
const { deferred, eventually, sleep } = require('./support/kit.js')
const { loaderOf, plain } = require('./support/many.js')
const { inBothSetups } = require('./support/setups.js')

inBothSetups((openCache) => {
  test('ctx.tag, ctx.ttl and ctx.skip hold for every value of the call', async (t) => {
    const cache = openCache(t)
    const make = (keys) => Object.fromEntries(keys.map((key) => [key, 1]))

    await cache.getOrSetMany(['a', 'b'], (keys, ctx) => {
      ctx.tag('group')
      return make(keys)
    })
    await cache.invalidate({ tag: 'group' })
    assert.deepEqual([await cache.get('a'), await cache.get('b')], [undefined, undefined])

    const skipped = await cache.getOrSetMany(['a', 'b'], (keys, ctx) => {
      ctx.skip()
      return make(keys)
    })
    assert.deepEqual(
      [plain(skipped), await cache.get('a'), await cache.get('b')],
      [{ a: 1, b: 1 }, undefined, undefined],
    ) // prettier-ignore

    await cache.getOrSetMany(
      ['c', 'd'],
      (keys, ctx) => {
        ctx.ttl('40ms')
        return make(keys)
      },
      { staleWhileRevalidate: 0 },
    )
    await eventually(async () => (await cache.get('c')) === undefined && (await cache.get('d')) === undefined)
  })

  test('ttl 0 stores nothing; refresh force loads everything anew', async (t) => {
    const cache = openCache(t)
    const loader = loaderOf()

    await cache.getOrSetMany(['a', 'b'], loader, { ttl: 0 })
    await cache.getOrSetMany(['a', 'b'], loader, { ttl: 0 })
    assert.deepEqual(loader.calls, [
      ['a', 'b'],
      ['a', 'b'],
    ]) // prettier-ignore
    assert.equal(await cache.get('a'), undefined)

    await cache.getOrSetMany(['a', 'b'], () => ({ a: 'old', b: 'old' }))
    const forced = await cache.getOrSetMany(['a', 'b'], () => ({ a: 'new', b: 'new' }), { refresh: 'force' })
    assert.deepEqual(plain(forced), { a: 'new', b: 'new' })
    assert.equal(await cache.get('b'), 'new')
  })

  test('stale values are served, and one call in the background brings new ones; what is gone goes', async (t) => {
    const cache = openCache(t)
    const policy = { ttl: '1ms', staleWhileRevalidate: '1m' }
    await cache.getOrSetMany(['a', 'b', 'gone'], () => ({ a: 1, b: 1, gone: 1 }), policy)
    await sleep(5)
    const calls = []
    const previous = []
    const loader = async (keys, ctx) => {
      calls.push(keys)
      previous.push(ctx.previous)
      return { a: 2, b: 2, c: 2 }
    }

    const served = await cache.getOrSetMany(['a', 'b', 'gone', 'c'], loader, { ttl: '1m' })

    assert.deepEqual(plain(served), { a: 1, b: 1, gone: 1, c: 2 })
    await eventually(() => calls.length === 2)
    assert.deepEqual(calls.map((keys) => keys.join()).sort(), ['a,b,gone', 'c'])
    const known = previous.find((it) => it !== undefined)
    assert.deepEqual(
      [...known],
      [
        ['a', 1],
        ['b', 1],
        ['gone', 1],
      ],
    ) // prettier-ignore
    await eventually(async () => (await cache.get('a')) === 2 && (await cache.get('gone')) === undefined)
  })

  test('what the loader does not know any more goes: a stale value beside the load, and a fresh one when forced', async (t) => {
    const cache = openCache(t)
    await cache.set('stale', 1, { ttl: '1ms', staleWhileRevalidate: 0, staleIfError: '1h' })
    await cache.set('fresh', 1)
    await sleep(5)

    const absent = await cache.getOrSetMany(['stale'], () => ({}), { staleIfError: '1h' })
    const forced = await cache.getOrSetMany(['fresh'], () => ({}), { refresh: 'force' })

    assert.deepEqual([absent.size, forced.size], [0, 0])
    assert.deepEqual([await cache.get('stale'), await cache.get('fresh')], [undefined, undefined])
  })

  test('staleIfError serves what there is when the loader of all fails', async (t) => {
    const cache = openCache(t)
    const policy = { ttl: '1ms', staleWhileRevalidate: 0, staleIfError: '1m' }
    await cache.getOrSetMany(['a', 'b'], () => ({ a: 1, b: 1 }), policy)
    await sleep(5)

    const down = () => Promise.reject(new Error('down'))

    assert.deepEqual(plain(await cache.getOrSetMany(['a', 'b'], down, policy)), { a: 1, b: 1 })
    await assert.rejects(cache.getOrSetMany(['a', 'c'], down, policy), /down/)
  })

  test('staleAfter serves what there is once the loader takes longer', async (t) => {
    const cache = openCache(t)
    const policy = { ttl: '1ms', staleWhileRevalidate: 0, staleIfError: '1m' }
    await cache.getOrSetMany(['a', 'b'], () => ({ a: 1, b: 1 }), policy)
    await sleep(5)
    const gate = deferred()

    const served = await cache.getOrSetMany(['a', 'b'], () => gate.promise, { ...policy, staleAfter: '10ms' })
    gate.resolve({ a: 2, b: 2 })

    assert.deepEqual(plain(served), { a: 1, b: 1 })
  })

  test('the loader runs in the async context of its caller, onResult tells of each key', async (t) => {
    const cache = openCache(t)
    const store = new AsyncLocalStorage()
    const seen = []
    const results = []
    await cache.set('there', 1)

    await store.run('request 1', () =>
      cache.getOrSetMany(
        ['there', 'a', 'b'],
        (keys) => {
          seen.push(store.getStore())
          return new Map(keys.map((key) => [key, 1]))
        },
        { onResult: ({ outcome }, key) => results.push(`${key} ${outcome}`) },
      ),
    )

    assert.deepEqual(seen, ['request 1'])
    assert.deepEqual(results.sort(), ['a miss', 'b miss', 'there fresh'])
  })
})

describe('on the clock of a test', () => {
  function openTest(t) {
    const cache = createTestCache()
    t.after(() => cache.close())
    return cache
  }

  test('no time has to pass for what others failed to load', async (t) => {
    const cache = openTest(t)
    const [first, second] = [deferred(), deferred()]
    const controller = new AbortController()
    const one = cache.getOrSetMany(['a', 'b'], () => first.promise, { signal: controller.signal })
    const two = cache.getOrSetMany(['c', 'd'], () => second.promise)
    const loader = loaderOf()
    const call = cache.getOrSetMany(['a', 'b', 'c', 'd', 'e'], loader)
    controller.abort()
    await assert.rejects(one, { name: 'AbortError' })
    await cache.advance(0)

    assert.deepEqual(loader.calls, [['e'], ['a', 'b']])
    second.resolve({ c: 'theirs' })
    assert.deepEqual(plain(await two), { c: 'theirs' })
    const found = plain(await call)
    // 'd' is unknown to the source, and that was asked once.
    assert.deepEqual([Object.keys(found), found.c], [['a', 'b', 'c', 'e'], 'theirs'])
    assert.equal(loader.calls.length, 2)
  })

  test('lifetimes, refreshes and deadlines follow it', async (t) => {
    const cache = openTest(t)
    const loader = loaderOf((key) => `${key} ${loader.calls.length}`)
    const policy = { ttl: '5m', staleWhileRevalidate: '1m' }
    await cache.getOrSetMany(['a', 'b'], loader, policy)
    await cache.advance('5m')

    assert.deepEqual(plain(await cache.getOrSetMany(['a', 'b'], loader, policy)), { a: 'a 1', b: 'b 1' })
    await cache.idle()
    assert.deepEqual(plain(await cache.getOrSetMany(['a', 'b'], loader, policy)), { a: 'a 2', b: 'b 2' })
    assert.deepEqual([loader.calls.length, cache.loads('a'), cache.loads()], [2, 2, 4])

    const hang = cache.getOrSetMany(['h', 'i'], () => new Promise(() => {}), { loadTimeout: '30s' })
    const rejected = assert.rejects(hang, { code: 'ERR_CACHE_TIMEOUT' })
    await cache.advance('30s')
    await rejected
  })

  test('wrapped functions and views follow it', async (t) => {
    const cache = openTest(t)
    const view = cache.namespace('v')
    const get = view.wrap(async (id) => id, { key: (id) => `k:${id}`, ttl: '5m', staleWhileRevalidate: 0 })
    await get(1)
    await cache.advance('299s')
    await get(1)
    assert.equal(cache.loads('k:1'), 1)
    await cache.advance('1s')
    await get(1)

    assert.equal(cache.loads('k:1'), 2)
    const { hits, misses } = await view.metrics()
    assert.deepEqual([hits, misses], [1, 2])
  })
})
