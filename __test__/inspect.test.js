'use strict'
// inspect: what is cached of a key, seen without a trace.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { createTestCache } = require('../testing.js')
const { counted, eventually, freshNamespace, sleep } = require('./support/kit.js')
const { inBothSetups, open, withRedis } = require('./support/setups.js')

inBothSetups((openCache) => {
  test('it tells tier, age, state, tags and bytes, and undefined of what is not there', async (t) => {
    const cache = openCache(t)
    await cache.set('k', 'x'.repeat(1_000), { tags: ['b', 'a', 'b'] })
    await sleep(10)

    const { tier, age, state, tags, bytes, ...others } = await cache.inspect('k')

    assert.deepEqual([tier, state, tags.sort(), others], ['memory', 'fresh', ['a', 'b'], {}])
    assert.ok(Number.isInteger(age) && age >= 5 && age < 2_000, `age ${age}`)
    assert.ok(bytes >= 1_000 && bytes < 1_100, `bytes ${bytes}`)
    assert.equal(await cache.inspect('absent'), undefined)
    await cache.invalidate('k')
    assert.equal(await cache.inspect('k'), undefined)
  })

  test('a stale entry is told as such, refreshed by nobody, and what no read would get is not there', async (t) => {
    const cache = openCache(t)
    await cache.set('stale', 1, { ttl: '1ms', staleWhileRevalidate: '1h' })
    await cache.set('marked', 1, { staleWhileRevalidate: '1h' })
    await cache.set('expired', 1, { ttl: '1ms', staleWhileRevalidate: 0 })
    await cache.invalidate('marked', { mode: 'stale' })
    await sleep(10)

    const seen = await Promise.all(['stale', 'marked', 'expired'].map((key) => cache.inspect(key)))

    assert.deepEqual(
      seen.map((one) => one?.state),
      ['stale', 'stale', undefined],
    )
    const loader = counted(2)
    await cache.getOrSet('stale', loader)
    await eventually(() => loader.calls === 1)
  })

  test('it counts nothing and tells nobody', async (t) => {
    const cache = openCache(t)
    const heard = []
    for (const name of ['hit', 'miss', 'stale', 'load']) cache.on(name, () => heard.push(name))
    await cache.set('k', 1)
    const before = await cache.metrics()
    for (const key of ['k', 'absent', 'k']) await cache.inspect(key)
    const after = await cache.metrics()

    const counts = ({ hits, misses, stale, memory, redis, loads }) => [
      hits,
      misses,
      stale,
      memory.hits,
      memory.misses,
      redis.hits,
      redis.misses,
      loads,
    ]
    assert.deepEqual(counts(after), counts(before))
    assert.deepEqual(heard, [])
  })

  test('it sees one version, and the tags of its own view', async (t) => {
    const cache = openCache(t)
    const view = cache.namespace('a').namespace('b')
    await view.set('k', 1, { tags: ['one'], version: 1 })
    await view.set('k', 'two', { tags: ['two', '\0odd'], version: 2 })

    assert.equal(await view.inspect('k'), undefined)
    assert.deepEqual((await view.inspect('k', { version: 1 })).tags, ['one'])
    assert.deepEqual((await view.inspect('k', { version: '2' })).tags.sort(), ['\0odd', 'two'])
    assert.equal(await cache.inspect('k', { version: 1 }), undefined)
  })
})

withRedis('inspect of Redis', (redis) => {
  test('what only Redis has is told from there, and not brought into memory', async (t) => {
    const options = { redis: redis.url, namespace: freshNamespace() }
    const writer = open(t, { ...options, memory: false })
    await writer.set('k', 'value', { tags: ['t'], staleWhileRevalidate: '1h' })

    for (let n = 0; n < 2; n++) {
      const { tier, state, tags } = await writer.inspect('k')
      assert.deepEqual([tier, state, tags], ['redis', 'fresh', ['t']])
    }
    await writer.invalidate({ tag: 't' }, { mode: 'stale' })
    assert.equal((await writer.inspect('k')).state, 'stale')
    await writer.invalidate({ pattern: 'k*' })
    assert.equal(await writer.inspect('k'), undefined)
  })

  test('I5 Redis never hurts: without an answer of Redis there is what memory has', async (t) => {
    const cache = open(t, { redis: 'redis://127.0.0.1:1' })
    await cache.getOrSet('k', () => 1)

    assert.equal((await cache.inspect('k')).tier, 'memory')
    assert.equal(await cache.inspect('absent'), undefined)
  })
})

test('its age is that of the clock of the cache', async (t) => {
  const cache = createTestCache()
  t.after(() => cache.close())
  await cache.set('k', 1, { ttl: '1m', staleWhileRevalidate: '1m' })
  await cache.advance('90s')

  const { age, state } = await cache.inspect('k')

  assert.deepEqual([age, state], [90_000, 'stale'])
})
