'use strict'
// Redis is a black hole for ten seconds: what a fleet invalidates meanwhile, and what its callers wait for.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { clock, eventually, freshNamespace, percentile, sleep } = require('./support/kit.js')
const { usePeers } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { runScript } = require('./support/script.js')

const OUTAGE = 10_000
/** commandTimeout's default. */
const COMMAND = 250

const numbered = (name, count) => Array.from({ length: count }, (_, n) => `${name} ${n}`)

/** What each of two processes invalidates, and the keys that fall by it. */
const TARGETS = {
  keys: { keys: numbered('k', 40), targets: (n) => numbered('k', 40).filter((_, i) => i % 2 === n) },
  tags: {
    keys: numbered('k', 40),
    targets: (n) =>
      numbered('tag', 10)
        .filter((_, i) => i % 2 === n)
        .map((tag) => ({ tag })),
  },
  patterns: {
    keys: numbered('k', 40),
    targets: (n) =>
      numbered('k', 5)
        .filter((_, i) => i % 2 === n)
        .map((key) => ({ pattern: `${key}*` })),
  },
  namespace: { keys: numbered('k', 40), targets: (n) => (n === 0 ? [{ all: true }] : []) },
}
/** Of `tags` four keys have each; patterns k 0* to k 4* are these and their tens. */
const tagsOf = (key) => [`tag ${Number(key.split(' ')[1]) % 10}`]
const fallsBy = { patterns: (key) => /^k [0-4]/.test(key) }

describe('ten seconds without Redis', { concurrency: 4 }, () => {
  for (const [kind, { keys, targets }] of Object.entries(TARGETS)) {
    test(`I6 nothing lost: invalidations of ${kind} made by two processes are applied before they read Redis again`, async (t) => {
      const redis = await useRedis(t)
      const proxy = await useProxy(t, redis.port)
      const namespace = freshNamespace()
      const [near] = await usePeers(t, 1, { redis: redis.url, namespace })
      const issuers = await usePeers(t, 2, { redis: proxy.url, namespace })
      const peers = [near, ...issuers]
      await Promise.all(peers.map((peer) => peer.ready()))
      const readAll = (peer, value) =>
        Promise.all(keys.map((key) => peer.getOrSet(key, { value }, { ttl: '1h', tags: tagsOf(key) })))
      for (const peer of peers) await readAll(peer, 'old')
      const fallen = keys.filter(fallsBy[kind] ?? (() => true))
      const oldOf = (values) => values.filter((value, n) => value === 'old' && fallen.includes(keys[n])).length

      proxy.swallow()
      const healed = sleep(OUTAGE).then(() => proxy.heal())
      const receipts = await Promise.all(issuers.map((peer, n) => spread(peer, targets(n))))
      await healed

      assert.deepEqual(new Set(receipts.flat()), new Set(['queued']))
      // At once, and for as long as the others are not well yet: who issued them reads first.
      const until = clock() + 1_000
      const own = (n) => new Set(targetKeys(kind, targets(n), keys))
      while (clock() < until) {
        for (const [n, peer] of issuers.entries()) {
          const values = await readAll(peer, 'new')
          const mine = own(n)
          assert.equal(values.filter((value, i) => value === 'old' && mine.has(keys[i])).length, 0, `process ${n}`)
        }
      }
      const areWell = async () =>
        (await Promise.all(peers.map((peer) => peer.health()))).every(({ status }) => status === 'ok')
      await eventually(areWell, 3_000)
      await sleep(100)
      for (const peer of peers) assert.equal(oldOf(await readAll(peer, 'new')), 0)
    })
  }
})

test('I5 Redis never hurts: 1,000 reads a second wait for the budget, three seconds at most, then for nothing', async (t) => {
  const redis = await useRedis(t)
  const proxy = await useProxy(t, redis.port)
  const running = runScript(READS, { args: [proxy.url, freshNamespace()], timeout: 40_000 })
  await eventually(() => proxy.open >= 2, 10_000)
  await sleep(3_000)
  const began = clock()
  proxy.swallow()

  const { said, stderr } = await running

  assert.equal(said.length, 1, stderr)
  const [{ reads, controls, errors }] = said
  const p99 = (of, from, to) => {
    const times = of.filter(([at]) => at >= began + from && at < began + to).map(([, ms]) => ms)
    assert.ok(times.length > 2_000, `${times.length} reads`)
    return percentile(times, 0.99)
  }
  // A cache without Redis is read beside it: what it takes is the machine's doing. A wait that ends is held up by that twice: by the
  // runtime's thread and by JavaScript's.
  const windows = { before: [-2_500, 0], first: [0, 3_000], after: [3_000, 6_000] }
  const added = {}
  for (const [name, window] of Object.entries(windows)) {
    const [own, without] = [p99(reads, ...window), p99(controls, ...window)]
    added[name] = own - (name === 'first' ? 2 : 1) * without
    t.diagnostic(`${name}: p99 ${own.toFixed(2)} ms, without Redis ${without.toFixed(2)} ms`)
  }
  assert.equal(errors, 0)
  assert.ok(added.first <= COMMAND + 20, `${added.first} ms`)
  assert.ok(added.after <= 1, `${added.after} ms`)
})

/** Invalidates over the time of an outage; gives the receipts. */
async function spread(peer, targets) {
  const receipts = []
  for (const target of targets) {
    receipts.push((await peer.invalidate(target)).redis)
    await sleep((OUTAGE * 0.4) / targets.length)
  }
  return receipts
}

/** The keys that fall by these targets. */
function targetKeys(kind, targets, keys) {
  switch (kind) {
    case 'keys':
      return targets
    case 'tags':
      return keys.filter((key) => targets.some(({ tag }) => tagsOf(key)[0] === tag))
    case 'patterns':
      return keys.filter((key) => targets.some(({ pattern }) => key.startsWith(pattern.slice(0, -1))))
    default:
      return targets.length > 0 ? keys : []
  }
}

/** Half of the reads are of a hundred hot keys, the others are cold. */
const READS = `
const [redis, namespace] = process.argv.slice(1)
const cache = tidecache.createCache({ redis, namespace, logger: { warn() {} } })
await cache.ready()
const now = () => Number(process.hrtime.bigint()) / 1e6
const control = tidecache.createCache({ redis: false, namespace })
const [reads, controls] = [[], []]
let errors = 0
const read = async (of, samples, key) => {
  const began = now()
  try {
    await of.getOrSet(key, () => key, { ttl: '1h' })
  } catch {
    errors++
  }
  samples.push([began, now() - began])
}
const until = now() + 11_000
const all = []
let due = now()
for (let n = 0; now() < until; ) {
  for (; due <= now(); due += 1, n++) {
    const key = n % 2 ? 'hot ' + (n % 200) : 'cold ' + n
    all.push(read(control, controls, key), read(cache, reads, key))
  }
  await sleep(2)
}
await Promise.all(all)
await cache.close()
say({ reads, controls, errors })
`
