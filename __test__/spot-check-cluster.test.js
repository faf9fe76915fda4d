'use strict'
// Memory hits that are held against a real cluster: what is missed on any master is found, and what only moves, or whose master
// is replaced, is no violation.

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { Checker } = require('./support/checker.js')
const { startCluster } = require('./support/cluster.js')
const { eventually, freshNamespace, sleep } = require('./support/kit.js')
const { usePeers } = require('./support/peer.js')
const { startRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')
const { coherence, hour, opened, patiently, readOften, readUntil } = require('./support/spot-checks.js')

const NODE_TIMEOUT = 1_000

async function figures(cache) {
  const { violations, unclear } = await coherence(cache)
  return { violations, unclear }
}

async function isMaster(server) {
  return String((await server.command('ROLE'))[0]) === 'master'
}

const sum = (all, name) => all.reduce((total, one) => total + one[name], 0)

describe('spot checks of a cluster', () => {
  let cluster
  let source
  before(async () => {
    ;[cluster, source] = await Promise.all([startCluster({ timeout: NODE_TIMEOUT }), startRedis()])
  })
  after(() => Promise.all([cluster.stop(), source.stop()]))

  /** Another engine, as in another process: it is given another node. It keeps nothing in memory. */
  async function another(t, namespace) {
    const url = `redis+cluster://127.0.0.1:${cluster.running[1].port}`
    const cache = open(t, { redis: patiently({ url }), namespace, memory: false })
    await cache.ready()
    return cache
  }

  /** The names of this kind that there are on all masters: 'e' entries, 't' versions. */
  async function namesOf(namespace, kind) {
    const masters = await cluster.masters()
    const names = await Promise.all(masters.map(({ server }) => server.command('KEYS', `${namespace}:${kind}:*`)))
    return masters.flatMap(({ server, id }, n) => names[n].map((name) => ({ name, server, id })))
  }

  /** The one name that came while something was done, and the master that has it. */
  async function cameWith(namespace, kind, action) {
    const earlier = (await namesOf(namespace, kind)).map(({ name }) => name)
    await action()
    const [came, ...more] = (await namesOf(namespace, kind)).filter(({ name }) => !earlier.includes(name))
    assert.ok(came !== undefined && more.length === 0, `one came: ${came?.name}, ${more.length} more`)
    return came
  }

  /** A key of each master that has entries, whose stored copy is not what memory has, and nobody was told. */
  async function changeOnEach(cache, namespace) {
    const changed = new Map()
    const masters = await cluster.masters()
    for (let n = 0; changed.size < masters.length; n++) {
      const key = `k${n}`
      const { name, server, id } = await cameWith(namespace, 'e', () => cache.set(key, 'before', hour))
      if (changed.has(id)) continue
      // In the same slot: a cluster has but one database.
      const copy = `copy:${name.slice(name.indexOf('{'))}`
      await server.command('COPY', name, copy)
      await cache.set(key, 'old', hour)
      assert.equal(await readOften(cache, key), 'old')
      changed.set(id, { key, change: () => server.command('COPY', copy, name, 'REPLACE') })
    }
    return [...changed.values()]
  }

  /** An entry in memory whose tag lies on another master. */
  async function taggedElsewhere(cache, namespace) {
    for (let n = 0; ; n++) {
      const [key, options] = [`of ${n}`, { ...hour, tags: [`tag ${n}`] }]
      let entry
      const tag = await cameWith(namespace, 't', async () => {
        entry = await cameWith(namespace, 'e', () => cache.set(key, 'old', options))
      })
      if (entry.id !== tag.id) return { key, options, tag, ...entry }
    }
  }

  /** Two processes that read and write, and beside them what happens to the cluster: none of their checks finds a violation. */
  async function underLoad(t, plan, happens = async () => {}) {
    const namespace = freshNamespace()
    const peers = await usePeers(t, 2, { redis: patiently(cluster), namespace }, { truth: source })
    await Promise.all(peers.map((peer) => peer.ready()))
    const common = { keys: 20, processes: 2, pause: [0, 2], readers: 4, ...plan }
    const running = Promise.all(peers.map((peer, index) => peer.stress({ ...common, index })))
    const [histories] = await Promise.all([running, sleep(500).then(() => happens(namespace))])

    const checker = new Checker()
    for (const [n, history] of histories.entries()) checker.add(`${n}`, history)
    const { writes, broken } = checker.verdict()
    const all = await Promise.all(peers.map(coherence))
    assert.deepEqual(broken, [])
    assert.equal(sum(all, 'violations'), 0, `by ${plan.mode}`)
    return { writes, checked: sum(all, 'checked') }
  }

  test('an entry that was changed on one master without a push is found, on whichever it lies', async (t) => {
    const namespace = freshNamespace()
    const { cache, warnings } = await opened(t, cluster, { namespace })
    const entries = await changeOnEach(cache, namespace)

    for (const [n, { key, change }] of entries.entries()) {
      const { checked } = await coherence(cache)
      await readUntil(cache, key, (now) => now.checked > checked)
      assert.equal((await coherence(cache)).violations, n, 'nothing is found where nothing was changed')
      await change()
      await readUntil(cache, key, ({ violations }) => violations > n)

      assert.deepEqual(await figures(cache), { violations: n + 1, unclear: 0 })
      assert.equal(await readOften(cache, key), 'before', 'it was dropped from memory')
    }
    assert.equal(entries.length, 3)
    assert.equal(warnings.filter((message) => message.includes('longer than `maxUnverified`')).length, 1)
  })

  test('an invalidation of a tag whose push never came is found, on another master than the entry’s', async (t) => {
    const namespace = freshNamespace()
    const { cache } = await opened(t, cluster, { namespace })
    const { tag, ...entry } = await taggedElsewhere(cache, namespace)
    const [removed, ...rest] = (await tag.server.command('GET', tag.name)).split(' ')

    await tag.server.command('SET', tag.name, [Number(removed) + 1, ...rest].join(' '), 'KEEPTTL')
    await readUntil(cache, entry.key, ({ violations }) => violations > 0, entry.options)

    assert.deepEqual(await figures(cache), { violations: 1, unclear: 0 })
    assert.equal(await readOften(cache, entry.key, undefined, entry.options), 'loaded', 'it was dropped from memory')
  })

  test('invalidations that arrive are no violation, by keys, tags, patterns and of the namespace, over all masters', async (t) => {
    const modes = ['key', 'tag', 'pattern', 'all']
    let [writes, checked] = [0, 0]

    await Promise.all(
      modes.map(async (mode) => {
        const seen = await underLoad(t, { mode, ms: 4_000 })
        writes += seen.writes
        checked += seen.checked
      }),
    )

    t.diagnostic(`${writes} invalidations, ${checked} checks`)
    assert.ok(writes > 100, `${writes} invalidations`)
    assert.ok(checked >= 8, `${checked} checks`)
  })

  for (const what of ['entry', 'tag']) {
    test(`an entry that another process loads again because the slot of its ${what} has moved is none`, async (t) => {
      const namespace = freshNamespace()
      const { cache } = await opened(t, cluster, { namespace })
      const other = await another(t, namespace)
      const { tag, key, options, ...entry } = await taggedElsewhere(cache, namespace)
      const moved = what === 'tag' ? tag : entry
      const slot = await cluster.slotOf(moved.name)
      const masters = await cluster.masters()
      const to = masters.find(({ id }) => ![tag.id, entry.id].includes(id))
      // The next slot that the same master is given makes no new epoch: who does not ask whose it is hears nothing of it.
      const [[first]] = masters.find(({ id }) => id === moved.id).ranges
      await cluster.moveSlot(first === slot ? first + 1 : first, to)
      await cluster.settled()
      await cache.set('second', 'loaded', hour)
      const { checked } = await coherence(cache)
      await readUntil(cache, 'second', (now) => now.checked > checked)
      await cache.set(key, 'old', options)

      await cluster.moveSlot(slot, to)
      // It is of another history now: nothing that depends on it may be believed by who has not seen it all the time.
      const isLoaded = async () => (await other.getOrSet(key, () => 'new', options)) === 'new'
      await eventually(isLoaded, 5_000, 'the other process has loaded it')
      const isDropped = async () => (await readOften(cache, key, undefined, options)) === 'new'
      await eventually(isDropped, 8_000, 'it is no longer in memory')

      assert.equal((await figures(cache)).violations, 0)
      await cluster.settled()
    })
  }

  test('slots that move under reads and writes are no violation', async (t) => {
    let moved = 0
    const seen = await underLoad(t, { mode: 'tag', ms: 4_000 }, async (namespace) => {
      const to = (await cluster.masters()).at(-1)
      const names = [...(await namesOf(namespace, 'e')), ...(await namesOf(namespace, 't'))]
      for (const { name } of names.filter(({ id }) => id !== to.id).slice(0, 8)) {
        await cluster.moveSlot(await cluster.slotOf(name), to, () => sleep(20))
        await sleep(200)
        moved++
      }
    })

    t.diagnostic(`${moved} slots moved, ${seen.writes} invalidations, ${seen.checked} checks`)
    assert.ok(moved >= 5, `${moved} slots moved`)
    assert.ok(seen.checked >= 2, `${seen.checked} checks`)
    await cluster.settled()
  })

  test('a master that is replaced, in good order and by its death, is no violation; what is missed after it is found', async (t) => {
    let dead
    const seen = await underLoad(t, { mode: 'key', ms: 6_000 }, async () => {
      const [first, second] = await cluster.masters()
      await cluster.promote(await cluster.replicaOf(first))
      dead = second.server
      const replica = await cluster.replicaOf(second)
      await dead.kill()
      await eventually(() => isMaster(replica), 10_000, 'its replica is master')
    })
    t.diagnostic(`${seen.writes} invalidations, ${seen.checked} checks`)
    assert.ok(seen.checked >= 2, `${seen.checked} checks`)
    await dead.start()
    await cluster.settled()

    const namespace = freshNamespace()
    const { cache } = await opened(t, cluster, { namespace })
    const entries = await changeOnEach(cache, namespace)
    for (const { change } of entries) await change()
    for (const [n, { key }] of entries.entries()) await readUntil(cache, key, ({ violations }) => violations > n)

    assert.deepEqual(await figures(cache), { violations: 3, unclear: 0 })
  })
})
