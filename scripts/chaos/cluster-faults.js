'use strict'
// Faults of a cluster: masters and replicas change places, slots move. Where a master is lost, recovery is counted from then:
// what the cluster takes to elect another is a part of it.

const { clock, eventually, sleep } = require('../../__test__/support/kit.js')
const { loseTheLatest } = require('./lagging.js')

const isCluster = ({ cluster }) => cluster !== undefined
const nothing = () => {}

/** An election that has to be repeated. */
const MOST = 20_000
/** Slots that are on their way at once. */
const SLOTS = 3

const pick = (list, random) => list[Math.floor(random() * list.length)]

/** A random master with its replica. */
async function pair({ cluster }, random) {
  const master = pick(await cluster.masters(), random)
  return { master: master.server, replica: await cluster.replicaOf(master) }
}

/** Resolves when the server calls itself master of slots that it can serve. */
function elected(server) {
  const isElected = async () => String((await server.command('ROLE'))[0]) === 'master'
  return eventually(() => isElected().catch(() => false), MOST, 'a replica in its master’s place')
}

async function killMaster({ topology, random }) {
  const { master, replica } = await pair(topology, random)
  const since = clock()
  await master.kill()
  await elected(replica)
  return { heal: nothing, since, after: () => topology.restart(master) }
}

async function askForFailover({ topology, random }) {
  const { replica } = await pair(topology, random)
  await topology.cluster.promote(replica)
  return nothing
}

/** The master of before comes back, and takes itself for one. */
async function freezeMaster({ topology, random }) {
  const { master, replica } = await pair(topology, random)
  master.pause()
  await elected(replica)
  return () => master.resume()
}

/** What is invalidated while the replica lags, it has never heard of when it is elected. */
async function failOverToLagging({ topology, random, plant }) {
  const { master, replica } = await pair(topology, random)
  const since = await loseTheLatest({ master, replica }, { random, plant })
  await elected(replica)
  return { heal: nothing, since, after: () => topology.restart(master) }
}

async function stopReplica({ topology, random }) {
  const { replica } = await pair(topology, random)
  replica.pause()
  return () => replica.resume()
}

/** Some slots that are in use go to another master, key by key, and come back. */
async function moveSlots({ topology: { cluster }, random, ms }) {
  const masters = await cluster.masters()
  const [from] = masters.splice(Math.floor(random() * masters.length), 1)
  const to = pick(masters, random)
  const slots = new Set()
  for (let n = 0; n < SLOTS; n++) {
    const key = await from.server.command('RANDOMKEY')
    if (key !== null) slots.add(await cluster.slotOf(key))
  }
  const onTheWay = () => sleep(ms / 4)
  for (const slot of slots) await cluster.moveSlot(slot, to, onTheWay)
  return async () => {
    for (const slot of slots) await cluster.moveSlot(slot, from, onTheWay)
  }
}

const CLUSTER_FAULTS = [
  ['failover: a master killed', killMaster, [0, 0], isCluster],
  ['failover: asked of a replica', askForFailover, [0, 0], isCluster],
  ['failover: a master frozen, and back', freezeMaster, [0, 1_000], isCluster],
  ['failover: to a replica that lags behind', failOverToLagging, [0, 0], isCluster],
  ['SIGSTOP of a replica', stopReplica, [100, 1_500], isCluster],
  ['slots move there and back', moveSlots, [50, 800], isCluster],
]

module.exports = { CLUSTER_FAULTS, isCluster }
