'use strict'
// Memory hits that are held against Redis in the background: what counts as a violation, and what does not.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { Checker } = require('./support/checker.js')
const { clock, eventually, freshNamespace, sleep } = require('./support/kit.js')
const { usePeers } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')
const { BOUND, coherence, hour, opened, patiently, readOften, readUntil } = require('./support/spot-checks.js')

/** The one key in Redis of this kind: 'e' entry, 't' versions. */
async function keyOf(redis, kind, isWanted = () => true) {
  const keys = (await redis.command('KEYS', `*:${kind}:{*}`)).filter(isWanted)
  assert.equal(keys.length, 1, keys.join())
  return keys[0]
}

describe('spot checks', { concurrency: 3 }, () => {
  test('an entry that was replaced in Redis without a push is found within the bound, dropped and warned of', async (t) => {
    const redis = await useRedis(t)
    const namespace = freshNamespace()
    const { cache, warnings } = await opened(t, redis, { namespace })
    const other = open(t, { redis: `${redis.url}/1`, namespace })
    await other.set('k', 'new', hour) // before: its push is heard in every database
    assert.equal(await readOften(cache, 'k', () => 'old'), 'old')

    await redis.command('SELECT', 1)
    const entry = await keyOf(redis, 'e')
    assert.equal(await redis.command('COPY', entry, entry, 'DB', 0, 'REPLACE'), 1)
    const ms = await readUntil(cache, 'k', ({ violations }) => violations > 0)

    const { checked, violations, unclear } = await coherence(cache)
    assert.deepEqual({ violations, unclear }, { violations: 1, unclear: 0 })
    assert.ok(checked >= 2)
    assert.ok(ms >= BOUND && ms < BOUND + 2_000, `${ms} ms`)
    assert.notEqual(await readOften(cache, 'k'), 'old')
    assert.equal(warnings.filter((message) => message.includes('longer than `maxUnverified`')).length, 1)
    assert.ok(!warnings.join().includes("'k'"))
  })

  test('an invalidation of a tag whose push never came is found, and takes its effect on all that has the tag', async (t) => {
    const redis = await useRedis(t)
    const { cache } = await opened(t, redis)
    const before = await redis.command('KEYS', '*:t:{*}')
    const tagged = { ...hour, tags: ['red'] }
    for (const key of ['a', 'b']) await readOften(cache, key, () => 'old', tagged)

    const tag = await keyOf(redis, 't', (key) => !before.includes(key))
    const [removed, ...rest] = (await redis.command('GET', tag)).split(' ')
    await redis.command('SET', tag, [Number(removed) + 1, ...rest].join(' '), 'KEEPTTL')
    await readUntil(cache, 'a', ({ violations }) => violations > 0, tagged)

    assert.notEqual(await readOften(cache, 'a', undefined, tagged), 'old')
    assert.equal(await readOften(cache, 'b', () => 'new', tagged), 'new')
  })

  test('invalidations that arrive are no violation, hundreds of them under load', async (t) => {
    const [redis, source] = [await useRedis(t), await useRedis(t)]
    const modes = ['key', 'tag', 'late', 'all', 'pattern']
    const plan = { ms: 4_000, keys: 20, processes: 2, pause: [0, 2], readers: 4 }
    let [writes, checked] = [0, 0]

    await Promise.all(
      modes.map(async (mode) => {
        const options = { redis: patiently(redis), namespace: freshNamespace() }
        const peers = await usePeers(t, 2, options, { truth: source })
        const histories = await Promise.all(peers.map((peer, index) => peer.stress({ ...plan, mode, index })))
        for (const [n, peer] of peers.entries()) {
          const { coherence } = await peer.metrics()
          assert.equal(coherence.violations, 0, `by ${mode}`)
          checked += coherence.checked
          writes += histories[n].writes.length
        }
        const checker = new Checker()
        for (const [n, history] of histories.entries()) checker.add(`${n}`, history)
        assert.deepEqual(checker.verdict().broken, [])
      }),
    )

    t.diagnostic(`${writes} invalidations, ${checked} checks`)
    assert.ok(writes > 100, `${writes} invalidations`)
    assert.ok(checked >= 10, `${checked} checks`)
  })

  test('an invalidation whose push is still on its way is no violation', async (t) => {
    const redis = await useRedis(t)
    const proxy = await useProxy(t, redis.port)
    const namespace = freshNamespace()
    const { cache } = await opened(t, proxy, { namespace })
    const [peer] = await usePeers(t, 1, { redis: patiently(redis), namespace, memory: false })
    const { checked } = await coherence(cache)

    // What is asked of Redis is answered when the push has come; but it was served when it had not.
    proxy.delay(40)
    let after
    const isEnough = async () => {
      const invalidated = peer.invalidate({ tag: 'red' })
      await readOften(cache, 'k', undefined, { ...hour, tags: ['red'] })
      await invalidated
      await sleep(100)
      after = await coherence(cache)
      return after.checked >= checked + 3 || after.violations > 0
    }
    await eventually(isEnough, 20_000)

    assert.equal(after.violations, 0)
  })

  test('an entry that is gone from Redis is none, and cannot be checked', async (t) => {
    const redis = await useRedis(t)
    const { cache } = await opened(t, redis, { namespace: freshNamespace() })
    const { checked } = await coherence(cache)
    await redis.command('DEL', await keyOf(redis, 'e'))

    const until = clock() + 1_500
    while (clock() < until) assert.equal(await readOften(cache, 'first', () => 'again'), 'loaded')

    assert.deepEqual(await coherence(cache), { checked, violations: 0, unclear: 0 })
  })

  test('an entry that was evicted and loaded again elsewhere is unclear, not a violation', async (t) => {
    const redis = await useRedis(t, { args: ['--maxmemory-policy', 'allkeys-random'] })
    const namespace = freshNamespace()
    const { cache } = await opened(t, redis, { namespace })
    const [peer] = await usePeers(t, 1, { redis: patiently(redis), namespace, memory: false })
    await readOften(cache, 'k', () => 'of the first')

    await redis.command('CONFIG', 'SET', 'maxmemory', '1')
    await eventually(async () => (await redis.command('DBSIZE')) === 0)
    await redis.command('CONFIG', 'SET', 'maxmemory', '0')
    // Proven by a heartbeat sent since then: the namespace's version was found to be gone, before there is another one.
    await sleep(BOUND + 50)
    assert.equal(await readOften(cache, 'k'), 'of the first')
    await peer.getOrSet('k', { value: 'of the second' }, hour)
    await readUntil(cache, 'k', ({ unclear }) => unclear > 0)

    assert.equal((await coherence(cache)).violations, 0)
  })

  test('an entry that a caller with a shorter ttl has refreshed is unclear, not a violation', async (t) => {
    const redis = await useRedis(t)
    const namespace = freshNamespace()
    const { cache } = await opened(t, redis, { namespace })
    const [peer] = await usePeers(t, 1, { redis: patiently(redis), namespace })
    await readOften(cache, 'k', () => 'of the first')

    const refreshed = async () => {
      await peer.getOrSet('k', { value: 'of the second' }, { ttl: 1 })
      return (await peer.metrics()).loads.succeeded > 0
    }
    await eventually(refreshed)
    await readUntil(cache, 'k', ({ unclear }) => unclear > 0)

    assert.equal((await coherence(cache)).violations, 0)
  })

  test('at most one check a second, however many hits, and none while Redis does not answer', async (t) => {
    const redis = await useRedis(t)
    const { cache } = await opened(t, redis)
    const began = clock()
    const until = began + 3_000
    while (clock() < until) await readOften(cache, 'first')

    const { checked } = await coherence(cache)
    assert.ok(checked >= 2 && checked <= 5, `${checked} checks in ${clock() - began} ms`)

    redis.pause()
    const silent = clock() + 2_000
    while (clock() < silent) await readOften(cache, 'first')
    redis.resume()
    assert.ok((await coherence(cache)).checked <= checked + 1)
  })
})
