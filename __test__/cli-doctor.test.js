'use strict'
// `tidecache doctor` on servers that differ: what it says of each is what an application then finds.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Authority, NO_OPENSSL } = require('./support/certificates.js')
const { runCli } = require('./support/cli.js')
const { freshNamespace } = require('./support/kit.js')
const { freePort } = require('../scripts/lib/ports.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { useSentinels } = require('./support/sentinel.js')

const BOUNDED = ['--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru']

/** Runs the doctor; by check: what it found. */
async function examine(url, { args = [] } = {}) {
  const { code, stdout, stderr } = await runCli(['doctor', '--json', '--redis', url, ...args])
  assert.equal(stderr, '')
  const told = JSON.parse(stdout)
  return { code, ...told, check: Object.fromEntries(told.checks.map((check) => [check.id, check])) }
}

/** What a cache makes of the same server: connected, and with pushes or without. */
async function lived(url) {
  const { createCache } = require('..')
  const cache = createCache({ redis: url, namespace: freshNamespace(), logger: { warn() {} } })
  try {
    const { status, redis } = await cache.health()
    return status === 'ok' ? redis.coherence : status
  } finally {
    await cache.close()
  }
}

const statuses = ({ checks }) => Object.fromEntries(checks.map(({ id, status }) => [id, status]))

test('on a plain Redis all is well: mode tracking', async (t) => {
  const redis = await useRedis(t, { args: BOUNDED })

  const told = await examine(redis.url)

  assert.equal(told.code, 0)
  assert.equal(told.mode, 'tracking')
  assert.equal(await lived(redis.url), 'tracking')
  assert.deepEqual([...new Set(Object.values(statuses(told)))], ['ok'], JSON.stringify(told.checks))
  assert.match(told.check.version.says, /^(Redis|Valkey) \d/)
  assert.match(told.check.pushes.says, /a push came back in [\d.]+ ms/)
  const { p50, p99, count } = told.measured.roundTrip
  assert.ok(count > 3 && p50 > 0 && p50 <= p99 && p99 < 250, JSON.stringify(told.measured.roundTrip))
  assert.ok(Math.abs(told.measured.clock.offset) < 1_000)
})

test('it leaves nothing behind, and no peer takes its pushes for an invalidation', async (t) => {
  const redis = await useRedis(t, { args: BOUNDED })
  const { createCache } = require('..')
  const namespace = freshNamespace()
  const cache = createCache({ redis: redis.url, namespace })
  await cache.set('k', 1)
  const before = (await redis.command('KEYS', '*')).sort()

  const told = await examine(redis.url, { args: ['--namespace', namespace] })

  assert.equal(told.mode, 'tracking')
  assert.deepEqual((await redis.command('KEYS', '*')).sort(), before)
  assert.equal((await cache.metrics()).invalidations.received, 0)
  await cache.close()
})

test('it prints in 80 columns what is to be read, and what is to be copied on one line', async (t) => {
  const redis = await useRedis(t)
  const { code, stdout } = await runCli(['doctor', '--redis', redis.url])

  assert.equal(code, 0)
  for (const heading of ['The way there', 'The server', 'What user default may do', 'Mode: tracking']) {
    assert.match(stdout, new RegExp(`^${heading}$`, 'm'))
  }
  for (const line of stdout.split('\n')) assert.ok(line.includes('→') || line.length <= 80, line)
  assert.match(stdout, /^ {2}! memory .* no maxmemory$/m)
  assert.match(stdout, /^ +→ CONFIG SET maxmemory-policy allkeys-lru$/m)
})

test('without CLIENT TRACKING: mode none, with the rule that mends it', async (t) => {
  const redis = await useRedis(t, { args: BOUNDED })
  await redis.command('ACL', 'SETUSER', 'shop', 'on', '>secret', '~*', '&*', '+@all', '-client|tracking')
  const url = redis.url.replace('//', '//shop:secret@')

  const told = await examine(url)

  assert.equal(told.code, 0)
  assert.equal(told.mode, 'none')
  assert.equal(await lived(url), 'none')
  assert.equal(told.because, 'CLIENT TRACKING is refused')
  assert.equal(told.check.pushes.status, 'warning')
  assert.deepEqual(told.check.pushes.mend, ['ACL SETUSER shop +client|tracking +client|caching'])
  assert.doesNotMatch(JSON.stringify(told), /secret/)
  await redis.command('ACL', 'SETUSER', 'shop', '+client|tracking', '+client|caching')
  assert.equal((await examine(url)).mode, 'tracking', 'the rule mends it')
})

test('where CLIENT is renamed away: mode none, and no ACL rule that would not help', async (t) => {
  const redis = await useRedis(t, { args: [...BOUNDED, '--rename-command', 'CLIENT', ''] })

  const told = await examine(redis.url)

  assert.equal(told.mode, 'none')
  assert.equal(await lived(redis.url), 'none')
  assert.match(told.check.pushes.mend[0], /rename-command/)
})

test('keys outside the ACL: memory only, with the rule that mends it', async (t) => {
  const redis = await useRedis(t)
  await redis.command('ACL', 'SETUSER', 'shop', 'on', '>secret', '~other:*', '+@all')
  const url = redis.url.replace('//', '//shop:secret@')

  const told = await examine(url, { args: ['--namespace', 'mine'] })

  assert.equal(told.code, 1)
  assert.equal(told.mode, 'memory-only')
  assert.equal(await lived(url), 'degraded')
  assert.equal(told.because, 'mine:* may not be used')
  assert.deepEqual(told.check.keys.mend, ['ACL SETUSER shop ~mine:*'])
  await redis.command('ACL', 'SETUSER', 'shop', '~mine:*')
  assert.equal((await examine(url, { args: ['--namespace', 'mine'] })).mode, 'tracking', 'the rule mends it')
})

test('a wrong password, a missing one, a database that is not there: memory only, and it says which', async (t) => {
  const redis = await useRedis(t, { args: ['--requirepass', 'hunter2'] })
  const cases = [
    [redis.url.replace('//', '//:wrong@'), /user or password is wrong/],
    [redis.url, /a password is needed/],
    [`${redis.url.replace('//', '//:hunter2@')}/99`, /that database does not exist/],
  ]

  for (const [url, says] of cases) {
    const told = await examine(url)

    assert.equal(told.code, 1)
    assert.equal(told.mode, 'memory-only')
    assert.match(told.check.greeting.says, says)
    assert.doesNotMatch(JSON.stringify(told), /hunter2|wrong@/)
  }
})

test('a replica: memory only, and the master is asked for', async (t) => {
  const master = await useRedis(t)
  const replica = await useRedis(t, { args: ['--replicaof', '127.0.0.1', String(master.port)] })

  const told = await examine(replica.url)

  assert.equal(told.code, 1)
  assert.equal(told.mode, 'memory-only')
  assert.match(told.check.topology.says, /a replica/)
  assert.match(told.check.topology.mend[0], /master's address/)
})

test('a Redis that is full: what still works, and what to do', async (t) => {
  const redis = await useRedis(t, { args: ['--maxmemory', '500kb', '--maxmemory-policy', 'noeviction'] })

  const told = await examine(redis.url)

  assert.equal(told.check.writes.status, 'warning')
  assert.equal(told.check.writes.says, 'Redis is full')
  assert.equal(told.check.commands.status, 'ok')
  assert.equal(told.mode, await lived(redis.url))
})

test('a node of a cluster, given as if it were a server of its own: what to give instead', async (t) => {
  const cluster = await useRedis(t, { args: ['--cluster-enabled', 'yes'] })

  const told = await examine(cluster.url)

  assert.equal(told.code, 1)
  assert.equal(told.mode, 'memory-only')
  assert.equal(told.because, 'a node of a Redis Cluster')
  assert.match(told.check.topology.mend[0], new RegExp(`redis\\+cluster://127.0.0.1:${cluster.port}`))
  assert.equal(told.check.commands, undefined, 'no ACL rule that would not help')
})

test('Sentinels: the master behind them is examined; one alone, or a wrong name, is said plainly', async (t) => {
  const { url, sentinels } = await useSentinels(t)

  const told = await examine(url)
  assert.deepEqual([told.code, told.mode], [0, await lived(url)])
  assert.equal(told.check.topology.says, 'one master, 1 replica, watched by 3 Sentinels')

  const alone = await examine(`redis://127.0.0.1:${sentinels[0].port}`)
  assert.deepEqual([alone.code, alone.mode], [1, 'memory-only'])
  assert.equal(alone.because, 'a Sentinel, not a Redis')

  const wrong = await examine(url.replace('master=m', 'master=nobody'))
  assert.deepEqual([wrong.code, wrong.mode], [1, 'memory-only'])
  assert.match(wrong.because, /^the Sentinels tell of no master: .*No such master/)
})

test('TLS: whom to trust, and which name', { skip: NO_OPENSSL }, async (t) => {
  const authority = new Authority()
  authority.issue('localhost')
  const port = await freePort()
  await useRedis(t, { args: [...BOUNDED, ...authority.serverArgs('localhost', port)] })
  const trust = { args: ['--tls-ca', authority.file('ca.pem')] }

  const unknown = await examine(`rediss://localhost:${port}`)
  const trusted = await examine(`rediss://localhost:${port}`, trust)
  const otherName = await examine(`rediss://127.0.0.1:${port}`, trust)
  const plain = await examine(`redis://localhost:${port}`)

  assert.match(unknown.check.encryption.mend[0], /--tls-ca/)
  assert.match(trusted.check.encryption.says, /certificate verified/)
  assert.deepEqual([trusted.mode, trusted.code], ['tracking', 0])
  assert.match(otherName.check.encryption.mend[0], /by a name that its certificate carries/)
  assert.match(plain.check.greeting.mend[0], /rediss:/)
})

test('nobody there, no such host, nothing but silence: which step failed, within its deadline', async (t) => {
  const redis = await useRedis(t)
  const proxy = await useProxy(t, redis.port)
  proxy.freeze()

  const down = await examine(`redis://127.0.0.1:${await freePort()}`)
  const lost = await examine('redis://nowhere.invalid:6379')
  const silent = await examine(proxy.url)
  const noTls = await examine(redis.url.replace('redis:', 'rediss:'))

  assert.match(down.check.connection.says, /cannot be reached: Connection refused/)
  assert.match(lost.check.connection.says, /nowhere\.invalid:6379 cannot be reached: .*(lookup|resolve|known)/i)
  assert.match(silent.check.greeting.says, /no answer in time/)
  assert.match(noTls.check.encryption.says, /TLS failed/)
  for (const told of [down, lost, silent, noTls]) assert.deepEqual([told.code, told.mode], [1, 'memory-only'])
})

test('full of noeviction: the policy is named, with both ways out', async (t) => {
  const redis = await useRedis(t, { args: ['--maxmemory', '64mb', '--maxmemory-policy', 'noeviction'] })

  const { check, mode } = await examine(redis.url)

  assert.equal(mode, 'tracking')
  assert.equal(check.memory.status, 'warning')
  assert.match(check.memory.says, /of 64 MB used, noeviction/)
  assert.match(check.memory.mend[0], /allkeys-lru/)
  assert.match(check.memory.mend[1], /volatile-lru/)
})

test('a slow link: the round trip is measured and judged', async (t) => {
  const redis = await useRedis(t, { args: BOUNDED })
  const proxy = await useProxy(t, redis.port)
  proxy.delay(20)

  const { check, measured } = await examine(proxy.url)

  assert.ok(measured.roundTrip.p50 >= 20, JSON.stringify(measured.roundTrip))
  assert.equal(check['round trip'].status, 'warning')
})
