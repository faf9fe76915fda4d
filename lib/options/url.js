'use strict'
// A Redis URL, taken apart: one server, a unix socket, the Sentinels of a master, or nodes of a cluster.
//
// Credentials leave the URL here. An error of the URL parser is never a `cause`: it carries the whole text.

const { CacheConfigError, redact } = require('../errors.js')
const { refuse } = require('./check.js')

const SCHEMES = 'redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://'
const DB_MAX = 2_147_483_647
const PORT = 6379
const SENTINEL_PORT = 26379
const SEVERAL = /^(rediss?)\+(sentinel|cluster):\/\/([^/?#]*)(.*)$/is

function refuseUrl(name, text, why) {
  throw new CacheConfigError(`${name} ${why}; got '${redact(text).slice(0, 60)}'`)
}

/** @param {string} [whole] what the user gave, where that is more */
function parseUrl(text, name, whole = text) {
  let url
  try {
    url = new URL(text)
  } catch {
    refuseUrl(name, whole, `must be a URL with ${SCHEMES} (write special characters of a password as %40, %2F …)`)
  }
  if (!/^(?:rediss?:\/\/|unix:)/i.test(text)) refuseUrl(name, whole, `must be a URL with scheme ${SCHEMES}`)
  // An unescaped '#' or '?' in a password would otherwise name another host.
  if (url.hash !== '' || url.search.includes('@')) {
    refuseUrl(
      name,
      whole,
      "must have no fragment and no '@' in its query (write '#' and '?' of a password as %23, %3F)",
    )
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

function tcpEndpoint(url, name, text, defaultPort = PORT) {
  const port = url.port === '' ? defaultPort : Number(url.port)
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

/**
 * `redis+sentinel://user:password@host:port,host:port/db?master=name`, `redis+cluster://user:password@host:port,host:port`:
 * several hosts, which no URL parser knows. The credentials are those of Redis itself.
 */
function endpointOfSeveral([, scheme, kind, authority, rest], name, text) {
  const isCluster = kind.toLowerCase() === 'cluster'
  const at = authority.lastIndexOf('@') + 1
  // A host before would be taken for a part of them.
  if (/^[^:]*,|@[^@]*,.*@/.test(authority.slice(0, at))) {
    refuseUrl(
      name,
      text,
      "must have its credentials once, before the first host (write ',' and '@' of them as %2C, %40)",
    )
  }
  const [first, ...others] = authority.slice(at).split(',')
  const one = (host, before, after) => {
    if (host === '') {
      refuseUrl(name, text, `must name the ${isCluster ? 'nodes' : 'Sentinels'} as host:port,host:port`)
    }
    const url = parseUrl(`${scheme}://${before}${host}${after}`, name, text)
    return { ...tcpEndpoint(url, name, text, isCluster ? PORT : SENTINEL_PORT), master: url.searchParams.get('master') }
  }
  const where = one(first, authority.slice(0, at), rest)
  const nodes = [where, ...others.map((host) => one(host, '', ''))].map(({ host, port }) => ({ host, port }))
  if (isCluster && where.db > 0) refuseUrl(name, text, 'must name database 0: a cluster has no other')
  return { ...where, nodes, isCluster }
}

/**
 * @param {string} text
 * @param {string} name where it comes from, for messages
 * @returns {{ scheme: string, host: string | null, port: number | null, path: string | null, username: string | null,
 *   password: string | null, db: number | null, nodes?: { host: string, port: number }[], master?: string | null, isCluster?: boolean }}
 *   `nodes`: Sentinels, or nodes of a cluster
 */
function endpointOf(text, name) {
  const several = SEVERAL.exec(text)
  if (several !== null) return endpointOfSeveral(several, name, text)
  const url = parseUrl(text, name)
  return url.protocol === 'unix:' ? unixEndpoint(url, name, text) : tcpEndpoint(url, name, text)
}

/** A Sentinel, or a node of a cluster, given as 'host' or 'host:port'. */
function nodeOf(text, name, isCluster) {
  if (typeof text !== 'string' || !/^[^@/?#,\s]+$/.test(text)) refuse(name, text, "'host' or 'host:port'")
  const { host, port } = tcpEndpoint(
    parseUrl(`redis://${text}`, name, text),
    name,
    text,
    isCluster ? PORT : SENTINEL_PORT,
  )
  return { host, port }
}

module.exports = { DB_MAX, SCHEMES, endpointOf, nodeOf }
