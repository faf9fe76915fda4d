'use strict'
// A real cluster of three masters and three replicas, under random reads and writes of three processes: what holds with one
// server holds while slots move, masters change places, stop and die.

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { Authority, NO_OPENSSL } = require('./support/certificates.js')
const { Checker } = require('./support/checker.js')
const { runCli } = require('./support/cli.js')
const { startCluster } = require('./support/cluster.js')
const { clock, eventually, freshNamespace, long, read, sleep } = require('./support/kit.js')
const { usePeers } = require('./support/peer.js')
const { startRedis, useRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')

const NODE_TIMEOUT = 1_000
const RECOVERY = NODE_TIMEOUT + 2_500
const ISOLATED = 1_000
const PROCESSES = 3
const COUNT = 30
const KEYS = Array.from({ length: COUNT }, (_, i) => `k${i}`)
const MS = long ? 8_000 : 900

describe('cluster', () => {
  let cluster
  let source
  before(async () => {
    ;[cluster, source] = await Promise.all([startCluster({ timeout: NODE_TIMEOUT }), startRedis()])
  })
  after(() => Promise.all([cluster.stop(), source.stop()]))

  const options = () => ({ redis: { url: cluster.url, isolated: ISOLATED }, namespace: freshNamespace() })

  /** The cluster by one of its nodes: caches that are given another one have an engine of their own, as in another process. */
  const urlBy = (n) => `redis+cluster://127.0.0.1:${cluster.running[n].port}`

  /** Processes that share a namespace, ready. */
  async function fleet(t, count = PROCESSES) {
    await source.command('FLUSHALL')
    const peers = await usePeers(t, count, options(), { truth: source })
    await Promise.all(peers.map((peer) => peer.ready()))
    return peers
  }

  /** Random reads and writes, and beside them what happens to the cluster. */
  async function underLoad(peers, plan, happens = async () => {}) {
    const common = { keys: COUNT, processes: PROCESSES, ms: MS, ...plan }
    const running = Promise.all(peers.map((peer, index) => peer.stress({ ...common, index })))
    const [histories] = await Promise.all([running, sleep(200).then(happens)])
    return histories
  }

  /** No read is older than its process was told, none older elsewhere than the bound, and nothing old is left. */
  async function judge(t, peers, histories, { bound = ISOLATED + 200, mode } = {}) {
    const checker = new Checker()
    for (const [i, one] of histories.entries()) checker.add(`process ${i}`, one)
    const { reads, writes, broken, staleAges } = checker.verdict()
    const oldest = Math.max(0, ...staleAges)
    const slowest = Math.max(...histories.map((one) => one.slowest))
    t.diagnostic(
      `${reads} reads, ${writes} writes, ${staleAges.length} stale elsewhere, oldest ${oldest.toFixed(0)} ms, slowest read ${slowest.toFixed(0)} ms`,
    )
    assert.deepEqual(
      histories.flatMap(({ failures }) => failures),
      [],
    )
    assert.deepEqual(broken.slice(0, 5), [], `${broken.length} reads break read-your-writes`)
    if (mode !== 'set') assert.ok(oldest <= bound, `a stale read ${oldest} ms after an applied invalidation`)
    assert.ok(slowest <= 2_000, `a read took ${slowest} ms, its loader 20 ms at most`)
    await eventually(
      async () => (await stuckKeys(peers)).length === 0,
      2_500,
      'every process reads the latest of all keys',
    )
    assert.ok(reads > MS / 4 && writes > 10, `${reads} reads and ${writes} writes prove little`)
  }

  async function stuckKeys(peers) {
    const truth = (await source.command('MGET', ...KEYS)).map(Number)
    const answers = await Promise.all(peers.map((peer) => peer.readAll(KEYS, { truth: true })))
    return answers.flatMap((reads) => reads.filter(({ value }, i) => value !== truth[i]))
  }

  test('entries, leases and versions live where their slots do; a key is loaded once in the fleet', async (t) => {
    // Who waits too long for Redis loads without it: on a machine that is busy nobody is to.
    const patient = { ...options(), redis: { url: cluster.url, commandTimeout: '5s' } }
    const { namespace } = patient
    const [one, other] = await usePeers(t, 2, patient)
    await Promise.all([one.ready(), other.ready()])
    const keys = Array.from({ length: 100 }, (_, i) => `key ${i}`)

    const reads = await Promise.all(
      keys.flatMap((key) =>
        [one, other].map((peer) => peer.read(key, { value: key, ms: 20 }, { tags: ['all of them'] })),
      ),
    )
    const loads = (await one.loads()) + (await other.loads())
    const perMaster = await Promise.all(
      (await cluster.masters()).map(async ({ server }) => (await server.command('KEYS', `${namespace}:e:*`)).length),
    )
    await one.invalidate({ tag: 'all of them' })
    const isNew = async (key) => (await other.read(key, { value: 'new' }, { tags: ['all of them'] })).value === 'new'
    // The tag lives on one master, its entries on all: peers hear of it by one push.
    for (const key of keys.slice(0, 10)) await eventually(() => isNew(key), 1_200, 'the tag has fallen')

    assert.equal(reads.length, 200)
    assert.equal(loads, 100, 'I4 one load')
    assert.equal(
      perMaster.reduce((sum, n) => sum + n),
      100,
    )
    assert.ok(
      perMaster.every((n) => n > 10),
      `entries per master: ${perMaster}`,
    )
    const { topology, coherence, breaker, health } = (await one.metrics()).redis
    assert.deepEqual([topology, coherence, breaker, health.connected], ['cluster', 'tracking', 'closed', true])
  })

  for (const mode of ['key', 'tag', 'late', 'all', 'pattern', 'set']) {
    test(`I1 read-your-writes, I2 bounded elsewhere: random writes by ${mode} over three masters`, async (t) => {
      const peers = await fleet(t)

      const histories = await underLoad(peers, { mode })

      await judge(t, peers, histories, { bound: 200, mode })
    })
  }

  test('I1 read-your-writes, I3 no resurrection: slots move under load, that of the namespace and those of keys', async (t) => {
    const peers = await fleet(t)
    let moved = 0

    const histories = await underLoad(peers, { mode: 'tag', ms: 2_500 }, async () => {
      const [first, second, third] = await cluster.masters()
      const slots = new Set()
      for (const { server } of [first, second]) {
        const names = await server.command('KEYS', '*')
        for (const name of names.slice(0, 12)) slots.add(await cluster.slotOf(name))
      }
      for (const slot of slots) {
        const from = await cluster.owner(slot)
        if (from.id === third.id) continue
        await cluster.moveSlot(slot, third, () => sleep(30))
        moved++
      }
    })

    t.diagnostic(`${moved} slots moved`)
    assert.ok(moved >= 5, `${moved} slots moved`)
    await judge(t, peers, histories)
    await cluster.settled()
  })

  test('I1 read-your-writes, I7 metadata may vanish: a replica takes its master’s place in good order', async (t) => {
    const peers = await fleet(t)

    const histories = await underLoad(peers, { mode: 'key', ms: 2_000 }, async () => {
      const [master] = await cluster.masters()
      await cluster.promote(await cluster.replicaOf(master))
    })

    await judge(t, peers, histories)
    await cluster.settled()
  })

  /** A master that has not got the namespace's version. */
  async function masterBesideHome(namespace, cache) {
    await cache.set('makes the versions', 1)
    for (const master of await cluster.masters()) {
      if ((await master.server.command('KEYS', `${namespace}:t:*`)).length === 0) return master
    }
  }

  /** Names that a master got a key of, when they were used. */
  async function ownOf(server, namespace, use, kind = 'e', count = 3) {
    const has = async () => (await server.command('KEYS', `${namespace}:${kind}:*`)).length
    const own = []
    for (let i = 0; own.length < count; i++) {
      const earlier = await has()
      await use(`${kind} ${i}`)
      if ((await has()) > earlier) own.push(`${kind} ${i}`)
    }
    return own
  }

  /** A cache without memory, a key of it on each master, and the port of the master that has its namespace's version. */
  async function reader(t, { namespace, redis } = options()) {
    const cache = open(t, { namespace, redis, memory: false })
    await cache.ready()
    const masters = await cluster.masters()
    const has = async (pattern) => {
      const counts = masters.map(async ({ port, server }) => [port, (await server.command('KEYS', pattern)).length])
      return new Map(await Promise.all(counts))
    }
    const keys = new Map()
    for (let i = 0; keys.size < masters.length; i++) {
      const earlier = await has(`${namespace}:e:*`)
      await cache.set(`probe ${i}`, 'there')
      const later = await has(`${namespace}:e:*`)
      const { port } = masters.find((master) => later.get(master.port) > earlier.get(master.port))
      if (!keys.has(port)) keys.set(port, `probe ${i}`)
    }
    const [home] = [...(await has(`${namespace}:t:*`))].find(([, count]) => count > 0)
    return { cache, namespace, keys, home, masters }
  }

  test('a master that was a replica in between is another one to a process that noticed nothing of it', async (t) => {
    const { namespace, keys, masters } = await reader(t)
    const [master] = masters
    const replica = await cluster.replicaOf(master)
    const idle = open(t, { redis: urlBy(0), namespace, memory: false })
    await idle.ready()

    for (const server of [replica, master.server]) {
      await cluster.promote(server)
      await cluster.settled()
    }
    const key = keys.get(master.port)
    await idle.getOrSet(key, () => 'loaded')
    const other = open(t, { redis: urlBy(1), namespace, memory: false })
    const { tier } = await read(other, key, () => 'again')

    assert.equal(tier, 'redis', 'what it stored is of the history that all others see')
  })

  test('I1 read-your-writes, I5 Redis never hurts: a master dies; the others go on, and its replica is found', async (t) => {
    const peers = await fleet(t)
    const { cache, keys, home, masters } = await reader(t)
    const dead = masters.find(({ port }) => port !== home)
    const lost = keys.get(dead.port)
    // Masters vote for a replica of the same master once in two node timeouts: the test before had one elected.
    await sleep(2 * NODE_TIMEOUT + 500)
    const elsewhere = { redis: 0, loader: 0 }
    let recovered
    let receipt

    const histories = await underLoad(peers, { mode: 'key', ms: RECOVERY + 200 }, async () => {
      await dead.server.kill()
      const died = clock()
      receipt = await cache.invalidate(lost)
      while (recovered === undefined && clock() - died < RECOVERY) {
        for (const [port, key] of keys) {
          const { value, tier } = await read(cache, key, () => 'loaded')
          if (port !== dead.port) elsewhere[tier ?? 'loader']++
          else if (tier === 'redis') recovered = clock() - died
          assert.equal(value, port === dead.port ? 'loaded' : tier === 'redis' ? 'there' : 'loaded')
        }
        await sleep(20)
      }
    })

    t.diagnostic(`recovered after ${recovered?.toFixed(0)} ms; reads of the others: ${JSON.stringify(elsewhere)}`)
    assert.equal(receipt.redis, 'queued')
    assert.ok(recovered <= RECOVERY, `not recovered after ${RECOVERY} ms`)
    // For a moment, without one of its masters, the cluster itself says that it is down.
    assert.ok(elsewhere.redis > elsewhere.loader, `reads of the others: ${JSON.stringify(elsewhere)}`)
    await judge(t, peers, histories)
    await dead.server.start()
    await cluster.settled()
  })

  test('I2 bounded elsewhere, I6 nothing lost: a process that is locked out of one master alone', async (t) => {
    const namespace = freshNamespace()
    const user = `locked-${namespace}`
    for (const server of cluster.servers)
      await server.command('ACL', 'SETUSER', user, 'on', '>secret', '~*', '&*', '+@all')
    const url = cluster.url.replace('//', `//${user}:secret@`)
    const locked = open(t, { redis: { url, isolated: ISOLATED }, namespace })
    const writer = open(t, { redis: cluster.url, namespace })
    await Promise.all([locked.ready(), writer.ready()])
    const { server } = await masterBesideHome(namespace, writer)
    const own = await ownOf(server, namespace, (name) => writer.set(name, 0))
    const tags = await ownOf(server, namespace, (name) => writer.getOrSet(`of ${name}`, () => 0, { tags: [name] }), 't')
    const truth = new Map()
    const readAs = (cache, name) => cache.getOrSet(name, () => truth.get(name) ?? 0)
    const tagged = (cache, tag) => cache.getOrSet(`of ${tag}`, () => truth.get(tag) ?? 0, { tags: [tag] })
    const [first, second, third] = own
    await Promise.all([first, second, third].map((name) => readAs(locked, name)))
    await tagged(locked, tags[0])

    await server.command('ACL', 'SETUSER', user, 'off')
    await server.command('CLIENT', 'KILL', 'USER', user)
    for (const name of [first, second, tags[0]]) truth.set(name, 1)
    assert.deepEqual(await writer.invalidate({ keys: [first, second], tags: [tags[0]] }), { redis: 'applied' })
    const applied = clock()
    const old = { key: 0, tag: 0 }
    while (clock() - applied < ISOLATED + 600) {
      if ((await readAs(locked, first)) !== 1) old.key = clock() - applied
      if ((await tagged(locked, tags[0])) !== 1) old.tag = clock() - applied
      await sleep(10)
    }
    truth.set(third, 1)
    const receipt = await locked.invalidate(third)
    await server.command('ACL', 'SETUSER', user, 'on')
    await eventually(async () => (await locked.health()).status === 'ok', 5_000, 'the locked process is back')

    t.diagnostic(`old values were served for ${old.key.toFixed(0)} ms by key, ${old.tag.toFixed(0)} ms by tag`)
    assert.ok(old.key <= ISOLATED + 200 && old.tag <= ISOLATED + 200, JSON.stringify(old))
    assert.equal(await readAs(locked, second), 1, 'what was missed is not in memory')
    assert.equal(receipt.redis, 'queued')
    await eventually(async () => (await readAs(writer, third)) === 1, 1_000, 'the queued one reaches its peer')
  })

  const heartbeatsOf = async (server) =>
    Number(/cmdstat_time:calls=(\d+)/.exec(await server.command('INFO', 'commandstats'))[1])

  /** Resolves when a master has answered heartbeats that were sent after this call. */
  async function haveBeaten(cache, server) {
    const earlier = await heartbeatsOf(server)
    const isAgain = async () => {
      await cache.getOrSet('keeps it awake', () => 1)
      return (await heartbeatsOf(server)) >= earlier + 3
    }
    await eventually(isAgain, 5_000, 'heartbeats')
  }

  const refuse = (server, most) => server.command('CONFIG', 'SET', 'min-replicas-to-write', most)

  test('I1 read-your-writes, I6 nothing lost: more than are remembered, while every master refuses writes', async (t) => {
    const namespace = freshNamespace()
    const { keys, home, masters } = await reader(t, { ...options(), namespace })
    const patient = open(t, { redis: { url: urlBy(1), commandTimeout: '5s' }, namespace, memory: false })
    const all = [...keys.values()]
    for (const key of all) assert.equal((await read(patient, key, () => 'loaded')).tier, 'redis')
    await haveBeaten(patient, masters.find(({ port }) => port === home).server)

    await Promise.all(masters.map(({ server }) => refuse(server, 9)))
    const fillers = Array.from({ length: 10_000 }, (_, n) => `filler ${n}`)
    const receipt = await patient.invalidate({ keys: [...all, ...fillers] })
    await haveBeaten(patient, masters.find(({ port }) => port === home).server)
    const meanwhile = await Promise.all(all.map((key) => patient.getOrSet(key, () => 'loaded')))
    await Promise.all(masters.map(({ server }) => refuse(server, 0)))
    await eventually(async () => (await patient.health()).status === 'ok', 5_000, 'they are applied')

    assert.equal(receipt.redis, 'queued')
    assert.deepEqual(
      meanwhile,
      all.map(() => 'loaded'),
    )
  })

  test('what one master refuses for a while is noted for it: what the others have stays', async (t) => {
    const { cache, namespace, keys, home, masters } = await reader(t)
    const [refusing, other] = masters.filter(({ port }) => port !== home)
    const warm = open(t, { redis: urlBy(1), namespace })
    await warm.getOrSet(keys.get(other.port), () => 'loaded')

    await refuse(refusing.server, 9)
    const receipt = await cache.invalidate(keys.get(refusing.port))
    await cache.set(keys.get(refusing.port), 'new')
    const { tier } = await read(warm, keys.get(other.port), () => 'loaded')
    await refuse(refusing.server, 0)
    await eventually(async () => (await cache.health()).status === 'ok', 5_000, 'it is applied')

    assert.equal(receipt.redis, 'queued')
    assert.equal(tier, 'memory')
    assert.notEqual(await warm.get(keys.get(refusing.port)), 'there')
  })

  for (const [name, target] of [
    ['a pattern', { pattern: 'probe *' }],
    ['all of a namespace', { all: true }],
  ]) {
    test(`I1 read-your-writes, I6 nothing lost: ${name}, which the namespace’s master alone refuses, counts for what lies on the others`, async (t) => {
      const { cache, namespace, keys, home, masters } = await reader(t)
      const elsewhere = [...keys].filter(([port]) => port !== home).map(([, key]) => key)
      const { server } = masters.find(({ port }) => port === home)

      await refuse(server, 9)
      const receipt = await cache.invalidate(target)
      // Its heartbeats go on, and tell of versions that know nothing of it.
      await haveBeaten(cache, server)
      const meanwhile = await Promise.all(elsewhere.map((key) => cache.getOrSet(key, () => 'loaded')))
      await refuse(server, 0)
      await eventually(async () => (await cache.health()).status === 'ok', 5_000, 'it is applied')
      const other = open(t, { redis: urlBy(1), namespace, memory: false })
      const afterwards = await Promise.all(elsewhere.map((key) => other.getOrSet(key, () => 'loaded')))

      assert.equal(receipt.redis, 'queued')
      for (const values of [meanwhile, afterwards])
        assert.deepEqual(
          values,
          elsewhere.map(() => 'loaded'),
        )
    })
  }

  test('a tag whose slot is just moving: what is kept under it counts for all', async (t) => {
    const namespace = freshNamespace()
    const [one, other] = [0, 1].map((n) => open(t, { redis: urlBy(n), namespace, memory: false }))
    await Promise.all([one.ready(), other.ready()])
    const { server } = await masterBesideHome(namespace, one)
    const earlier = await server.command('KEYS', `${namespace}:t:*`)
    const [tag] = await ownOf(
      server,
      namespace,
      (name) => one.getOrSet(`of ${name}`, () => 0, { tags: [name] }),
      't',
      1,
    )
    const [versions] = (await server.command('KEYS', `${namespace}:t:*`)).filter((name) => !earlier.includes(name))
    await server.command('DEL', versions)
    const to = (await cluster.masters()).find((master) => master.server !== server)

    let tier
    await cluster.moveSlot(await cluster.slotOf(versions), to, async () => {
      await one.getOrSet('new', () => 1, { tags: [tag] })
      ;({ tier } = await read(other, 'new', () => 2))
    })

    assert.equal(tier, 'redis')
    assert.equal(await to.server.command('EXISTS', versions), 1, 'it was made where its slot was moving to')
    await cluster.settled()
  })

  test('I1 read-your-writes, I6 nothing lost: a key whose slot is just moving cannot be invalidated, and is not read', async (t) => {
    const namespace = freshNamespace()
    const [one, other] = [0, 1].map((n) => open(t, { redis: urlBy(n), namespace, memory: false }))
    await Promise.all([one.ready(), other.ready()])
    const { server } = await masterBesideHome(namespace, one)
    const earlier = await server.command('KEYS', `${namespace}:e:*`)
    const [key] = await ownOf(server, namespace, (name) => one.set(name, 'old'), 'e', 1)
    const [entry] = (await server.command('KEYS', `${namespace}:e:*`)).filter((name) => !earlier.includes(name))
    const to = (await cluster.masters()).find((master) => master.server !== server)

    let receipt
    const during = []
    await cluster.moveSlot(await cluster.slotOf(entry), to, async () => {
      receipt = await one.invalidate(key)
      for (let i = 0; i < 5; i++) during.push(await one.getOrSet(key, () => 'new'))
    })

    assert.equal(receipt.redis, 'queued', 'its script needs names that are on neither side')
    assert.deepEqual([...new Set(during)], ['new'])
    await eventually(async () => (await one.health()).status === 'ok', 2_000, 'the queued one is applied')
    assert.equal(await other.getOrSet(key, () => 'new'), 'new')
    await cluster.settled()
  })

  test('the doctor sees all masters, and the rights that it prints are enough, also while a slot moves', async (t) => {
    const namespace = freshNamespace()
    const cli = ['--redis', cluster.url, '--namespace', namespace]
    const { stdout: rule } = await runCli(['doctor', '--acl', ...cli])
    const words = rule.trim().split(' ').slice(2)
    for (const server of cluster.servers) {
      await server.command('ACL', 'SETUSER', ...words, '>secret')
      await server.command('ACL', 'LOG', 'RESET')
    }

    const redis = cluster.url.replace('//', `//${namespace}:secret@`)
    const { code, stdout } = await runCli(['doctor', '--json', '--redis', redis, '--namespace', namespace])
    const cache = open(t, { redis, namespace, memory: false })
    await cache.ready()
    const [first, , third] = await cluster.masters()
    for (let i = 0; i < 20; i++) await cache.getOrSet(`key ${i}`, () => i, { tags: [`tag ${i}`] })
    const [name] = await first.server.command('KEYS', `${namespace}:e:*`)
    await cluster.moveSlot(await cluster.slotOf(name), third, async () => {
      for (let i = 0; i < 20; i++) assert.equal(await cache.getOrSet(`key ${i}`, () => i), i)
    })
    for (const target of ['key 1', { tag: 'tag 2' }, { pattern: 'key*' }, { all: true }]) {
      assert.deepEqual(await cache.invalidate(target), { redis: 'applied' })
    }

    const told = JSON.parse(stdout)
    const topology = told.checks.find(({ id }) => id === 'topology')
    assert.deepEqual([code, told.mode], [0, 'tracking'], stdout)
    assert.equal(topology.says, 'a cluster of 3 masters, all slots served')
    const refused = await Promise.all(cluster.running.map((server) => server.command('ACL', 'LOG', 10)))
    // What only the tool needs (SCAN, say) it may be refused, and says nothing of it.
    const objects = refused.flat().map((entry) => entry[entry.indexOf('object') + 1])
    const ofTheTool = ['scan', 'dbsize', 'memory|usage', 'config|get']
    assert.deepEqual(
      objects.filter((object) => !ofTheTool.includes(object)),
      [],
    )
    await cluster.settled()
  })

  test('I1 read-your-writes, I2 bounded elsewhere, I6 nothing lost: a master is paused, replaced, and comes back', async (t) => {
    const peers = await fleet(t)

    const histories = await underLoad(peers, { mode: 'tag', ms: RECOVERY + 200 }, async () => {
      const [paused] = await cluster.masters()
      paused.server.pause()
      await sleep(NODE_TIMEOUT + 1_200)
      paused.server.resume()
    })

    await judge(t, peers, histories)
    await cluster.settled()
  })
})

test('TLS: nodes are reached by the names that they announce, which their certificates carry', {
  skip: NO_OPENSSL,
}, async (t) => {
  const authority = new Authority()
  authority.issue('localhost')
  const cluster = await startCluster({ replicas: false, tls: authority })
  t.after(() => cluster.stop())
  const nodes = [`localhost:${cluster.servers[0].tlsPort}`]
  const cache = open(t, { redis: { nodes, tls: { ca: authority.read('ca.pem') }, connectTimeout: '5s' } })
  const strict = open(t, { redis: { nodes, tls: true } })

  await cache.ready()
  for (let i = 0; i < 30; i++) await cache.set(`key ${i}`, i)
  const { status } = await cache.health()
  const perMaster = await Promise.all(cluster.servers.map((server) => server.command('DBSIZE')))

  assert.equal(status, 'ok')
  assert.ok(
    perMaster.every((n) => n > 0),
    `keys per master: ${perMaster}`,
  )
  await assert.rejects(strict.ready(), /certificate/)
})

test('a server that is in no cluster is refused with what it says', async (t) => {
  const redis = await useRedis(t)
  const cache = open(t, { redis: redis.url.replace('redis:', 'redis+cluster:') })

  await assert.rejects(cache.ready(), /cluster support disabled/)
  assert.equal(await cache.getOrSet('k', () => 1), 1)
})
