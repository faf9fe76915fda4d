'use strict'
// The parts the other tests stand on, without a cache: a fault that is not injected proves nothing.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Checker } = require('./support/checker.js')
const { within } = require('./support/kit.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { connect } = require('./support/resp.js')

const PENDING = Symbol('pending')
const settledWithin = (promise, ms) => within(promise, ms, PENDING)

async function linked(t) {
  const redis = await useRedis(t)
  const proxy = await useProxy(t, redis.port)
  const client = await connect(proxy.port)
  t.after(() => client.close())
  return { redis, proxy, client }
}

test('the client reads every kind of reply, in order', async (t) => {
  const { client } = await linked(t)

  const replies = await Promise.all([
    client.command('SET', 'a', 'ä\r\n'),
    client.command('GET', 'a'),
    client.command('GET', 'none'),
    client.command('INCR', 'n'),
    client.command('NOSUCH').catch((error) => error.message.slice(0, 3)),
    client.command('MGET', 'a', 'none', 'n'),
    client.command('KEYS', 'none*'),
  ])

  assert.deepEqual(replies, ['OK', 'ä\r\n', null, 1, 'ERR', ['ä\r\n', null, '1'], []])
})

test('a long reply in many chunks is one reply', async (t) => {
  const { client } = await linked(t)
  const long = 'x'.repeat(3_000_000)

  await client.command('SET', 'long', long)

  assert.equal(await client.command('GET', 'long'), long)
})

test('a cut link resets its connections and refuses new ones until it heals', async (t) => {
  const { proxy, client } = await linked(t)
  await client.command('PING')

  await proxy.cut()

  await assert.rejects(client.command('PING'), /connection lost/)
  await assert.rejects(connect(proxy.port), { code: 'ECONNREFUSED' })
  await proxy.heal()
  const again = await connect(proxy.port)
  assert.equal(await again.command('PING'), 'PONG')
  again.close()
})

test('a frozen link answers nobody and tells nobody; what was sent meanwhile arrives late', async (t) => {
  const { redis, proxy, client } = await linked(t)
  await client.command('SET', 'n', '0')

  proxy.freeze()
  const late = client.command('INCR', 'n')
  const stranger = await connect(proxy.port)
  const unanswered = stranger.command('PING')

  assert.equal(await settledWithin(Promise.race([late, unanswered]), 150), PENDING)
  assert.equal(await redis.command('GET', 'n'), '0')
  await proxy.heal()
  assert.equal(await late, 1)
  assert.equal(await unanswered, 'PONG')
  stranger.close()
})

test('a delayed link keeps the order', async (t) => {
  const { proxy, client } = await linked(t)
  const began = performance.now()

  proxy.delay(60)
  const slow = client.command('INCR', 'n')
  await settledWithin(slow, 20)
  proxy.delay(0)
  const replies = await Promise.all([slow, client.command('INCR', 'n')])

  assert.deepEqual(replies, [1, 2])
  assert.ok(performance.now() - began >= 60)
})

test('a black hole loses what is sent, tells nobody, and is a lost connection once it heals', async (t) => {
  const { redis, proxy, client } = await linked(t)
  await client.command('PING')

  proxy.swallow()
  const lost = client.command('SET', 'lost', '1')
  assert.equal(await settledWithin(lost, 100), PENDING)
  await proxy.heal()

  await assert.rejects(lost, /connection lost/)
  assert.equal(await redis.command('GET', 'lost'), null)
})

test('a half-open link takes what is sent, and brings no answer', async (t) => {
  const { redis, proxy, client } = await linked(t)
  await client.command('PING')

  proxy.swallow('back')
  assert.equal(await settledWithin(client.command('SET', 'a', '1').catch(String), 100), PENDING)

  assert.equal(await redis.command('GET', 'a'), '1')
})

test('a trickling link brings an answer piece by piece, and the rest at once when it heals', async (t) => {
  const { proxy, client } = await linked(t)
  const long = 'x'.repeat(3_000)
  await client.command('SET', 'long', long)

  proxy.trickle(1)
  const answer = client.command('GET', 'long')
  assert.equal(await settledWithin(answer, 200), PENDING)
  await proxy.heal()

  assert.equal(await settledWithin(answer, 500), long)
})

test('a torn answer ends its connection in the middle of a frame', async (t) => {
  const { redis, proxy, client } = await linked(t)
  await redis.command('SET', 'a', 'x'.repeat(100))
  await client.command('PING')

  proxy.tear(20)
  await assert.rejects(client.command('GET', 'a'), /connection lost/)
  await proxy.heal()

  const again = await connect(proxy.port)
  assert.equal((await again.command('GET', 'a')).length, 100)
  again.close()
})

test('a paused server accepts and is silent, a killed one refuses, a restarted one is empty', async (t) => {
  const redis = await useRedis(t)
  await redis.command('SET', 'a', '1')

  redis.pause()
  const silent = redis.command('GET', 'a')
  assert.equal(await settledWithin(silent, 100), PENDING)
  redis.resume()
  assert.equal(await silent, '1')

  await redis.kill()
  await assert.rejects(connect(redis.port), { code: 'ECONNREFUSED' })
  await redis.restart()
  assert.equal(await redis.command('GET', 'a'), null)
})

test('a server restarted over a saved file has the old data', async (t) => {
  const redis = await useRedis(t)
  await redis.command('SET', 'a', 'old')
  await redis.command('SAVE')
  await redis.command('SET', 'a', 'new')

  await redis.restart()

  assert.equal(await redis.command('GET', 'a'), 'old')
})

test('the checker finds a read that breaks read-your-writes, and the age of a stale one elsewhere', () => {
  const checker = new Checker()
  checker.add('A', {
    writes: [
      ['k', 1, 0],
      ['k', 2, 100],
    ],
    reads: [
      ['k', 90, 1],
      ['k', 110, 1],
      ['k', 130, 2],
    ],
  })
  checker.add('B', {
    writes: [['k', 3, 200]],
    reads: [
      ['k', 99, 1],
      ['k', 105, 1],
      ['k', 108, 1],
      ['k', 190, 2],
    ],
  })

  const verdict = checker.verdict()

  assert.deepEqual(verdict.broken, [{ process: 'A', key: 'k', start: 110, read: 1, written: 2 }])
  assert.deepEqual(verdict.staleAges, [5, 8])
  assert.equal(verdict.reads, 7)
})
