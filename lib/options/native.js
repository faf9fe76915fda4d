'use strict'
// Options in the form that the native part takes (absent members are undefined there, null here), and what it says of them.

const { CacheConfigError } = require('../errors.js')

const given = (value) => (value === null ? undefined : value)

function sentinelsFor({ nodes, master, username, password }) {
  return { nodes, master, username: given(username), password: given(password) }
}

function nativeRedis(redis) {
  const { tls } = redis
  return {
    host: given(redis.host),
    port: given(redis.port),
    path: given(redis.path),
    nodes: given(redis.nodes),
    username: given(redis.username),
    password: given(redis.password),
    db: redis.db,
    tls:
      tls === null
        ? undefined
        : {
            ca: given(tls.ca),
            cert: given(tls.cert),
            key: given(tls.key),
            servername: given(tls.servername),
            rejectUnauthorized: tls.rejectUnauthorized,
          },
    connectTimeout: redis.connectTimeout,
    commandTimeout: redis.commandTimeout,
    maxUnverified: redis.maxUnverified,
    isolated: redis.isolated,
    coherence: redis.coherence,
    integrityKey: given(redis.integrityKey),
    maxEntryBytes: redis.maxEntryBytes,
    sentinels: redis.sentinels === null ? undefined : sentinelsFor(redis.sentinels),
  }
}

/** What the core refuses: options of an engine that already runs with others. */
function conflictOf({ message }, namespace) {
  const [option, running, wanted] = message.split('\n')
  if (wanted === undefined) return undefined
  return new CacheConfigError(
    `${option} is ${running} in the engine that this process already has for namespace '${namespace}', ` +
      `and ${wanted} here: it belongs to the engine, so all caches of one namespace and Redis must agree ` +
      `(or use another namespace)`,
  )
}

module.exports = { conflictOf, nativeRedis }
