'use strict'
// The command line tool on a cluster: what lies on several masters is one namespace.

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { jsonLines, runCli } = require('./support/cli.js')
const { startCluster } = require('./support/cluster.js')
const { eventually, freshNamespace } = require('./support/kit.js')

const ENTRIES = 300

describe('the command line tool, on a cluster', () => {
  const namespace = freshNamespace()
  const options = { ttl: '1h', tags: ['builds'] }
  let cluster
  let cache
  const tool = (...args) => runCli([...args, '--namespace', namespace], { env: { REDIS_URL: cluster.url } })

  before(async () => {
    const { createCache } = require('..')
    cluster = await startCluster({ replicas: false })
    cache = createCache({ redis: { url: cluster.url, commandTimeout: '5s' }, namespace, logger: { warn() {} } })
    await cache.ready()
    await Promise.all(Array.from({ length: ENTRIES }, (_, n) => cache.set(`build:${n}`, n, options)))
    await cache.set('class:1', 'a class', { ttl: '1h', tags: ['classes'] })
    await cache.set('falls', 'x', { ttl: '1h', tags: ['falls'] })
    await cache.set('matched', 'x', { ttl: '1h' })
    await cache.invalidate({ tag: 'falls' })
    await cache.invalidate({ pattern: 'match*' })
  })
  after(async () => {
    await cache?.close()
    await cluster?.stop()
  })

  test('ls lists the entries of every master, each judged by what lies on others', async () => {
    const { code, stdout, stderr } = await tool('ls', '--json')

    assert.equal(code, 0, stderr)
    const rows = jsonLines(stdout)
    assert.equal(new Set(rows.map(({ key }) => key)).size, ENTRIES + 3)
    const masters = await Promise.all((await cluster.masters()).map(({ server }) => server.command('DBSIZE')))
    assert.ok(
      masters.every((size) => size > ENTRIES / 6),
      `${masters} keys: none has them all`,
    )
    const odd = rows.filter(({ state }) => state !== 'fresh').map(({ key, state }) => [key, state])
    assert.deepEqual(odd.sort(), [
      ['falls', 'invalid'],
      ['matched', 'invalid'],
    ])
  })

  test('get and inspect tell of one entry, wherever it lies', async () => {
    for (const n of [0, 1, 2, 3, 4, 5]) {
      const got = await tool('get', `build:${n}`)
      assert.equal(got.stdout.trim(), String(n), got.stderr)
    }
    const { stdout } = await tool('inspect', 'build:7', '--json')
    const told = JSON.parse(stdout)
    assert.equal(told.state, 'fresh')
    assert.deepEqual(told.tags, ['builds'])
    const fallen = await tool('inspect', 'falls')
    assert.match(fallen.stdout, /invalid/)
    assert.match(fallen.stdout, /falls/)
  })

  test('top counts them all together', async () => {
    const { code, stdout, stderr } = await tool('top', '--once', '--json')

    assert.equal(code, 0, stderr)
    const told = JSON.parse(stdout)
    assert.equal(told.entries, ENTRIES + 3)
    assert.ok(told.isExact)
    assert.ok(told.tags >= 3, `${told.tags} tags`)
  })

  test('a user who only looks has the rights for it by the rule that doctor gives', async () => {
    const { stdout } = await tool('doctor', '--acl', '--read-only')
    const [, , user, ...rules] = stdout.trim().split(' ')
    for (const server of cluster.running) await server.command('ACL', 'SETUSER', user, '>looks', ...rules)
    const url = cluster.url.replace('://', `://${user}:looks@`)

    for (const args of [
      ['ls', '--json'],
      ['get', 'build:1'],
      ['inspect', 'build:2'],
      ['top', '--once'],
    ]) {
      const { code, stderr } = await runCli([...args, '--namespace', namespace], { env: { REDIS_URL: url } })
      assert.equal(code, 0, `${args}: ${stderr}`)
    }
  })
})

describe('the doctor, on a cluster that has lost a master', { concurrency: 2 }, () => {
  /** A cluster without replicas, which goes on with the slots that it has; and a namespace whose version is on `home`. */
  async function begin(t) {
    const cluster = await startCluster({ replicas: false, args: ['--cluster-require-full-coverage', 'no'] })
    t.after(() => cluster.stop())
    const { createCache } = require('..')
    const namespace = freshNamespace()
    const cache = createCache({ redis: cluster.url, namespace, logger: { warn() {} } })
    t.after(() => cache.close())
    await cache.getOrSet('k', () => 1)
    // The version of the namespace is the only name of its kind.
    const masters = await cluster.masters()
    const hasIt = await Promise.all(masters.map(({ server }) => server.command('KEYS', `${namespace}:t:*`)))
    const home = masters[hasIt.findIndex((names) => names.length > 0)]
    const others = masters.filter((master) => master !== home)
    return { cluster, namespace, cache, home, others }
  }

  async function examine({ cluster, namespace }) {
    const { code, stdout, stderr } = await runCli([
      'doctor',
      '--json',
      '--redis',
      cluster.url,
      '--namespace',
      namespace,
    ])
    assert.equal(stderr, '')
    const told = JSON.parse(stdout)
    return { code, ...told, check: Object.fromEntries(told.checks.map((check) => [check.id, check])) }
  }

  /** Every node that runs knows that it is gone. */
  const isLost = (cluster, lost) => async () => {
    const seen = await Promise.all(cluster.running.map((server) => cluster.masters(server)))
    return seen.flat().every(({ id }) => id !== lost.id)
  }

  test('the others go on: a warning, its consequence, and the rights as ever', async (t) => {
    const world = await begin(t)
    const { cluster, cache, others } = world
    const [lost] = others
    await lost.server.stop()

    for (const isNoticed of [false, true]) {
      if (isNoticed) await eventually(isLost(cluster, lost), 10_000, 'the cluster takes it for failed')
      const told = await examine(world)

      assert.equal(told.code, 0, JSON.stringify(told.checks))
      assert.equal(told.mode, 'tracking')
      const { status, says, consequence } = told.check.topology
      assert.equal(status, 'warning')
      assert.match(says, /^a cluster: (1 of 3 masters cannot be used|10,92\d of 16,384 slots served)$/)
      assert.match(consequence, /kept in memory alone\. The others go on\.$/)
      assert.equal(told.check.commands.status, 'ok')
      assert.equal(told.check.pushes.status, 'ok')
    }
    // What an application finds: an invalidation of what the others have is applied.
    const keys = Array.from({ length: 20 }, (_, n) => `k${n}`)
    const states = await Promise.all(keys.map(async (key) => (await cache.invalidate(key)).redis))
    assert.deepEqual([...new Set(states)].sort(), ['applied', 'queued'])
  })

  test('without the one that has the version of the namespace nothing goes on: memory-only', async (t) => {
    const world = await begin(t)
    const { cluster, home } = world
    await home.server.stop()
    await eventually(isLost(cluster, home), 10_000, 'the cluster takes it for failed')

    const told = await examine(world)

    assert.equal(told.code, 1)
    assert.equal(told.mode, 'memory-only')
    assert.match(told.because, new RegExp(`^127\\.0\\.0\\.1:${home.port} cannot be reached`))
    assert.match(
      told.check.connection.consequence,
      /Other masters can be, but this one has the version of the namespace/,
    )
  })
})
