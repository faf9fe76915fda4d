'use strict'
// The command line tool on a cluster: what lies on several masters is one namespace.

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { jsonLines, runCli } = require('./support/cli.js')
const { startCluster } = require('./support/cluster.js')
const { freshNamespace } = require('./support/kit.js')

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
