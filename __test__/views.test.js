'use strict'
// namespace: views of a cache, each with keys, tags, an `all`, counters and listeners of its own.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, eventually, freshNamespace, gated, sleep } = require('./support/kit.js')
const { usePeers } = require('./support/peer.js')
const { inBothSetups, open, rejectsWith, withRedis } = require('./support/setups.js')

const got = (caches, key) => Promise.all(caches.map((cache) => cache.get(key)))

/** A cache, a view, a view in it, and a neighbour whose name begins like it. */
function family(cache) {
  const a = cache.namespace('a')
  return [cache, a, a.namespace('b'), cache.namespace('ab'), cache.namespace('b')]
}

/** Each member of the family holds its number under the key. */
const fill = (caches, key, options) => Promise.all(caches.map((cache, n) => cache.set(key, n, options)))

inBothSetups((openCache, { receipt }) => {
  test('one key is another one in each view, whatever a key looks like', async (t) => {
    const all = family(openCache(t))
    const odd = ['k', 'a', '\0', '\0va\0=k', '\0=k', '\0va', '{a}*', 'ключ 🔑']

    for (const key of odd) await fill(all, key)

    for (const key of odd) assert.deepEqual(await got(all, key), [0, 1, 2, 3, 4], key)
  })

  test('invalidate by key and keys stays in its view', async (t) => {
    const all = family(openCache(t))
    await fill(all, 'k')
    await fill(all, 'l')

    await all[1].invalidate('k')
    assert.deepEqual(await got(all, 'k'), [0, undefined, 2, 3, 4])
    await all[0].invalidate({ keys: ['k', 'l'] })
    assert.deepEqual(await got(all, 'k'), [undefined, undefined, 2, 3, 4])
    assert.deepEqual(await got(all, 'l'), [undefined, 1, 2, 3, 4])
  })

  test('a tag is one of its view: those of the options, of defaults, and those that a loader names', async (t) => {
    const cache = openCache(t, { defaults: { tags: ['everywhere'] } })
    const all = family(cache)
    const named = (ctx) => {
      ctx.tag('named')
      return 'value'
    }
    for (const view of all) {
      await view.set('given', 1, { tags: ['group'] })
      await view.set('default', 1)
      await view.getOrSet('late', named)
    }

    for (const [key, tag] of [
      ['given', 'group'],
      ['default', 'everywhere'],
      ['late', 'named'],
    ]) {
      await all[2].invalidate({ tag })
      const left = (await got(all, key)).map((value) => value !== undefined)
      assert.deepEqual(left, [true, true, false, true, true], tag)
    }
  })

  test('all of a view is all that is in it, and in the views in it; all of the cache is everything', async (t) => {
    const all = family(openCache(t))
    await fill(all, 'k')

    assert.deepEqual(await all[1].invalidate({ all: true }), { redis: receipt })
    assert.deepEqual(await got(all, 'k'), [0, undefined, undefined, 3, 4])
    await fill(all, 'k')
    await all[2].invalidate({ all: true })
    assert.deepEqual(await got(all, 'k'), [0, 1, undefined, 3, 4])
    await all[0].invalidate({ all: true })
    assert.deepEqual(await got(all, 'k'), Array(5).fill(undefined))
  })

  test('a pattern sees the keys of its own view, in all versions', async (t) => {
    const all = family(openCache(t))
    await fill(all, 'user:1')
    await fill(all, 'user:1', { version: 2 })

    await all[1].invalidate({ pattern: 'user:*' })

    assert.deepEqual(await got(all, 'user:1'), [0, undefined, 2, 3, 4])
    assert.equal(await all[1].get('user:1', { version: 2 }), undefined)
    assert.equal(await all[2].get('user:1', { version: 2 }), 2)
    await all[0].invalidate({ pattern: '*' })
    assert.deepEqual(await got(all, 'user:1'), [undefined, undefined, 2, 3, 4])
  })

  test('all of a view, in mode stale: still served, and loaded anew', async (t) => {
    const [, a, b] = family(openCache(t))
    await b.set('k', 'old', { ttl: '1h', staleWhileRevalidate: '1h' })
    await a.invalidate({ all: true }, { mode: 'stale' })
    const loader = counted('new')

    const outcomes = []
    await b.getOrSet('k', loader, { onResult: ({ outcome }) => outcomes.push(outcome) })
    await eventually(async () => (await b.get('k')) === 'new')
    assert.deepEqual([outcomes, loader.calls], [['stale'], 1])
  })

  test('I3 no resurrection: what loads while all of its view, or of one above it, is invalidated is not kept', async (t) => {
    const [root, a, b] = family(openCache(t))
    for (const [n, above] of [b, a, root].entries()) {
      const loader = gated('old')
      const load = b.getOrSet(`k${n}`, loader)
      await loader.began
      await above.invalidate({ all: true })
      const after = b.getOrSet(`k${n}`, () => 'new')
      loader.release()

      assert.equal(await load, 'old')
      assert.equal(await after, 'new')
      assert.equal(await b.get(`k${n}`), 'new')
    }
  })

  test('messages, contexts and results name the key without its view', async (t) => {
    const [, , b] = family(openCache(t))
    const keys = []
    await b.getOrSet('k', ({ key }) => keys.push(key), { onResult: (_, key) => keys.push(key) })
    await b.getOrSetMany(['l'], (asked, { key }) => keys.push(...asked, key) && {})

    const hang = () => new Promise(() => {})
    const error = await rejectsWith(
      b.getOrSet('m', hang, { loadTimeout: '5ms' }),
      'CacheTimeoutError',
      'ERR_CACHE_TIMEOUT',
    )
    assert.match(error.message, /'m'/)
    assert.doesNotMatch(error.message, /\0/)
    assert.deepEqual(keys, ['k', 'k', 'l', 'l'])
  })

  test('a view counts its own reads and loads, whoever made the object; the cache counts them too', async (t) => {
    const cache = openCache(t)
    const a = cache.namespace('a')
    await a.getOrSet('k', () => 1, { ttl: '1h' })
    await cache.namespace('a').getOrSet('k', () => 1)
    await a.namespace('b').getOrSet('k', () => 1)
    await assert.rejects(a.getOrSet('bad', () => Promise.reject(new Error('down'))))
    await cache.getOrSet('k', () => 1)
    await a.get('absent')

    const [own, again, below, whole] = await Promise.all(
      [a, cache.namespace('a'), a.namespace('b'), cache].map((one) => one.metrics()),
    )

    assert.deepEqual([own.hits, own.misses, own.hitRate, own.errors], [1, 3, 25, 1])
    assert.deepEqual([own.memory.hits, own.memory.misses], [1, 3])
    assert.deepEqual([own.loads.started, own.loads.succeeded, own.loads.failed], [2, 1, 1])
    assert.deepEqual([again.hits, again.misses], [1, 3])
    assert.deepEqual([below.hits, below.misses, below.loads.started], [0, 1, 1])
    assert.deepEqual([whole.hits, whole.misses, whole.loads.started], [1, 5, 4])
    assert.ok(own.latency.load.max > 0)
    // What is the engine's is told as such.
    assert.deepEqual(own.memory.entries, whole.memory.entries)
    assert.deepEqual(own.redis.enabled, whole.redis.enabled)
  })

  test('stale hits, joined reads and refreshes of a view are counted as they are of a cache', async (t) => {
    const cache = openCache(t)
    const view = cache.namespace('v')
    const policy = { ttl: '1ms', staleWhileRevalidate: '1m' }
    for (const one of [cache, view]) {
      await one.set('k', 1, policy)
      await sleep(5)
      await one.getOrSet('k', () => 2)
      await eventually(async () => (await one.get('k')) === 2)
      const loader = gated(3)
      const calls = [one.getOrSet('l', loader), loader.began.then(() => one.getOrSet('l', loader))]
      await loader.began
      await sleep(5)
      loader.release()
      await Promise.all(calls)
    }

    const [whole, own] = [await cache.metrics(), await view.metrics()]
    const seen = ({ stale, misses, loads }) => [stale, misses, loads.refreshed, loads.joined, loads.succeeded]
    // `get` found its entry each time until it was new.
    assert.deepEqual(seen(own).slice(1), [2, 1, 1, 2])
    assert.ok(own.stale >= 1)
    assert.deepEqual(seen(whole).slice(1), [4, 2, 2, 4])
  })

  test('events of a view reach its listeners and those above, with its name; not those beside and below', async (t) => {
    const [root, a, b, ab] = family(openCache(t))
    const heard = []
    for (const [name, cache] of Object.entries({ root, a, b, ab })) {
      cache.on('miss', ({ key, view }) => heard.push([name, key, view]))
    }
    // Another object of the same view.
    await root.namespace('a').getOrSet('k', () => 1)
    await b.getOrSet('l', () => 1)

    assert.deepEqual(heard, [
      ['a', 'k', 'a'],
      ['root', 'k', 'a'],
      ['b', 'l', 'a/b'],
      ['a', 'l', 'a/b'],
      ['root', 'l', 'a/b'],
    ])
  })

  test('closing a view ends that object; closing the cache ends all of them', async (t) => {
    const cache = openCache(t)
    const [first, second] = [cache.namespace('a'), cache.namespace('a')]
    const below = first.namespace('b')
    await first.set('k', 1)
    await first.close()
    await first.close()

    const closed = ['CacheClosedError', 'ERR_CACHE_CLOSED']
    const wrapped = second.wrap(async () => 1, { key: 'w' })
    await rejectsWith(first.get('k'), ...closed)
    await rejectsWith(
      first.getOrSet('k', () => 1),
      ...closed,
    )
    assert.throws(() => first.namespace('b'), { code: 'ERR_CACHE_CLOSED' })
    assert.deepEqual([await second.get('k'), await below.get('k'), await wrapped()], [1, undefined, 1])

    await cache.close()
    await rejectsWith(second.get('k'), ...closed)
    await rejectsWith(
      second.getOrSetMany(['k'], () => ({})),
      ...closed,
    )
    await rejectsWith(below.inspect('k'), ...closed)
    await rejectsWith(wrapped(), ...closed)
    await rejectsWith(wrapped.invalidate(), ...closed)
    assert.throws(() => cache.namespace('a'), { code: 'ERR_CACHE_CLOSED' })
  })

  test('the limit of a key is that of the key, however deep its view', async (t) => {
    let view = openCache(t)
    for (let depth = 0; depth < 8; depth++) view = view.namespace(`${depth}`.repeat(64))
    const key = 'k'.repeat(8 * 1024)

    await view.set(key, 1, { version: 'v'.repeat(256) })

    assert.equal(await view.get(key, { version: 'v'.repeat(256) }), 1)
    await rejectsWith(view.get(`${key}k`), 'CacheConfigError', 'ERR_CACHE_CONFIG', '8193 bytes')
  })
})

test('many views made of data are not kept for ever, and each still works', async (t) => {
  const cache = open(t, { redis: false })
  const kept = cache.namespace('kept')
  await kept.getOrSet('k', () => 1)
  for (let n = 0; n < 1_500; n++) await cache.namespace(`tenant-${n}`).getOrSet('k', () => n)

  assert.equal(await cache.namespace('tenant-3').getOrSet('k', () => 'again'), 3)
  await kept.getOrSet('k', () => 1)
  const reads = async (view) => {
    const { hits, misses } = await view.metrics()
    return hits + misses
  }
  assert.deepEqual([await reads(kept), await reads(cache.namespace('kept'))], [2, 0])
})

withRedis('views between processes', (redis) => {
  test('a view is the same in every process: its entries, its tags, its all', async (t) => {
    const options = { redis: redis.url, namespace: freshNamespace() }
    const cache = open(t, options)
    const view = cache.namespace('a').namespace('b')
    const [peer] = await usePeers(t, 1, { ...options })
    await peer.view('a', 'b')
    await view.set('k', 'mine', { tags: ['group'] })

    assert.equal(await peer.get('k'), 'mine')
    await peer.invalidate({ tag: 'group' })
    await eventually(async () => (await view.get('k')) === undefined)

    await view.set('k', 'again')
    assert.equal(await peer.get('k'), 'again')
    await cache.namespace('a').invalidate({ all: true })
    await eventually(async () => (await peer.get('k')) === undefined)
  })
})
