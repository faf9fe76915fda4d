'use strict'
// What a server may answer that is no Redis, is broken, or means harm: bytes that are no RESP, lengths that nothing follows,
// nests, the wrong types, pushes that nobody sends. A cache loses that server, and nothing else.

const assert = require('node:assert/strict')
const { after, before, beforeEach, describe, test } = require('node:test')
const { eventually, freshNamespace, timed } = require('./support/kit.js')
const { useLiar } = require('./support/liar.js')
const { startRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')
const { seeded } = require('../scripts/lib/seeded.js')

const TIMEOUTS = { connectTimeout: '300ms', commandTimeout: '100ms' }
/** What an operation may take: its budget, an invalidation's two, and a busy machine. */
const PATIENCE = 1_000
const MIB = 1 << 20

const bulk = (text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
const push = (...parts) => `>${parts.length}\r\n${parts.join('')}`

function noise() {
  const random = seeded(7)
  return Buffer.from(Array.from({ length: 4_096 }, () => Math.floor(random() * 256)))
}

const SAYS_OK = 'more answers than questions'
const ANSWERS = {
  'a page of HTTP': 'HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>no</html>',
  noise: noise(),
  nothing: Buffer.alloc(0),
  'a nil': '_\r\n',
  'an old nil': '$-1\r\n',
  OK: '+OK\r\n',
  'a number': ':1\r\n',
  'text where a list belongs': bulk('hello'),
  'an empty list': '*0\r\n',
  'a list too short': '*1\r\n:1\r\n',
  'lists for everything': '*1\r\n*1\r\n*1\r\n:1\r\n'.repeat(50),
  [SAYS_OK]: '+OK\r\n'.repeat(2_000),
  'text of the greatest length': '$9223372036854775807\r\nx',
  'text longer than that': '$99999999999999999999\r\nx',
  'text of 512 MiB that does not come': '$536870912\r\nx',
  'text of less than no length': '$-7\r\n',
  'a list of 2,147,483,647': '*2147483647\r\n',
  'a list of the greatest length': '*9223372036854775807\r\n',
  'a map of half of that': '%4611686018427387904\r\n',
  'a set of the greatest length': '~9223372036854775807\r\n',
  'a push of the greatest length': '>9223372036854775807\r\n',
  'a list of less than no length': '*-9\r\n',
  'a nest of 100,000 lists': '*1\r\n'.repeat(100_000),
  'a nest of 100,000 attributes': '|1\r\n+a\r\n'.repeat(100_000),
  'a number that is none': ':ninety\r\n',
  'a double that is none': ',nan\r\n,inf\r\n,x\r\n',
  'a big number of 1 MB': `(${'9'.repeat(1_000_000)}\r\n`,
  'a truth of neither kind': '#x\r\n',
  'verbatim text without a kind': '=3\r\nabc\r\n',
  'verbatim text that is empty': '=0\r\n\r\n',
  'an error of 1 MB': `-ERR ${'x'.repeat(1_000_000)}\r\n`,
  'an error without a word': '-\r\n',
  'MOVED to nowhere': '-MOVED\r\n',
  'MOVED of no cluster': '-MOVED 99999 somewhere:99999999\r\n',
  'MISCONF, LOADING, BUSY': '-MISCONF no\r\n-LOADING no\r\n-BUSY no\r\n',
  'text that is no UTF-8': Buffer.concat([
    Buffer.from('$4\r\n'),
    Buffer.from([0xff, 0xfe, 0xc0, 0x80]),
    Buffer.from('\r\n'),
  ]),
  'a simple text that is no UTF-8': Buffer.from([0x2b, 0xff, 0xfe, 0x0d, 0x0a]),
}

const PUSHES = {
  'an empty one': '>0\r\n',
  'of no kind': push(':5\r\n'),
  'of an unknown kind': push(bulk('surprise'), bulk('x')),
  'an invalidation of nothing': push(bulk('invalidate')),
  'an invalidation of a number': push(bulk('invalidate'), ':5\r\n'),
  'an invalidation of lists of lists': push(bulk('invalidate'), '*1\r\n*1\r\n*0\r\n'),
  'an invalidation of names that are no UTF-8': Buffer.concat([
    Buffer.from('>2\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\n'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('\r\n'),
  ]),
  'an invalidation of 20,000 strange names': push(
    bulk('invalidate'),
    `*20000\r\n${bulk('{}:v:\0\n*')}`.padEnd(1) + bulk('x').repeat(19_999),
  ),
  'a message nobody asked for': push(bulk('message'), bulk('channel'), bulk('text')),
  'a subscription nobody asked for': push(bulk('subscribe'), bulk('channel'), ':1\r\n'),
}

describe('a server that answers', () => {
  let redis
  let rss
  before(async () => (redis = await startRedis()))
  beforeEach(() => (rss = process.memoryUsage.rss()))
  after(() => redis.stop())

  /** A value that was loaded, in time. */
  async function loads(cache, key) {
    const { value, ms } = await timed(() => cache.getOrSet(key, () => `loaded ${key}`))
    assert.equal(value, `loaded ${key}`)
    assert.ok(ms < PATIENCE, `${ms} ms`)
  }

  /** Connects to a server that lies after so many honest answers, and to what it becomes. */
  async function connectsAfter(t, answer, honest) {
    const liar = await useLiar(t, redis.port)
    liar.lie(answer, honest)
    const cache = open(t, { redis: { url: liar.url, ...TIMEOUTS } })
    let reads = 0
    await eventually(async () => {
      await loads(cache, `step ${honest}, read ${++reads}`)
      return liar.lies > 0
    }, 5_000)
    liar.reform()
    await eventually(async () => (await cache.health()).status === 'ok', 4_000, `connects after step ${honest}`)
  }

  for (const [name, answer] of Object.entries(ANSWERS)) {
    test(`${name}: at any step of connecting, it costs a load`, async (t) => {
      const steps = [0, 1, 2, 3, 4, 5]

      await Promise.all(steps.map((honest) => connectsAfter(t, answer, honest)))

      assertSmall()
    })

    test(`${name}: on a link that was well, no value is false, nothing waits, nothing is lost`, async (t) => {
      const liar = await useLiar(t, redis.port)
      const namespace = freshNamespace()
      const cache = open(t, { redis: { url: liar.url, ...TIMEOUTS }, namespace })
      await cache.set('warm', 'stored')
      await cache.set('changed', 'old')

      liar.lie(answer)
      await loads(cache, 'cold')
      assert.equal(await cache.getOrSet('warm', () => 'stored'), 'stored')
      const { value: receipt, ms } = await timed(() => cache.invalidate('changed'))
      // A server that says what was asked for cannot be told from one that did it; here it did.
      if (name !== SAYS_OK) assert.deepEqual(receipt, { redis: 'queued' })
      assert.ok(ms < PATIENCE, `${ms} ms`)
      await loads(cache, 'changed')

      liar.reform()
      await eventually(async () => (await cache.health()).status === 'ok', 4_000)
      const other = open(t, { redis: redis.url, namespace })
      assert.notEqual(await other.get('changed'), 'old')
      assertSmall()
    })
  }

  for (const [name, bytes] of Object.entries(PUSHES)) {
    test(`and pushes ${name}: values stay right`, async (t) => {
      const liar = await useLiar(t, redis.port)
      const cache = open(t, { redis: { url: liar.url, ...TIMEOUTS } })
      await cache.set('k', 'stored')

      for (let i = 0; i < 3; i++) {
        liar.say(bytes)
        assert.equal(await cache.getOrSet('k', () => 'stored'), 'stored')
        await loads(cache, `cold ${i}`)
      }

      await eventually(async () => (await cache.health()).status === 'ok', 4_000)
      assert.deepEqual(await cache.invalidate('k'), { redis: 'applied' })
      assert.equal(await cache.getOrSet('k', () => 'new'), 'new')
      assertSmall()
    })
  }

  function assertSmall() {
    const grown = (process.memoryUsage.rss() - rss) / MIB
    assert.ok(grown < 64, `${grown} MiB more than before`)
  }
})
