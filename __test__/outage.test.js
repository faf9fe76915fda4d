'use strict'
// The link of one process is cut or frozen while another process invalidates: how long stale values live, what
// happens to invalidations made meanwhile, and that nobody's read fails.

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { eventually, freshNamespace, long, sleep, timed } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { startRedis } = require('./support/redis.js')

const KEYS = Array.from({ length: 50 }, (_, i) => `k${i}`)
const TAGGED = { tags: ['red'] }
const FROM_TRUTH = { truth: true }
/** commandTimeout's default. */
const COMMAND = 250

describe('outage of a link', { concurrency: 3 }, () => {
  let redis
  let source
  before(async () => {
    ;[redis, source] = await Promise.all([startRedis(), startRedis()])
  })
  after(() => Promise.all([redis.stop(), source.stop()]))

  /** One peer behind a faulty link, one with a good one, a source of truth of their own keys. */
  async function fleet(t, options) {
    const proxy = await useProxy(t, redis.port)
    const namespace = freshNamespace()
    const keys = KEYS.map((key) => `${namespace} ${key}`)
    const more = { truth: source }
    const far = await usePeer(t, { redis: { url: proxy.url, ...options }, namespace }, more)
    const near = await usePeer(t, { redis: redis.url, namespace }, more)
    await Promise.all([far.ready(), near.ready()])
    return { proxy, keys, far, near }
  }

  /** Fills both memories, so that what follows is about what they hold. */
  async function warm(peers, keys) {
    await Promise.all(keys.map((key) => source.command('INCR', key)))
    for (const peer of peers) await peer.readAll(keys, FROM_TRUTH, TAGGED)
    const reads = await peers[0].readAll(keys, FROM_TRUTH, TAGGED)
    assert.ok(reads.every(({ value, tier }) => value === 1 && tier === 'memory'))
  }

  async function change(keys, peer, target) {
    await Promise.all(keys.map((key) => source.command('INCR', key)))
    return peer.invalidate(target)
  }

  const staleOf = (reads, version) => reads.filter(({ value }) => value < version).length

  const bounds = [
    { name: "isolated '1s'", options: { isolated: '1s' }, bound: 1_200 },
    ...(long ? [{ name: 'default bounds', options: {}, bound: 5_200 }] : []),
  ]
  for (const how of ['cut', 'freeze']) {
    for (const { name, options, bound } of bounds) {
      test(`I2 bounded elsewhere: ${how}, ${name}: no stale answer after the bound, none after the link is back`, async (t) => {
        const { proxy, keys, far, near } = await fleet(t, options)
        await warm([far, near], keys)
        await proxy[how]()
        await sleep(100)
        const target = how === 'cut' ? { keys } : { tag: 'red' }
        assert.deepEqual(await change(keys, near, target), { redis: 'applied' })
        const changed = Date.now()

        const duration = bound + 800
        let reads = 0
        while (Date.now() - changed < duration) {
          const began = Date.now() - changed
          const answers = await far.readAll(keys, FROM_TRUTH, TAGGED)
          reads += answers.length
          if (began > bound) assert.equal(staleOf(answers, 2), 0, `stale answers ${began} ms after the invalidation`)
          await sleep(40)
        }
        assert.ok(reads >= 300, `only ${reads} reads`)

        assert.deepEqual(await change(keys, near, target), { redis: 'applied' })
        await sleep(bound)
        await proxy.heal()
        for (let i = 0; i < 20; i++) {
          assert.equal(staleOf(await far.readAll(keys, FROM_TRUTH, TAGGED), 3), 0, 'stale after the link is back')
          await sleep(50)
        }
      })
    }

    test(`I5 Redis never hurts: ${how}: a cold read costs at most the budget, memory hits go on, and it recovers`, async (t) => {
      const { proxy, keys, far, near } = await fleet(t, {})
      await warm([far], keys)
      await proxy[how]()

      const times = []
      for (let i = 0; i < 15; i++) {
        const { value, ms } = await far.read(`cold ${i}`, { value: i, ms: 10 })
        assert.equal(value, i)
        times.push(ms)
      }
      assert.ok(Math.max(...times) <= COMMAND + 10 + 150, `cold reads took ${times.map(Math.round)} ms`)
      await eventually(async () => !(await far.metrics()).redis.health.connected, 1_500, 'the link is known to be down')
      assert.equal((await far.read(keys[0], FROM_TRUTH)).tier, 'memory')

      await proxy.heal()
      const seen = async () => {
        await far.set('after', 'seen')
        return (await near.get('after')) === 'seen'
      }
      await eventually(seen, 2_000, 'writes reach Redis again')
    })

    test(`I6 nothing lost: ${how}: an invalidation is queued, and applied before the first read from Redis`, async (t) => {
      const { proxy, keys, far, near } = await fleet(t, {})
      await warm([far, near], keys)
      await proxy[how]()

      const { value: receipt, ms } = await timed(() => change(keys, far, { keys: keys.slice(0, 25), tag: 'red' }))
      assert.deepEqual(receipt, { redis: 'queued' })
      assert.ok(ms <= 2 * COMMAND + 150, `took ${ms} ms`)
      assert.equal(staleOf(await far.readAll(keys, FROM_TRUTH, TAGGED), 2), 0, 'own writes are read during the outage')

      await proxy.heal()
      assert.equal(staleOf(await far.readAll(keys, FROM_TRUTH, TAGGED), 2), 0, 'own writes are read after it')
      const drained = async () => staleOf(await near.readAll(keys, FROM_TRUTH, TAGGED), 2) === 0
      await eventually(drained, 2_000, 'the peers hear of it')
      assert.equal(staleOf(await far.readAll(keys, FROM_TRUTH, TAGGED), 2), 0)
    })
  }

  test('I6 nothing lost: strict rejects with CacheRedisError, and the invalidation is queued all the same', async (t) => {
    const { proxy, keys, far, near } = await fleet(t, {})
    await warm([far, near], keys)
    await proxy.cut()
    await source.command('INCR', keys[0])

    const error = await far.invalidate(keys[0], { strict: true }).catch((reason) => reason)

    assert.equal(error.code, 'ERR_CACHE_REDIS')
    assert.equal(error.name, 'CacheRedisError')
    await proxy.heal()
    await eventually(async () => (await near.read(keys[0], FROM_TRUTH)).value === 2, 2_000)
  })

  test('I6 nothing lost: what a process wrote by set during an outage is not overruled by what Redis kept', async (t) => {
    const { proxy, keys, far, near } = await fleet(t, {})
    await warm([far, near], keys)
    await proxy.cut()
    await source.command('INCR', keys[0])

    await far.set(keys[0], 2)

    assert.equal((await far.read(keys[0], FROM_TRUTH)).value, 2)
    await proxy.heal()
    assert.equal((await far.read(keys[0], FROM_TRUTH)).value, 2)
    await eventually(async () => (await near.read(keys[0], FROM_TRUTH)).value === 2, 2_000)
    assert.equal((await far.read(keys[0], FROM_TRUTH)).value, 2)
  })

  test("I2 bounded elsewhere: a pattern that was heard of counts, also when the link dies before it is known which, isolated 'ttl'", async (t) => {
    const { proxy, keys, far, near } = await fleet(t, { isolated: 'ttl' })
    await warm([far, near], keys)
    proxy.swallow('there') // pushes come, heartbeats do not arrive

    const receipt = await change(keys, near, { pattern: `${keys[0].split(' ')[0]} *` })
    const isNew = async () => staleOf(await far.readAll(keys, FROM_TRUTH, TAGGED), 2) === 0
    await eventually(isNew, 2_500, 'nothing that matches is served')

    assert.equal(receipt.redis, 'applied')
  })

  test('I5 Redis never hurts: a link slower than the budget costs the budget', async (t) => {
    const { proxy, far } = await fleet(t, {})
    proxy.delay(400)

    for (let i = 0; i < 5; i++) {
      const { value, ms } = await far.read(`cold ${i}`, { value: i, ms: 10 })
      assert.equal(value, i)
      assert.ok(ms <= COMMAND + 10 + 150, `took ${ms} ms`)
    }
  })

  test('I2 bounded elsewhere: a link that breaks again and again leaves nothing stale', async (t) => {
    const { proxy, keys, far, near } = await fleet(t, {})
    await warm([far, near], keys)

    for (let version = 2; version <= 7; version++) {
      await proxy[version % 2 === 0 ? 'cut' : 'freeze']()
      await change(keys, near, { keys })
      await sleep(120)
      await proxy.heal()
      await far.readAll(keys, FROM_TRUTH, TAGGED)
    }

    const fresh = async () => staleOf(await far.readAll(keys, FROM_TRUTH, TAGGED), 7) === 0
    await eventually(fresh, 1_500, 'no key is stale for good')
    assert.equal(staleOf(await near.readAll(keys, FROM_TRUTH, TAGGED), 7), 0)
  })
})
