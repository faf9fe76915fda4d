'use strict'
// A master of a real cluster is lost. What memory holds is proven by the masters of what it depends on: what the lost one owns
// follows the bound for outages, and is cold after its failover; nothing else is read again.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { startCluster } = require('./support/cluster.js')
const { clock, eventually, freshNamespace, read, sleep } = require('./support/kit.js')
const { open } = require('./support/setups.js')

const NODE_TIMEOUT = 1_000
const ISOLATED = 1_000
const PER_MASTER = 10

/** A cluster that serves what it can while a slot has no master. */
async function partialCluster(t, options) {
  const cluster = await startCluster({ timeout: NODE_TIMEOUT, ...options })
  t.after(() => cluster.stop())
  for (const server of cluster.servers) {
    await server.command('CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
  }
  return cluster
}

/** The node that owns a name of this kind that `use` makes Redis keep. */
async function homeOf(cluster, pattern, use) {
  const masters = await cluster.masters()
  const counts = () => Promise.all(masters.map(async ({ server }) => (await server.command('KEYS', pattern)).length))
  const earlier = await counts()
  await use()
  const later = await counts()
  return masters[later.findIndex((count, n) => count > earlier[n])]
}

/**
 * A reader and a writer; names of entries by the port of their master; entries elsewhere with a tag on the master that is
 * to be lost; and that master, which has not got the namespace's version.
 */
async function scene(t, cluster) {
  const namespace = freshNamespace()
  const url = (n) => `redis+cluster://127.0.0.1:${cluster.servers[n].port}`
  const reader = open(t, { redis: { url: url(0), isolated: ISOLATED }, namespace })
  const writer = open(t, { redis: { url: url(1) }, namespace, memory: false })
  await Promise.all([reader.ready(), writer.ready()])
  const home = await homeOf(cluster, `${namespace}:t:*`, () => writer.set('makes the versions', 1))
  const masters = await cluster.masters()
  const lost = masters.find(({ port }) => port !== home.port)
  const own = new Map(masters.map(({ port }) => [port, []]))
  for (let i = 0; [...own.values()].some((names) => names.length < PER_MASTER); i++) {
    const { port } = await homeOf(cluster, `${namespace}:e:*`, () => writer.set(`key ${i}`, 'old'))
    if (own.get(port).length < PER_MASTER) own.get(port).push(`key ${i}`)
  }
  const tagged = []
  for (let i = 0; tagged.length < 3; i++) {
    const [name, tags] = [`tagged ${i}`, [`tag ${i}`]]
    const tag = await homeOf(cluster, `${namespace}:t:*`, () => writer.set(`first ${name}`, 'old', { tags }))
    const entry = await homeOf(cluster, `${namespace}:e:*`, () => writer.set(name, 'old', { tags }))
    if (tag.port === lost.port && entry.port !== lost.port) tagged.push([name, tags])
  }
  const others = [...own].filter(([port]) => port !== lost.port).flatMap(([, names]) => names)
  return { reader, writer, lost, others, owned: own.get(lost.port), tagged }
}

const load = () => 'loaded'

/** Reads each, and counts where the answers came from. */
async function tiers(cache, names) {
  const count = { memory: 0, redis: 0, loader: 0 }
  for (const name of names) {
    const [key, tags] = Array.isArray(name) ? name : [name]
    const { tier } = await read(cache, key, load, { tags })
    count[tier ?? 'loader']++
  }
  return count
}

function add(sum, count) {
  for (const tier of Object.keys(sum)) sum[tier] += count[tier]
}

test('I2 bounded elsewhere: a master is lost; what the others own stays in memory, and invalidations reach it', async (t) => {
  const cluster = await partialCluster(t, { replicas: false })
  const { reader, writer, lost, others, owned, tagged } = await scene(t, cluster)
  await tiers(reader, [...others, ...owned, ...tagged])
  const [first] = others
  const elsewhere = { memory: 0, redis: 0, loader: 0 }

  await lost.server.kill()
  const died = clock()
  const before = await tiers(reader, [...owned, ...tagged])
  while (clock() - died < ISOLATED + 2_500) {
    add(elsewhere, await tiers(reader, others))
    await sleep(20)
  }
  const after = await tiers(reader, [...owned, ...tagged])
  const receipt = await writer.invalidate(first)
  const heard = await eventually(async () => (await reader.getOrSet(first, load)) === 'loaded', 2_000, 'it has fallen')
  const pattern = await writer.invalidate({ pattern: others[1] })
  const ruled = await eventually(async () => (await reader.getOrSet(others[1], load)) === 'loaded', 2_000, 'it matched')

  t.diagnostic(`while it was lost, reads of what the others own: ${JSON.stringify(elsewhere)}`)
  t.diagnostic(`what depends on it: at first ${JSON.stringify(before)}, past \`isolated\` ${JSON.stringify(after)}`)
  t.diagnostic(`an invalidation was heard of after ${heard.toFixed(0)} ms, a pattern after ${ruled.toFixed(0)} ms`)
  assert.deepEqual([elsewhere.redis, elsewhere.loader], [0, 0], JSON.stringify(elsewhere))
  assert.ok(elsewhere.memory > 500, `${elsewhere.memory} reads prove little`)
  assert.equal(before.memory, owned.length + tagged.length)
  assert.equal(after.memory, 0, 'nobody vouches for what depends on the lost one')
  assert.deepEqual([receipt, pattern], [{ redis: 'applied' }, { redis: 'applied' }])

  await lost.server.start()
  await eventually(async () => (await reader.health()).status === 'ok', 5_000, 'it is back')
  const warm = await tiers(reader, others.slice(2))
  const cold = await tiers(reader, owned)
  assert.deepEqual(warm, { memory: others.length - 2, redis: 0, loader: 0 })
  assert.equal(cold.loader, owned.length, `it has come back empty: ${JSON.stringify(cold)}`)
})

test('I7 metadata may vanish: after a failover only what the lost master owned is cold', async (t) => {
  const cluster = await partialCluster(t)
  const { reader, lost, others, owned, tagged } = await scene(t, cluster)
  await tiers(reader, [...others, ...owned, ...tagged])
  const elsewhere = { memory: 0, redis: 0, loader: 0 }

  await lost.server.kill()
  const died = clock()
  const isBack = async () => {
    add(elsewhere, await tiers(reader, others))
    return clock() - died > NODE_TIMEOUT && (await reader.health()).status === 'ok'
  }
  const recovered = await eventually(isBack, 15_000, 'a replica is in its place')
  const warm = await tiers(reader, others)
  const cold = await tiers(reader, [...owned, ...tagged])
  const again = await tiers(reader, [...others, ...owned, ...tagged])

  t.diagnostic(`recovered after ${recovered.toFixed(0)} ms; meanwhile, of the others: ${JSON.stringify(elsewhere)}`)
  t.diagnostic(`after it, of the others: ${JSON.stringify(warm)}; of the lost one: ${JSON.stringify(cold)}`)
  assert.deepEqual([elsewhere.redis, elsewhere.loader], [0, 0], JSON.stringify(elsewhere))
  assert.deepEqual(warm, { memory: others.length, redis: 0, loader: 0 })
  assert.deepEqual(cold, { memory: 0, redis: 0, loader: owned.length + tagged.length })
  assert.equal(again.memory, others.length + owned.length + tagged.length)
})
