'use strict'
// Bad arguments: a CacheConfigError that names option, value and what is allowed; a rejected promise where the member
// returns one; and nothing changed. The table is in support/badinput.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { CacheConfigError, createCache, duration } = require('..')
const { createTestCache } = require('../testing.js')
const { freshNamespace } = require('./support/kit.js')
const { open, withRedis } = require('./support/setups.js')
require('./support/badinput/entry.js')
require('./support/badinput/members.js')
const { loader, rows } = require('./support/badinput/table.js')

/** Members that throw; all others reject. */
const SYNCHRONOUS = ['wrap', 'namespace', 'on', 'off', 'key of wrap']
/** Their error is known once a loader has run. */
const LOADING = ['ctx.ttl', 'ctx.tag', 'loadMissing']

/** @returns {Promise<Error>} what the row throws or rejects with, in the way its member should */
async function errorOf({ member, run }, cache) {
  let returned
  try {
    returned = run(cache)
  } catch (error) {
    assert.ok(SYNCHRONOUS.includes(member), `${member} throws instead of rejecting: ${error}`)
    return error
  }
  return returned.then(
    (value) => assert.fail(`resolved to ${String(value)}`),
    (error) => error,
  )
}

function checkError(error, texts) {
  assert.ok(error instanceof CacheConfigError, String(error?.stack ?? error))
  assert.deepEqual([error.name, error.code], ['CacheConfigError', 'ERR_CACHE_CONFIG'])
  for (const text of texts) assert.ok(error.message.includes(text), `${error.message}\n  says: ${text}`)
  assert.ok(error.message.length < 500, `${error.message.length} characters`)
}

/** All that a call could have changed. */
async function stateOf(cache) {
  const { memory, loads, invalidations, hits, misses, errors } = await cache.metrics()
  const entries = await Promise.all(['k', 'l', 'fine', 'a'].map((key) => cache.inspect(key)))
  const kept = entries.map((entry) => entry && { ...entry, age: 0 })
  return { memory, loads, invalidations, hits, misses, errors, kept, calls: loader.calls, value: entries[0]?.bytes }
}

const shownOf = (value) =>
  typeof value === 'string' ? JSON.stringify(value) : String(require('node:util').inspect(value))
const titleOf = ({ member, option, value }) => `${member}, ${option}: ${shownOf(value).slice(0, 40)}`

test('the table is one: 300 cases and more, of every member', () => {
  const members = new Set(rows.map(({ member }) => member))
  const missing = [
    'getOrSet',
    'getOrSetMany',
    'get',
    'set',
    'invalidate',
    'inspect',
    'wrap',
    'namespace',
    'on',
    'off',
    'metrics',
  ]

  assert.ok(rows.length >= 300, `${rows.length} cases`)
  assert.deepEqual(
    missing.filter((name) => !members.has(name)),
    [],
  )
})

describe('members', () => {
  for (const row of rows) {
    test(titleOf(row), async (t) => {
      const cache = open(t, { redis: false })
      await cache.set('k', 1, { tags: ['t'] })
      const before = await stateOf(cache)

      const error = await errorOf(row, cache)

      checkError(error, row.texts)
      const after = await stateOf(cache)
      // A loader that was called is counted; what it did wrong is stored nowhere.
      const seen = LOADING.includes(row.member) ? ({ kept, memory }) => [kept, memory.entries] : (state) => state
      assert.deepEqual(seen(after), seen(before))
    })
  }
})

withRedis('with Redis', (redis) => {
  test('all of the table: no entry comes or goes, and Redis is asked nothing', async (t) => {
    const cache = open(t, { redis: redis.url })
    await cache.set('k', 1, { tags: ['t'] })
    const entries = async () => {
      const keys = (await redis.server.command('KEYS', '*')).sort()
      return Promise.all(keys.map(async (key) => [key, await redis.server.command('DUMP', key)]))
    }
    const before = await entries()

    for (const row of rows.filter(({ member }) => !LOADING.includes(member))) {
      checkError(await errorOf(row, cache), row.texts)
    }

    assert.deepEqual(await entries(), before)
    assert.ok(before.length > 0)
    assert.equal(await cache.get('k'), 1)
  })
})

test('keys at the limits are accepted', async (t) => {
  const cache = open(t, { redis: false })
  for (const key of ['k'.repeat(8 * 1024), ' ', '\0', '{a}*\r\n', 'ключ 🔑', '__proto__', 'constructor']) {
    await cache.set(key, key)
    assert.equal(await cache.get(key), key)
    assert.equal((await cache.getOrSetMany([key], () => ({}))).get(key), key)
  }
})

test('options at the limits are accepted', async (t) => {
  const cache = open(t, { redis: false })
  const fine = [
    ...[0, '0ms', 'forever', '365d', 31_536_000_000].map((ttl) => ({ ttl })),
    ...['1ms', '24d'].map((loadTimeout) => ({ loadTimeout })),
    ...[0, 1, -0].map((jitter) => ({ jitter })),
    ...['v'.repeat(256), 0, -1.5, Number.MAX_VALUE].map((version) => ({ version })),
    { tags: Array.from({ length: 1_000 }, (_, n) => `t${n}`) },
    { ttl: undefined, tags: undefined, signal: undefined, onResult: undefined, version: undefined },
    Object.create(null),
  ]

  for (const [n, options] of fine.entries()) assert.equal(await cache.getOrSet(`k${n}`, () => n, options), n)
  await cache.invalidate({ keys: [], tags: [] })
  await cache.invalidate('k1', { settle: '30s' })
  assert.equal(cache.namespace('N'.repeat(64)).constructor, cache.constructor)
})

// --- what is no member of a cache -----------------------------------------------------------------------------------------

const REDIS = 'redis://127.0.0.1'
const BYTES = 'an integer number of bytes from 65536 (64 KiB)'
const CACHE_OPTIONS = [
  [
    'http://localhost',
    'redis',
    'must be a URL with scheme redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://',
  ],
  ['localhost:6379', 'redis', 'must be a URL'],
  [7, 'redis', 'got number'],
  [true, 'redis', 'false for memory only'],
  ['', 'redis', 'got an empty text'],
  [{ url: 'ftp://localhost' }, 'redis.url', "got 'ftp://localhost'"],
  [{ url: REDIS, comandTimeout: '1s' }, 'redis.comandTimeout', "did you mean 'commandTimeout'"],
  [{ url: REDIS, commandTimeout: '-1s' }, 'redis.commandTimeout', "got '-1s'"],
  [{ url: REDIS, connectTimeout: 0 }, 'redis.connectTimeout', 'got 0'],
  [{ url: REDIS, maxUnverified: 'long' }, 'redis.maxUnverified', "got 'long'"],
  [{ url: REDIS, isolated: 'ever' }, 'redis.isolated', "got 'ever'"],
  [{ url: REDIS, coherence: 'yes' }, 'redis.coherence', "must be 'auto' or 'tracking' or 'none'; got 'yes'"],
  [{ url: REDIS, db: -1 }, 'redis.db', 'an integer from 0 to 2147483647; got -1'],
  [{ url: REDIS, tls: 'yes' }, 'redis.tls', 'must be true, false or an object'],
  [{ url: REDIS, nodes: ['h'] }, 'redis.nodes', 'cannot be given together'],
  [{ url: REDIS, integrityKey: 'short' }, 'redis.integrityKey', '16 bytes at least (32 random ones, say); got 5 bytes'],
  [{ url: REDIS, integrityKey: 7 }, 'redis.integrityKey', 'a string or bytes', 'got number'],
  ...[1_023, 536_870_913, 2_048.5, '8mb', null, Number.NaN].map((maxEntryBytes) => [
    { url: REDIS, maxEntryBytes },
    'redis.maxEntryBytes',
    'an integer number of bytes from 1024 to 536870912',
  ]),
  [{ nodes: [] }, 'redis.nodes', "a list of 'host:port', not an empty one"],
  [{ nodes: ['app:s3cret@10.0.0.1:6379'] }, 'redis.nodes[0]', "got '***@10.0.0.1:6379'"],
  [{ nodes: 'app:s3cret@10.0.0.1:6379' }, 'redis.nodes', "got '***@10.0.0.1:6379'"],
  [{ sentinel: 'app:s3cret@10.0.0.1' }, 'redis.sentinel', "got '***@10.0.0.1'"],
  [{ sentinel: { mastre: 'm' } }, 'redis.sentinel.mastre', "did you mean 'master'"],
  [{ db: 'x' }, 'redis.db', "got 'x'"],
  [{ tls: 'yes' }, 'redis.tls', 'must be true, false or an object'],
  [{ password: '' }, 'redis.password', 'must be a non-empty string'],
  [new URL('redis://:s3cret@h'), 'redis', 'got an object (give its href)'],
  ['redis+sentinel://u:s3cret@a,u:s3cret@b:7000/?master=m', 'redis', 'its credentials once, before the first host'],
  ['redis+cluster://a,u:s3cret@b:7000', 'redis', 'its credentials once, before the first host'],
  [{ nodes: 'localhost:7000' }, 'redis.nodes', "a list of 'host:port'"],
  [{ nodes: ['h', 'localhost:0'] }, 'redis.nodes[1]', 'a port from 1 to 65535'],
  [{ nodes: [{ host: 'h' }] }, 'redis.nodes[0]', "'host' or 'host:port'"],
  [{ nodes: ['h'], db: 1 }, 'redis.db', 'must be 0', 'a cluster has no other'],
  [{ nodes: ['h/1'], sentinel: { master: 'm' } }, 'redis.nodes[0]', "'host' or 'host:port'; got 'h/1'"],
  [{ nodes: ['h'], sentinel: { master: 7 } }, 'redis.sentinel.master', 'the name that the Sentinels have'],
  [{ nodes: ['h'], sentinel: { name: 'm' } }, 'redis.sentinel.name', 'allowed: master, username, password'],
  [{ url: REDIS, sentinel: { master: 'm' } }, 'redis.sentinel', 'needs the Sentinels'],
  [{ url: 'redis+cluster://h', sentinel: { master: 'm' } }, 'redis.sentinel', 'a cluster has none'],
  ['redis+cluster://localhost/1', 'redis', 'database 0', 'a cluster has no other'],
  ['redis+cluster://localhost:7000,', 'redis', 'must name the nodes as host:port,host:port'],
  ['redis+cluster://localhost:x', 'redis', 'must be a URL'],
  ['redis+sentinel://localhost', 'redis.sentinel.master', '?master=name'],
].map(([redis, ...texts]) => [{ redis }, ...texts])
const OTHERS = [
  [{ namespace: '' }, 'namespace', '1 to 64 characters', "got ''"],
  [{ namespace: 'a b' }, 'namespace', "got 'a b'"],
  [{ namespace: 'n'.repeat(65) }, 'namespace', '1 to 64 characters'],
  [{ namespace: null }, 'namespace', 'got null'],
  ...[0, 65_537, 1.5, '256', null].map((maxLoads) => [{ maxLoads }, 'maxLoads', 'an integer from 1 to 65536']),
  ...[-1, 1_048_577, '1k'].map((maxQueuedLoads) => [
    { maxQueuedLoads },
    'maxQueuedLoads',
    'an integer from 0 to 1048576',
  ]),
  [{ memory: true }, 'memory', 'an object with maxBytes, or false; got true'],
  [{ memory: { maxBytes: -1 } }, 'memory.maxBytes', BYTES, 'got -1'],
  [{ memory: { maxBytes: 65_535 } }, 'memory.maxBytes', BYTES, 'got 65535'],
  [{ memory: { maxBytes: '64MB' } }, 'memory.maxBytes', BYTES, "got '64MB'"],
  [{ memory: { maxbytes: 1 } }, 'memory.maxbytes', "did you mean 'maxBytes'"],
  [{ defaults: 'long' }, 'defaults', "an object; got 'long'"],
  [{ defaults: { ttl: '-5m' } }, 'defaults.ttl', "got '-5m'"],
  [{ defaults: { tags: 'red' } }, 'defaults.tags', "got 'red'"],
  [{ defaults: { version: '' } }, 'defaults.version', "got ''"],
  [{ defaults: { validate: true } }, 'defaults.validate', 'got true'],
  [{ defaults: { tll: '5m' } }, 'defaults.tll', "did you mean 'ttl'"],
  [{ types: {} }, 'types', 'an array of { name, is, encode, decode }'],
  [{ types: [{ name: 'Decimal' }] }, 'types[0].is', 'a function; got undefined'],
  [{ types: [{ name: '' }] }, 'types[0].name', "got ''"],
  [{ codec: { name: 'none' } }, 'codec.encode', 'a function; got undefined'],
  [{ codec: 'json' }, 'codec', "got 'json'"],
  [{ logger: 'console' }, 'logger', "got 'console'"],
  [{ logger: {} }, 'logger.warn', 'a function; got undefined'],
  [{ logger: { warn() {}, info: true } }, 'logger.info', 'got true'],
  [{ waitUntil: true }, 'waitUntil', 'a function; got true'],
  [{ rediss: false }, 'rediss', "did you mean 'redis'"],
]

describe('createCache throws', () => {
  for (const [options, ...texts] of [...CACHE_OPTIONS, ...OTHERS]) {
    test(shownOf(options).replaceAll('\n', ' ').slice(0, 60), () => {
      const act = () => createCache({ redis: false, namespace: freshNamespace(), ...options })

      assert.throws(act, (error) => checkError(error, texts) ?? true)
    })
  }
  for (const options of [null, 'redis://localhost', 7, true]) {
    test(`options that are ${shownOf(options)}`, () => {
      assert.throws(
        () => createCache(options),
        (error) => checkError(error, ['options of createCache must be an object']) ?? true,
      )
    })
  }
})

const ENVIRONMENT = [
  ['REDIS_URL', 'localhost', 'must be a URL'],
  ['REDIS_TLS_ENABLED', 'yes', "'true', '1', 'false' or '0'; got 'yes'"],
  ['TIDECACHE_NAMESPACE', 'a b', "got 'a b'"],
  ['TIDECACHE_MEMORY_BYTES', '64MB', "got '64MB'"],
  ['TIDECACHE_DISABLED', 'on', "got 'on'"],
]
for (const [name, value, text] of ENVIRONMENT) {
  test(`${name}=${value} is refused when a cache is made`, (t) => {
    const REDIS_URL = name === 'REDIS_URL' ? value : REDIS
    const saved = { ...process.env }
    t.after(() => {
      process.env = saved
    })
    process.env = { ...saved, REDIS_URL, [name]: value }

    assert.throws(createCache, (error) => checkError(error, [name, text]) ?? true)
  })
}

for (const value of ['-5m', '', '1e3ms', '5', undefined, null, Number.NaN, -1, '400d']) {
  test(`duration(${shownOf(value)}) throws`, () => {
    assert.throws(
      () => duration(value),
      (error) => checkError(error, ['duration must be', `got ${shownOf(value).replaceAll('"', "'")}`]) ?? true,
    )
  })
}

describe('a cache for tests', () => {
  const REFUSED = [
    [{ redis: REDIS }, 'redis', 'false or absent'],
    [{ random: 0.5 }, 'random', 'a function; got 0.5'],
    [{ rnadom: () => 0 }, 'rnadom', 'unknown option'],
    [{ defaults: { ttl: 'x' } }, 'defaults.ttl', "got 'x'"],
    ['fast', 'options of createTestCache', "got 'fast'"],
  ]
  for (const [options, ...texts] of REFUSED) {
    test(`createTestCache throws: ${texts[0]}`, () => {
      assert.throws(
        () => createTestCache(options),
        (error) => checkError(error, texts) ?? true,
      )
    })
  }
  test('advance rejects and loads throws; the clock stands', async (t) => {
    const cache = createTestCache()
    t.after(() => cache.close())
    await cache.set('k', 1)
    for (const value of ['soon', -1, undefined, '366d']) {
      checkError(await errorOf({ member: 'advance', run: () => cache.advance(value) }), [
        'advance',
        `got ${value === undefined || value === -1 ? value : `'${value}'`}`,
      ])
    }
    for (const value of [7, null, {}]) assert.throws(() => cache.loads(value), CacheConfigError)

    assert.equal((await cache.inspect('k')).age, 0)
  })
})
