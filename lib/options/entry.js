'use strict'
// The options of one call (EntryOptions, GetOptions), checked and made uniform.
//
// On the way of a memory hit of some 300 ns: no options costs nothing, frozen options are checked once, others by a
// single pass over the names that are there. An object that can be changed is checked on every call, because it may
// have been.

const { toMs, ttlMs, TIMEOUT, WAIT, TIMER_MAX } = require('../duration.js')
const { refuse, refuseName, isObject, checkNames, checkFunction, checkOneOf } = require('./check.js')
const { prefixOf, storedTag, tagOf } = require('../path.js')
const { checkTags, NO_TAGS } = require('./keys.js')

const LATER = ['share']
const REFRESH = ['auto', 'force', 'never']
const ON_ENCODE_ERROR = ['reject', 'bypass']

const VERSION_MAX = 256

/**
 * What all policies of one cache or view have in common.
 *
 * @param {string} path of the view; '': the cache itself
 * @param {import('../events.js').Events} [events]
 * @param {import('../counts.js').Counts} [counts] a view's own counters
 */
function scopeOf(path, events, counts) {
  // Frozen options → policy: what cannot change need not be checked twice.
  return { path, events, counts, seen: new WeakMap() }
}

/**
 * The policy of a call without options in a cache without `defaults`. Durations in ms; -1: off, or not given.
 * `tags` are as they are stored. `prefix`: what stands before a stored key. `isPlain`: a memory hit needs decoding and
 * nothing else. `scope`: of the cache or view whose policy it is, see `scopeOf`.
 */
const DEFAULTS = Object.freeze({
  ttl: 300_000,
  staleWhileRevalidate: 60_000,
  staleIfError: 0,
  staleAfter: -1,
  tags: NO_TAGS,
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
  scope: scopeOf(''),
})

/** By shape, never `instanceof`: a signal may come from another realm or a polyfill. */
function checkSignal(signal, name) {
  const fine = isObject(signal) && typeof signal.aborted === 'boolean' && typeof signal.addEventListener === 'function'
  return fine ? signal : refuse(name, signal, 'an AbortSignal')
}

function checkJitter(jitter, name) {
  const fine = typeof jitter === 'number' && jitter >= 0 && jitter <= 1
  return fine ? jitter + 0 : refuse(name, jitter, 'a number from 0 to 1')
}

/** A timer beyond what loadTimeout allows would never be reached: the same as none. */
function staleAfterMs(value, name) {
  const ms = toMs(value, name)
  return ms > TIMER_MAX ? -1 : ms
}

/** A number or text that stands in the stored key. 2 and '2' are the same version. */
function checkVersion(version, name) {
  if (typeof version === 'number' && Number.isFinite(version)) return String(version)
  const fine =
    typeof version === 'string' &&
    version !== '' &&
    !version.includes('\0') &&
    version.isWellFormed() &&
    Buffer.byteLength(version) <= VERSION_MAX
  const allowed = `a finite number, or a non-empty string of at most ${VERSION_MAX} bytes without NUL`
  return fine ? version : refuse(name, version, allowed)
}

/** How each option is read: (value, its name in messages, path of the view) → what is kept. */
const READ = {
  __proto__: null,
  ttl: ttlMs,
  staleWhileRevalidate: (value, name) => toMs(value, name),
  staleIfError: (value, name) => toMs(value, name),
  staleAfter: staleAfterMs,
  tags: checkTags,
  jitter: checkJitter,
  loadTimeout: (value, name) => toMs(value, name, TIMEOUT),
  waitTimeout: (value, name) => toMs(value, name, WAIT),
  refresh: (value, name) => checkOneOf(value, name, REFRESH),
  onEncodeError: (value, name) => checkOneOf(value, name, ON_ENCODE_ERROR),
  signal: checkSignal,
  onResult: checkFunction,
  version: checkVersion,
  validate: checkFunction,
}
const NAMES = Object.keys(READ)

/** One pass over the names given. `prefix` is where they stand, for messages: '' or 'defaults.'. */
function normalise(options, defaults, prefix) {
  const result = copy(defaults)
  for (const name in options) {
    const read = READ[name]
    const value = options[name]
    if (read === undefined) refuseUnknown(options, name, prefix)
    else if (value !== undefined) result[name] = read(value, prefix + name, defaults.scope.path)
  }
  if (options.ttl !== undefined) result.ttlGiven = result.ttl
  if (options.waitTimeout !== undefined) result.waitTimeoutGiven = true
  if (!result.waitTimeoutGiven) result.waitTimeout = result.loadTimeout
  if (result.version !== defaults.version) result.prefix = prefixOf(result.scope.path, result.version)
  result.isPlain = result.onResult === undefined && result.validate === undefined
  return result
}

/** Written out: the same hidden class for every result, and no spread over a frozen object, which is slow. */
function copy(from) {
  return {
    ttl: from.ttl,
    staleWhileRevalidate: from.staleWhileRevalidate,
    staleIfError: from.staleIfError,
    staleAfter: from.staleAfter,
    tags: from.tags,
    jitter: from.jitter,
    loadTimeout: from.loadTimeout,
    waitTimeout: from.waitTimeout,
    refresh: from.refresh,
    onEncodeError: from.onEncodeError,
    signal: from.signal,
    onResult: from.onResult,
    version: from.version,
    validate: from.validate,
    ttlGiven: -1,
    waitTimeoutGiven: from.waitTimeoutGiven,
    prefix: from.prefix,
    isPlain: true,
    scope: from.scope,
  }
}

/** What somebody added to Object.prototype is no option. */
function refuseUnknown(options, name, prefix) {
  if (Object.hasOwn(options, name)) refuseName(name, NAMES, { prefix, later: LATER })
}

/** A result that serves more than one call is frozen; one of a single call is not, which saves a quarter of its cost. */
function shared(result) {
  Object.freeze(result.tags)
  return Object.freeze(result)
}

function cannotChange(options) {
  if (!Object.isFrozen(options) || Object.getPrototypeOf(options) !== Object.prototype) return false
  if (options.tags !== undefined && !Object.isFrozen(options.tags)) return false
  return Object.values(Object.getOwnPropertyDescriptors(options)).every((property) => 'value' in property)
}

/**
 * The options of one call over the defaults of its cache.
 *
 * @param {unknown} options EntryOptions or undefined
 * @param {typeof DEFAULTS} [defaults] of the cache, from `entryDefaults`; returned itself when no options are given
 * @returns {Readonly<typeof DEFAULTS>} durations in ms. `ttlGiven`: the caller's own ttl, -1 when not given
 * @throws {CacheConfigError} naming option, value and what is allowed
 */
function entryOptions(options, defaults = DEFAULTS) {
  if (options === undefined) return defaults
  if (!isObject(options)) refuse('options', options, 'an object')
  const { seen } = defaults.scope
  const known = seen.get(options)
  if (known !== undefined) return known
  const result = normalise(options, defaults, '')
  if (cannotChange(options)) seen.set(options, shared(result))
  return result
}

/** The `defaults` of a cache as the result of `entryOptions` for calls without options. */
function entryDefaults(options) {
  if (options === undefined) return DEFAULTS
  if (!isObject(options)) refuse('defaults', options, 'an object')
  const result = normalise(options, DEFAULTS, 'defaults.')
  result.ttlGiven = -1
  result.scope = scopeOf('')
  return shared(result)
}

/** The same policy in a scope of its own; `tags` and `prefix` follow its path. */
function within(policy, scope) {
  const tags = policy.tags.map((tag) => storedTag(tagOf(tag, policy.scope.path), scope.path))
  return shared({ ...policy, tags, prefix: prefixOf(scope.path, policy.version), scope })
}

/** What a read that never loads knows of a policy. */
const READ_OF_GET = ['signal', 'version', 'validate']
const READ_OF_INSPECT = ['version']

/**
 * The options of a call that takes some of the entry options only.
 *
 * @param {unknown} options or undefined
 * @param {typeof DEFAULTS} defaults
 * @param {readonly string[]} names
 * @throws {CacheConfigError}
 */
function someOptions(options, defaults, names) {
  if (options === undefined) return defaults
  if (!isObject(options)) refuse('options', options, 'an object')
  checkNames(options, names, { later: LATER })
  return normalise(options, defaults, '')
}

/** The options of `get`: { signal?, version?, validate? }. */
function getOptions(options, defaults = DEFAULTS) {
  return someOptions(options, defaults, READ_OF_GET)
}

/** The options of `inspect`: { version? }. */
function inspectOptions(options, defaults = DEFAULTS) {
  return someOptions(options, defaults, READ_OF_INSPECT)
}

module.exports = { entryOptions, entryDefaults, getOptions, inspectOptions, scopeOf, within, DEFAULTS }
