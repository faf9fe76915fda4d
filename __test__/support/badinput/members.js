'use strict'
// The other members, and what loaders and other functions of the user's give.

const { DURATION, YEAR, add, addSaid, fn, loader } = require('./table.js')

// --- get, inspect -----------------------------------------------------------------------------------------------------

const READERS = { get: 'allowed: signal, version, validate', inspect: 'allowed: version' }
for (const [member, names] of Object.entries(READERS)) {
  const call = (cache, options) => cache[member]('k', options)
  add(member, 'options', 'an object', ['fresh', null, []], call)
  addSaid(member, 'ttl', [`unknown option 'ttl'`, names], ['5m'], (cache, ttl) => call(cache, { ttl }))
  add(member, 'version', 'a finite number', ['', Number.NaN, {}], (cache, version) => call(cache, { version }))
}
add('get', 'validate', 'a function', ['number'], (cache, validate) => cache.get('k', { validate }))
add('get', 'signal', 'an AbortSignal', [{}], (cache, signal) => cache.get('k', { signal }))
addSaid('inspect', 'signal', ["unknown option 'signal'"], [AbortSignal.abort()], (cache, signal) =>
  cache.inspect('k', { signal }),
)

// --- invalidate -------------------------------------------------------------------------------------------------------

const invalidate = (cache, target) => cache.invalidate(target)
add(
  'invalidate',
  'invalidate target',
  'a key, or an object with key, keys, tag, tags, pattern or all',
  [undefined, null, 7, [], true],
  invalidate,
)
add('invalidate', 'key', 'a non-empty string', [''], invalidate)
addSaid(
  'invalidate',
  'invalidate target',
  ['names nothing', 'give key, keys, tag, tags, pattern or all: true'],
  [{}, { key: undefined }, { all: undefined, tags: undefined }],
  invalidate,
)
add('invalidate', 'keys', 'an array of strings', ['k', {}, 7, null], (cache, keys) => cache.invalidate({ keys }))
add('invalidate', 'keys[1]', 'a non-empty string', ['', null], (cache, key) => cache.invalidate({ keys: ['k', key] }))
add('invalidate', 'tag', 'a non-empty string', ['', 7, null], (cache, tag) => cache.invalidate({ tag }))
add('invalidate', 'tags', 'an array of strings', ['t', new Set(['t'])], (cache, tags) => cache.invalidate({ tags }))
add('invalidate', 'tags[0]', 'a non-empty string', ['', undefined], (cache, tag) =>
  cache.invalidate({ tags: [tag], key: 'k' }),
)
add('invalidate', 'target.all', 'true or absent', [false, 'yes', 1, null], (cache, all) =>
  cache.invalidate({ all, key: 'k' }),
)
addSaid('invalidate', 'target.kye', ["did you mean 'key'"], ['k', undefined], (cache, kye) =>
  cache.invalidate({ kye, key: 'k' }),
)
addSaid('invalidate', 'target.patterns', ["did you mean 'pattern'"], [['*']], (cache, patterns) =>
  cache.invalidate({ patterns }),
)
add('invalidate', 'pattern', 'a non-empty string', ['', 7, ['*'], /user/], (cache, pattern) =>
  cache.invalidate({ pattern }),
)
add('invalidate', 'pattern', "a glob (a '[' that nothing closes)", ['user:[', 'k[a-', '[\\]'], (cache, pattern) =>
  cache.invalidate({ pattern }),
)
add('invalidate', 'pattern', "a glob (a '[]' of nothing)", ['[]', '[^]x'], (cache, pattern) =>
  cache.invalidate({ pattern }),
)
addSaid('invalidate', 'pattern', ["it ends in '\\'"], ['k\\'], (cache, pattern) => cache.invalidate({ pattern }))
addSaid('invalidate', 'pattern', ['at most 8192 bytes'], ['*'.repeat(8_193)], (cache, pattern) =>
  cache.invalidate({ pattern }),
)
const how = (options) => (cache, value) => cache.invalidate('k', options(value))
add(
  'invalidate',
  'invalidate options',
  'an object',
  ['stale', null, [], 7],
  how((options) => options),
)
add(
  'invalidate',
  'mode',
  "'remove' or 'stale'",
  ['soft', null, true],
  how((mode) => ({ mode })),
)
add(
  'invalidate',
  'strict',
  'true or false',
  ['yes', 1, null],
  how((strict) => ({ strict })),
)
add(
  'invalidate',
  'settle',
  `${DURATION}0 to 30s`,
  ['31s', -1, 'soon', null, 0.5],
  how((settle) => ({ settle })),
)
add(
  'invalidate',
  'settle',
  "absent with mode 'stale'",
  ['1s', 5],
  how((settle) => ({ settle, mode: 'stale' })),
)
addSaid(
  'invalidate',
  'sctrict',
  ["did you mean 'strict'", 'allowed: mode, strict, settle'],
  [true],
  how((sctrict) => ({ sctrict })),
)

// --- wrap, namespace --------------------------------------------------------------------------------------------------

add('wrap', 'options of wrap', 'an object with key', [undefined, null, 'k', []], (cache, options) =>
  cache.wrap(fn, options),
)
add(
  'wrap',
  'key',
  'a function of the arguments, or a string when there are none',
  [undefined, null, 7, {}],
  (cache, key) => cache.wrap(fn, { key }),
)
add('wrap', 'key', 'a non-empty string', [''], (cache, key) => cache.wrap(fn, { key }))
add('wrap', 'key', 'a function of the arguments, (...args) => string, where there are any', ['users'], (cache, key) =>
  cache.wrap((id) => id, { key }),
)
add('wrap', 'key', 'where there are any', ['users'], (cache, key) => cache.wrap(fn, { key })(1, 2))
add('wrapped function', 'what key of wrap returns', 'a non-empty string', [undefined, 7, '', {}], (cache, key) =>
  cache.wrap(loader, { key: () => key })(1),
)
add('wrapped function', 'what tags of wrap returns', 'an array of strings', [undefined, 't'], (cache, tags) =>
  cache.wrap(loader, { key: () => 'l', tags: () => tags })(1),
)
add('invalidate of wrap', 'what key of wrap returns', 'a non-empty string', [null], (cache, key) =>
  cache.wrap(loader, { key: () => key }).invalidate(1),
)
add('key of wrap', 'what key of wrap returns', 'a non-empty string', [7], (cache, key) =>
  cache.wrap(loader, { key: () => key }).key(1),
)
add(
  'namespace',
  'prefix of namespace',
  '1 to 64 characters of A-Z, a-z, 0-9, _, . and -',
  [undefined, '', 'a b', 'a/b', 'a:b', 'n'.repeat(65), '{a}', 7, null, 'ü', '\0', ['a']],
  (cache, prefix) => cache.namespace(prefix),
)

// --- events, metrics --------------------------------------------------------------------------------------------------

for (const member of ['on', 'off']) {
  add(member, 'event', 'one of hit, miss, stale, load, loadError', ['hits', '', undefined, 7], (cache, event) =>
    cache[member](event, fn),
  )
  add(member, 'listener', 'a function', [undefined, 'log', {}], (cache, listener) => cache[member]('hit', listener))
}
add('metrics', 'options of metrics', 'an object', ['prometheus', null, []], (cache, options) => cache.metrics(options))
add('metrics', 'format', "'prometheus'", ['json', true, null], (cache, format) => cache.metrics({ format }))
add('metrics', 'views', 'an array of names of views', ['v', {}, null], (cache, views) =>
  cache.metrics({ format: 'prometheus', views }),
)
add('metrics', 'views[0]', 'the name of a view', ['', 'a b', 'a//b', '/a', 7, null], (cache, view) =>
  cache.metrics({ format: 'prometheus', views: [view] }),
)
add('metrics', 'views', "absent without format: 'prometheus'", [['v']], (cache, views) => cache.metrics({ views }))
addSaid('metrics', 'fromat', ["did you mean 'format'", 'allowed: format'], ['prometheus'], (cache, fromat) =>
  cache.metrics({ fromat }),
)

// --- what loaders ask for and give ------------------------------------------------------------------------------------

const loads = (use) => (cache, value) => cache.getOrSet('l', (ctx) => use(ctx, value))
add(
  'ctx.ttl',
  'ctx.ttl',
  `${YEAR}, or 'forever'`,
  ['soon', -1, undefined],
  loads((ctx, value) => ctx.ttl(value)),
)
add(
  'ctx.tag',
  'ctx.tag',
  'a non-empty string',
  ['', 7, undefined],
  loads((ctx, value) => ctx.tag('fine', value)),
)
add(
  'loadMissing',
  'what the loader of getOrSetMany returns',
  'a Map, or a plain object, of values by key',
  [undefined, null, 'rows', new Set()],
  (cache, value) => cache.getOrSetMany(['l'], () => value),
)
