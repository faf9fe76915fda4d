'use strict'
// The default cache: made at its first use, from the environment as it is then.

const assert = require('node:assert/strict')
const net = require('node:net')
const { test } = require('node:test')
const { withRedis } = require('./support/setups.js')
const { lastSaid } = require('./support/script.js')

const SUMMARY = `
  const { redis, memory } = await tidecache.metrics()
  say({ redis: redis.enabled, topology: redis.topology, connected: redis.health.connected, maxBytes: memory.maxBytes })
  await tidecache.close()
`
const LOAD_TWICE = `
  let loads = 0
  const loader = () => ++loads
  const values = [await tidecache.getOrSet('k', loader), await tidecache.getOrSet('k', loader)]
`

withRedis('with REDIS_URL', (redis) => {
  test('the default cache uses REDIS_URL and the namespace tidecache', async () => {
    const said = await lastSaid(`${LOAD_TWICE}; await sleep(50); ${SUMMARY}`, { env: { REDIS_URL: redis.url } })

    assert.deepEqual(said, { redis: true, topology: 'standalone', connected: true, maxBytes: 64 * 1024 * 1024 })
    assert.ok((await redis.server.command('KEYS', 'tidecache:*')).length > 0)
  })

  test('TIDECACHE_NAMESPACE and TIDECACHE_MEMORY_BYTES are used', async () => {
    const env = { REDIS_URL: redis.url, TIDECACHE_NAMESPACE: 'mine', TIDECACHE_MEMORY_BYTES: '2097152' }

    const said = await lastSaid(`${LOAD_TWICE}; await sleep(50); ${SUMMARY}`, { env })

    assert.equal(said.maxBytes, 2_097_152)
    assert.ok((await redis.server.command('KEYS', 'mine:*')).length > 0)
  })

  test('the environment is read at first use, not at import', async () => {
    const said = await lastSaid(`process.env.REDIS_URL = ${JSON.stringify(redis.url)}; ${LOAD_TWICE}; ${SUMMARY}`)

    assert.equal(said.redis, true)
  })

  test('TIDECACHE_DISABLED loads only, still single-flight', async () => {
    const env = { REDIS_URL: redis.url, TIDECACHE_DISABLED: '1', TIDECACHE_NAMESPACE: 'disabled' }
    const body = `${LOAD_TWICE}
      let joint = 0
      const slow = async () => { await sleep(20); return ++joint }
      const joined = await Promise.all([1, 2, 3].map(() => tidecache.getOrSet('j', slow)))
      const receipt = await tidecache.invalidate('k')
      say({ values, joined, receipt })`

    const said = await lastSaid(body, { env })

    assert.deepEqual(said, { values: [1, 2], joined: [1, 1, 1], receipt: { redis: 'off' } })
    assert.deepEqual(await redis.server.command('KEYS', 'disabled:*'), [])
  })
})

test('REDIS_URL empty or unset: memory only', async () => {
  for (const env of [{}, { REDIS_URL: '' }]) {
    const said = await lastSaid(`${LOAD_TWICE}; say(values); ${SUMMARY}`, { env })

    assert.deepEqual([said.redis, said.topology, said.connected], [false, 'none', false])
  }
})

test('getOrSet, invalidate, metrics and close share the default cache', async () => {
  const body = `${LOAD_TWICE}
    const receipt = await tidecache.invalidate('k')
    values.push(await tidecache.getOrSet('k', loader))
    say({ values, receipt, misses: (await tidecache.metrics()).misses })
    await tidecache.close()`

  const said = await lastSaid(body)

  assert.deepEqual(said, { values: [1, 1, 2], receipt: { redis: 'off' }, misses: 2 })
})

test('a bad REDIS_URL is a rejected promise that names it without its password', async () => {
  const env = { REDIS_URL: 'http://someone:hunter2@localhost:1' }
  const body = `
    const error = await tidecache.getOrSet('k', () => 1).catch((reason) => reason)
    say({ code: error.code, config: error instanceof tidecache.CacheConfigError, text: require('node:util').inspect(error) })`

  const { code, config, text } = await lastSaid(body, { env })

  assert.deepEqual([code, config], ['ERR_CACHE_CONFIG', true])
  assert.doesNotMatch(text, /hunter2/)
  assert.match(text, /rediss?:/)
})

test('import and require give one instance with the same names', async () => {
  const body = `
    const esm = await import(require.resolve(process.cwd()))
    const names = ['createCache', 'getOrSet', 'invalidate', 'metrics', 'close', 'duration', 'CacheError',
      'CacheConfigError', 'CacheClosedError', 'CacheRedisError', 'CacheTimeoutError', 'CacheOverloadError', 'CacheEncodeError']
    say(names.filter((name) => typeof esm[name] !== 'function' || esm[name] !== tidecache[name]))`

  assert.deepEqual(await lastSaid(body), [])
})

/** Listens and tells the first byte that a client sends: 0x16 opens a TLS handshake, 0x2a a Redis command. */
async function firstByte(t, scheme, env) {
  let seen
  const got = new Promise((resolve) => (seen = resolve))
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (chunk) => {
      seen(chunk[0])
      socket.destroy()
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const url = `${scheme}://127.0.0.1:${server.address().port}`
  const values = lastSaid(`${LOAD_TWICE}; say(values); await tidecache.close()`, { env: { ...env, REDIS_URL: url } })
  return { byte: await got, values: await values }
}

test('REDIS_TLS_ENABLED turns TLS on; false never downgrades rediss:', async (t) => {
  const TLS = 0x16
  const cases = [
    ['redis', { REDIS_TLS_ENABLED: 'true' }, TLS],
    ['redis', { REDIS_TLS_ENABLED: '1' }, TLS],
    ['redis', { REDIS_TLS_ENABLED: 'false' }, 0x2a],
    ['rediss', { REDIS_TLS_ENABLED: 'false' }, TLS],
    ['rediss', {}, TLS],
  ]
  const results = await Promise.all(cases.map(([scheme, env]) => firstByte(t, scheme, env)))

  for (const [i, [scheme, env, expected]] of cases.entries()) {
    assert.equal(results[i].byte, expected, `${scheme} ${JSON.stringify(env)}`)
    assert.deepEqual(results[i].values, [1, 1])
  }
})
