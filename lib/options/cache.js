'use strict'
// The options of `createCache` and the environment behind them, as one flat record for the engine and the handle.
//
// The environment is read here, when a cache is made, never at import. What the caller wrote wins over it, except
// TIDECACHE_DISABLED, which is the operator's switch.

const { CacheConfigError } = require('../errors.js')
const { refuse, isObject, checkNames, checkFunction, checkInteger, envText, envSwitch } = require('./check.js')
const { entryDefaults } = require('./entry.js')
const { redisOptions } = require('./redis.js')

const CACHE_NAMES = [
  'redis',
  'namespace',
  'memory',
  'maxLoads',
  'maxQueuedLoads',
  'defaults',
  'types',
  'codec',
  'logger',
  'waitUntil',
]
const NAMESPACE = /^[A-Za-z0-9_.-]{1,64}$/
const NAME_ALLOWED = '1 to 64 characters of A-Z, a-z, 0-9, _, . and -'
const DEFAULT_NAMESPACE = 'tidecache'
/** Below this the overhead of a handful of entries fills it. */
const MEMORY_MIN = 64 * 1024
const MEMORY_DEFAULT = 64 * 1024 * 1024
/** Loads that may run, what a pool of sockets and a database take from one process; and that may wait, ten thousand cold keys at once. */
const LOADS = 256
const LOADS_RANGE = [1, 65_536]
const QUEUED = 16_384
const QUEUED_RANGE = [0, 1_048_576]
/** The name stands before every stored value, its length in one byte. */
const NAME_MAX = 255

function namespaceOf(value, env) {
  const given = value ?? envText(env, 'TIDECACHE_NAMESPACE')
  const name = value === undefined ? 'TIDECACHE_NAMESPACE' : 'namespace'
  if (value === null || (given !== undefined && (typeof given !== 'string' || !NAMESPACE.test(given)))) {
    refuse(name, value === null ? null : given, NAME_ALLOWED)
  }
  return { namespace: given ?? DEFAULT_NAMESPACE, namespaceIsDefault: given === undefined }
}

/** Whether it is the name of a view: like a namespace. */
const isView = (name) => typeof name === 'string' && NAMESPACE.test(name)

function checkView(name) {
  if (!isView(name)) refuse('prefix of namespace', name, NAME_ALLOWED)
}

/** The prefixes of a view's full name, 'a/b', outermost first. */
function viewPrefixes(name, option) {
  const prefixes = typeof name === 'string' ? name.split('/') : []
  if (prefixes.length === 0 || !prefixes.every(isView)) {
    refuse(option, name, `the name of a view, '/' between those of views in views; each ${NAME_ALLOWED}`)
  }
  return prefixes
}

function checkBytes(bytes, name, shownValue, off) {
  const allowed = `an integer number of bytes from ${MEMORY_MIN} (64 KiB)`
  if (!Number.isSafeInteger(bytes) || bytes < MEMORY_MIN) refuse(name, shownValue, `${allowed}, or ${off}`)
  return bytes
}

/** @returns {number} bytes; 0: no memory tier */
function memoryOf(value, env) {
  if (value === false) return 0
  if (value !== undefined && !isObject(value)) refuse('memory', value, 'an object with maxBytes, or false')
  if (value !== undefined) checkNames(value, ['maxBytes'], { prefix: 'memory.' })
  const given = value?.maxBytes
  if (given !== undefined) return checkBytes(given, 'memory.maxBytes', given, 'memory: false for no memory tier')
  const text = envText(env, 'TIDECACHE_MEMORY_BYTES')
  if (text === undefined) return MEMORY_DEFAULT
  if (text === '0') return 0
  const bytes = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  return checkBytes(bytes, 'TIDECACHE_MEMORY_BYTES', text, "'0' for no memory tier")
}

function checkName(value, name) {
  const fine = typeof value === 'string' && value !== '' && value.isWellFormed() && Buffer.byteLength(value) <= NAME_MAX
  if (!fine) refuse(name, value, `a non-empty string of at most ${NAME_MAX} bytes`)
}

function checkType(type, name) {
  if (!isObject(type)) refuse(name, type, 'an object { name, is, encode, decode }')
  checkName(type.name, `${name}.name`)
  checkFunction(type.is, `${name}.is`)
  checkFunction(type.encode, `${name}.encode`)
  checkFunction(type.decode, `${name}.decode`)
}

function typesOf(value) {
  if (value === undefined) return Object.freeze([])
  if (!Array.isArray(value)) refuse('types', value, 'an array of { name, is, encode, decode }')
  const names = new Set()
  for (let i = 0; i < value.length; i++) {
    checkType(value[i], `types[${i}]`)
    if (names.has(value[i].name)) refuse(`types[${i}].name`, value[i].name, 'different from the others')
    names.add(value[i].name)
  }
  return Object.freeze([...value])
}

function codecOf(value) {
  if (value === undefined) return null
  if (!isObject(value)) refuse('codec', value, 'an object { name, encode, decode }')
  checkName(value.name, 'codec.name')
  checkFunction(value.encode, 'codec.encode')
  checkFunction(value.decode, 'codec.decode')
  return value
}

function loggerOf(value) {
  if (value === undefined) return null
  if (!isObject(value) && typeof value !== 'function')
    refuse('logger', value, 'an object with warn() and perhaps info()')
  checkFunction(value.warn, 'logger.warn')
  if (value.info !== undefined) checkFunction(value.info, 'logger.info')
  return value
}

function waitUntilOf(value) {
  if (value === undefined) return null
  checkFunction(value, 'waitUntil')
  return value
}

/**
 * Everything `createCache` needs.
 *
 * @param {unknown} options CacheOptions or undefined
 * @param {NodeJS.ProcessEnv} [env] read now: REDIS_URL, REDIS_TLS_ENABLED, TIDECACHE_NAMESPACE,
 *   TIDECACHE_MEMORY_BYTES ('0': no memory tier), TIDECACHE_DISABLED
 * @returns {object} frozen: { redis, namespace, namespaceIsDefault, memoryMaxBytes, maxLoads, maxQueuedLoads, disabled, defaults, types, codec,
 *   logger, waitUntil }; what is absent is null
 * @throws {CacheConfigError} naming option, value and what is allowed
 */
function cacheOptions(options = {}, env = process.env) {
  if (!isObject(options)) {
    throw new CacheConfigError(
      `options of createCache must be an object; got ${options === null ? null : typeof options}`,
    )
  }
  checkNames(options, CACHE_NAMES)
  const { maxLoads = LOADS, maxQueuedLoads = QUEUED } = options
  return Object.freeze({
    redis: redisOptions(options.redis, env),
    ...namespaceOf(options.namespace, env),
    memoryMaxBytes: memoryOf(options.memory, env),
    maxLoads: checkInteger(maxLoads, 'maxLoads', LOADS_RANGE),
    maxQueuedLoads: checkInteger(maxQueuedLoads, 'maxQueuedLoads', QUEUED_RANGE),
    disabled: envSwitch(env, 'TIDECACHE_DISABLED'),
    defaults: entryDefaults(options.defaults),
    types: typesOf(options.types),
    codec: codecOf(options.codec),
    logger: loggerOf(options.logger),
    waitUntil: waitUntilOf(options.waitUntil),
  })
}

module.exports = { CACHE_NAMES, cacheOptions, checkView, isView, viewPrefixes }
