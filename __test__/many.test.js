'use strict'
// getOrSetMany in one process: one read, one call of the loader for all that are missing.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, sleep } = require('./support/kit.js')
const { loaderOf, numbered, plain } = require('./support/many.js')
const { inBothSetups, open } = require('./support/setups.js')

inBothSetups((openCache) => {
  test('what is missing is loaded in one call, in the order asked, and is there the next time', async (t) => {
    const cache = openCache(t)
    const loader = loaderOf()
    await cache.set('b', 'known')

    const first = await cache.getOrSetMany(['c', 'b', 'a'], loader)
    const second = await cache.getOrSetMany(['a', 'b', 'c'], loader)

    assert.deepEqual(
      [...first],
      [
        ['c', 'value of c'],
        ['b', 'known'],
        ['a', 'value of a'],
      ],
    ) // prettier-ignore
    assert.deepEqual([...second.keys()], ['a', 'b', 'c'])
    assert.deepEqual(loader.calls, [['c', 'a']])
    assert.equal(await cache.get('a'), 'value of a')
  })

  test('a key given twice is one; none at all calls nobody', async (t) => {
    const cache = openCache(t)
    const loader = loaderOf()

    const found = await cache.getOrSetMany(['a', 'b', 'a', 'a'], loader)
    const none = await cache.getOrSetMany([], loader)

    assert.deepEqual([...found.keys()], ['a', 'b'])
    assert.equal(none.size, 0)
    assert.deepEqual(loader.calls, [['a', 'b']])
  })

  test('a Map and a plain object are read alike, by own members only', async (t) => {
    const cache = openCache(t)
    const record = Object.create(null)
    record.a = 1

    assert.deepEqual(plain(await cache.getOrSetMany(['a', 'b'], () => record)), { a: 1 })
    assert.deepEqual(plain(await cache.getOrSetMany(['c'], () => ({ c: 3 }))), { c: 3 })
    assert.deepEqual(plain(await cache.getOrSetMany(['d'], async () => new Map([['d', 4]]))), { d: 4 })
    const inherited = await cache.getOrSetMany(['constructor', 'toString', '__proto__'], () => ({}))
    assert.equal(inherited.size, 0)
  })

  test('keys that the loader does not know are absent, are not cached, and hold nothing up', async (t) => {
    const cache = openCache(t)

    const found = await cache.getOrSetMany(['a', 'gone'], () => ({ a: 1 }))
    const loader = counted('there now')

    assert.deepEqual(plain(found), { a: 1 })
    assert.equal(found.has('gone'), false)
    assert.equal(await cache.get('gone'), undefined)
    assert.equal(await cache.getOrSet('gone', loader), 'there now')
    assert.equal(loader.calls, 1)
  })

  test('undefined and null are values; keys that nobody asked for are ignored', async (t) => {
    const cache = openCache(t)

    const found = await cache.getOrSetMany(
      ['u', 'n'],
      () =>
        new Map([
          ['u', undefined],
          ['n', null],
          ['extra', 1],
        ]),
    ) // prettier-ignore

    assert.deepEqual(
      [...found],
      [
        ['u', undefined],
        ['n', null],
      ],
    ) // prettier-ignore
    assert.equal(await cache.get('extra'), undefined)
    const again = await cache.getOrSetMany(['u', 'n'], () => assert.fail('they are there'))
    assert.deepEqual([...again.keys()], ['u', 'n'])
  })

  test('what is returned is a copy, on the miss too', async (t) => {
    const cache = openCache(t)
    const value = { list: [1] }

    const first = (await cache.getOrSetMany(['a'], () => ({ a: value }))).get('a')
    first.list.push(2)

    assert.notEqual(first, value)
    assert.deepEqual((await cache.getOrSetMany(['a'], () => ({}))).get('a'), { list: [1] })
  })

  test('1,000 keys are one call of the loader too', async (t) => {
    const cache = openCache(t)
    const keys = numbered(1_000)
    const loader = loaderOf((key) => key)

    const first = await cache.getOrSetMany(keys, loader)
    const second = await cache.getOrSetMany(keys, loader)

    assert.deepEqual([first.size, second.size], [1_000, 1_000])
    assert.ok([...second].every(([key, value]) => key === value))
    assert.deepEqual(
      loader.calls.map((list) => list.length),
      [1_000],
    )
  })

  test('in a view, keys are those of the view', async (t) => {
    const cache = openCache(t)
    const view = cache.namespace('v')
    await cache.set('a', 'of the cache')

    const loader = loaderOf()
    const found = await view.getOrSetMany(['a', '\0b'], loader, { tags: ['t'], version: 2 })

    assert.deepEqual([...found.keys()], ['a', '\0b'])
    assert.deepEqual(loader.calls, [['a', '\0b']])
    assert.deepEqual([await view.get('a', { version: 2 }), await cache.get('a')], ['value of a', 'of the cache'])
    await view.invalidate('a')
    assert.deepEqual([...(await view.getOrSetMany(['a', '\0b'], loader, { version: 2 })).keys()], ['a', '\0b'])
    assert.deepEqual(loader.calls[1], ['a'])
  })

  test('callers of a key that its source does not know share one call', async (t) => {
    const cache = openCache(t)
    const loader = counted(async () => {
      await sleep(50)
      return {}
    })

    const calls = Array.from({ length: 20 }, () => cache.getOrSetMany(['unknown'], loader))

    for (const values of await Promise.all(calls)) assert.deepEqual(plain(values), {})
    assert.equal(loader.calls, 1)
  })

  test('one who knows the key is not told that it is unknown', async (t) => {
    const cache = openCache(t)
    const unknown = cache.getOrSetMany(['k'], () => sleep(50).then(() => ({})))

    assert.equal(await cache.getOrSet('k', () => 'known'), 'known')
    assert.deepEqual(plain(await unknown), {})
  })

  test('reads are counted one by one', async (t) => {
    const cache = openCache(t)
    const keys = numbered(20)
    const before = await cache.metrics()
    await cache.getOrSetMany(keys, loaderOf())
    await cache.getOrSetMany(keys, loaderOf())
    const after = await cache.metrics()

    const grown = (of) => of(after) - of(before)
    assert.deepEqual([grown((m) => m.misses), grown((m) => m.hits), grown((m) => m.loads.succeeded)], [20, 20, 20])
  })
})

test('an outage of Redis costs getOrSetMany its loader, and nothing else', async (t) => {
  const cache = open(t, { redis: 'redis://127.0.0.1:1' })

  assert.deepEqual(plain(await cache.getOrSetMany(['a', 'b'], loaderOf())), { a: 'value of a', b: 'value of b' })
})
