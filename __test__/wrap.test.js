'use strict'
// wrap: a function that keeps what it returns, under a key made of its arguments.

const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { test } = require('node:test')
const { deferred, eventually, sleep } = require('./support/kit.js')
const { inBothSetups, open, rejectsWith } = require('./support/setups.js')

/** A function that counts its calls and returns what it was called with. */
function echo() {
  const fn = async (...args) => {
    fn.calls++
    return args
  }
  return Object.assign(fn, { calls: 0 })
}

const CONFIG = ['CacheConfigError', 'ERR_CACHE_CONFIG']

inBothSetups((openCache) => {
  test('each key is called for once; other arguments are another key', async (t) => {
    const fn = echo()
    const get = openCache(t).wrap(fn, { key: (id, lang = 'en') => `user:${id}:${lang}` })

    assert.deepEqual(await Promise.all([get(1), get(1), get(1, 'en'), get(2, 'de')]), [[1], [1], [1], [2, 'de']])
    assert.deepEqual(await get(1), [1])
    assert.equal(fn.calls, 2)
  })

  test('key and invalidate are of the same arguments, and nothing else goes', async (t) => {
    const cache = openCache(t)
    const fn = echo()
    const get = cache.wrap(fn, { key: (id) => `user:${id}` })
    await Promise.all([get(1), get(2)])

    assert.equal(get.key(1), 'user:1')
    const receipt = await get.invalidate(1)

    assert.deepEqual(Object.keys(receipt), ['redis'])
    assert.deepEqual([await cache.get('user:1'), await cache.get('user:2')], [undefined, [2]])
    await Promise.all([get(1), get(2)])
    assert.equal(fn.calls, 3)
  })

  test('tags are a list, or made of the arguments', async (t) => {
    const cache = openCache(t)
    const fn = echo()
    const listed = cache.wrap(fn, { key: (id) => `a:${id}`, tags: ['group'] })
    const made = cache.wrap(fn, { key: (id) => `b:${id}`, tags: (id) => ['group', `one:${id}`] })
    await Promise.all([listed(1), made(1), made(2)])

    await cache.invalidate({ tag: 'one:1' })
    assert.deepEqual((await cache.inspect('b:2')).tags.sort(), ['group', 'one:2'])
    assert.equal(await cache.get('b:1'), undefined)
    await cache.invalidate({ tag: 'group' })
    assert.deepEqual([await cache.get('a:1'), await cache.get('b:2')], [undefined, undefined])
  })

  test('options hold for each call; what is not given comes from the defaults of the cache', async (t) => {
    const cache = openCache(t, { defaults: { ttl: '1ms', staleWhileRevalidate: 0, tags: ['all'] } })
    const fn = echo()
    const short = cache.wrap(fn, { key: () => 'short' })
    const long = cache.wrap(fn, { key: () => 'long', ttl: '1h', version: 2 })
    await Promise.all([short(), long()])
    await sleep(5)
    await Promise.all([short(), long()])

    assert.equal(fn.calls, 3)
    assert.deepEqual((await cache.inspect('long', { version: 2 })).tags, ['all'])
    assert.equal(await cache.inspect('long'), undefined)
    await long.invalidate()
    assert.equal(await cache.inspect('long', { version: 2 }), undefined)
  })

  test('it runs with the `this`, the arguments and the async context of its caller; key and tags have no `this`', async (t) => {
    const store = new AsyncLocalStorage()
    const seen = []
    const cache = openCache(t)
    class Repository {
      rows = { 7: 'seven' }
      find = cache.wrap(this.findNow, {
        key(id) {
          seen.push(this)
          return `users:${id}`
        },
        tags() {
          seen.push(this)
          return []
        },
      })
      async findNow(id) {
        return [this.rows[id], store.getStore()]
      }
    }
    const users = new Repository()

    assert.deepEqual(await store.run('request', () => users.find(7)), ['seven', 'request'])
    await users.find.invalidate(7)
    assert.deepEqual(await store.run('another', () => users.find(7)), ['seven', 'another'])
    assert.equal(users.find.key(7), 'users:7')
    assert.deepEqual(seen, Array(6).fill(undefined))
  })

  test('its error is its own: the same object for all callers, and not kept', async (t) => {
    const error = new Error('down')
    let fails = true
    const get = openCache(t).wrap(
      async () => {
        if (fails) throw error
        return 'up'
      },
      { key: 'k' },
    )

    const reasons = await Promise.all([get(), get()].map((call) => call.catch((reason) => reason)))
    fails = false

    assert.ok(reasons.every((reason) => reason === error))
    assert.equal(await get(), 'up')
  })

  test('functions that return a value, or something like a promise, are as good', async (t) => {
    const cache = openCache(t)
    const sync = cache.wrap((n) => n * n, { key: (n) => `square:${n}` })
    // biome-ignore lint/suspicious/noThenProperty: query builders are such
    const query = cache.wrap((id) => ({ then: (resolve) => resolve({ id }) }), { key: (id) => `query:${id}` })

    assert.deepEqual([await sync(3), await query(1)], [9, { id: 1 }])
    assert.deepEqual([await sync(3), await query(1)], [9, { id: 1 }])
  })

  test('a signal among the options ends the wait of each call', async (t) => {
    const controller = new AbortController()
    const gate = deferred()
    const get = openCache(t).wrap(() => gate.promise, { key: 'k', signal: controller.signal })
    const call = get()
    await sleep(5)
    controller.abort(new Error('enough'))

    await assert.rejects(call, /enough/)
    await assert.rejects(get(), /enough/)
    gate.resolve(1)
  })

  test('in a view, key and tags are those of the view', async (t) => {
    const cache = openCache(t)
    const view = cache.namespace('v')
    const get = view.wrap(echo(), { key: (id) => `k:${id}`, tags: (id) => [`t:${id}`] })
    await get(1)
    await get(2)

    assert.deepEqual([await cache.get('k:1'), await view.get('k:1')], [undefined, [1]])
    await cache.invalidate({ key: 'k:1', tag: 't:1' })
    assert.deepEqual(await view.get('k:1'), [1])
    await view.invalidate({ tag: 't:1' })
    await get.invalidate(2)
    assert.deepEqual([await view.get('k:1'), await view.get('k:2')], [undefined, undefined])
  })
})

test('the wrapped function keeps the name, and is told apart in a stack', (t) => {
  const get = open(t, { redis: false }).wrap(async function findUser() {}, { key: 'k' })

  assert.equal(get.name, 'findUser')
})

test('a constant key on a function of arguments is refused: when wrapped, else when called', async (t) => {
  const cache = open(t, { redis: false })
  const refused = { code: 'ERR_CACHE_CONFIG', message: /key must be a function of the arguments.*got 'users'/ }

  assert.throws(() => cache.wrap(async (id) => id, { key: 'users' }), refused)
  for (const fn of [async (...ids) => ids, async (id = 1) => id, async () => 1]) {
    const get = cache.wrap(fn, { key: 'users' })
    await assert.rejects(get(7), refused)
    await assert.rejects(get.invalidate(7), refused)
    assert.throws(() => get.key(7), refused)
    assert.equal(get.key(), 'users')
    await get()
  }
  assert.equal((await cache.metrics()).memory.entries, 1)
})

test('what key and tags return is checked, and nothing is called or stored', async (t) => {
  const cache = open(t, { redis: false })
  const fn = echo()
  const circular = {}
  circular.self = circular
  const keys = [
    [(id) => id, [7], /what key of wrap returns must be a non-empty string; got 7/],
    [() => undefined, [], /got undefined/],
    [() => '', [], /got ''/],
    [async () => 'k', [], /got .*Promise/],
    [() => 'k'.repeat(9_000), [], /9000 bytes/],
    [(id) => `user:${id}`, [Symbol('s')], /key of wrap threw: .*Symbol/],
    [(filter) => JSON.stringify(filter), [circular], /key of wrap threw: .*circular/],
    [(filter) => JSON.stringify(filter), [1n], /key of wrap threw: .*BigInt/],
    [(filter) => JSON.stringify(filter), [undefined], /got undefined/],
    [(user) => user.id, [undefined], /key of wrap threw: Cannot read/],
  ]
  for (const [key, args, message] of keys) {
    const get = cache.wrap(fn, { key })
    await rejectsWith(get(...args), ...CONFIG, message)
    await rejectsWith(get.invalidate(...args), ...CONFIG, message)
    assert.throws(() => get.key(...args), { code: 'ERR_CACHE_CONFIG', message })
  }
  for (const [tags, message] of [
    [() => 'tag', /what tags of wrap returns must be an array of strings; got 'tag'/],
    [() => undefined, /got undefined/],
    [async () => ['t'], /got .*Promise/],
    [() => [''], /what tags of wrap returns\[0\].*got ''/],
    [(user) => [user.id], /tags of wrap threw: Cannot read/],
  ]) {
    await rejectsWith(cache.wrap(fn, { key: () => 'k', tags })(), ...CONFIG, message)
  }
  assert.equal(fn.calls, 0)
  assert.equal((await cache.metrics()).memory.entries, 0)
})

test('an error that key threw is kept as the cause', async (t) => {
  const cause = new TypeError('no such tenant')
  const get = open(t, { redis: false }).wrap(echo(), {
    key: () => {
      throw cause
    },
  })

  assert.equal((await get(1).catch((error) => error)).cause, cause)
})

test('a call that is refused is a rejected promise, never a throw', async (t) => {
  const cache = open(t, { redis: false })
  const get = cache.wrap(echo(), { key: (id) => id })
  const [call, invalidation] = [get(7), get.invalidate(7)]

  await Promise.all([call, invalidation].map((promise) => assert.rejects(promise, { code: 'ERR_CACHE_CONFIG' })))
})

test('a wrapped function refreshes a stale value in the background with the arguments of the call', async (t) => {
  const cache = open(t, { redis: false })
  const fn = echo()
  const get = cache.wrap(fn, { key: (id) => `k:${id}`, ttl: '1ms', staleWhileRevalidate: '1m' })
  await get(1, 'first')
  await sleep(5)

  assert.deepEqual(await get(1, 'second'), [1, 'first'])
  await eventually(async () => (await cache.get('k:1'))[1] === 'second')
})
