'use strict'
// Where Redis is and how it is spoken to: a URL or RedisOptions, with REDIS_URL and REDIS_TLS_ENABLED behind them.
//
// Credentials leave the URL here and are kept apart, where `util.inspect` and JSON do not show them. An error of the
// URL parser is never a `cause`: it carries the whole text. TLS is only ever added, never taken away, by the
// environment.

const { inspect, types } = require('node:util')
const { CacheConfigError, redact } = require('../errors.js')
const { toMs, WINDOW, TIMEOUT } = require('../duration.js')
const { refuse, isObject, checkNames, checkOneOf, envText, envSwitch } = require('./check.js')

const NAMES = [
  'url',
  'username',
  'password',
  'db',
  'tls',
  'connectTimeout',
  'commandTimeout',
  'maxUnverified',
  'isolated',
  'coherence',
]
const LATER = ['nodes', 'sentinel', 'maxEntryBytes', 'integrityKey', 'compression']
const TLS_NAMES = ['ca', 'cert', 'key', 'servername', 'rejectUnauthorized']
const COHERENCE = ['auto', 'tracking', 'none']
const SCHEMES = 'redis://, rediss:// or unix://'
const SCHEMES_LATER = ['redis+sentinel:', 'redis+cluster:', 'rediss+sentinel:', 'rediss+cluster:']
const DB_MAX = 2_147_483_647
const PORT = 6379

function refuseUrl(name, text, why) {
  throw new CacheConfigError(`${name} ${why}; got '${redact(text).slice(0, 60)}'`)
}

function parseUrl(text, name) {
  let url
  try {
    url = new URL(text)
  } catch {
    refuseUrl(name, text, `must be a URL with ${SCHEMES} (write special characters of a password as %40, %2F …)`)
  }
  const { protocol } = url
  if (SCHEMES_LATER.includes(protocol)) refuseUrl(name, text, `has scheme ${protocol}, which is not supported yet`)
  if (!/^(?:rediss?:\/\/|unix:)/i.test(text)) refuseUrl(name, text, `must be a URL with scheme ${SCHEMES}`)
  // An unescaped '#' or '?' in a password would otherwise name another host.
  if (url.hash !== '' || url.search.includes('@')) {
    refuseUrl(name, text, "must have no fragment and no '@' in its query (write '#' and '?' of a password as %23, %3F)")
  }
  return url
}

function unescaped(text, name) {
  try {
    return text === '' ? null : decodeURIComponent(text)
  } catch {
    throw new CacheConfigError(`${name} has credentials that are not percent-encoded (write '%' as %25)`)
  }
}

function dbOf(digits, name, text) {
  if (/^\d{1,10}$/.test(digits) && Number(digits) <= DB_MAX) return Number(digits)
  return refuseUrl(name, text, `must name its database by a number from 0 to ${DB_MAX}`)
}

/** Only `db` means something here; other parameters are other clients' and change nothing, credentials excepted. */
function queryDb(url, name, text) {
  for (const key of url.searchParams.keys()) {
    if (/^(?:user(?:name)?|pass(?:word)?|auth)$/i.test(key)) {
      refuseUrl(name, text, 'must not carry credentials in its query (give redis.username and redis.password)')
    }
  }
  const db = url.searchParams.get('db')
  return db === null ? null : dbOf(db, name, text)
}

function unixEndpoint(url, name, text) {
  if (url.host !== '' || url.pathname.length < 2) refuseUrl(name, text, 'must be unix:///path/of/the/socket')
  const path = unescaped(url.pathname, name)
  return { scheme: 'unix', host: null, port: null, path, username: null, password: null, db: queryDb(url, name, text) }
}

function tcpEndpoint(url, name, text) {
  const port = url.port === '' ? PORT : Number(url.port)
  if (port === 0) refuseUrl(name, text, 'must have a port from 1 to 65535')
  const inPath = url.pathname.replace(/^\//, '')
  const fromQuery = queryDb(url, name, text)
  return {
    scheme: url.protocol.slice(0, -1),
    host: url.hostname === '' ? 'localhost' : url.hostname.replace(/^\[|\]$/g, '').toLowerCase(),
    port,
    path: null,
    username: unescaped(url.username, name),
    password: unescaped(url.password, name),
    db: inPath === '' ? fromQuery : dbOf(inPath, name, text),
  }
}

/** PEM text of `ca`, `cert` or `key`; never shown. */
function pem(value, name) {
  if (value === undefined) return null
  if (Array.isArray(value) && name === 'redis.tls.ca') return value.map((one) => pem(one, name)).join('\n')
  const text = types.isUint8Array(value) ? Buffer.from(value).toString('latin1') : value
  if (typeof text !== 'string' || !text.includes('-----BEGIN ')) {
    throw new CacheConfigError(`${name} must be PEM text ('-----BEGIN …'), a string or Buffer: the content, not a path`)
  }
  return text
}

function tlsOptions(value) {
  if (value === true) return { ca: null, cert: null, key: null, servername: null, rejectUnauthorized: true }
  if (!isObject(value)) {
    throw new CacheConfigError(`redis.tls must be true, false or an object with ${TLS_NAMES.join(', ')}`)
  }
  checkNames(value, TLS_NAMES, { prefix: 'redis.tls.' })
  const { servername = null, rejectUnauthorized = true } = value
  if (servername !== null && (typeof servername !== 'string' || servername === '')) {
    refuse('redis.tls.servername', servername, 'a non-empty string')
  }
  if (typeof rejectUnauthorized !== 'boolean') refuse('redis.tls.rejectUnauthorized', rejectUnauthorized, 'a boolean')
  const cert = pem(value.cert, 'redis.tls.cert')
  const key = pem(value.key, 'redis.tls.key')
  if ((cert === null) !== (key === null)) {
    throw new CacheConfigError('redis.tls.cert and redis.tls.key must be given together')
  }
  return { ca: pem(value.ca, 'redis.tls.ca'), cert, key, servername, rejectUnauthorized }
}

/** The option decides, then the scheme, then the environment, which can only add TLS. */
function tlsOf(value, scheme, env) {
  if (scheme === 'unix') {
    if (value !== undefined && value !== false) throw new CacheConfigError('redis.tls cannot be used with a unix: URL')
    return null
  }
  if (value === false) {
    if (scheme === 'redis') return null
    throw new CacheConfigError('redis.tls: false contradicts the scheme rediss:; use redis: for a link without TLS')
  }
  if (value !== undefined) return tlsOptions(value)
  return scheme === 'rediss' || envSwitch(env, 'REDIS_TLS_ENABLED') ? tlsOptions(true) : null
}

/** A non-empty string, or the URL's part. The value itself is never shown. */
function credential(value, name, fromUrl) {
  if (value === undefined) return fromUrl
  if (typeof value !== 'string' || value === '') throw new CacheConfigError(`${name} must be a non-empty string`)
  return value
}

function dbNumber(value, fromUrl) {
  if (value === undefined) return fromUrl ?? 0
  const fine = Number.isInteger(value) && value >= 0 && value <= DB_MAX
  return fine ? value : refuse('redis.db', value, `an integer from 0 to ${DB_MAX}`)
}

/** The URL without credentials, the same for the same place: what may be shown. */
function plainUrl({ host, port, path }, db, tls) {
  if (path !== null) return `unix://${encodeURI(path)}?db=${db}`
  return `${tls === null ? 'redis' : 'rediss'}://${host.includes(':') ? `[${host}]` : host}:${port}/${db}`
}

/** `username`, `password` and TLS keys stay out of `util.inspect` and JSON, which end up in logs. */
function guarded(redis) {
  const hide = (value) => (value === null ? null : '***')
  const view = () => ({
    ...redis,
    username: hide(redis.username),
    password: hide(redis.password),
    tls: redis.tls === null ? null : { ...redis.tls, key: hide(redis.tls.key) },
  })
  Object.defineProperty(redis, inspect.custom, { value: view })
  Object.defineProperty(redis, 'toJSON', { value: view })
  return Object.freeze(redis)
}

/** RedisOptions and where their URL comes from; undefined when there is none: memory only. */
function source(value, env) {
  const isUrl = isObject(value) && typeof value.href === 'string'
  if (value === undefined || (isObject(value) && !isUrl)) {
    const options = value ?? {}
    checkNames(options, NAMES, { prefix: 'redis.', later: LATER })
    if (options.url !== undefined) return { options, text: options.url, name: 'redis.url' }
    return { options, text: envText(env, 'REDIS_URL'), name: 'REDIS_URL' }
  }
  return { options: {}, text: value, name: 'redis' }
}

/** How Redis is spoken to, checked also when there is none: a misspelt duration should not wait for production. */
function linkOf(options) {
  const { connectTimeout = 2_000, commandTimeout = 250, maxUnverified = 1_000, isolated = 5_000 } = options
  const { coherence = 'auto' } = options
  checkOneOf(coherence, 'redis.coherence', COHERENCE)
  return {
    connectTimeout: toMs(connectTimeout, 'redis.connectTimeout', TIMEOUT),
    commandTimeout: toMs(commandTimeout, 'redis.commandTimeout', TIMEOUT),
    maxUnverified: toMs(maxUnverified, 'redis.maxUnverified', WINDOW),
    isolated: isolated === 'ttl' ? -1 : toMs(isolated, 'redis.isolated', WINDOW),
    coherence,
  }
}

/** Neither a text nor options: shown by its type alone, as it may hold a password. */
function refuseKind(value, name) {
  const allowed = `a URL (${SCHEMES})${name === 'redis' ? ', an object, or false for memory only' : ''}`
  const got = value === '' ? 'an empty text' : value === null ? 'null' : typeof value
  throw new CacheConfigError(`${name} must be ${allowed}; got ${got}`)
}

/** `next build` must not need a Redis, nor fill one, unless it is asked to. */
function isNextBuild(env) {
  return env.NEXT_PHASE === 'phase-production-build' && !envSwitch(env, 'TIDECACHE_BUILD_REDIS')
}

/**
 * @param {unknown} value the `redis` option
 * @param {NodeJS.ProcessEnv} env
 * @returns {null | object} null: memory only. Durations in ms; `isolated` -1 for 'ttl'
 * @throws {CacheConfigError}
 */
function redisOptions(value, env) {
  if (value === false) return null
  const { options, text, name } = source(value, env)
  const how = linkOf(options)
  if (text === undefined || isNextBuild(env)) return null
  if (typeof text !== 'string' || text === '') refuseKind(text, name)
  const url = parseUrl(text, name)
  const where = url.protocol === 'unix:' ? unixEndpoint(url, name, text) : tcpEndpoint(url, name, text)
  const { host, port, path } = where
  const tls = tlsOf(options.tls, where.scheme, env)
  const username = credential(options.username, 'redis.username', where.username)
  const password = credential(options.password, 'redis.password', where.password)
  const db = dbNumber(options.db, where.db)
  return guarded({ url: plainUrl(where, db, tls), host, port, path, username, password, db, tls, ...how })
}

module.exports = { redisOptions }
