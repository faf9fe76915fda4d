'use strict'
// Bad arguments: a CacheConfigError that names option, value and what is allowed; a rejected promise, never a throw,
// but for createCache; and nothing changed.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted } = require('./support/kit.js')
const { open, rejectsWith } = require('./support/setups.js')

const LONE_SURROGATE = 'a\ud800b'
const TOO_LONG = 'k'.repeat(8 * 1024 + 1)
const load = counted('loaded')
const CONFIG = ['CacheConfigError', 'ERR_CACHE_CONFIG']

/** What the call rejects with; a throw is a failure of its own. */
async function rejectsConfig(call, ...texts) {
  let promise
  assert.doesNotThrow(() => {
    promise = call()
  }, 'throws instead of rejecting')
  return rejectsWith(promise, ...CONFIG, ...texts)
}

const keys = {
  'an empty key': '',
  'a key over 8 KiB': TOO_LONG,
  'a key over 8 KiB in UTF-8': 'ä'.repeat(4 * 1024 + 1),
  'a lone surrogate': LONE_SURROGATE,
  'a number': 7,
  undefined: undefined,
  null: null,
  'an object': { key: 'k' },
  'a symbol': Symbol('k'),
}
for (const [name, key] of Object.entries(keys)) {
  test(`as key, ${name} is refused by getOrSet, get and set`, async (t) => {
    const cache = open(t, { redis: false })
    load.calls = 0

    await rejectsConfig(() => cache.getOrSet(key, load), /key/i)
    await rejectsConfig(() => cache.get(key), /key/i)
    await rejectsConfig(() => cache.set(key, 1), /key/i)

    assert.equal(load.calls, 0)
    assert.equal((await cache.metrics()).memory.entries, 0)
  })
}

test('keys at the limits are accepted', async (t) => {
  const cache = open(t, { redis: false })
  for (const key of ['k'.repeat(8 * 1024), ' ', '\0', '{a}*\r\n', 'ключ 🔑', '__proto__', 'constructor']) {
    await cache.set(key, key)
    assert.equal(await cache.get(key), key)
  }
})

const entryOptions = [
  ['ttl', -1],
  ['ttl', 1.5],
  ['ttl', Number.NaN],
  ['ttl', Number.POSITIVE_INFINITY],
  ['ttl', '-5m'],
  ['ttl', '1e3ms'],
  ['ttl', '5'],
  ['ttl', '5 m'],
  ['ttl', ''],
  ['ttl', null],
  ['ttl', '366d'],
  ['staleWhileRevalidate', '-1s'],
  ['staleIfError', 'soon'],
  ['staleAfter', -1],
  ['loadTimeout', '1y'],
  ['waitTimeout', {}],
  ['jitter', 1.1],
  ['jitter', -0.1],
  ['jitter', '0.5'],
  ['tags', 'red'],
  ['tags', ['']],
  ['tags', [LONE_SURROGATE]],
  ['tags', [7]],
  ['refresh', 'always'],
  ['onEncodeError', 'ignore'],
  ['signal', {}],
  ['onResult', 'log'],
  ['tll', '5m'],
]
for (const [name, value] of entryOptions) {
  test(`${name}: ${JSON.stringify(value) ?? String(value)} is refused, and named`, async (t) => {
    const cache = open(t, { redis: false })
    load.calls = 0

    const error = await rejectsConfig(() => cache.getOrSet('k', load, { [name]: value }), name)
    if (typeof value === 'string' && value !== '' && name !== 'tll')
      assert.ok(error.message.includes(value), error.message)

    assert.equal(load.calls, 0)
    assert.equal(await cache.get('k'), undefined)
  })
}

test('options that are no object, and a loader that is no function, are refused', async (t) => {
  const cache = open(t, { redis: false })

  for (const options of ['5m', 5, null, []]) await rejectsConfig(() => cache.getOrSet('k', load, options))
  for (const loader of [undefined, null, 'value', {}, Promise.resolve(1)]) {
    await rejectsConfig(() => cache.getOrSet('k', loader), /loader/)
  }
})

const targets = [
  undefined,
  null,
  '',
  7,
  {},
  { key: undefined },
  { key: '' },
  { keys: 'k' },
  { keys: [''] },
  { tag: '' },
  { tags: [null] },
  { all: false },
  { all: 'yes' },
  { kye: 'k' },
  { key: LONE_SURROGATE },
]
for (const target of targets) {
  test(`invalidate(${JSON.stringify(target)}) is refused and removes nothing`, async (t) => {
    const cache = open(t, { redis: false })
    await cache.set('k', 1)

    await rejectsConfig(() => cache.invalidate(target))

    assert.equal(await cache.get('k'), 1)
  })
}

test('unknown options of invalidate and get are refused', async (t) => {
  const cache = open(t, { redis: false })
  await cache.set('k', 1)

  await rejectsConfig(() => cache.invalidate('k', { mode: 'soft' }), /mode/, /soft/)
  await rejectsConfig(() => cache.invalidate('k', { strict: 'yes' }), /strict/)
  await rejectsConfig(() => cache.invalidate('k', { sctrict: true }), /sctrict/)
  await rejectsConfig(() => cache.get('k', { ttl: '5m' }), /ttl/)

  assert.equal(await cache.get('k'), 1)
})

test('what a loader gives its context is checked: the call rejects, nothing is cached', async (t) => {
  const cache = open(t, { redis: false })
  const wrong = {
    ttl: (ctx) => ctx.ttl('soon'),
    tag: (ctx) => ctx.tag(''),
    'tag of another type': (ctx) => ctx.tag(7),
  }

  for (const [name, use] of Object.entries(wrong)) {
    await rejectsConfig(() => cache.getOrSet(name, use))
    assert.equal(await cache.get(name), undefined)
  }
})

const cacheOptions = [
  ['redis', 'http://localhost'],
  ['redis', 'localhost:6379'],
  ['redis', 7],
  ['redis', true],
  ['redis', { url: 'ftp://localhost' }],
  ['redis', { url: 'redis://localhost', comandTimeout: '1s' }],
  ['redis', { url: 'redis://localhost', commandTimeout: '-1s' }],
  ['redis', { url: 'redis://localhost', isolated: 'ever' }],
  ['redis', { url: 'redis://localhost', coherence: 'yes' }],
  ['redis', { url: 'redis://localhost', db: -1 }],
  ['redis', 'redis+cluster://localhost'],
  ['redis', 'redis+sentinel://localhost'],
  ['namespace', ''],
  ['namespace', 'a b'],
  ['namespace', 'n'.repeat(65)],
  ['namespace', '{a}'],
  ['memory', true],
  ['memory', { maxBytes: -1 }],
  ['memory', { maxBytes: '64MB' }],
  ['memory', { maxbytes: 1 }],
  ['defaults', { ttl: '-5m' }],
  ['defaults', { tll: '5m' }],
  ['types', [{ name: 'Decimal' }]],
  ['codec', { name: 'none' }],
  ['logger', 'console'],
  ['waitUntil', true],
  ['rediss', false],
]
for (const [name, value] of cacheOptions) {
  test(`createCache throws for ${name}: ${JSON.stringify(value)}`, () => {
    const { createCache, CacheConfigError } = require('..')
    const options = { redis: false, [name]: value }

    assert.throws(
      () => createCache(options),
      (error) => error instanceof CacheConfigError && error.code === 'ERR_CACHE_CONFIG' && error.message.length > 10,
    )
  })
}
