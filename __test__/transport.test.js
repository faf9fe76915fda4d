'use strict'
// How a cache gets to its Redis: TLS with its own authority, client certificates and names; unix sockets; databases.

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { describe, test } = require('node:test')
const { freePort } = require('../scripts/lib/ports.js')
const { Authority, NO_OPENSSL } = require('./support/certificates.js')
const { freshNamespace } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')

/** What a cache finds: 'tracking', and another process sees its entry; or why it is not connected. */
async function found(t, redis) {
  const namespace = freshNamespace()
  const cache = open(t, { redis, namespace, logger: { warn() {} } })
  // Reads go on, whatever is wrong with the way to Redis.
  assert.equal(await cache.getOrSet('k', () => 1), 1)
  const { status, redis: seen } = await cache.health()
  if (status !== 'ok') return seen.error
  await cache.set('k', 2)
  const peer = await usePeer(t, { redis, namespace })
  await peer.ready()
  assert.equal(await peer.getOrSet('k', { value: 'of the peer' }), 2)
  return seen.coherence
}

describe('TLS', { skip: NO_OPENSSL }, () => {
  test('the authority, the name and the client must be right, and nothing else is told', async (t) => {
    const [authority, stranger] = [new Authority(), new Authority()]
    for (const name of ['localhost', 'client', 'redis.example']) authority.issue(name)
    stranger.issue('client')
    const [port, named, asking] = [await freePort(), await freePort(), await freePort()]
    await useRedis(t, { args: authority.serverArgs('localhost', port) })
    await useRedis(t, { args: authority.serverArgs('redis.example', named) })
    await useRedis(t, { args: authority.serverArgs('localhost', asking, { asks: true }) })
    const ca = authority.read('ca.pem')
    const client = { cert: authority.read('client.pem'), key: authority.read('client.key') }
    const foreign = { cert: stranger.read('client.pem'), key: stranger.read('client.key') }
    const at = (portOf, tls) => found(t, { url: `rediss://localhost:${portOf}`, connectTimeout: '3s', tls })

    assert.equal(await at(port, { ca }), 'tracking')
    assert.equal(await at(named, { ca, servername: 'redis.example' }), 'tracking')
    assert.equal(await at(named, { ca, rejectUnauthorized: false }), 'tracking')
    assert.equal(await at(asking, { ca, ...client }), 'tracking')

    assert.match(
      await at(port, { ca: stranger.read('ca.pem') }),
      /invalid peer certificate: (UnknownIssuer|BadSignature)/,
    )
    assert.match(await at(port, true), /invalid peer certificate: UnknownIssuer/)
    assert.match(await at(named, { ca }), /invalid peer certificate: certificate not valid for name "localhost"/)
    assert.match(await at(asking, { ca }), /certificate required|CertificateRequired/i)
    assert.match(await at(asking, { ca, ...foreign }), /unknown ?ca|decrypt/i)
    assert.match(await found(t, `redis://localhost:${port}`), /./)
  })

  test('what is no certificate is refused by Redis’s name, and no key is shown', async (t) => {
    const authority = new Authority()
    authority.issue('localhost')
    const port = await freePort()
    await useRedis(t, { args: authority.serverArgs('localhost', port) })
    const broken = '-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----'
    const key = '-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----'

    for (const tls of [{ ca: broken }, { ca: authority.read('ca.pem'), cert: broken, key }]) {
      const why = await found(t, { url: `rediss://localhost:${port}`, tls })
      assert.match(why, /./)
      assert.ok(!why.includes('hunter2'), why)
    }
  })
})

test('a unix socket, and a database by its number', async (t) => {
  const redis = await useRedis(t)
  const socket = join(redis.dir, 'redis.sock')
  await redis.restart(['--unixsocket', socket])

  assert.equal(await found(t, `unix://${socket}?db=3`), 'tracking')
  assert.equal(await found(t, `${redis.url}/5`), 'tracking')

  const keyspace = await redis.command('INFO', 'keyspace')
  assert.match(keyspace, /^db3:/m)
  assert.match(keyspace, /^db5:/m)
  assert.doesNotMatch(keyspace, /^db0:/m)
  assert.match(await found(t, 'unix:///nowhere/redis.sock'), /No such file/)
})
