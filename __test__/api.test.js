'use strict'
// What one process sees of getOrSet, get, set and invalidate, the same with Redis and with memory alone.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, gated, read, sleep } = require('./support/kit.js')
const { inBothSetups } = require('./support/setups.js')

const never = counted(() => assert.fail('the loader must not run'))

inBothSetups((open, { receipt }) => {
  test('a miss loads once, the next call is a fresh memory hit', async (t) => {
    const cache = open(t)
    const loader = counted({ n: 1 })

    const first = await read(cache, 'k', loader)
    const second = await read(cache, 'k', loader) // may still join: the value is returned before Redis has it
    await sleep(50)
    const third = await read(cache, 'k', loader)

    assert.deepEqual([first.value, first.outcome, first.tier], [{ n: 1 }, 'miss', null])
    assert.deepEqual([second.value, third.value, loader.calls], [{ n: 1 }, { n: 1 }, 1])
    assert.deepEqual([third.outcome, third.tier], ['fresh', 'memory'])
    assert.ok(third.age >= 0 && third.age < 5_000 && third.waited >= 0 && third.waited < 1_000)
  })

  test('callers of one cold key join one load', async (t) => {
    const cache = open(t)
    const loader = counted('value', 30)

    const reads = await Promise.all(Array.from({ length: 20 }, () => read(cache, 'k', loader)))

    assert.equal(loader.calls, 1)
    assert.deepEqual(new Set(reads.map(({ value }) => value)), new Set(['value']))
    assert.deepEqual(
      reads.map(({ outcome }) => outcome),
      ['miss', ...Array(19).fill('joined')],
    )
  })

  test('a loader may be synchronous', async (t) => {
    const cache = open(t)

    assert.equal(await cache.getOrSet('k', () => 7), 7)
    assert.equal(await cache.getOrSet('k', never), 7)
  })

  test('get never loads: undefined is a miss', async (t) => {
    const cache = open(t)

    assert.equal(await cache.get('k'), undefined)
    await cache.getOrSet('k', () => 'here')
    assert.equal(await cache.get('k'), 'here')
  })

  test('set resolves to nothing and is read by get and getOrSet', async (t) => {
    const cache = open(t)

    assert.equal(await cache.set('k', [1]), undefined)

    assert.deepEqual(await cache.get('k'), [1])
    assert.deepEqual(await cache.getOrSet('k', never), [1])
    await cache.set('k', [2])
    assert.deepEqual(await cache.get('k'), [2])
  })

  test('set keeps its ttl and tags', async (t) => {
    const cache = open(t)
    await cache.set('brief', 1, { ttl: '150ms', staleWhileRevalidate: 0 })
    await cache.set('tagged', 2, { tags: ['red'] })

    await cache.invalidate({ tag: 'red' })
    await sleep(200)

    assert.equal(await cache.get('brief'), undefined)
    assert.equal(await cache.get('tagged'), undefined)
  })

  test('null and undefined are values', async (t) => {
    const cache = open(t)
    for (const value of [null, undefined]) {
      const loader = counted(value)
      assert.equal(await cache.getOrSet(`k ${value}`, loader), value)
      assert.equal(await cache.getOrSet(`k ${value}`, loader), value)
      assert.equal(loader.calls, 1)
    }
    assert.equal(await cache.get('k null'), null)
  })

  test('ctx.skip returns the value and caches nothing', async (t) => {
    const cache = open(t)
    const loader = counted((call, ctx) => {
      ctx.skip()
      return call
    })

    assert.equal(await cache.getOrSet('k', loader), 1)
    assert.equal(await cache.getOrSet('k', loader), 2)
    assert.equal(await cache.get('k'), undefined)
  })

  test('ttl 0 is not stored, still single-flight', async (t) => {
    const cache = open(t)
    const loader = counted((call) => call, 20)
    const ask = () => cache.getOrSet('k', loader, { ttl: 0 })

    assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [1, 1, 1])
    assert.equal(await ask(), 2)
    assert.equal(await cache.get('k'), undefined)
  })

  test('ctx.ttl replaces the ttl of the options', async (t) => {
    const cache = open(t)
    const loader = counted((call, ctx) => {
      ctx.ttl('150ms')
      return call
    })
    const ask = () => cache.getOrSet('k', loader, { ttl: '1h', staleWhileRevalidate: 0 })

    assert.deepEqual([await ask(), await ask()], [1, 1])
    await sleep(200)
    assert.equal(await ask(), 2)
  })

  test('the context has the key, a signal, and no previous value on a miss', async (t) => {
    const cache = open(t)
    const loader = gated('value')

    const pending = cache.getOrSet('the key', loader)
    const ctx = await loader.began
    loader.release()
    await pending

    assert.equal(ctx.key, 'the key')
    assert.ok(ctx.signal instanceof AbortSignal && !ctx.signal.aborted)
    assert.equal(ctx.previous, undefined)
  })

  test('refresh force loads now and replaces, also what is still on its way to Redis', async (t) => {
    const cache = open(t)
    for (let i = 0; i < 30; i++) {
      const loader = counted((call) => call)
      assert.equal(await cache.getOrSet(`k${i}`, loader), 1)
      assert.equal(await cache.getOrSet(`k${i}`, loader, { refresh: 'force' }), 2)
      assert.equal(await cache.getOrSet(`k${i}`, loader), 2)
      assert.equal(await cache.get(`k${i}`), 2)
    }
  })

  const targets = {
    'a key as text': 'k',
    'a key': { key: 'k' },
    keys: { keys: ['other', 'k'] },
    'a tag': { tag: 'red' },
    tags: { tags: ['blue', 'red'] },
    'a tag the loader named': { tag: 'late' },
    all: { all: true },
    'a union': { key: 'other', tags: ['red'] },
  }
  for (const [name, target] of Object.entries(targets)) {
    test(`invalidate by ${name} makes the next read load, and says what Redis did`, async (t) => {
      const cache = open(t)
      const loader = counted((call, ctx) => {
        ctx.tag('late')
        return call
      })
      const ask = () => cache.getOrSet('k', loader, { tags: ['red'] })
      assert.deepEqual([await ask(), await ask()], [1, 1])

      assert.deepEqual(await cache.invalidate(target), { redis: receipt })

      assert.equal(await cache.get('k'), undefined)
      assert.equal(await ask(), 2)
      assert.equal(await ask(), 2)
    })
  }

  test('invalidate leaves other keys, tags and namespaces alone', async (t) => {
    const [cache, other] = [open(t), open(t)]
    await cache.set('kept', 1, { tags: ['blue'] })
    await other.set('k', 2, { tags: ['red'] })

    await cache.invalidate({ key: 'k', tag: 'red' })
    await other.invalidate({ key: 'kept', tag: 'blue' })
    await open(t).invalidate({ all: true })

    assert.equal(await cache.get('kept'), 1)
    assert.equal(await other.get('k'), 2)
  })

  test('a returned value is a copy: changing it changes nothing in the cache', async (t) => {
    const cache = open(t)
    const source = { list: [1], at: new Date(0) }
    const loader = counted(source, 10)
    const ask = () => cache.getOrSet('k', loader)

    const copies = [...(await Promise.all([ask(), ask()])), await ask(), await cache.get('k')]
    for (const copy of copies) {
      assert.deepEqual(copy, { list: [1], at: new Date(0) })
      copy.list.push(2)
      copy.at.setTime(1)
    }

    assert.deepEqual(source, { list: [1], at: new Date(0) })
    assert.deepEqual(await ask(), { list: [1], at: new Date(0) })
    assert.equal(loader.calls, 1)
  })
})
