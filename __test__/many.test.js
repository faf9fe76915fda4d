'use strict'
// getOrSetMany in one process: one read, one call of the loader for all that are missing, each key a citizen of its own.

const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { test } = require('node:test')
const { counted, deferred, eventually, gated, sleep } = require('./support/kit.js')
const { inBothSetups, open, rejectsWith } = require('./support/setups.js')

/** A loader of many that notes what it was called with. */
function loaderOf(make = (key) => `value of ${key}`, ms = 0) {
  const loader = async (keys, ctx) => {
    loader.calls.push([...keys])
    loader.ctx = ctx
    if (ms > 0) await sleep(ms)
    return new Map(keys.map((key) => [key, make(key)]))
  }
  return Object.assign(loader, { calls: [] })
}

const plain = (map) => Object.fromEntries(map)
const numbered = (count, name = 'k') => Array.from({ length: count }, (_, n) => `${name}${n}`)

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

  test('overlapping calls and plain reads share loads, whoever came first', async (t) => {
    const cache = openCache(t)
    const b = gated('b, alone')
    const alone = cache.getOrSet('b', b)
    await b.began
    const [first, second] = [loaderOf(undefined, 30), loaderOf(undefined, 30)]

    const one = cache.getOrSetMany(['a', 'b'], first)
    const two = cache.getOrSetMany(['b', 'a', 'c'], second)
    await eventually(() => second.calls.length === 1)
    const joined = cache.getOrSet('c', () => assert.fail('it is being loaded'))
    b.release()

    assert.deepEqual(plain(await one), { a: 'value of a', b: 'b, alone' })
    assert.deepEqual(plain(await two), { b: 'b, alone', a: 'value of a', c: 'value of c' })
    assert.equal(await joined, 'value of c')
    assert.equal(await alone, 'b, alone')
    assert.deepEqual([first.calls, second.calls, b.calls], [[['a']], [['c']], 1])
  })

  test('who joined a key that turns out not to exist asks his own loader', async (t) => {
    const cache = openCache(t)
    const gate = deferred()
    const batch = cache.getOrSetMany(['a', 'b'], () => gate.promise.then(() => ({ a: 1 })))
    await sleep(20)

    const single = cache.getOrSet('b', () => 'mine')
    const later = loaderOf()
    const other = cache.getOrSetMany(['a', 'b'], later)
    await sleep(20)
    gate.resolve()

    assert.deepEqual(plain(await batch), { a: 1 })
    assert.equal(await single, 'mine')
    assert.deepEqual(plain(await other).a, 1)
    assert.ok(later.calls.length <= 1, 'one further call at most')
  })

  test('a loader that fails rejects the call and all who joined with its own error object, and holds nothing', async (t) => {
    const cache = openCache(t)
    const error = new Error('the database is down')
    const gate = deferred()
    const call = cache.getOrSetMany(['a', 'b'], () => gate.promise)
    await sleep(20)
    const joined = cache.getOrSet('b', () => 'not reached')
    await sleep(10)
    gate.reject(error)

    const reasons = await Promise.all([call, joined].map((promise) => promise.catch((reason) => reason)))

    assert.ok(reasons.every((reason) => reason === error))
    assert.deepEqual(plain(await cache.getOrSetMany(['a', 'b'], () => ({ a: 1, b: 2 }))), { a: 1, b: 2 })
  })

  test('a loader that throws at once, or returns something else, rejects; the value is shown', async (t) => {
    const cache = openCache(t)
    const thrown = new TypeError('at once')

    const reason = await cache
      .getOrSetMany(['a'], () => {
        throw thrown
      })
      .catch((it) => it) // prettier-ignore
    assert.equal(reason, thrown)
    for (const [result, shown] of [
      [[1, 2], /\[Array\]|\[/],
      [undefined, /undefined/],
      ['rows', /'rows'/],
      [new Set(['a']), /Set/],
    ]) {
      // prettier-ignore
      const text = 'what the loader of getOrSetMany returns must be a Map'
      await rejectsWith(
        cache.getOrSetMany(['a'], () => result),
        'CacheConfigError',
        'ERR_CACHE_CONFIG',
        text,
        shown,
      )
    }
    assert.equal(await cache.get('a'), undefined)
  })

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

  test('the context names the first key, and its signal lasts while anybody wants any of the values', async (t) => {
    const cache = openCache(t)
    const loader = loaderOf(undefined, 60)
    const mine = new AbortController()
    const call = cache.getOrSetMany(['a', 'b'], loader, { signal: mine.signal })
    await eventually(() => loader.ctx !== undefined)
    const { signal } = loader.ctx
    const joined = cache.getOrSet('b', () => assert.fail('it is being loaded'))
    await sleep(5)
    mine.abort(new Error('enough'))

    await assert.rejects(call, /enough/)
    assert.deepEqual([loader.ctx.key, signal.aborted], ['a', false])
    assert.equal(await joined, 'value of b')
  })

  test('a call whose caller leaves ends its load when nobody else wants it', async (t) => {
    const cache = openCache(t)
    const seen = deferred()
    const mine = new AbortController()
    const hang = (_keys, { signal }) => new Promise(() => seen.resolve(signal))
    const call = cache.getOrSetMany(['a', 'b'], hang, { signal: mine.signal })
    const signal = await seen.promise
    const reason = new Error('enough')
    mine.abort(reason)

    assert.equal(await call.catch((it) => it), reason)
    assert.deepEqual([signal.aborted, signal.reason], [true, reason])
    assert.equal(await cache.getOrSet('a', () => 'next'), 'next')
  })

  test('loadTimeout ends the load of all keys', async (t) => {
    const cache = openCache(t)
    let signal
    const hang = (_keys, ctx) => {
      signal = ctx.signal
      return new Promise(() => {})
    }

    await rejectsWith(
      cache.getOrSetMany(['a', 'b'], hang, { loadTimeout: '40ms' }),
      'CacheTimeoutError',
      'ERR_CACHE_TIMEOUT',
    ) // prettier-ignore
    await eventually(() => signal.aborted)
    assert.deepEqual(plain(await cache.getOrSetMany(['a', 'b'], () => ({ a: 1 }))), { a: 1 })
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

  test('a loader may read other keys, also with getOrSetMany, and those it shares with calls beside it', async (t) => {
    const cache = openCache(t)
    const inner = loaderOf()
    const loader = async (keys) => {
      const parents = await cache.getOrSetMany(['p', 'q'], inner)
      return new Map(keys.map((key) => [key, `${key} of ${parents.get('p')}`]))
    }

    const [one, two] = await Promise.all([
      cache.getOrSetMany(['a', 'b'], loader),
      cache.getOrSetMany(['c', 'q', 'd'], async (keys) => {
        await cache.getOrSet('e', () => 'another')
        return new Map(keys.map((key) => [key, 1]))
      }),
    ])

    assert.equal(one.get('a'), 'a of value of p')
    assert.deepEqual([...two.keys()], ['c', 'q', 'd'])
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

  test('a value that cannot be stored rejects the call, or is passed by; the others are stored', async (t) => {
    const cache = openCache(t)
    const load = () => ({ a: 1, f: () => {} })

    await rejectsWith(cache.getOrSetMany(['a', 'f'], load), 'CacheEncodeError', 'ERR_CACHE_ENCODE')
    assert.equal(await cache.get('a'), 1)
    const found = await cache.getOrSetMany(['f'], load, { onEncodeError: 'bypass' })
    assert.equal(typeof found.get('f'), 'function')
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

  test('after an invalidation no later call returns what was loaded before it', async (t) => {
    const cache = openCache(t)
    const [began, gate] = [deferred(), deferred()]
    const before = cache.getOrSetMany(['a', 'b'], () => {
      began.resolve()
      return gate.promise
    })
    await began.promise
    await cache.invalidate('a')
    const loader = loaderOf(() => 'new')
    const after = cache.getOrSetMany(['a', 'b'], loader)
    await sleep(20)
    gate.resolve({ a: 'old', b: 'old' })

    assert.deepEqual(plain(await before), { a: 'old', b: 'old' })
    assert.equal((await after).get('a'), 'new')
    assert.equal(await cache.get('a'), 'new')
  })
})

test('an outage of Redis costs getOrSetMany its loader, and nothing else', async (t) => {
  const cache = open(t, { redis: 'redis://127.0.0.1:1' })

  assert.deepEqual(plain(await cache.getOrSetMany(['a', 'b'], loaderOf())), { a: 'value of a', b: 'value of b' })
})
