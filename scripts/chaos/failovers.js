'use strict'
// Faults of which a failover is a part: they heal when another server is elected.

const { eventually, sleep } = require('../../__test__/support/kit.js')
const { MASTER } = require('../../__test__/support/sentinel.js')
const { loseTheLatest } = require('./lagging.js')

/** An election, and the pause that Sentinels make between two of them. */
const MOST = 20_000

/** The master and its replica. */
async function pair(topology) {
  const master = await topology.master()
  return { master, replica: topology.servers.find((server) => server !== master) }
}

function another(topology, former) {
  const isElected = async () => {
    const now = await topology.master()
    return now !== former && /role:master/.test(await now.command('INFO', 'replication'))
  }
  return eventually(() => isElected().catch(() => false), MOST, 'another master')
}

async function killMaster({ topology }) {
  const former = await topology.master()
  await former.kill()
  await another(topology, former)
  return { heal() {}, after: () => topology.restart(former) }
}

async function askForFailover({ topology, random }) {
  const former = await topology.master()
  const asked = topology.sentinels[Math.floor(random() * topology.sentinels.length)]
  // Refused while the Sentinels have not yet seen the replica of the election before.
  const isTaken = () =>
    asked.command('SENTINEL', 'FAILOVER', MASTER).then(
      () => true,
      () => false,
    )
  for (let n = 0; n < 200 && !(await isTaken()); n++) await sleep(50)
  await another(topology, former)
  return () => {}
}

/** The master of before comes back, and takes itself for one. */
async function freezeMaster({ topology }) {
  const former = await topology.master()
  former.pause()
  await another(topology, former)
  return () => former.resume()
}

/** What is invalidated while the replica lags, it has never heard of when it is elected. */
async function failOverToLagging({ topology, random, plant }) {
  const { master, replica } = await pair(topology)
  await loseTheLatest({ master, replica }, { random, plant })
  await another(topology, master)
  return { heal() {}, after: () => topology.restart(master) }
}

async function stopSentinel({ topology, random }) {
  const one = topology.sentinels[1 + Math.floor(random() * 2)]
  one.pause()
  return () => one.resume()
}

async function stopReplica({ topology }) {
  const { replica } = await pair(topology)
  replica.pause()
  return () => replica.resume()
}

const hasSentinels = ({ sentinels }) => sentinels !== undefined

const FAILOVERS = [
  ['failover: the master killed', killMaster, [0, 0], hasSentinels],
  ['failover: asked for', askForFailover, [0, 0], hasSentinels],
  ['failover: the master frozen, and back', freezeMaster, [0, 1_000], hasSentinels],
  ['failover: to a replica that lags', failOverToLagging, [0, 0], hasSentinels],
  ['SIGSTOP of a Sentinel', stopSentinel, [100, 1_500], hasSentinels],
  ['SIGSTOP of the replica', stopReplica, [100, 1_500], hasSentinels],
]

module.exports = { FAILOVERS }
