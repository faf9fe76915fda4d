'use strict'
// Where Redis is and how it is spoken to: a URL or RedisOptions, with REDIS_URL and REDIS_TLS_ENABLED behind them.
//
// Credentials are kept apart, where `util.inspect` and JSON do not show them. TLS is only ever added, never taken away, by
// the environment.

const { inspect, types } = require('node:util')
const { CacheConfigError } = require('../errors.js')
const { toMs, WINDOW, TIMEOUT } = require('../duration.js')
const { refuse, isObject, checkNames, checkOneOf, checkInteger, envText, envSwitch } = require('./check.js')
const { DB_MAX, SCHEMES, endpointOf, nodeOf } = require('./url.js')

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
  'nodes',
  'sentinel',
  'integrityKey',
  'maxEntryBytes',
]
const LATER = ['compression']
/** Of a secret: half of what SHA-256 gives. */
const KEY_MIN = 16
/** Below this hardly more than the header of an entry fits; above it Redis itself takes no value. */
const ENTRY_RANGE = [1_024, 512 * 1024 * 1024]
const ENTRY_ALLOWED = `an integer number of bytes from ${ENTRY_RANGE[0]} to ${ENTRY_RANGE[1]} (512 MiB)`
const ENTRY_DEFAULT = 8 * 1024 * 1024
const DB_RANGE = [0, DB_MAX]
const SENTINEL_NAMES = ['master', 'username', 'password']
const TLS_NAMES = ['ca', 'cert', 'key', 'servername', 'rejectUnauthorized']
const COHERENCE = ['auto', 'tracking', 'none']
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

function checkSentinel(sentinel) {
  if (!isObject(sentinel)) refuse('redis.sentinel', sentinel, `an object with ${SENTINEL_NAMES.join(', ')}`)
  checkNames(sentinel, SENTINEL_NAMES, { prefix: 'redis.sentinel.' })
}

/** Sentinels: from the URL or `nodes`, with what they call the master and credentials of their own. null: there are none. */
function sentinelsOf({ nodes, sentinel }, where) {
  if (sentinel === undefined && (where.nodes === undefined || where.isCluster)) return null
  if (where.isCluster)
    throw new CacheConfigError('redis.sentinel cannot be used with redis+cluster: a cluster has none')
  const options = sentinel ?? {}
  checkSentinel(options)
  if (where.nodes === undefined) {
    throw new CacheConfigError(
      'redis.sentinel needs the Sentinels: redis.nodes, or a URL redis+sentinel://host:port,host:port',
    )
  }
  const master = options.master ?? where.master
  if (typeof master !== 'string' || master === '') {
    const from = nodes === undefined ? ', or the URL must end in ?master=name' : ''
    throw new CacheConfigError(`redis.sentinel.master must be the name that the Sentinels have for the master${from}`)
  }
  return {
    nodes: where.nodes,
    master,
    username: credential(options.username, 'redis.sentinel.username', null),
    password: credential(options.password, 'redis.sentinel.password', null),
  }
}

/** Nodes of a cluster, sorted and each once: in whatever order they are given, it is the same one. */
function clusterOf({ nodes, isCluster }) {
  if (!isCluster) return null
  const byPlace = new Map(nodes.map((node) => [placeOf(node), node]))
  return [...byPlace.keys()].sort().map((place) => byPlace.get(place))
}

const placeOf = ({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`

/** Where `nodes` are, in place of a URL: of a cluster, unless they are Sentinels. */
function endpointOfNodes(nodes, sentinel) {
  if (!Array.isArray(nodes) || nodes.length === 0)
    refuse('redis.nodes', nodes, "a list of 'host:port', not an empty one")
  const isCluster = sentinel === undefined
  const found = nodes.map((node, n) => nodeOf(node, `redis.nodes[${n}]`, isCluster))
  const none = { path: null, username: null, password: null, db: null, master: null }
  return { scheme: 'redis', ...found[0], ...none, nodes: found, isCluster }
}

/** The URL without credentials, the same for the same place: what may be shown. */
function plainUrl({ host, port, path }, db, tls, sentinels, nodes) {
  if (path !== null) return `unix://${encodeURI(path)}?db=${db}`
  const scheme = tls === null ? 'redis' : 'rediss'
  if (nodes !== null) return `${scheme}+cluster://${nodes.map(placeOf).join(',')}`
  if (sentinels === null) return `${scheme}://${placeOf({ host, port })}/${db}`
  return `${scheme}+sentinel://${sentinels.nodes.map(placeOf).join(',')}/${db}?master=${encodeURIComponent(sentinels.master)}`
}

/** The bytes of a secret that entries are sealed with; never shown. */
function integrityKeyOf(value) {
  if (value === undefined) return null
  const bytes =
    typeof value === 'string' ? Buffer.from(value) : types.isUint8Array(value) ? Buffer.from(value) : undefined
  if (bytes === undefined || bytes.length < KEY_MIN) {
    const got = bytes === undefined ? typeof value : `${bytes.length} bytes`
    throw new CacheConfigError(
      `redis.integrityKey must be a string or bytes, ${KEY_MIN} bytes at least (32 random ones, say); got ${got}`,
    )
  }
  return bytes
}

/** `username`, `password` and TLS keys stay out of `util.inspect` and JSON, which end up in logs. */
function guarded(redis) {
  const hide = (value) => (value === null ? null : '***')
  const view = () => ({
    ...redis,
    username: hide(redis.username),
    password: hide(redis.password),
    integrityKey: hide(redis.integrityKey),
    sentinels: redis.sentinels && {
      ...redis.sentinels,
      username: hide(redis.sentinels.username),
      password: hide(redis.sentinels.password),
    },
    tls: redis.tls === null ? null : { ...redis.tls, key: hide(redis.tls.key) },
  })
  Object.defineProperty(redis, inspect.custom, { value: view })
  Object.defineProperty(redis, 'toJSON', { value: view })
  return Object.freeze(redis)
}

const isUrl = (value) => isObject(value) && typeof value.href === 'string'

/** RedisOptions and where their URL comes from; undefined when there is none: memory only. */
function source(value, env) {
  if (value === undefined || (isObject(value) && !isUrl(value))) {
    const options = value ?? {}
    checkNames(options, NAMES, { prefix: 'redis.', later: LATER })
    if (options.url !== undefined && options.nodes !== undefined) {
      throw new CacheConfigError('redis.url and redis.nodes cannot be given together')
    }
    if (options.url !== undefined) return { options, text: options.url, name: 'redis.url' }
    if (options.nodes !== undefined) return { options }
    return { options, text: envText(env, 'REDIS_URL'), name: 'REDIS_URL' }
  }
  return { options: {}, text: value, name: 'redis' }
}

/** How Redis is spoken to, checked also when there is none: a misspelt duration should not wait for production. */
function linkOf(options) {
  const { connectTimeout = 2_000, commandTimeout = 250, maxUnverified = 1_000, isolated = 5_000 } = options
  const { coherence = 'auto', maxEntryBytes = ENTRY_DEFAULT } = options
  checkOneOf(coherence, 'redis.coherence', COHERENCE)
  return {
    connectTimeout: toMs(connectTimeout, 'redis.connectTimeout', TIMEOUT),
    commandTimeout: toMs(commandTimeout, 'redis.commandTimeout', TIMEOUT),
    maxUnverified: toMs(maxUnverified, 'redis.maxUnverified', WINDOW),
    isolated: isolated === 'ttl' ? -1 : toMs(isolated, 'redis.isolated', WINDOW),
    coherence,
    integrityKey: integrityKeyOf(options.integrityKey),
    maxEntryBytes: checkInteger(maxEntryBytes, 'redis.maxEntryBytes', ENTRY_RANGE, ENTRY_ALLOWED),
  }
}

/** What goes with a place, where there is none: not used, and checked all the same. */
function checkUnused({ db, tls, username, password, sentinel }) {
  if (db !== undefined) checkInteger(db, 'redis.db', DB_RANGE)
  if (tls !== undefined && tls !== false) tlsOptions(tls)
  credential(username, 'redis.username', null)
  credential(password, 'redis.password', null)
  if (sentinel !== undefined) checkSentinel(sentinel)
}

/** Neither a text nor options: shown by its type alone, as it may hold a password. */
function refuseKind(value, name) {
  const allowed = `a URL (${SCHEMES})${name === 'redis' ? ', an object, or false for memory only' : ''}`
  const got =
    value === '' ? 'an empty text' : value === null ? 'null' : isUrl(value) ? 'an object (give its href)' : typeof value
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
  const { nodes, sentinel } = options
  if ((text === undefined && nodes === undefined) || isNextBuild(env)) {
    checkUnused(options)
    return null
  }
  if (nodes === undefined && (typeof text !== 'string' || text === '')) refuseKind(text, name)
  const where = nodes === undefined ? endpointOf(text, name) : endpointOfNodes(nodes, sentinel)
  const { host, port, path } = where
  const cluster = clusterOf(where)
  const sentinels = sentinelsOf(options, where)
  const tls = tlsOf(options.tls, where.scheme, env)
  const username = credential(options.username, 'redis.username', where.username)
  const password = credential(options.password, 'redis.password', where.password)
  const { db = where.db ?? 0 } = options
  checkInteger(db, 'redis.db', DB_RANGE)
  if (cluster !== null && db !== 0) throw new CacheConfigError('redis.db must be 0: a cluster has no other')
  const url = plainUrl(where, db, tls, sentinels, cluster)
  return guarded({ url, host, port, path, nodes: cluster, username, password, db, tls, sentinels, ...how })
}

module.exports = { redisOptions }
