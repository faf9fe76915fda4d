'use strict'
// `redis.integrityKey`: who can write to Redis cannot make up a value.

const assert = require('node:assert/strict')
const { inspect } = require('node:util')
const { test } = require('node:test')
const { counted, freshNamespace } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')

const KEY = '0123456789abcdef0123456789abcdef'
const TTL = { ttl: '10m' }

/** A cache that always asks Redis, whose warnings are kept. */
function openSealed(t, redis, { namespace, integrityKey = KEY } = {}) {
  const warnings = []
  const cache = open(t, {
    redis: { url: redis.url, integrityKey },
    namespace,
    memory: false,
    logger: { warn: (message) => warnings.push(message) },
  })
  return { cache, warnings }
}

/** The keys of the entries of a namespace in Redis. */
async function entriesOf(redis, namespace) {
  return (await redis.command('KEYS', `${namespace}:e:*`)).sort()
}

/** Puts one byte of a stored entry right or wrong, as somebody with access to Redis could. */
async function flip(redis, key, at) {
  const byte = Number(
    await redis.command('EVAL', 'return redis.call("GETRANGE", KEYS[1], ARGV[1], ARGV[1]):byte()', '1', key, at),
  )
  const script = 'redis.call("SETRANGE", KEYS[1], ARGV[1], string.char(ARGV[2]))'
  await redis.command('EVAL', script, '1', key, String(at), String(byte ^ 1))
}

test('processes with the key share entries; a byte that somebody changes makes one a miss, with one warning', async (t) => {
  const redis = await useRedis(t)
  const namespace = freshNamespace()
  const { cache, warnings } = openSealed(t, redis, { namespace })
  const peer = await usePeer(t, { redis: { url: redis.url, integrityKey: KEY }, namespace })
  assert.equal(await cache.getOrSet('k', () => 'genuine', TTL), 'genuine')
  assert.equal(await peer.getOrSet('k', { value: 'loaded again' }, TTL), 'genuine')

  const [entry] = await entriesOf(redis, namespace)
  const size = await redis.command('STRLEN', entry)
  for (const at of [5, 60, size - 40, size - 1]) {
    await flip(redis, entry, at)
    assert.equal(await cache.getOrSet('k', () => `after ${at}`, TTL), `after ${at}`)
  }

  assert.equal(warnings.length, 1)
  assert.match(warnings[0], /^an entry in Redis is not sealed with redis\.integrityKey/)
})

test('an entry that is put in another’s place, of this namespace or another, is a miss', async (t) => {
  const redis = await useRedis(t)
  const [mine, other] = [freshNamespace(), freshNamespace()]
  const { cache } = openSealed(t, redis, { namespace: mine })
  const { cache: foreign } = openSealed(t, redis, { namespace: other })
  await cache.set('admin', 'false', TTL)
  const [admin] = await entriesOf(redis, mine)
  await cache.set('visitor', 'true', TTL)
  const visitor = (await entriesOf(redis, mine)).find((key) => key !== admin)
  await foreign.set('admin', 'true', TTL)
  const [elsewhere] = await entriesOf(redis, other)

  for (const source of [visitor, elsewhere]) {
    await redis.command('COPY', source, admin, 'REPLACE')
    assert.equal(await cache.getOrSet('admin', () => 'loaded', TTL), 'loaded')
  }
})

test('a writer without the key, or with another one, is not believed; a stale mark is no forgery', async (t) => {
  const redis = await useRedis(t)
  const namespace = freshNamespace()
  const { cache } = openSealed(t, redis, { namespace })
  const plain = await usePeer(t, { redis: redis.url, namespace })
  const other = await usePeer(t, { redis: { url: redis.url, integrityKey: KEY.replace('0', '1') }, namespace })

  for (const peer of [plain, other]) {
    await peer.set('k', 'made up', TTL)
    assert.equal(await cache.getOrSet('k', () => 'genuine', TTL), 'genuine')
  }
  // Who checks nothing reads what is sealed.
  assert.equal(await plain.getOrSet('k', { value: 'again' }, TTL), 'genuine')

  await cache.invalidate('k', { mode: 'stale' })
  let outcome
  const loader = counted(() => 'new')
  assert.equal(
    await cache.getOrSet('k', loader, { ...TTL, onResult: (result) => (outcome = result.outcome) }),
    'genuine',
  )
  assert.equal(outcome, 'stale')
})

test('planted secrets are in nothing that a cache shows or says', async (t) => {
  const redis = await useRedis(t, { args: ['--requirepass', 'planted-password'] })
  const said = []
  const logger = { warn: (...all) => said.push(all), info: (...all) => said.push(all) }
  const url = redis.url.replace('//', '//:planted-password@')
  const namespace = freshNamespace()
  const cache = open(t, { redis: { url, integrityKey: 'planted-integrity-key' }, namespace, logger })
  for (const name of ['hit', 'miss', 'load', 'redisDown', 'redisUp', 'warning'])
    cache.on(name, (event) => said.push(event))
  await cache.getOrSet('k', () => 1, TTL)
  const wrong = open(t, { redis: url.replace('planted', 'planted-wrong'), namespace: freshNamespace(), logger })
  await wrong.getOrSet('k', () => 1)
  said.push(await wrong.health(), await wrong.ready().catch((error) => error))
  await redis.kill()
  await cache.getOrSet('other', () => 1)
  said.push(await cache.invalidate('k', { strict: true }).catch((error) => error))
  said.push(await cache.health(), await cache.metrics(), await cache.metrics({ format: 'prometheus' }), cache)

  assert.ok(said.length > 8)
  for (const one of said) {
    const text = `${inspect(one, { depth: 12, showHidden: true })} ${one.stack} ${JSON.stringify(one)}`
    assert.ok(!text.includes('planted'), text)
  }
})

test('caches of one engine must have the same key, and none shows it', async (t) => {
  const redis = await useRedis(t)
  const namespace = freshNamespace()
  const { cache } = openSealed(t, redis, { namespace, integrityKey: Buffer.from(KEY) })
  const again = openSealed(t, redis, { namespace })

  assert.equal(await again.cache.getOrSet('k', () => 1, TTL), await cache.getOrSet('k', () => 2, TTL))
  for (const integrityKey of [`${KEY}x`, undefined]) {
    const redisOptions = { url: redis.url, integrityKey }
    assert.throws(
      () => open(t, { redis: redisOptions, namespace, memory: false }),
      (error) => /redis\.integrityKey is \(hidden\)/.test(error.message) && !inspect(error).includes(KEY),
    )
  }
})
