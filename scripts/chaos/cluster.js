'use strict'
// A cluster of three masters, each with a replica. Every node announces a proxy in front of it, so that the links of one master
// can break; what the nodes say to each other goes past it.

const { eventually } = require('../../__test__/support/kit.js')
const { startCluster } = require('../../__test__/support/cluster.js')
const { startProxy } = require('../../__test__/support/proxy.js')

const NODE_TIMEOUT = 1_000
/** Within what time of a master's loss, or of any other fault's end, all must be well: docs/redis.md. */
const RECOVERY = NODE_TIMEOUT + 2_500
/** How often it is looked for who is in a lost master's place: docs/redis.md. */
const DETECTION = 200
/** Of several keys each master has some. */
const PROBES = 6
const SETTLING = 30_000

async function isLinked(server) {
  const text = String(await server.command('INFO', 'replication'))
  return /role:master/.test(text) ? /slave0:.*state=online/.test(text) : /master_link_status:up/.test(text)
}

/** @param args further arguments of every server */
async function cluster(scope, args) {
  const links = new Map()
  const front = async (server) => {
    const link = await startProxy(server.port)
    scope.after(() => link.close())
    links.set(server, link)
    return link.port
  }
  const it = await startCluster({ timeout: NODE_TIMEOUT, args, front })
  scope.after(() => it.stop())

  const isSettled = async () => {
    const known = await it.settled(1_000).then(() => it.masters())
    // Fails while the node that is asked does not know yet who replicates whom.
    await Promise.all(known.map((master) => it.replicaOf(master)))
    return (await Promise.all(it.servers.map(isLinked))).every(Boolean)
  }
  const settle = () => eventually(() => isSettled().catch(() => false), SETTLING, 'three masters with a replica each')
  const masters = async () => (await it.masters()).map(({ server }) => server)
  await settle()
  return {
    redisFor: () => ({
      url: `redis+cluster://${[...links.values()].map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    }),
    links: async () => (await masters()).map((server) => links.get(server)),
    servers: it.servers,
    cluster: it,
    master: async (random) => {
      const all = await masters()
      return all[Math.floor(random() * all.length)]
    },
    restart: (server) => server.restart(),
    settle,
    detection: DETECTION,
    recovery: RECOVERY,
    probes: PROBES,
  }
}

module.exports = { cluster }
