'use strict'
// Random reads and writes while every process's link to Redis breaks at random, or Redis itself is restarted: what a
// process wrote it reads, nobody errs, and when all is well again nothing old is left. The long form is `npm run chaos`.

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { Checker } = require('./support/checker.js')
const { freshNamespace, long, sleep } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { startRedis, useRedis } = require('./support/redis.js')

const KEYS = Array.from({ length: 20 }, (_, i) => `k${i}`)
const PROCESSES = 3
const MS = long ? 8_000 : 2_500
const ISOLATED = 1_000

const between = (low, high) => low + Math.random() * (high - low)
const pick = (list) => list[Math.floor(Math.random() * list.length)]

const BREAKS = [
  (link) => link.cut(),
  (link) => link.freeze(),
  (link) => link.delay(between(20, 400)),
  (link) => link.swallow(),
  (link) => link.swallow(pick(['there', 'back'])),
  (link) => link.trickle(Math.ceil(between(1, 20))),
  (link) => link.tear(Math.ceil(between(1, 60))),
]

describe('chaos', () => {
  let source
  before(async () => {
    source = await startRedis()
  })
  after(() => source.stop())

  async function fleet(t) {
    await source.command('FLUSHALL')
    const redis = await useRedis(t)
    const namespace = freshNamespace()
    const links = []
    const peers = []
    for (let i = 0; i < PROCESSES; i++) {
      const link = await useProxy(t, redis.port)
      const options = { redis: { url: link.url, isolated: `${ISOLATED}ms` }, namespace }
      peers.push(await usePeer(t, options, { truth: source }))
      links.push(link)
    }
    await Promise.all(peers.map((peer) => peer.ready()))
    return { redis, links, peers }
  }

  /** Runs a plan while `fault` is caused again and again; what it returns heals. */
  async function histories(peers, plan, fault) {
    let running = true
    const faults = (async () => {
      while (running) {
        const heal = await fault()
        await sleep(between(20, 400))
        await heal()
        await sleep(between(50, 300))
      }
    })()
    const common = { ms: MS, keys: KEYS.length, processes: PROCESSES, ...plan }
    const all = await Promise.all(peers.map((peer, index) => peer.stress({ ...common, index })))
    running = false
    await faults
    return all
  }

  async function judge(t, peers, all, mode) {
    const checker = new Checker()
    for (const [i, one] of all.entries()) checker.add(`process ${i}`, one)
    const { reads, writes, broken, staleAges } = checker.verdict()
    const oldest = Math.max(0, ...staleAges)
    t.diagnostic(
      `${reads} reads, ${writes} writes, ${staleAges.length} stale elsewhere, oldest ${oldest.toFixed(0)} ms`,
    )

    assert.deepEqual(
      all.flatMap(({ failures }) => failures),
      [],
    )
    assert.deepEqual(broken.slice(0, 5), [], `${broken.length} reads break read-your-writes`)
    // A `set` has no receipt: whether it reached Redis is not known here.
    if (mode !== 'set') assert.ok(oldest <= ISOLATED + 200, `a stale read ${oldest} ms after an applied invalidation`)
    await sleep(2_000)
    const truth = (await source.command('MGET', ...KEYS)).map(Number)
    for (const peer of peers) {
      const values = (await peer.readAll(KEYS, { truth: true })).map(({ value }) => value)
      assert.deepEqual(values, truth)
    }
  }

  for (const mode of ['key', 'tag', 'late', 'all', 'set']) {
    test(`I1 read-your-writes, I2 bounded elsewhere, I6 nothing lost: links break under writes by ${mode}`, async (t) => {
      const { links, peers } = await fleet(t)
      const fault = async () => {
        const link = pick(links)
        await pick(BREAKS)(link)
        return () => link.heal()
      }

      const all = await histories(peers, { mode }, fault)

      await judge(t, peers, all, mode)
    })
  }

  test('I1 read-your-writes, I5 Redis never hurts, I7 metadata may vanish: Redis stops and restarts under writes', async (t) => {
    const { redis, peers } = await fleet(t)
    const stop = () => {
      redis.pause()
      return () => redis.resume()
    }
    const restart = async () => {
      await redis.kill()
      return () => redis.restart()
    }
    const save = async () => {
      await redis.command('SAVE')
      return restart()
    }
    const forget = async () => {
      await redis.command(...pick([['FLUSHALL'], ['SCRIPT', 'FLUSH'], ['CLIENT', 'KILL', 'TYPE', 'normal']]))
      return () => {}
    }
    const refuse = async () => {
      await redis.command('CONFIG', 'SET', 'maxmemory', '1')
      return () => redis.command('CONFIG', 'SET', 'maxmemory', '0')
    }

    const faults = [stop, restart, save, forget, refuse]
    const all = await histories(peers, { mode: 'tag' }, () => pick(faults)())

    await judge(t, peers, all, 'tag')
  })
})
