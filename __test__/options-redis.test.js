'use strict'
// Where Redis is: URLs, RedisOptions and the environment behind them; and that no password shows anywhere.

const assert = require('node:assert/strict')
const { inspect } = require('node:util')
const { test } = require('node:test')
const { redact } = require('../lib/errors.js')
const { cacheOptions } = require('../lib/options.js')
const { refusal, refuses } = require('./support/refusal.js')

const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const redisOf = (redis, env = {}) => cacheOptions({ redis }, env).redis

test('TIDECACHE_DISABLED and REDIS_TLS_ENABLED know true, 1, false, 0 and refuse the rest', () => {
  for (const [text, on] of [
    ['true', true],
    ['1', true],
    ['false', false],
    ['0', false],
    ['', false],
  ]) {
    assert.equal(cacheOptions({}, { TIDECACHE_DISABLED: text }).disabled, on)
    assert.equal(redisOf('redis://h', { REDIS_TLS_ENABLED: text }).tls !== null, on)
    assert.equal(redisOf('rediss://h', { REDIS_TLS_ENABLED: text }).url, 'rediss://h:6379/0')
  }
  refuses(() => cacheOptions({}, { TIDECACHE_DISABLED: 'yes' }), /^TIDECACHE_DISABLED must be 'true', '1'.*got 'yes'/)
  refuses(() => redisOf('redis://h', { REDIS_TLS_ENABLED: 'TRUE' }), /^REDIS_TLS_ENABLED must be/)
})

test('the environment adds TLS, an explicit tls option decides', () => {
  const env = { REDIS_TLS_ENABLED: 'true' }

  assert.equal(redisOf({ url: 'redis://h', tls: false }, env).tls, null)
  assert.equal(redisOf('unix:///s', env).tls, null)
  assert.equal(redisOf({ url: 'redis://h', tls: true }).url, 'rediss://h:6379/0')
  assert.deepEqual(redisOf({ url: 'redis://h', tls: { ca: Buffer.from(PEM), servername: 'x' } }).tls, {
    ca: PEM,
    cert: null,
    key: null,
    servername: 'x',
    rejectUnauthorized: true,
  })
  refuses(() => redisOf({ url: 'rediss://h', tls: false }), /contradicts the scheme rediss:/)
  refuses(() => redisOf({ url: 'unix:///s', tls: true }), /cannot be used with a unix: URL/)
  refuses(() => redisOf({ url: 'redis://h', tls: { ca: '/etc/ca.pem' } }), /redis\.tls\.ca must be PEM text/)
  refuses(() => redisOf({ url: 'redis://h', tls: { cert: PEM } }), /given together/)
  refuses(() => redisOf({ url: 'redis://h', tls: { rejectUnauthorised: false } }), /did you mean 'rejectUnauthorized'/)
  refuses(() => redisOf({ url: 'redis://h', tls: 'yes' }), /^redis\.tls must be/)
})

test('a URL becomes its parts, credentials decoded and apart', () => {
  const none = { username: null, password: null }
  const cases = [
    ['redis://h', { url: 'redis://h:6379/0', host: 'h', port: 6379, db: 0, ...none }],
    ['redis://', { url: 'redis://localhost:6379/0', host: 'localhost', ...none }],
    ['REDIS://H.example:7000/15', { url: 'redis://h.example:7000/15', host: 'h.example', port: 7000, db: 15 }],
    ['redis://h?db=4', { db: 4 }],
    ['redis://h?family=0&protocol=3', { url: 'redis://h:6379/0' }],
    ['rediss://[::1]:7000', { url: 'rediss://[::1]:7000/0', host: '::1', port: 7000 }],
    ['redis://us%40er:p%2Fw%3A%C3%A4@h', { url: 'redis://h:6379/0', username: 'us@er', password: 'p/w:ä' }],
    ['redis://:p@ss@h', { username: null, password: 'p@ss', host: 'h' }],
    ['redis://user@h', { username: 'user', password: null }],
    ['unix:///run/re%20dis.sock?db=2', { url: 'unix:///run/re%20dis.sock?db=2', path: '/run/re dis.sock', db: 2 }],
    ['unix:/s', { url: 'unix:///s?db=0', path: '/s', host: null, port: null, ...none }],
  ]

  for (const [url, parts] of cases) {
    const redis = redisOf(url)
    for (const [name, value] of Object.entries(parts)) assert.deepEqual(redis[name], value, `${url} ${name}`)
  }
  const given = redisOf({ url: 'redis://a:b@h/1', username: 'u', password: 'p', db: 2 })
  assert.deepEqual([given.username, given.password, given.db, given.url], ['u', 'p', 2, 'redis://h:6379/2'])
})

test('Redis options have their defaults and ranges', () => {
  const { connectTimeout, commandTimeout, maxUnverified, isolated, coherence } = redisOf('redis://h')
  assert.deepEqual(
    [connectTimeout, commandTimeout, maxUnverified, isolated, coherence],
    [2000, 250, 1000, 5000, 'auto'],
  )
  assert.equal(redisOf({ url: 'redis://h', isolated: 'ttl' }).isolated, -1)
  assert.equal(redisOf({ url: 'redis://h', commandTimeout: '1s' }).commandTimeout, 1000)

  for (const [options, message] of [
    [{ commandTimeout: 0 }, /^redis\.commandTimeout must .* from 1ms to 24d; got 0/],
    [{ commandTimeout: null }, /^redis\.commandTimeout must .* got null/],
    [{ isolated: 'forever' }, /^redis\.isolated must/],
    [{ coherence: 'push' }, /^redis\.coherence must be 'auto' or 'tracking' or 'none'; got 'push'/],
    [{ db: -1 }, /^redis\.db must be an integer/],
    [{ db: '1' }, /^redis\.db must be an integer/],
    [{ username: '' }, /^redis\.username must be a non-empty string$/],
    [{ password: 42 }, /^redis\.password must be a non-empty string$/],
    [{ pasword: 'x' }, /unknown option 'redis\.pasword' \(did you mean 'password'\?\); allowed: url, username/],
    [{ host: 'h' }, /unknown option 'redis\.host'/],
    [{ nodes: ['h'] }, /^redis\.url and redis\.nodes cannot be given together$/],
    [{ sentinel: { master: 'm' } }, /^redis\.sentinel needs the Sentinels: redis\.nodes, or a URL/],
  ]) {
    refuses(() => redisOf({ url: 'redis://h', ...options }), message)
  }
})

test('Sentinels are given by a URL or by nodes', () => {
  const of = (value) => {
    const { url, host, port, username, password, db, sentinels } = redisOf(value)
    return { url, host, port, username, password, db, sentinels }
  }
  const sentinels = {
    nodes: [
      { host: 'a', port: 26379 },
      { host: '::1', port: 7 },
    ],
    master: 'm',
    username: null,
    password: null,
  }
  const place = { url: 'redis+sentinel://a:26379,[::1]:7/2?master=m', host: 'a', port: 26379, db: 2, sentinels }

  assert.deepEqual(of('redis+sentinel://u:p%40@A,[::1]:7/2?master=m'), { ...place, username: 'u', password: 'p@' })
  const nodes = ['a', '[::1]:7']
  const sentinel = { master: 'm', password: 's' }
  assert.deepEqual(of({ nodes, db: 2, sentinel }), {
    ...place,
    username: null,
    password: null,
    sentinels: { ...sentinels, password: 's' },
  })
  assert.match(redisOf('rediss+sentinel://a?master=m').url, /^rediss\+sentinel:/)
  assert.ok(
    !inspect(redisOf({ nodes, sentinel: { master: 'm', password: 'hunter2' } }), { depth: 9 }).includes('hunter2'),
  )

  for (const [options, message] of [
    [{ nodes: [] }, /^redis\.nodes must be a list of 'host:port', not an empty one; got \[\]/],
    [{ nodes: 'a:1' }, /^redis\.nodes must be a list/],
    [{ nodes: ['a'], url: 'redis+cluster://a' }, /^redis\.url and redis\.nodes cannot be given together/],
    [{ url: 'redis+cluster://a', sentinel: { master: 'm' } }, /^redis\.sentinel cannot be used with redis\+cluster/],
    [
      { nodes: ['a', 'u@b'], sentinel: { master: 'm' } },
      /^redis\.nodes\[1\] must be 'host' or 'host:port'; got '\*\*\*@b'/,
    ],
    [{ nodes: ['a:x'], sentinel: { master: 'm' } }, /^redis\.nodes\[0\] must be a URL/],
    [{ nodes: ['a'], sentinel: {} }, /^redis\.sentinel\.master must be the name/],
    [{ nodes: ['a'], sentinel: 'm' }, /^redis\.sentinel must be an object with master, username, password/],
    [{ nodes: ['a'], sentinel: { master: 'm', user: 'x' } }, /unknown option 'redis\.sentinel\.user'/],
    [
      { nodes: ['a'], sentinel: { master: 'm', password: '' } },
      /^redis\.sentinel\.password must be a non-empty string$/,
    ],
    [{ url: 'redis+sentinel://a,,b?master=m' }, /^redis\.url must name the Sentinels as host:port,host:port/],
  ]) {
    refuses(() => redisOf(options), message)
  }
})

test('a bad URL is refused without showing a password', () => {
  const urls = [
    'http://u:hunter2@h',
    'redis:u:hunter2@h',
    'redis://u:hunter2@h:99999',
    'redis://u:hunter2@h:0',
    'redis://u:hunter2@h/x',
    'redis://u:hunter2@h/-1',
    'redis://u:hunter2@h#f',
    'redis://:hunter2',
    'redis://:hunter2@',
    'redis://u:hun%ter2@h',
    'redis://:a@hunter2#x@h',
    'redis://:a?hunter2@h',
    'redis://u:1#hunter2@h',
    'redis://h?password=hunter2',
    'redis://h/0?auth=x@hunter2',
    'unix://u:hunter2@/s',
    'unix://relative/s',
    'redis+sentinel://u:hunter2@h,?master=m',
    'redis+sentinel://u:hunter2@h:0?master=m',
    'redis+sentinel://u:hunter2@h,i:0?master=m',
    'redis+cluster://u:hunter2@h:0',
    'redis+cluster://u:hunter2@h,',
    'redis+cluster://u:hunter2@h/1',
    'redis+cluster://:hunter2',
    'redis+cluster://u:hun%ter2@h',
    'memcached://h',
    '',
    ' ',
  ]

  for (const url of urls) {
    for (const run of [() => redisOf(url), () => redisOf({ url }), () => cacheOptions({}, { REDIS_URL: url || ' ' })]) {
      const message = refusal(run)
      assert.ok(!message.includes('hunter2') && !message.includes('hun%ter2'), message)
      assert.match(message, /^(redis|redis\.url|REDIS_URL) /)
    }
  }
  refuses(
    () => redisOf('redis+sentinel://h'),
    /redis\.sentinel\.master must be the name .* the URL must end in \?master=name/,
  )
  refuses(() => redisOf('http://h'), /unix:\/\/, redis\+sentinel:\/\/ or redis\+cluster:\/\/; got 'http:\/\/h'/)
  for (const value of [true, 5, null, ['redis://u:hunter2@h'], new URL('redis://u:hunter2@h')]) {
    refuses(
      () => redisOf(value),
      /^redis must be a URL .*or false for memory only; got (boolean|number|null|object|an object \(give its href\))$/,
    )
  }
})

test('a cluster is known by its nodes, in whatever order they are given', () => {
  const places = ['redis+cluster://h:1,i:2', 'redis+cluster://i:2,h:1,h:1/0', { nodes: ['i:2', 'H:1'] }]
  for (const place of places) {
    const { url, nodes, sentinels, db } = redisOf(place)
    assert.equal(url, 'redis+cluster://h:1,i:2')
    assert.deepEqual(nodes, [
      { host: 'h', port: 1 },
      { host: 'i', port: 2 },
    ])
    assert.deepEqual([sentinels, db], [null, 0])
  }
  const { url, username, password, tls } = redisOf('rediss+cluster://us%40er:p%2Fw@[::1],H.example')

  assert.equal(url, 'rediss+cluster://[::1]:6379,h.example:6379')
  assert.deepEqual([username, password], ['us@er', 'p/w'])
  assert.equal(tls.servername, null, 'each node has a certificate of its own')
  assert.equal(redisOf({ nodes: ['h'], tls: true }).url, 'rediss+cluster://h:6379')
  assert.equal(redisOf({ nodes: ['h'] }, { REDIS_URL: 'redis://other' }).url, 'redis+cluster://h:6379')
})

test('no password shows in util.inspect, JSON or a message about another option', () => {
  const key = PEM.replaceAll('CERTIFICATE', 'PRIVATE KEY').replace('MIIB', 'hunter2')
  const config = cacheOptions({ redis: { url: 'redis://u:hunter2@h', tls: { cert: PEM, key } } }, {})

  assert.equal(config.redis.password, 'hunter2')
  assert.equal(config.redis.tls.key, key)
  for (const text of [inspect(config, { depth: 9 }), inspect(config.redis), JSON.stringify(config)]) {
    assert.ok(!text.includes('hunter2'), text)
  }
  for (const options of [
    { namespace: 'redis://u:hunter2@h' },
    { namespace: { password: 'hunter2' } },
    'redis://hunter2@h',
  ]) {
    assert.ok(!refusal(() => cacheOptions(options, {})).includes('hunter2'))
  }
})

test('redact hides credentials, query and fragment, and what may be a password in malformed text', () => {
  const cases = [
    ['redis://u:p@h:1/2', 'redis://***@h:1/2'],
    ['redis://h:1/2', 'redis://h:1/2'],
    ['redis://:a@b/c@h', 'redis://***@h'],
    ['redis://:secret', 'redis://:***'],
    ['redis://h?password=x', 'redis://h?***'],
    ['redis://:a@b#c@h', 'redis://***'],
    ['redis://[::1]:1', 'redis://[::1]:1'],
    ['u:p@h', '***@h'],
    ['unix:///run/s', 'unix:///run/s'],
    ['', ''],
  ]

  for (const [url, shown] of cases) assert.equal(redact(url), shown)
})
