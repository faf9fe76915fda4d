'use strict'
// Keys, loaders, and the options of an entry, by each member that takes them.

const { DURATION, YEAR, add, addSaid, fn, loader } = require('./table.js')

const LONE_SURROGATE = 'a\ud800b'
const TOO_LONG = 'k'.repeat(8 * 1024 + 1)
const TOO_LONG_IN_UTF8 = 'ä'.repeat(4 * 1024 + 1)

// --- keys -------------------------------------------------------------------------------------------------------------

const BY_KEY = {
  getOrSet: (cache, key) => cache.getOrSet(key, loader),
  getOrSetMany: (cache, key) => cache.getOrSetMany(['fine', key], loader),
  get: (cache, key) => cache.get(key),
  set: (cache, key) => cache.set(key, 1),
  inspect: (cache, key) => cache.inspect(key),
  invalidate: (cache, key) => cache.invalidate({ key }),
}
for (const [member, call] of Object.entries(BY_KEY)) {
  const option = member === 'getOrSetMany' ? 'keys[1]' : 'key'
  const kinds = ['', 7, null, { key: 'k' }, ['k'], Symbol('k'), 1n, true]
  // An absent member of a target is absent.
  add(member, option, 'must be a non-empty string', member === 'invalidate' ? kinds : [undefined, ...kinds], call)
  add(member, option, 'valid Unicode (no lone surrogate)', ['\udc00', '\ud83d'], call)
  addSaid(member, option, ['at most 8192 bytes of UTF-8', 'got 8193 bytes'], [TOO_LONG], call)
  addSaid(member, option, ['at most 8192 bytes of UTF-8', 'got 8194 bytes'], [TOO_LONG_IN_UTF8], call)
}
add(
  'getOrSetMany',
  'keys',
  'an array of strings',
  ['a', undefined, null, { 0: 'a' }, new Set(['a']), 3],
  (cache, keys) => cache.getOrSetMany(keys, loader),
)

// --- loaders and functions --------------------------------------------------------------------------------------------

const NO_FUNCTIONS = [undefined, null, 'value', {}, 7]
add('getOrSet', 'loader', 'a function', NO_FUNCTIONS, (cache, value) => cache.getOrSet('k', value))
add('getOrSetMany', 'loadMissing', 'a function', NO_FUNCTIONS, (cache, value) => cache.getOrSetMany(['k'], value))
add('wrap', 'fn', 'a function', NO_FUNCTIONS, (cache, value) => cache.wrap(value, { key: 'k' }))

// --- options of an entry ----------------------------------------------------------------------------------------------

const TIMEOUT = `${DURATION}1ms to 24d`
const ENTRY = {
  ttl: [
    `${YEAR}, or 'forever' (365d)`,
    [
      -1,
      1.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      '-5m',
      '1e3ms',
      '5',
      '5 m',
      '',
      '1.5h',
      'Forever',
      '366d',
      null,
      {},
      5n,
    ],
  ],
  staleWhileRevalidate: [YEAR, ['-1s', 'forever', null]],
  staleIfError: [YEAR, ['soon', -0.5]],
  staleAfter: [YEAR, [-1, true]],
  loadTimeout: [TIMEOUT, [0, '1y', '25d']],
  waitTimeout: [`${DURATION}0 to 24d`, [[], '25d']],
  jitter: ['a number from 0 to 1', [1.1, -0.1, '0.5', Number.NaN, null]],
  tags: ['an array of strings', ['red', {}, null, new Set(['red'])]],
  refresh: ["'auto' or 'force' or 'never'", ['always', true, null]],
  onEncodeError: ["'reject' or 'bypass'", ['ignore', fn]],
  signal: ['an AbortSignal', [{}, 'abort', new AbortController(), null]],
  onResult: ['a function', ['log', {}]],
  version: [
    'a finite number, or a non-empty string of at most 256 bytes without NUL',
    [Number.NaN, Number.POSITIVE_INFINITY, '', 'a\0b', LONE_SURROGATE, 'v'.repeat(257), true, null, {}, 1n],
  ], // prettier-ignore
  validate: ['a function', [true, 'number', null]],
}
const WITH_OPTIONS = {
  getOrSet: (cache, options) => cache.getOrSet('k', loader, options),
  getOrSetMany: (cache, options) => cache.getOrSetMany(['k', 'l'], loader, options),
  set: (cache, options) => cache.set('k', 2, options),
  wrap: (cache, options) => cache.wrap(fn, { key: 'k', ...options }),
  'getOrSet of a view': (cache, options) => cache.namespace('v').getOrSet('k', loader, options),
}
for (const [option, [allowed, values]] of Object.entries(ENTRY)) {
  // Each value by one member, the first one by every member.
  for (const [n, [member, call]] of Object.entries(WITH_OPTIONS).entries()) {
    const mine = values.filter((_, at) => at === 0 || at % 5 === n)
    // A function is how tags of `wrap` are made.
    add(member, option, allowed, mine, (cache, value) => call(cache, { [option]: value }))
  }
}
for (const [member, call] of Object.entries(WITH_OPTIONS)) {
  addSaid(member, 'tll', ["did you mean 'ttl'", 'allowed: '], [undefined, '5m'], (cache, tll) => call(cache, { tll }))
  addSaid(member, 'share', ['not supported yet', 'allowed: '], [true], (cache, share) => call(cache, { share }))
  add(member, 'tags[1]', 'a non-empty string', ['', 7], (cache, tag) => call(cache, { tags: ['a', tag] }))
}
addSaid(
  'set',
  'tags',
  ['1001 tags', 'at most 1000'],
  [Array.from({ length: 1_001 }, (_, n) => `t${n}`)],
  (cache, tags) => cache.set('k', 2, { tags }),
)
for (const member of ['getOrSet', 'getOrSetMany', 'set', 'getOrSet of a view']) {
  add(member, 'options', 'an object', ['5m', 5, null, [], true], WITH_OPTIONS[member])
}
