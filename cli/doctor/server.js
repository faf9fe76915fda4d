'use strict'
// The server: version, topology, role, memory, clock.

const { bytes, latency, plural, time } = require('../text.js')
const { ok, warn, problem } = require('./check.js')

const OLDEST = 6
const KEEPS_USED = ['allkeys-lru', 'allkeys-lfu', 'volatile-lru', 'volatile-lfu']

const NAMES = { redis: 'Redis', valkey: 'Valkey' }

function version({ server }) {
  if (server.version === null) return undefined
  const text = `${NAMES[server.product] ?? server.product} ${server.version}`
  if (Number.parseInt(server.version, 10) >= OLDEST) return ok('version', text)
  return problem('version', text, {
    consequence: 'It has no RESP3 and no CLIENT TRACKING.',
    mend: ['use Redis 6.0 or later, or Valkey'],
  })
}

const SLOTS = 16_384
const ALONE = 'Its entries, and those with a tag on it, are loaded and kept in memory alone. The others go on'

/** Of a cluster that has lost a part: a warning where the others go on, which is what a session has found out. */
function partly({ session }, says, { why, mend }) {
  const isUsed = session !== null && session.error === undefined
  const follows = isUsed ? ALONE : session?.error
  const consequence = `${[why, follows].filter(Boolean).join('. ')}.`
  return (isUsed ? warn : problem)('topology', says, { consequence, mend })
}

/** A cluster, as its nodes tell and as each master was reached. */
function cluster(facts) {
  const { error: unknown, masters, slots, isOk } = facts.cluster
  if (unknown !== undefined) {
    return problem('topology', `no cluster: ${unknown}`, {
      consequence: 'Redis is not used: its masters are not known.',
      mend: ['give a single server as redis://host:port'],
    })
  }
  const lost = masters.filter(({ error }) => error !== null)
  if (lost.length > 0) {
    const [{ place, error }] = lost
    const announced = 'check the addresses that the nodes announce (cluster-announce-ip), as seen from here'
    return partly(facts, `a cluster: ${lost.length} of ${plural(masters.length, 'master')} cannot be used`, {
      why: `${place}: ${error}`,
      mend: ['bring it back, or a replica in its place', announced],
    })
  }
  if (!isOk || slots < SLOTS) {
    const served = `${slots.toLocaleString('en')} of ${SLOTS.toLocaleString('en')} slots served`
    return partly(facts, `a cluster: ${served}`, { why: 'A master is lost', mend: ['redis-cli --cluster check'] })
  }
  return ok('topology', `a cluster of ${plural(masters.length, 'master')}, all slots served`)
}

function topology(facts) {
  const { server, endpoint, unlocated } = facts
  if (facts.cluster !== undefined) return cluster(facts)
  if (server.isCluster || server.mode === 'cluster') {
    return problem('topology', 'a node of a Redis Cluster', {
      consequence: 'It has a part of the keys, and refuses the others.',
      mend: [`give nodes of the cluster as redis+cluster://${endpoint.place},host:port`],
    })
  }
  if (server.mode === 'sentinel') {
    if (unlocated !== null) return problem('topology', `the Sentinels tell of no master: ${unlocated}`)
    return problem('topology', 'a Sentinel, not a Redis', {
      consequence: 'Redis is not used: a Sentinel only tells where the master is.',
      mend: ['redis+sentinel://host:port,host:port/?master=name'],
    })
  }
  if (server.role !== 'master') {
    return problem('topology', `a replica (${server.role ?? 'role unknown'})`, {
      consequence: 'Redis is not used: a replica refuses writes, and lags.',
      mend: ["give the master's address"],
    })
  }
  if (!server.hasRunId) {
    return problem('topology', 'INFO tells no run_id or master_replid', {
      consequence: 'A restart or a failover could not be noticed, so Redis is not used.',
    })
  }
  const watched = endpoint.sentinels > 0 ? `, watched by ${plural(endpoint.sentinels, 'Sentinel')}` : ''
  return ok(
    'topology',
    `one master, ${server.replicas > 0 ? plural(server.replicas, 'replica') : 'no replica'}${watched}`,
  )
}

const SET_POLICY = 'CONFIG SET maxmemory-policy allkeys-lru'
const IF_SHARED = 'volatile-lru, if other data lies in this Redis: all that tidecache writes has a lifetime'

function memory({ server: { memoryUsed, memoryMax, policy } }) {
  if (memoryMax === null || policy === null) return undefined
  if (memoryMax === 0) {
    return warn('memory', `${bytes(memoryUsed)} used, no maxmemory`, {
      consequence: 'Redis grows until the machine has no memory left, and is then killed.',
      mend: ['CONFIG SET maxmemory 1gb (about 3/4 of what the machine can give)', SET_POLICY],
    })
  }
  const says = `${bytes(memoryUsed)} of ${bytes(memoryMax)} used, ${policy}`
  if (policy === 'noeviction') {
    return warn('memory', says, {
      consequence: 'When it is full, nothing new is stored until entries expire. Invalidations still pass.',
      mend: [SET_POLICY, `or ${IF_SHARED}`],
    })
  }
  if (KEEPS_USED.includes(policy)) return ok('memory', says)
  return warn('memory', says, {
    consequence: 'Entries in use are evicted like unused ones.',
    mend: [SET_POLICY, `or ${IF_SHARED}`],
  })
}

/** Of no consequence: what crosses machines is counted on the server's clock. */
function clock({ clock: told }) {
  const { offset } = told ?? {}
  if (offset === undefined || offset === null) return undefined
  const far = Math.abs(offset)
  if (far < 50) return ok('clock', "agrees with this machine's")
  const side = offset > 0 ? 'ahead of' : 'behind'
  return ok('clock', `${far < 1_000 ? latency(far) : time(far)} ${side} this machine's: harmless, lifetimes go by it`)
}

/** @returns {object[]} checks of the server */
function server(facts) {
  if (facts.server === null) return []
  if (facts.server.error !== undefined) return [clock(facts)].filter(Boolean)
  return [version(facts), topology(facts), memory(facts), clock(facts)].filter(Boolean)
}

module.exports = { server }
