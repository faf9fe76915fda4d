'use strict'
// A real Redis Cluster on free loopback ports: masters with a third of the slots each, and one replica of each.
//
// `master(key)` and `slots` tell what lives where; `moveSlot`, `failover`, and kill, pause and restart of its servers are the
// faults. Every server is ended by process id.

const { freePort } = require('../../scripts/lib/ports.js')
const { eventually, sleep } = require('./kit.js')
const { startRedis } = require('./redis.js')

const SLOTS = 16_384
const MASTERS = 3
const FORMING = 15_000

/** Lines of CLUSTER NODES as one node sees them. */
async function nodesOf(server) {
  const text = String(await server.command('CLUSTER', 'NODES'))
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [id, address, flags, , , , , state, ...slots] = line.split(' ')
      const ranges = slots.filter((slot) => !slot.startsWith('[')).map((slot) => slot.split('-').map(Number))
      return {
        id,
        port: Number(/:(\d+)@/.exec(address)[1]),
        flags: flags.split(','),
        state,
        ranges: ranges.map(([first, last = first]) => [first, last]),
      }
    })
}

async function isOk(server) {
  const info = String(await server.command('CLUSTER', 'INFO').catch(() => ''))
  return info.includes('cluster_state:ok')
}

class Cluster {
  constructor(servers) {
    this.servers = servers
    this.url = `redis+cluster://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`
  }

  /** Servers that are running now. */
  get running() {
    return this.servers.filter(({ pid }) => pid !== undefined)
  }

  at(port) {
    return this.servers.find((server) => (server.announced ?? server.port) === port)
  }

  /** The masters that have slots, as `asked` sees them. */
  async masters(asked = this.running[0]) {
    const nodes = await nodesOf(asked)
    const masters = nodes.filter(
      ({ flags, ranges }) => flags.includes('master') && !flags.includes('fail') && ranges.length,
    )
    return masters.map((node) => ({ ...node, server: this.at(node.port) }))
  }

  async slotOf(key) {
    return Number(await this.running[0].command('CLUSTER', 'KEYSLOT', key))
  }

  /** The master of a slot. */
  async owner(slot, asked) {
    const masters = await this.masters(asked)
    return masters.find(({ ranges }) => ranges.some(([first, last]) => first <= slot && slot <= last))
  }

  /** A replica of a master. */
  async replicaOf({ id }, asked = this.running[0]) {
    const text = String(await asked.command('CLUSTER', 'REPLICAS', id))
    return this.at(Number(/:(\d+)@/.exec(text)[1]))
  }

  /** A replica takes its master's place in good order, once it has caught up. */
  async promote(replica) {
    await caughtUp(replica)
    const isMaster = async () => {
      // Refused, or dropped, while it is not sure of its master: asked again.
      await replica.command('CLUSTER', 'FAILOVER').catch(() => {})
      await sleep(100)
      return String((await replica.command('ROLE'))[0]) === 'master'
    }
    await eventually(isMaster, FORMING, 'the replica is master')
  }

  /** Every running node sees a whole cluster with so many masters. */
  async settled(ms = FORMING) {
    const isWhole = async () => {
      const seen = await Promise.all(
        this.running.map(async (server) => [await isOk(server), await this.masters(server)]),
      )
      const [[, first]] = seen
      const view = (masters) => JSON.stringify(masters.map(({ port, ranges }) => [port, ranges]).sort())
      return seen.every(([ok, masters]) => ok && view(masters) === view(first))
    }
    return eventually(() => isWhole().catch(() => false), ms, 'the cluster is settled')
  }

  /** Moves a slot with its keys, as redis-cli does; `between` runs while it is on its way. */
  async moveSlot(slot, to, between = async () => {}) {
    const from = await this.owner(slot)
    await to.server.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
    await from.server.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
    await between()
    for (;;) {
      const keys = await from.server.command('CLUSTER', 'GETKEYSINSLOT', slot, 100)
      if (keys.length === 0) break
      await from.server.command('MIGRATE', '127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...keys)
    }
    await to.server.command('CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
    await from.server.command('CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
  }

  async stop() {
    await Promise.all(this.servers.map((server) => server.stop()))
  }
}

/**
 * `tls`: an authority whose certificate for 'localhost' the node shows; it then announces that name. `front`: makes what stands
 * in front of a server, and tells the port that is announced in place of its own.
 */
async function startNode({ timeout, tls, args: more, front }) {
  // The bus has a port of its own: that of Redis plus 10,000 may be taken.
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(timeout), ...more]
  args.push('--cluster-port', String(await freePort()), '--repl-diskless-sync-delay', '0')
  if (front !== undefined) {
    const server = await startRedis({ args })
    const announced = await front(server)
    await server.restart([...args, '--cluster-announce-port', String(announced)])
    return Object.assign(server, { announced })
  }
  if (tls === undefined) return startRedis({ args })
  const tlsPort = await freePort()
  args.push('--tls-cluster', 'yes', '--cluster-announce-hostname', 'localhost')
  return Object.assign(await startRedis({ args: [...args, ...tls.serverArgs('localhost', tlsPort)] }), { tlsPort })
}

/** Starts a cluster; `timeout`: its node timeout, ms; `args`: further arguments of each node; `tls`, `front`: as of `startNode`. */
async function startCluster({ timeout = 1_000, replicas = true, args = [], tls, front } = {}) {
  const servers = []
  // One after the other: two that look for a free port at once may find the same.
  for (let i = 0; i < (replicas ? 2 : 1) * MASTERS; i++) servers.push(await startNode({ timeout, tls, args, front }))
  const cluster = new Cluster(servers)
  try {
    await form(cluster, servers.slice(0, MASTERS), servers.slice(MASTERS))
  } catch (error) {
    await cluster.stop()
    throw error
  }
  return cluster
}

async function form(cluster, masters, replicas) {
  const size = Math.ceil(SLOTS / MASTERS)
  for (const [i, server] of cluster.servers.entries()) {
    await server.command('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
  }
  for (const [i, server] of masters.entries()) {
    const last = Math.min(SLOTS, (i + 1) * size) - 1
    await server.command('CLUSTER', 'ADDSLOTSRANGE', i * size, last)
  }
  const buses = await Promise.all(cluster.servers.map((server) => server.command('CONFIG', 'GET', 'cluster-port')))
  for (const asked of cluster.servers) {
    for (const [i, other] of cluster.servers.entries()) {
      const port = other.tlsPort ?? other.port
      if (other !== asked) await asked.command('CLUSTER', 'MEET', '127.0.0.1', port, Number(buses[i][1]))
    }
  }
  const knowsAll = async (server) => {
    const nodes = await nodesOf(server)
    return nodes.length === cluster.servers.length && nodes.every(({ flags }) => !flags.includes('handshake'))
  }
  for (const server of cluster.servers) await eventually(() => knowsAll(server), FORMING, 'all nodes have met')
  for (const [i, server] of replicas.entries()) {
    const id = String(await masters[i].command('CLUSTER', 'MYID'))
    await server.command('CLUSTER', 'REPLICATE', id)
  }
  await cluster.settled()
  for (const server of replicas) await caughtUp(server)
}

async function caughtUp(replica) {
  const isLinked = async () => String(await replica.command('INFO', 'replication')).includes('master_link_status:up')
  await eventually(isLinked, FORMING, 'a replica has caught up')
}

module.exports = { startCluster }
