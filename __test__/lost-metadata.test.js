'use strict'
// Redis loses what it knew (restart, an old file, FLUSHALL, eviction): entries become invalid by that, never valid.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { Checker } = require('./support/checker.js')
const { eventually, freshNamespace, sleep } = require('./support/kit.js')
const { usePeer, usePeers } = require('./support/peer.js')
const { useRedis } = require('./support/redis.js')

const OPTIONS = { tags: ['red'] }
const TARGETS = [
  ['key', 'k'],
  ['tag', { tag: 'red' }],
  ['all', { all: true }],
  ['pattern', { pattern: '?' }],
]

async function fleet(t, count = 2) {
  const redis = await useRedis(t)
  const options = { redis: redis.url, namespace: freshNamespace() }
  const peers = await usePeers(t, count, options)
  await Promise.all(peers.map((peer) => peer.ready()))
  return { redis, options, peers }
}

async function connected(peers) {
  const ok = async (peer) => (await peer.health()).status === 'ok'
  for (const peer of peers) await eventually(() => ok(peer), 3_000, 'connected again')
}

/** Every process, and one that has only just started, reads the new value. */
async function allRead(t, peers, options, expected) {
  const late = await usePeer(t, options)
  await late.ready()
  for (let i = 0; i < 5; i++) {
    for (const peer of [...peers, late]) {
      assert.equal(await peer.getOrSet('k', { value: expected }, OPTIONS), expected)
    }
    await sleep(20)
  }
}

/** Deletes what is known of tags and namespaces; returns how many keys that were. */
async function dropMetadata(redis, namespace) {
  const keys = (await redis.command('KEYS', '*')).filter((key) => key.includes(namespace) && key.includes(':t:'))
  return keys.length === 0 ? 0 : redis.command('DEL', ...keys)
}

describe('lost metadata', { concurrency: 3 }, () => {
  for (const [name, target] of TARGETS) {
    test(`I7 metadata may vanish: restart from a file older than the invalidation, by ${name}`, async (t) => {
      const { redis, options, peers } = await fleet(t)
      const [a, b] = peers
      await a.getOrSet('k', { value: 'old' }, OPTIONS)
      await b.getOrSet('k', { value: 'old' }, OPTIONS)
      await redis.command('SAVE')
      assert.deepEqual(await b.invalidate(target), { redis: 'applied' })

      await redis.restart()
      await connected(peers)

      await allRead(t, peers, options, 'new')
    })

    test(`I7 metadata may vanish: invalidated while Redis is gone, restarted from an old file, by ${name}`, async (t) => {
      const { redis, options, peers } = await fleet(t)
      const [a, b] = peers
      await a.getOrSet('k', { value: 'old' }, OPTIONS)
      await b.getOrSet('k', { value: 'old' }, OPTIONS)
      await redis.command('SAVE')

      await redis.kill()
      assert.deepEqual(await b.invalidate(target), { redis: 'queued' })
      await redis.restart()

      assert.equal(await b.getOrSet('k', { value: 'new' }, OPTIONS), 'new')
      await connected(peers)
      await eventually(async () => (await a.getOrSet('k', { value: 'new' }, OPTIONS)) === 'new', 2_000)
      await allRead(t, peers, options, 'new')
    })

    test(`I7 metadata may vanish: deleted after an invalidation by ${name}, the old entry stays invalid`, async (t) => {
      const { redis, options, peers } = await fleet(t)
      await peers[0].getOrSet('k', { value: 'old' }, OPTIONS)
      await peers[1].invalidate(target)

      assert.ok((await dropMetadata(redis, options.namespace)) > 0, 'there is metadata to lose')

      await allRead(t, peers, options, 'new')
    })
  }

  test('I7 metadata may vanish: an entry whose metadata is gone is not served to a process that has not proven it', async (t) => {
    const { redis, options, peers } = await fleet(t, 1)
    await peers[0].getOrSet('k', { value: 'old' }, OPTIONS)
    await sleep(50)
    assert.ok((await dropMetadata(redis, options.namespace)) > 0)

    const late = await usePeer(t, options)
    await late.ready()

    assert.equal(await late.getOrSet('k', { value: 'new' }, OPTIONS), 'new')
  })

  test('I7 metadata may vanish: restart empty, then invalidate', async (t) => {
    const { redis, options, peers } = await fleet(t)
    for (const peer of peers) await peer.getOrSet('k', { value: 'old' }, OPTIONS)

    await redis.restart()
    await connected(peers)
    for (const peer of peers) await peer.getOrSet('k', { value: 'old' }, OPTIONS)
    await peers[1].invalidate({ tag: 'red' })
    await sleep(20)

    await allRead(t, peers, options, 'new')
  })

  test('I7 metadata may vanish: FLUSHALL empties the memories too', async (t) => {
    const { redis, options, peers } = await fleet(t)
    for (const peer of peers) await peer.getOrSet('k', { value: 'old' }, OPTIONS)

    await redis.command('FLUSHALL')
    await sleep(50)

    await allRead(t, peers, options, 'new')
  })

  for (const mode of ['tag', 'all', 'pattern']) {
    test(`I7 metadata may vanish: deleted and flushed at random under random writes by ${mode}`, async (t) => {
      const source = await useRedis(t)
      const redis = await useRedis(t)
      const namespace = freshNamespace()
      const peers = await usePeers(t, 3, { redis: redis.url, namespace }, { truth: source })
      await Promise.all(peers.map((peer) => peer.ready()))

      let running = true
      const vandal = (async () => {
        for (let i = 1; running; i++) {
          if (i % 10 === 0) await redis.command('FLUSHALL')
          else await dropMetadata(redis, namespace)
          await sleep(20 + Math.random() * 40)
        }
      })()
      const plan = { ms: 2_000, keys: 20, processes: 3, mode }
      const histories = await Promise.all(peers.map((peer, index) => peer.stress({ ...plan, index })))
      running = false
      await vandal

      const checker = new Checker()
      for (const [i, one] of histories.entries()) checker.add(`process ${i}`, one)
      const { broken, staleAges, reads } = checker.verdict()
      assert.deepEqual(
        histories.flatMap(({ failures }) => failures),
        [],
      )
      assert.deepEqual(broken.slice(0, 5), [], `${broken.length} of ${reads} reads break read-your-writes`)
      assert.ok(Math.max(0, ...staleAges) <= 1_000, `a stale read ${Math.max(0, ...staleAges)} ms old`)
    })
  }
})
