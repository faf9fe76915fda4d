'use strict'
// The way to the server: name, socket, TLS, greeting, round trips.

const { latency } = require('../text.js')
const { ok, warn, problem } = require('./check.js')

/** Of a cluster it is the master with the namespace's version that is asked: the others alone are no help. */
function unreached({ endpoint: { place }, cluster }, why, mend) {
  const isAlone = cluster?.masters?.some(({ error }) => error === null) === true
  const consequence = isAlone
    ? 'Other masters can be, but this one has the version of the namespace, which every entry depends on.'
    : undefined
  return problem('connection', `${place} cannot be reached: ${why}`, { consequence, mend })
}

function connection(facts) {
  const { reach, endpoint } = facts
  const { place, isUnix } = endpoint
  const { resolve, connect } = reach
  const step = isUnix ? reach.socket : connect
  if (resolve?.error !== undefined) {
    return unreached(facts, resolve.error, ['check the host name, and the DNS of this machine'])
  }
  if (step.error !== undefined) {
    const isRefused = /refused|No such file/.test(step.error)
    const mend = isRefused
      ? ['check that Redis runs, its port, and that it listens on this address (bind, protected-mode)']
      : ['check firewalls and security groups between here and there']
    return unreached(facts, step.error, mend)
  }
  const { address } = step
  const where = address === undefined || place.includes(address) ? place : `${place} (${address})`
  if (connect?.nodelay === false) {
    return warn('connection', `${where} in ${latency(step.ms)}, without TCP_NODELAY`, {
      consequence: 'Small commands may wait up to 40 ms for their acknowledgement.',
    })
  }
  return ok('connection', `${where} in ${latency(step.ms)}${isUnix ? '' : ', TCP_NODELAY on'}`)
}

function encryption({ reach, endpoint: { isTls, isUnix, hasPassword } }) {
  if (isUnix) return ok('encryption', 'none, and none needed: a unix socket')
  if (isTls) return tls(reach.tls)
  if (reach.connect.isLoopback) return ok('encryption', 'none, and none needed: this machine')
  const readable = hasPassword ? 'password and values' : 'values'
  return warn('encryption', 'none', {
    consequence: `Whoever is on the network between reads ${readable}. Fine in a private network.`,
    mend: ['use rediss:// where the server has TLS'],
  })
}

const TLS_MENDS = [
  [/CaUsedAsEndEntity/, "its certificate is a CA's own: sign one for the server with it (CA:FALSE), and trust the CA"],
  [
    /not valid for name/,
    "connect by a name that its certificate carries, or give the application's redis.tls.servername",
  ],
  [/expired|not valid yet/i, "renew the server's certificate, or set this machine's clock"],
  [/certificate/i, "trust its certificate's issuer: redis.tls.ca in the application, --tls-ca here"],
  [/./, 'check that the server speaks TLS on this port (tls-port), else use redis://'],
]

function tls({ error, ms, verified }) {
  if (error !== undefined) {
    const [, mend] = TLS_MENDS.find(([pattern]) => pattern.test(error))
    return problem('encryption', `TLS failed: ${error.replace(/Other\(OtherError\((\w+)\)\)/, '$1')}`, { mend: [mend] })
  }
  if (verified) return ok('encryption', `TLS, certificate verified, handshake ${latency(ms)}`)
  return warn('encryption', 'TLS, certificate not verified', {
    consequence: 'Somebody between can pretend to be the server.',
  })
}

const GREETINGS = [
  [
    /^WRONGPASS/,
    'user or password is wrong',
    'check the credentials of the URL (write special characters as %40, %2F …)',
  ],
  [/^NOAUTH/, 'a password is needed', 'redis://user:password@host'],
  [/DB index/, 'that database does not exist', 'check the number at the end of the URL, and `databases` of the server'],
  [/^LOADING/, 'it loads its data', 'wait: applications work from memory until it is ready'],
  [/reset by peer|closed|broken pipe/i, 'the server ended it', 'if it speaks TLS on this port, use rediss://'],
  [/max number of clients/, 'it has no connection left', 'raise maxclients; tidecache takes 2 for each process'],
]

function greeting({ hello, endpoint: { db, user } }) {
  const { isResp3, error, kind } = hello
  if (isResp3) return ok('greeting', `RESP3, user ${user}, database ${db}`)
  if (kind === 'unknown') {
    return problem('greeting', 'no HELLO, so no RESP3', {
      consequence: 'Pushes need RESP3: this server is older than Redis 6.0, or a proxy stands between.',
      mend: ['use Redis 6.0 or later, without a proxy'],
    })
  }
  const [, what, mend] = GREETINGS.find(([pattern]) => pattern.test(error)) ?? [null, undefined, undefined]
  const says = what === undefined ? `refused: ${error}` : `refused: ${what} (${error})`
  const denied = /run the '([^']+)' command/.exec(error)?.[1]
  return problem('greeting', says, { mend: denied === undefined ? mend && [mend] : [`ACL SETUSER ${user} +${denied}`] })
}

/** A miss costs two of them, then a third for the fill. */
function roundTrip({ pings, timeouts }) {
  if (pings === null || pings.error !== undefined) return undefined
  const { p50, p99, max, count } = pings
  const says = `${latency(p50)} (p99 ${latency(p99)}, longest ${latency(max)}, ${count} PINGs)`
  if (p99 > timeouts.command / 2) {
    return warn('round trip', says, {
      consequence: `Close to commandTimeout (${timeouts.command} ms): reads will go to the loader instead.`,
      mend: ['bring application and Redis together, or raise redis.commandTimeout'],
    })
  }
  if (p50 <= 5) return ok('round trip', says)
  return warn('round trip', says, {
    consequence: 'Redis seems to be in another zone or region: each miss pays this twice.',
    mend: ['bring application and Redis together'],
  })
}

/** @returns {object[]} checks of the way there */
function way(facts) {
  const first = connection(facts)
  if (first.status === 'problem') return [first]
  const second = encryption(facts)
  if (second.status === 'problem') return [first, second]
  return [first, second, greeting(facts), roundTrip(facts)].filter(Boolean)
}

module.exports = { way }
