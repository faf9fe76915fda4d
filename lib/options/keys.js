'use strict'
// Keys, tags and the targets of an invalidation.
//
// Refuses what could not name the same entry everywhere: empty text, text that is no valid Unicode (two keys that
// differ only in lone surrogates are the same bytes in UTF-8), text beyond 8 KiB. An invalidation that names nothing
// or something unknown is refused, never read as "nothing to do".

const { toMs } = require('../duration.js')
const { CacheConfigError } = require('../errors.js')
const { storedKey, prefixOf, storedTag } = require('../path.js')
const { refuse, isObject, checkNames, checkOneOf } = require('./check.js')
const { checkPattern } = require('./pattern.js')

const KEY_MAX = 8_192
const TAGS_MAX = 1_000
const MODES = ['remove', 'stale']
const TARGETS = ['key', 'keys', 'tag', 'tags', 'all', 'pattern']
const OPTIONS = ['mode', 'strict', 'settle']
/** How long a source may be said to lag. */
const SETTLE = { min: 0, max: 30_000 }
const NO_TAGS = Object.freeze([])

/** Says what is wrong with a key or tag that is not fine; apart, so that the common way stays short. */
function refuseText(text, name) {
  if (typeof text !== 'string' || text.length === 0) refuse(name, text, 'a non-empty string')
  if (!text.isWellFormed()) refuse(name, text, 'valid Unicode (no lone surrogate)')
  const bytes = Buffer.byteLength(text)
  throw new CacheConfigError(`${name} must be at most ${KEY_MAX} bytes of UTF-8; got ${bytes} bytes`)
}

function isFine(text) {
  if (typeof text !== 'string' || text.length === 0 || !text.isWellFormed()) return false
  return text.length * 3 <= KEY_MAX || Buffer.byteLength(text) <= KEY_MAX
}

/**
 * @param {unknown} key non-empty, valid Unicode, at most 8 KiB in UTF-8
 * @throws {CacheConfigError}
 */
function checkKey(key, name = 'key') {
  if (!isFine(key)) refuseText(key, name)
}

/**
 * Tags, checked, as they are stored and without duplicates.
 *
 * @param {unknown} tags at most 1,000 strings, each like a key
 * @param {string} [path] of the view
 * @returns {readonly string[]} a list of our own: the caller's may change
 * @throws {CacheConfigError}
 */
function checkTags(tags, name = 'tags', path = '') {
  if (!Array.isArray(tags)) refuse(name, tags, 'an array of strings')
  if (tags.length > TAGS_MAX) refuse(name, `${tags.length} tags`, `at most ${TAGS_MAX} tags`)
  if (tags.length === 0) return NO_TAGS
  for (let i = 0; i < tags.length; i++) {
    if (!isFine(tags[i])) refuseText(tags[i], `${name}[${i}]`)
  }
  if (tags.length === 1) return [storedTag(tags[0], path)]
  return [...new Set(tags.map((tag) => storedTag(tag, path)))]
}

/** One member `single` and its list `many`, as they are stored and without duplicates. */
function union(target, single, many, stored) {
  const list = many === undefined ? undefined : target[many]
  if (list !== undefined && !Array.isArray(list)) refuse(many, list, 'an array of strings')
  const found = new Set()
  if (target[single] !== undefined) {
    checkKey(target[single], single)
    found.add(stored(target[single]))
  }
  for (let i = 0; list !== undefined && i < list.length; i++) {
    checkKey(list[i], `${many}[${i}]`)
    found.add(stored(list[i]))
  }
  return [...found]
}

function targetParts(target, path) {
  const prefix = prefixOf(path, undefined)
  if (typeof target === 'string') {
    checkKey(target)
    return { keys: [storedKey(target, prefix)], tags: [], patterns: [], all: false }
  }
  if (!isObject(target))
    refuse('invalidate target', target, 'a key, or an object with key, keys, tag, tags, pattern or all')
  checkNames(target, TARGETS, { prefix: 'target.' })
  if (TARGETS.every((name) => target[name] === undefined)) {
    throw new CacheConfigError('invalidate target names nothing: give key, keys, tag, tags, pattern or all: true')
  }
  if (target.all !== undefined && target.all !== true) refuse('target.all', target.all, 'true or absent')
  const keys = union(target, 'key', 'keys', (key) => storedKey(key, prefix))
  const tags = union(target, 'tag', 'tags', (tag) => storedTag(tag, path))
  const patterns = union(target, 'pattern', undefined, (pattern) => storedTag(pattern, path))
  if (target.pattern !== undefined) checkPattern(target.pattern)
  if (target.all !== true || path === '') return { keys, tags, patterns, all: target.all === true }
  // Everything in a view depends on the tag that is its bare path.
  return { keys, tags: [...tags, path], patterns, all: false }
}

/**
 * What an invalidation means: the union of the members its target names.
 *
 * @param {unknown} target a key, or { key?, keys?, tag?, tags?, pattern?, all?: true }; an empty list names nothing and is fine
 * @param {unknown} [options] { mode?: 'remove' | 'stale', strict?: boolean, settle?: Duration }
 * @param {string} [path] of the view
 * @returns {{ keys: string[], tags: string[], patterns: string[], all: boolean, mode: 'remove' | 'stale',
 *   strict: boolean, settle: number }} names as they are stored, `settle` in ms
 * @throws {CacheConfigError}
 */
function invalidateTarget(target, options, path = '') {
  const parts = targetParts(target, path)
  if (options === undefined) return { ...parts, mode: 'remove', strict: false, settle: 0 }
  if (!isObject(options)) refuse('invalidate options', options, 'an object')
  checkNames(options, OPTIONS)
  const { mode = 'remove', strict = false } = options
  const settle = options.settle === undefined ? 0 : toMs(options.settle, 'settle', SETTLE)
  if (settle > 0 && mode === 'stale')
    refuse('settle', options.settle, "absent with mode 'stale': what is stale is loaded anew at once")
  checkOneOf(mode, 'mode', MODES)
  if (typeof strict !== 'boolean') refuse('strict', strict, 'true or false')
  return { ...parts, mode, strict, settle }
}

/**
 * The keys of getOrSetMany.
 *
 * @param {unknown} keys
 * @throws {CacheConfigError}
 */
function checkKeys(keys) {
  if (!Array.isArray(keys)) refuse('keys', keys, 'an array of strings')
  for (let i = 0; i < keys.length; i++) checkKey(keys[i], `keys[${i}]`)
}

module.exports = { checkKey, checkKeys, checkTags, invalidateTarget, MODES, SETTLE, TAGS_MAX, NO_TAGS }
