'use strict'
// Options and the environment: what is accepted, what it becomes, and how everything else is refused.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const vm = require('node:vm')
const { cacheOptions, checkKey, checkTags, entryOptions, getOptions, invalidateTarget } = require('../lib/options.js')
const { refuses } = require('./support/refusal.js')

const DAY = 86_400_000
const noop = () => {}
const numbered = (length) => Array.from({ length }, (_, i) => `t${i}`)

test('without options and environment: memory only, and the documented defaults', () => {
  const config = cacheOptions(undefined, {})

  assert.deepEqual(
    { ...config, defaults: { ...config.defaults } },
    {
      redis: null,
      namespace: 'tidecache',
      namespaceIsDefault: true,
      memoryMaxBytes: 64 * 1024 * 1024,
      maxLoads: 256,
      maxQueuedLoads: 16_384,
      disabled: false,
      defaults: {
        ttl: 300_000,
        staleWhileRevalidate: 60_000,
        staleIfError: 0,
        staleAfter: -1,
        tags: [],
        jitter: 0,
        loadTimeout: 30_000,
        waitTimeout: 30_000,
        refresh: 'auto',
        onEncodeError: 'reject',
        signal: undefined,
        onResult: undefined,
        version: undefined,
        validate: undefined,
        ttlGiven: -1,
        waitTimeoutGiven: false,
        prefix: '',
        isPlain: true,
        scope: config.defaults.scope,
      },
      types: [],
      codec: null,
      logger: null,
      waitUntil: null,
    },
  )
})

test('the environment is read at the call, and what the caller wrote wins over it', () => {
  const env = { REDIS_URL: 'redis://env:1', TIDECACHE_NAMESPACE: 'env', TIDECACHE_MEMORY_BYTES: '1048576' }

  const fromEnv = cacheOptions({}, env)
  assert.equal(fromEnv.redis.host, 'env')
  assert.equal(fromEnv.namespace, 'env')
  assert.equal(fromEnv.namespaceIsDefault, false)
  assert.equal(fromEnv.memoryMaxBytes, 1_048_576)

  const written = cacheOptions({ redis: 'redis://code', namespace: 'code', memory: { maxBytes: 65_536 } }, env)
  assert.equal(written.redis.host, 'code')
  assert.equal(written.namespace, 'code')
  assert.equal(written.memoryMaxBytes, 65_536)

  assert.equal(cacheOptions({ redis: false }, env).redis, null)
  assert.equal(cacheOptions({ memory: false }, env).memoryMaxBytes, 0)
  assert.equal(cacheOptions({ redis: { db: 3 } }, env).redis.url, 'redis://env:1/3')
  const empty = { REDIS_URL: '', TIDECACHE_NAMESPACE: '', TIDECACHE_MEMORY_BYTES: '', TIDECACHE_DISABLED: '' }
  assert.deepEqual(cacheOptions({}, empty), cacheOptions({}, {}))
  assert.equal(cacheOptions({ redis: { commandTimeout: '1s' } }, {}).redis, null)
  assert.equal(cacheOptions({}, { TIDECACHE_MEMORY_BYTES: '0' }).memoryMaxBytes, 0)
})

test('namespace, memory, types, codec, logger and waitUntil are checked', () => {
  const type = { name: 'Decimal', is: noop, encode: noop, decode: noop }
  const codec = { name: 'msgpack', encode: noop, decode: noop }
  const cases = [
    [{ namespace: '' }, /^namespace must be 1 to 64 characters .* got ''/],
    [{ namespace: 'a b' }, /^namespace must be/],
    [{ namespace: 'a:b' }, /^namespace must be/],
    [{ namespace: 'a'.repeat(65) }, /^namespace must be/],
    [{ namespace: null }, /^namespace must be .* got null/],
    [{ memory: true }, /^memory must be an object with maxBytes, or false/],
    [{ memory: { maxBytes: 0 } }, /memory: false for no memory tier/],
    [{ memory: { maxBytes: 65_535 } }, /^memory\.maxBytes must be an integer number of bytes from 65536/],
    [{ memory: { maxBytes: 1e6 + 0.5 } }, /^memory\.maxBytes/],
    [{ memory: { maxBytes: '1000000' } }, /^memory\.maxBytes/],
    [{ memory: { maxbytes: 1e6 } }, /unknown option 'memory\.maxbytes' \(did you mean 'maxBytes'\?\)/],
    [{ types: {} }, /^types must be an array/],
    [{ types: [null] }, /^types\[0\] must be an object/],
    [{ types: [{ ...type, decode: undefined }] }, /^types\[0\]\.decode must be a function; got undefined/],
    [{ types: [{ ...type, name: '' }] }, /^types\[0\]\.name must be a non-empty string/],
    [{ types: [type, { ...type }] }, /^types\[1\]\.name must be different from the others; got 'Decimal'/],
    [{ codec: { ...codec, name: 'ä'.repeat(128) } }, /^codec\.name must be .* at most 255 bytes/],
    [{ codec: { ...codec, encode: 1 } }, /^codec\.encode must be a function/],
    [{ codec: null }, /^codec must be an object/],
    [{ logger: {} }, /^logger\.warn must be a function/],
    [{ logger: { warn: noop, info: 1 } }, /^logger\.info must be a function/],
    [{ waitUntil: 1 }, /^waitUntil must be a function/],
    [{ defaults: 5 }, /^defaults must be an object/],
    [{ defaults: { ttl: '1.5h' } }, /^defaults\.ttl must be .* got '1\.5h'/],
    [{ defaults: { tll: 1 } }, /unknown option 'defaults\.tll' \(did you mean 'ttl'\?\)/],
    [{ redsi: false }, /unknown option 'redsi' \(did you mean 'redis'\?\); allowed: redis, namespace/],
    [{ nope: undefined }, /unknown option 'nope'; allowed/],
    [null, /^options of createCache must be an object; got null/],
  ]

  for (const [options, message] of cases) refuses(() => cacheOptions(options, {}), message)
  for (const text of ['1e6', '64MB', '-1', '1024', ' 1048576', '1048576.5']) {
    refuses(
      () => cacheOptions({}, { TIDECACHE_MEMORY_BYTES: text }),
      /^TIDECACHE_MEMORY_BYTES must be .*'0' for no memory/,
    )
  }
  refuses(() => cacheOptions({}, { TIDECACHE_NAMESPACE: 'a b' }), /^TIDECACHE_NAMESPACE must be .* got 'a b'/)
  const fine = cacheOptions({ types: [type], codec, logger: console, waitUntil: noop, namespace: 'A-z_0.9' }, {})
  assert.deepEqual([fine.types, fine.codec, fine.logger, fine.waitUntil], [[type], codec, console, noop])
})

test('entry options: what is given replaces the default, what is absent or undefined does not', () => {
  const { defaults } = cacheOptions({ defaults: { ttl: '10m', tags: ['all'], loadTimeout: '5s' } }, {})
  assert.equal(defaults.ttl, 600_000)
  assert.equal(defaults.ttlGiven, -1)
  assert.equal(defaults.waitTimeout, 5_000)

  assert.equal(entryOptions(undefined, defaults), defaults)
  assert.deepEqual(entryOptions({}, defaults), { ...defaults })
  assert.deepEqual(entryOptions({ ttl: undefined, signal: undefined }, defaults), { ...defaults })

  const signal = AbortSignal.timeout(1_000)
  const given = entryOptions(
    { ttl: '1m', tags: ['a', 'b', 'a'], staleAfter: 0, jitter: 0.5, signal, onResult: noop },
    defaults,
  )
  assert.deepEqual(given, {
    ...defaults,
    ttl: 60_000,
    ttlGiven: 60_000,
    tags: ['a', 'b'],
    staleAfter: 0,
    jitter: 0.5,
    signal,
    onResult: noop,
    isPlain: false,
  })
  assert.equal(entryOptions({ ttl: 0 }).ttlGiven, 0)
  assert.equal(entryOptions({ ttl: 'forever' }).ttl, 365 * DAY)
  assert.equal(entryOptions({ staleAfter: '30d' }).staleAfter, -1)
})

test('waitTimeout follows loadTimeout until somebody gives it', () => {
  const { defaults } = cacheOptions({ defaults: { waitTimeout: '2s' } }, {})

  assert.equal(entryOptions({ loadTimeout: '1s' }).waitTimeout, 1_000)
  assert.equal(entryOptions({ loadTimeout: '1s', waitTimeout: 0 }).waitTimeout, 0)
  assert.equal(entryOptions({ loadTimeout: '1s' }, defaults).waitTimeout, 2_000)
})

test('frozen entry options are checked once, others on every call', () => {
  const { defaults } = cacheOptions({ defaults: { jitter: 0.1 } }, {})
  const frozen = Object.freeze({ ttl: '1m', tags: Object.freeze(['a']) })
  const first = entryOptions(frozen, defaults)

  assert.equal(entryOptions(frozen, defaults), first)
  assert.ok(Object.isFrozen(first) && Object.isFrozen(first.tags))
  assert.equal(entryOptions(frozen).jitter, 0)

  const open = { ttl: '1m' }
  assert.equal(entryOptions(open).ttl, 60_000)
  open.ttl = '2m'
  assert.equal(entryOptions(open).ttl, 120_000)
  open.ttl = '-2m'
  refuses(() => entryOptions(open), /^ttl must/)

  const tags = ['a']
  const half = Object.freeze({ tags })
  const kept = entryOptions(half)
  tags.push('b')
  assert.deepEqual(kept.tags, ['a'])
  assert.deepEqual(entryOptions(half).tags, ['a', 'b'])
})

test('bad entry options are refused, naming option, value and what is allowed', () => {
  const cases = [
    [{ ttl: -1 }, /^ttl must .* from 0 to 365d.* got -1$/],
    [{ ttl: 0.5 }, /^ttl must .* got 0\.5$/],
    [{ ttl: null }, /^ttl must .* got null$/],
    [{ ttl: '366d' }, /^ttl must/],
    [{ staleWhileRevalidate: 'forever' }, /^staleWhileRevalidate must/],
    [{ staleIfError: '-1s' }, /^staleIfError must/],
    [{ staleAfter: Number.NaN }, /^staleAfter must .* got NaN$/],
    [{ loadTimeout: 0 }, /^loadTimeout must .* from 1ms to 24d; got 0$/],
    [{ waitTimeout: '25d' }, /^waitTimeout must .* from 0 to 24d/],
    [{ tags: 'a' }, /^tags must be an array of strings; got 'a'$/],
    [{ tags: ['a', ''] }, /^tags\[1\] must be a non-empty string; got ''$/],
    [{ tags: [5] }, /^tags\[0\] must be a non-empty string; got 5$/],
    [{ tags: ['\ud800'] }, /^tags\[0\] must be valid Unicode/],
    [{ tags: numbered(1_001) }, /^tags must be at most 1000 tags/],
    [{ jitter: 1.1 }, /^jitter must be a number from 0 to 1; got 1\.1$/],
    [{ jitter: Number.NaN }, /^jitter must/],
    [{ jitter: '0.1' }, /^jitter must/],
    [{ refresh: 'always' }, /^refresh must be 'auto' or 'force' or 'never'; got 'always'$/],
    [{ onEncodeError: true }, /^onEncodeError must be 'reject' or 'bypass'; got true$/],
    [{ signal: {} }, /^signal must be an AbortSignal; got \{\}$/],
    [{ signal: new AbortController() }, /^signal must be an AbortSignal; got AbortController \{\}$/],
    [{ onResult: {} }, /^onResult must be a function/],
    [{ staleWhileRevalidat: 1 }, /did you mean 'staleWhileRevalidate'/],
    [{ TTL: 1 }, /unknown option 'TTL' \(did you mean 'ttl'\?\)/],
    [{ swr: undefined }, /unknown option 'swr'.*; allowed: ttl, staleWhileRevalidate/],
    [{ share: true }, /option 'share' is not supported yet/],
    [{ constructor: 1 }, /unknown option 'constructor'/],
    [JSON.parse('{"__proto__":1}'), /unknown option '__proto__'/],
    [null, /^options must be an object; got null$/],
    ['5m', /^options must be an object; got '5m'$/],
    [[], /^options must be an object/],
  ]

  for (const [options, message] of cases) refuses(() => entryOptions(options), message)
  refuses(() => entryOptions({ tags: 'x'.repeat(1e6) }), /^tags must be an array of strings; got 'x{5,}\.\.\.$/)
})

test('an option of another realm is as good as ours', () => {
  const signal = new AbortController().signal
  const options = vm.runInNewContext("({ ttl: '1m', tags: ['a'], signal })", { signal })

  assert.equal(entryOptions(options).ttl, 60_000)
  assert.deepEqual([...entryOptions(options).tags], ['a'])
  assert.equal(getOptions(vm.runInNewContext('({})')).signal, undefined)
})

test('get takes a signal, a version and a validate, and nothing else', () => {
  const signal = AbortSignal.abort()

  assert.equal(getOptions(undefined).signal, undefined)
  assert.equal(getOptions({ signal }).signal, signal)
  refuses(() => getOptions({ ttl: '1m' }), /unknown option 'ttl'.*allowed: signal, version, validate/)
  refuses(() => getOptions({ share: true }), /option 'share' is not supported yet/)
  refuses(() => getOptions({ signal: true }), /^signal must be an AbortSignal/)
  refuses(() => getOptions('x'), /^options must be an object/)
})

test('a key is non-empty, valid Unicode, at most 8 KiB of UTF-8', () => {
  for (const key of ['a', '\0', ' ', '😀', 'x'.repeat(8_192), '€'.repeat(2_730), '__proto__']) checkKey(key)

  for (const [key, message] of [
    ['', /^key must be a non-empty string; got ''$/],
    [5, /^key must be a non-empty string; got 5$/],
    [undefined, /got undefined$/],
    [new String('a'), /^key must be a non-empty string/],
    ['a\ud800', /^key must be valid Unicode \(no lone surrogate\)/],
    ['\udc00b', /^key must be valid Unicode/],
    ['x'.repeat(8_193), /^key must be at most 8192 bytes of UTF-8; got 8193 bytes$/],
    ['€'.repeat(2_731), /^key must be at most 8192 bytes of UTF-8; got 8193 bytes$/],
  ]) {
    refuses(() => checkKey(key), message)
  }
  assert.deepEqual(checkTags(['a', 'a', 'b']), ['a', 'b'])
})

test('an invalidation target is the union of its members', () => {
  const plain = { keys: [], tags: [], patterns: [], all: false, mode: 'remove', strict: false, settle: 0 }
  const cases = [
    ['k', undefined, { keys: ['k'] }],
    [{ key: 'k' }, {}, { keys: ['k'] }],
    [
      { key: 'a', keys: ['b', 'a'], tag: 't', tags: ['u', 't'] },
      { strict: true },
      { keys: ['a', 'b'], tags: ['t', 'u'], strict: true },
    ],
    [{ all: true, tag: undefined }, { mode: 'stale' }, { all: true, mode: 'stale' }],
    [{ keys: [] }, { mode: undefined, strict: undefined }, {}],
    [{ pattern: 'a[b-c]*' }, { settle: '2s' }, { patterns: ['a[b-c]*'], settle: 2_000 }],
    [{ keys: numbered(2_000) }, undefined, { keys: numbered(2_000) }],
  ]

  for (const [target, options, parts] of cases)
    assert.deepEqual(invalidateTarget(target, options), { ...plain, ...parts })
})

test('a target that names nothing, or something unknown, is refused', () => {
  const cases = [
    [undefined, undefined, /^invalidate target must be a key, or an object/],
    [null, undefined, /^invalidate target must be/],
    [['a'], undefined, /^invalidate target must be/],
    ['', undefined, /^key must be a non-empty string/],
    [{}, undefined, /names nothing/],
    [{ key: undefined, tags: undefined }, undefined, /names nothing/],
    [{ key: '' }, undefined, /^key must be a non-empty string/],
    [{ key: null }, undefined, /^key must be a non-empty string; got null/],
    [{ keys: 'a' }, undefined, /^keys must be an array of strings; got 'a'/],
    [{ keys: ['a', 1] }, undefined, /^keys\[1\] must be a non-empty string; got 1/],
    [{ tags: [''] }, undefined, /^tags\[0\] must be/],
    [{ all: false }, undefined, /^target\.all must be true or absent; got false/],
    [{ pattern: 'a[b' }, undefined, /pattern must be a glob \(a '\[' that nothing closes\).*got 'a\[b'/],
    [{ pattern: 'a\\' }, undefined, /pattern must be a glob \(it ends in/],
    [{ pattern: '' }, undefined, /pattern must be a non-empty string/],
    [{ tga: 'a' }, undefined, /unknown option 'target\.tga' \(did you mean 'tag'/],
    ['k', { settle: '31s' }, /settle must be an integer number of milliseconds.*from 0 to 30s.*got '31s'/],
    ['k', { settle: '1s', mode: 'stale' }, /settle must be absent with mode 'stale'/],
    ['k', { mode: 'soft' }, /^mode must be 'remove' or 'stale'; got 'soft'/],
    ['k', { strict: 1 }, /^strict must be true or false; got 1/],
    ['k', 'stale', /^invalidate options must be an object/],
  ]

  for (const [target, options, message] of cases) refuses(() => invalidateTarget(target, options), message)
})
