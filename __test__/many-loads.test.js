'use strict'
// getOrSetMany among other calls: shared loads, failures, callers who leave, and the end of the cache.

const assert = require('node:assert/strict')
const { getEventListeners } = require('node:events')
const { test } = require('node:test')
const { deferred, eventually, gated, sleep, within } = require('./support/kit.js')
const { loaderOf, plain } = require('./support/many.js')
const { inBothSetups, rejectsWith } = require('./support/setups.js')

inBothSetups((openCache) => {
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
      /^the loader of '[ab]' took longer than 40 ms$/,
    ) // prettier-ignore
    await eventually(() => signal.aborted)
    assert.deepEqual(plain(await cache.getOrSetMany(['a', 'b'], () => ({ a: 1 }))), { a: 1 })
  })

  test('one key that fails rejects the call; what was loaded beside it is stored, what was not is free', async (t) => {
    const cache = openCache(t)
    const error = new Error('down')
    const slow = gated('slow')
    const bad = cache.getOrSet('bad', () => sleep(20).then(() => Promise.reject(error)))
    const waits = cache.getOrSet('slow', slow)
    await slow.began
    const loader = loaderOf()

    const reason = await cache.getOrSetMany(['bad', 'slow', 'a'], loader).catch((it) => it)

    assert.equal(reason, error)
    await assert.rejects(bad, error)
    assert.deepEqual(loader.calls, [['a']])
    await eventually(async () => (await cache.get('a')) === 'value of a')
    slow.release()
    assert.equal(await waits, 'slow')
    assert.equal(await cache.getOrSet('bad', () => 'good'), 'good')
  })

  test('a call that failed asks nothing more, whatever becomes of what it waited for', async (t) => {
    const cache = openCache(t)
    const [gate, began] = [deferred(), deferred()]
    const first = cache.getOrSetMany(['gone'], () => {
      began.resolve()
      return gate.promise
    })
    await began.promise
    const down = () => Promise.reject(new Error('down'))
    const calls = [{}, { ttl: 0 }].map((options) => cache.getOrSetMany(['gone', 'a'], down, options))
    await Promise.all(calls.map((call) => assert.rejects(call, /down/)))
    const { loads } = await cache.metrics()

    gate.resolve({})
    assert.equal((await first).size, 0)
    await sleep(20)
    assert.ok((await cache.metrics()).loads.started <= loads.started + calls.length)
    assert.equal(await cache.getOrSet('gone', () => 'there now'), 'there now')
  })

  test('a key whose value is of no use after all is loaded once more', async (t) => {
    const cache = openCache(t)
    const policy = { ttl: '1ms', staleWhileRevalidate: 0, staleIfError: '1m' }
    await cache.set('a', 'old', policy)
    await sleep(5)
    // It may be served when it is found, and no more when it is to be served.
    const answers = [true, false]
    const validate = () => answers.shift() ?? true
    const loader = loaderOf(undefined, 20)

    const call = cache.getOrSetMany(['a'], loader, { ...policy, staleAfter: '5ms', validate })

    assert.deepEqual(plain(await within(call, 2_000, [])), { a: 'value of a' })
  })

  test('many keys are one listener on the signal', async (t) => {
    const cache = openCache(t)
    const warnings = []
    const onWarning = ({ name }) => warnings.push(name)
    process.on('warning', onWarning)
    t.after(() => process.off('warning', onWarning))
    const { signal } = new AbortController()
    const keys = Array.from({ length: 50 }, (_, n) => `k${n}`)

    await cache.getOrSetMany(keys, loaderOf(undefined, 5), { signal })
    await sleep(5)

    assert.deepEqual(warnings, [])
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  test('closing in the middle: a call from before ends with its values, as one of getOrSet does', async (t) => {
    const cache = openCache(t)
    const began = deferred()
    const call = cache.getOrSetMany(['a', 'b', 'absent'], async () => {
      began.resolve()
      await sleep(20)
      return { a: 1, b: 2 }
    })
    await began.promise
    await cache.close()

    assert.deepEqual(plain(await within(call, 1_000, [])), { a: 1, b: 2 })
    await rejectsWith(
      cache.getOrSetMany(['a'], () => ({})),
      'CacheClosedError',
      'ERR_CACHE_CLOSED',
    )
  })

  test('an aborted signal ends the call before anything is asked', async (t) => {
    const cache = openCache(t)
    const reason = new Error('too late')
    const loader = loaderOf()

    const call = cache.getOrSetMany(['a'], loader, { signal: AbortSignal.abort(reason) })

    assert.equal(await call.catch((it) => it), reason)
    assert.deepEqual(loader.calls, [])
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

  test('a value that cannot be stored rejects the call, or is passed by; the others are stored', async (t) => {
    const cache = openCache(t)
    const load = () => ({ a: 1, f: () => {} })

    const many = cache.getOrSetMany(['a', 'f'], load)
    const { path } = await rejectsWith(many, 'CacheEncodeError', 'ERR_CACHE_ENCODE', / \(key 'f'\)$/)
    assert.equal(path, '')
    assert.equal(await cache.get('a'), 1)
    const found = await cache.getOrSetMany(['f'], load, { onEncodeError: 'bypass' })
    assert.equal(typeof found.get('f'), 'function')
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
