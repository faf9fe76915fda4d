'use strict'
// The shapes of Redis that are put under faults. Each is real servers on free loopback ports, and tells
//
//   redisFor(n)     the option `redis` of process n
//   links()         the proxies that may break: in front of each process, or of each master; absent where there are none
//   servers         all Redis servers
//   master(random)  the one that is the master now; of several one at random
//   restart(server) starts a server that was killed again, in the role that it has now
//   settle()        resolves when the servers are as they were meant to be, for the next fault
//   detection       what finding out about a failover may add to the bound of a read, ms
//   recovery        within what time after healing all must be well, ms
//   within          a command that runs the processes; absent where they run as they are
//   probes          how many keys are looked at to tell that all is well

const { Authority, NO_OPENSSL } = require('../../__test__/support/certificates.js')
const { eventually, within } = require('../../__test__/support/kit.js')
const { startProxy } = require('../../__test__/support/proxy.js')
const { startRedis } = require('../../__test__/support/redis.js')
const { replicaOf, useSentinels } = require('../../__test__/support/sentinel.js')
const { freePort } = require('../lib/ports.js')
const { cluster } = require('./cluster.js')
const { namespaces, whyNoNamespaces } = require('./namespaces.js')

/** DEBUG SLEEP is a fault. */
const ARGS = ['--enable-debug-command', 'yes']
const RECOVERY = 2_000
/** How often each process asks the Sentinels who the master is: docs/redis.md. */
const SENTINEL_POLL = 1_000

/** A server, or a proxy, that ends with the run. */
async function own(scope, starting, end) {
  const it = await starting
  scope.after(() => it[end]())
  return it
}

/** One server behind a proxy for each process. */
async function single(scope, clients, { args, port, redisFor }) {
  const server = await own(scope, startRedis({ args: [...ARGS, ...args] }), 'stop')
  const links = []
  for (let n = 0; n < clients; n++) links.push(await own(scope, startProxy(port ?? server.port), 'close'))
  return {
    redisFor: (n) => redisFor(links[n]),
    links: async () => links,
    servers: [server],
    master: async () => server,
    restart: () => server.restart(),
    settle: async () => {},
    detection: 0,
    recovery: RECOVERY,
    probes: 1,
  }
}

function standalone(scope, clients) {
  return single(scope, clients, { args: [], redisFor: ({ url }) => ({ url }) })
}

async function tls(scope, clients) {
  const authority = new Authority()
  authority.issue('localhost')
  const port = await freePort()
  const options = { ca: authority.read('ca.pem'), servername: 'localhost' }
  return single(scope, clients, {
    args: authority.serverArgs('localhost', port),
    port,
    redisFor: (link) => ({ url: `rediss://127.0.0.1:${link.port}`, tls: options }),
  })
}

async function sentinel(scope) {
  const { url, servers, sentinels, masterPort } = await useSentinels(scope, { args: ARGS })

  const master = async () => {
    const port = await masterPort()
    const server = servers.find((one) => one.port === port)
    // Sentinels end all connections of a server whose role they change: ours is made anew.
    await within(
      server.command('PING').catch(() => {}),
      100,
    )
    return server
  }
  const restart = async (server) => {
    const current = await master()
    await server.restart(server === current ? ARGS : [...ARGS, ...replicaOf(current.port)])
  }
  /** What an operator does who finds a master beside the elected one. */
  const isReplicating = async (server, current) => {
    const text = await server.command('INFO', 'replication')
    if (/role:slave/.test(text) && text.includes(`master_port:${current.port}`)) {
      return /master_link_status:up/.test(text)
    }
    await server.command('REPLICAOF', '127.0.0.1', String(current.port))
    return false
  }
  const isSettled = async () => {
    const current = await master()
    const [replica] = servers.filter((server) => server !== current)
    if (!/role:master/.test(await current.command('INFO', 'replication'))) return false
    return (await isReplicating(replica, current)) && (await current.command('PING')) === 'PONG'
  }
  return {
    redisFor: () => ({ url }),
    servers,
    sentinels,
    master,
    restart,
    settle: () => eventually(() => isSettled().catch(() => false), 30_000, 'a master with its replica'),
    detection: SENTINEL_POLL,
    recovery: RECOVERY,
    probes: 1,
  }
}

const TOPOLOGIES = {
  standalone,
  tls,
  sentinel,
  cluster: (scope) => cluster(scope, ARGS),
  namespaces: async (scope) => ({ ...(await namespaces(scope, ARGS)), detection: 0, recovery: RECOVERY, probes: 1 }),
}

/** Why a topology cannot be had on this machine; undefined if it can. */
async function whyNot(name) {
  if (name === 'tls' && NO_OPENSSL) return `TLS ${NO_OPENSSL}, which makes the certificates`
  return name === 'namespaces' ? whyNoNamespaces() : undefined
}

module.exports = { TOPOLOGIES, whyNot }
