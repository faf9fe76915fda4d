'use strict'
// The smallest ACL that an application can live with, as `doctor --acl` prints it: found by taking each rule away.
//
// Redis logs every command that it refuses (ACL LOG). With the whole list a day in the life of a cache logs nothing; without
// any one of its rules it logs something, and the doctor names that rule.

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { runCli } = require('./support/cli.js')
const { gated, sleep } = require('./support/kit.js')
const { startRedis } = require('./support/redis.js')

/** Redis 7 lets everybody say HELLO; 6 does not. */
const ONLY_OLDER = ['+hello']
/** At a time: the machine has other things to do. */
const TOGETHER = 4

let redis
let rules
let line

const urlOf = (user) => redis.url.replace('//', `//${user}:secret@`)
const makeUser = (user, granted) => redis.command('ACL', 'SETUSER', user, ...granted, '>secret')

/** What Redis refused this user. */
async function refusals(user) {
  const log = await redis.command('ACL', 'LOG', '10000')
  const entries = log.map((flat) => Object.fromEntries(flat.flatMap((v, i) => (i % 2 === 0 ? [[v, flat[i + 1]]] : []))))
  return entries.filter(({ username }) => username === user).map(({ object }) => object)
}

/**
 * A day in the life of a cache in a namespace of the user's name: everything that an engine asks of Redis.
 *
 * @returns {Promise<string[]>} what failed; for want of a rule that is not what is looked at
 */
async function live(user) {
  const { createCache } = require('..')
  const options = { namespace: user, logger: { warn() {} } }
  const cache = createCache({ ...options, redis: urlOf(user) })
  const peer = createCache({ ...options, redis: redis.url })
  const failed = []
  const try_ = (act) =>
    Promise.resolve()
      .then(act)
      .catch((error) => failed.push(error.message))
  await try_(() => cache.ready())
  await try_(() => cache.getOrSet('a', () => 1, { tags: ['t'], ttl: '1h' }))
  await try_(() => cache.getOrSet('late', (ctx) => ctx.tag('late')))
  await try_(() => cache.set('set', 1, { ttl: '1h', tags: ['t'] }))
  await try_(() => cache.getOrSet('a', () => 2, { refresh: 'force' }))
  for (const target of ['a', { tag: 't' }, { pattern: 'p*' }]) {
    await try_(() => cache.invalidate(target, { mode: 'stale' }))
    await try_(() => cache.invalidate(target))
    await try_(() => cache.invalidate(target, { settle: '50ms' }))
  }
  // A view and a version: other names, the same scripts; and a load whose source settles.
  const view = cache.namespace('v')
  await try_(() => view.getOrSet('a', () => 1, { version: 2, tags: ['t'] }))
  await try_(() => view.invalidate('a', { mode: 'stale' }))
  await try_(() => view.invalidate({ keys: ['a'], pattern: 'a*', all: true }, { settle: '30s' }))
  await try_(() => view.getOrSet('a', () => 2, { version: 2 }))
  // An entry from before a rule is judged by it.
  await try_(() => peer.set('p1', 1, { ttl: '1h' }))
  await try_(() => peer.invalidate({ pattern: 'p*' }))
  await try_(() => cache.get('p1'))
  // A load whose lease is gone without a push, and one that a peer runs meanwhile.
  const overtaken = gated(1)
  const overtaking = cache.getOrSet('o', overtaken)
  await overtaken.began
  for (const lease of await redis.command('KEYS', `${user}:l:*`)) await redis.command('DEL', lease)
  overtaken.release()
  await try_(() => overtaking)
  const slow = gated(1)
  const held = peer.getOrSet('w', slow)
  await slow.began
  const waiting = cache.getOrSet('w', () => 2)
  await sleep(100)
  slow.release()
  await try_(() => Promise.all([held, waiting]))
  await try_(() => cache.invalidate({ all: true }))
  await try_(() => cache.health())
  // A heartbeat.
  await try_(() => cache.get('a'))
  await sleep(400)
  await Promise.all([cache.close(), peer.close()])
  return failed
}

/** Works through a list, some at a time. */
async function each(list, act) {
  const left = [...list]
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item)
  }
  await Promise.all(Array.from({ length: TOGETHER }, worker))
}

describe('the minimal ACL', () => {
  before(async () => {
    redis = await startRedis({ args: ['--acllog-max-len', '10000'] })
    const { stdout } = await runCli(['doctor', '--acl', '--namespace', 'shop', '--redis', urlOf('shop')])
    line = stdout.trim()
    rules = line.split(' ').slice(3)
  })
  after(() => redis.stop())

  test('is this line', () => {
    assert.equal(
      line,
      'ACL SETUSER shop on resetkeys ~shop:* resetchannels -@all +hello +ping +info +time +client|tracking ' +
        '+client|caching +eval +evalsha +get +set +del +unlink +exists +pttl +pexpire +getrange +setrange ' +
        '+zadd +zscore +zrevrange +zrangebyscore +zremrangebyscore',
    )
  })

  test('is of a user of its own where the url names none: nobody loses the rights of the default user', async () => {
    const acl = (...args) => runCli(['doctor', '--acl', ...args, '--namespace', 'shop', '--redis', redis.url])

    const application = await acl()
    const reader = await acl('--read-only')

    assert.match(application.stdout, /^ACL SETUSER shop on resetkeys ~shop:\* /)
    assert.match(reader.stdout, /^ACL SETUSER shop-reader on resetkeys ~shop:\* /)
    assert.equal(reader.stderr, 'tidecache: add a password to it, as >password\n')
  })

  test('is enough: nothing is refused, and doctor says tracking', async () => {
    await makeUser('shop', rules)

    await redis.command('SCRIPT', 'FLUSH')
    const failed = await live('shop')
    const refused = await refusals('shop')
    const { code, stdout } = await runCli(['doctor', '--json', '--namespace', 'shop', '--redis', urlOf('shop')])

    assert.deepEqual([refused, failed], [[], []])
    const { mode, checks } = JSON.parse(stdout)
    assert.deepEqual([code, mode], [0, 'tracking'])
    const notWell = checks.filter(({ id, status }) => status !== 'ok' && id !== 'memory')
    assert.deepEqual(
      notWell.map(({ id, mend }) => [id, mend]),
      [['this tool', ['ACL SETUSER shop +scan +dbsize +memory|usage']]],
    )
  })

  test('of a reader lets him look, and change nothing', async () => {
    const asked = ['doctor', '--acl', '--read-only', '--namespace', 'shop', '--redis', urlOf('reader')]
    const { stdout } = await runCli(asked)
    await makeUser('reader', stdout.trim().split(' ').slice(3))
    const { createCache } = require('..')
    const cache = createCache({ redis: redis.url, namespace: 'shop' })
    await cache.set('before', 1, { ttl: '1h', tags: ['t'] })
    await cache.invalidate({ pattern: 'x*' })
    await cache.set('seen', 1, { ttl: '1h', tags: ['t'] })
    await cache.close()
    const run = (...args) => runCli([...args, '--namespace', 'shop', '--redis', urlOf('reader')])

    const looks = [['ls'], ['get', 'seen'], ['inspect', 'before'], ['top', '--once']]
    const codes = await Promise.all(looks.map(async (args) => (await run(...args)).code))
    const refused = await refusals('reader')
    const invalidated = await run('invalidate', 'seen')

    assert.deepEqual(codes, [0, 0, 0, 0])
    assert.deepEqual(refused, [])
    assert.equal(invalidated.code, 1)
    assert.match(
      invalidated.stderr,
      /^tidecache: Redis did not confirm it: .*NOPERM.*; tidecache doctor tells which right is missing\n$/,
    )
    assert.equal((await run('get', 'seen')).code, 0)
  })

  test('of a reader names the rule that is missing', async () => {
    const asked = ['doctor', '--acl', '--read-only', '--namespace', 'shop', '--redis', urlOf('reader')]
    const granted = (await runCli(asked)).stdout.trim().split(' ').slice(3)
    const told = { '+pttl': ['inspect', 'before'], '+dbsize': ['top', '--once'] }
    // Redis 7 lets everybody say HELLO, and `top` says itself what it cannot know without sizes.
    const spared = [...ONLY_OLDER, '+memory|usage']

    for (const rule of granted.filter((one) => /^[+~]/.test(one) && !spared.includes(one))) {
      const user = `reader-${rule.replace(/\W/g, '')}`
      await makeUser(
        user,
        granted.filter((one) => one !== rule),
      )

      const { code, stderr } = await runCli([...(told[rule] ?? ['ls']), '--namespace', 'shop', '--redis', urlOf(user)])

      const may = rule.startsWith('~') ? `use ${rule.slice(1)}` : `run ${rule.slice(1)}`
      const said = `tidecache: user ${user} may not ${may}; the rule is: ACL SETUSER ${user} ${rule}\n`
      assert.deepEqual([code, stderr], [1, said])
    }
  })

  test('has no rule too many: without any one of them something is refused, and doctor names it', async () => {
    const commands = rules.filter((rule) => rule.startsWith('+') && !ONLY_OLDER.includes(rule))
    const without = async (rule) => {
      const user = `no-${rule.slice(1).replace('|', '-')}`
      const granted = rules.filter((one) => one !== rule).map((one) => one.replace('~shop:', `~${user}:`))
      await makeUser(user, granted)
      await live(user)
      const refused = await refusals(user)
      const { stdout } = await runCli(['doctor', '--json', '--namespace', user, '--redis', urlOf(user)])
      const mends = JSON.parse(stdout).checks.flatMap(({ mend = [] }) => mend)

      assert.notDeepEqual(refused, [], `${rule} is not needed`)
      const isNamed = mends.some((mend) => mend.startsWith(`ACL SETUSER ${user} `) && mend.split(' ').includes(rule))
      assert.ok(isNamed, `${rule}: ${mends}`)
    }

    // EVAL is needed only while the server does not know the scripts: alone, before others teach it.
    await redis.command('SCRIPT', 'FLUSH')
    await without('+eval')
    await each(
      commands.filter((rule) => rule !== '+eval'),
      without,
    )
  })
})
