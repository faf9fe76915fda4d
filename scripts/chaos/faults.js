'use strict'
// Faults: each is caused, lasts for a while, and heals. A cause gets the world (run.js) and returns what heals it.
//
// In the table each has its name, the least and the most it lasts (ms), and what it needs of a topology.

const { existsSync, rmSync } = require('node:fs')
const { join } = require('node:path')
const { eventually, sleep } = require('../../__test__/support/kit.js')
const { CLUSTER_FAULTS, isCluster } = require('./cluster-faults.js')
const { FAILOVERS } = require('./failovers.js')
const { NETWORK_FAULTS } = require('./namespaces.js')

const nothing = () => {}

const SAVING = 5_000

// --- connections --------------------------------------------------------------------------------------------------

async function killAllConnections({ topology, random }) {
  const master = await topology.master(random)
  await master.command('CLIENT', 'KILL', 'TYPE', 'normal')
  return nothing
}

/** Of the two connections of each process, those that carry pushes (`B` in their flags), or the others. */
async function killOneKind({ topology, random }) {
  const master = await topology.master(random)
  const wanted = random() < 0.5
  let killed = 0
  const clients = (await master.command('CLIENT', 'LIST')).split('\n').filter((line) => /flags=\S*t/.test(line))
  for (const line of clients) {
    if (/flags=\S*B/.test(line) !== wanted) continue
    await master.command('CLIENT', 'KILL', 'ID', /id=(\d+)/.exec(line)[1])
    killed++
  }
  if (killed === 0) throw new Error('no connection of that kind')
  return nothing
}

// --- the server ---------------------------------------------------------------------------------------------------

async function stopServer({ topology, random }) {
  const master = await topology.master(random)
  master.pause()
  return () => master.resume()
}

async function debugSleep({ topology, ms, random }) {
  const master = await topology.master(random)
  const slept = master.command('DEBUG', 'SLEEP', String(ms / 1_000)).catch(nothing)
  return () => slept
}

async function restartEmpty({ topology, random }) {
  const master = await topology.master(random)
  await master.kill()
  rmSync(join(master.dir, 'dump.rdb'), { force: true })
  return () => topology.restart(master)
}

/** What is written between SAVE and the end is lost, and what was there before is back. */
async function restartFromOldFile({ topology, random }) {
  const master = await topology.master(random)
  // Refused while a child saves: for a replica, say.
  const isSaved = () => master.command('SAVE').then(() => true)
  await eventually(() => isSaved().catch(() => false), SAVING, 'SAVE')
  await sleep(100 + 500 * random())
  await master.kill()
  if (!existsSync(join(master.dir, 'dump.rdb'))) throw new Error('SAVE left no file')
  return () => topology.restart(master)
}

async function flushScripts({ topology, random }) {
  await (await topology.master(random)).command('SCRIPT', 'FLUSH')
  return nothing
}

async function flushAll({ topology, random }) {
  await (await topology.master(random)).command('FLUSHALL')
  return nothing
}

/** Half of the versions of tags, keys and the namespace, and of the rules. */
async function evictMetadata({ topology, random }) {
  const master = await topology.master(random)
  const keys = (await master.command('KEYS', '*:t:*')).filter(() => random() < 0.5)
  // One by one: in a cluster they are in slots of their own.
  await Promise.all(keys.map((key) => master.command('UNLINK', key)))
  return nothing
}

async function configured(master, settings) {
  for (const [name, value] of Object.entries(settings)) await master.command('CONFIG', 'SET', name, String(value))
}

async function infoOf(master, field) {
  return Number(new RegExp(`${field}:(\\d+)`).exec(await master.command('INFO', 'all'))[1])
}

/** So little memory that entries and versions are evicted while it lasts. */
async function limitMemory({ topology, random }) {
  const master = await topology.master(random)
  const before = await infoOf(master, 'evicted_keys')
  await configured(master, { 'maxmemory-policy': 'allkeys-lru' })
  for (let less = 4_000 + 16_000 * random(); (await infoOf(master, 'evicted_keys')) === before; less += 4_000) {
    await configured(master, { maxmemory: Math.round((await infoOf(master, 'used_memory')) - less) })
    await sleep(5)
  }
  return () => configured(master, { maxmemory: 0 })
}

async function refuseWrites({ topology, random }) {
  const master = await topology.master(random)
  await configured(master, { 'maxmemory-policy': 'noeviction', maxmemory: 1 })
  return () => configured(master, { maxmemory: 0 })
}

/** A replica of nobody: READONLY. */
async function makeReplica({ topology, random }) {
  const master = await topology.master(random)
  await master.command('REPLICAOF', '127.0.0.1', '1')
  return () => master.command('REPLICAOF', 'NO', 'ONE')
}

/** NOREPLICAS: it wants more replicas than there are. */
async function wantReplicas({ topology, random }) {
  const master = await topology.master(random)
  await configured(master, { 'min-replicas-to-write': 3 })
  return () => configured(master, { 'min-replicas-to-write': 0 })
}

const RIGHTS = [['-evalsha', '-eval'], ['-get'], ['-set'], ['-time'], ['-info'], ['-hello']]
const RIGHTS_IN_CLUSTERS = [...RIGHTS, ['-cluster'], ['-asking']]

async function dropRight({ topology, random }) {
  const master = await topology.master(random)
  const rights = isCluster(topology) ? RIGHTS_IN_CLUSTERS : RIGHTS
  await master.command('ACL', 'SETUSER', 'default', ...rights[Math.floor(random() * rights.length)])
  if (random() < 0.5) await master.command('CLIENT', 'KILL', 'TYPE', 'normal')
  return () => master.command('ACL', 'SETUSER', 'default', '+@all')
}

/** Who connects meanwhile goes on without pushes. */
async function dropTracking({ topology, random }) {
  const master = await topology.master(random)
  await master.command('ACL', 'SETUSER', 'default', '-client|tracking')
  await master.command('CLIENT', 'KILL', 'TYPE', 'normal')
  return async () => {
    await master.command('ACL', 'SETUSER', 'default', '+@all')
    await master.command('CLIENT', 'KILL', 'TYPE', 'normal')
  }
}

// --- links --------------------------------------------------------------------------------------------------------

/** A fault of one link, or of all of them. */
function ofLinks(breakOne) {
  return async ({ topology, random }) => {
    const links = await topology.links()
    const one = Math.floor(random() * links.length)
    const broken = random() < 0.3 ? links : [links[one]]
    for (const link of broken) await breakOne(link, random)
    return async () => {
      for (const link of broken) await link.heal()
    }
  }
}

const cutLink = ofLinks((link) => link.cut())
const freezeLink = ofLinks((link) => link.freeze())
const blackHole = ofLinks((link) => link.swallow())
const halfOpen = ofLinks((link, random) => link.swallow(random() < 0.5 ? 'there' : 'back'))
const slowLink = ofLinks((link, random) => link.delay(20 + 300 * random()))
const tricklingLink = ofLinks((link, random) => link.trickle(1 + Math.floor(20 * random())))
const tornAnswers = ofLinks((link, random) => link.tear(1 + Math.floor(60 * random())))

// --- processes of the application ---------------------------------------------------------------------------------

async function stopClient({ fleet, random }) {
  const client = fleet.any(random)
  client.peer.pause()
  return () => client.peer.resume()
}

/** It holds leases when it is killed: others must load their keys once these have lapsed. */
async function killClient({ fleet, random, expect, round }) {
  const client = fleet.any(random)
  const keys = [1, 2, 3].map((n) => `held ${round} ${n}`)
  await Promise.all(keys.map((key) => client.peer.call('hold', key)))
  await fleet.kill(client)
  expect(keys)
  return () => fleet.replace(client)
}

const anywhere = () => true
const isSingle = ({ servers }) => servers.length === 1
const hasLinks = ({ links }) => links !== undefined
/** Shorter than what makes an election begin. */
const BRIEF = 250

const FAULTS = [
  ['CLIENT KILL of all', killAllConnections, [0, 50], anywhere],
  ['CLIENT KILL of one kind', killOneKind, [0, 50], anywhere],
  ['SIGSTOP of the server', stopServer, [50, 1_500], anywhere],
  ['DEBUG SLEEP', debugSleep, [50, 1_500], anywhere],
  ['kill -9, restarted empty', restartEmpty, [0, 800], anywhere],
  ['kill -9, restarted from an old file', restartFromOldFile, [0, 800], anywhere],
  ['SCRIPT FLUSH', flushScripts, [0, 50], anywhere],
  ['FLUSHALL', flushAll, [0, 50], anywhere],
  ['metadata evicted', evictMetadata, [0, 50], anywhere],
  ['maxmemory, allkeys-lru', limitMemory, [200, 1_500], anywhere],
  ['OOM, noeviction', refuseWrites, [100, 1_500], anywhere],
  ['READONLY: made a replica', makeReplica, [100, 1_500], isSingle],
  ['NOREPLICAS', wantReplicas, [100, 1_500], anywhere],
  ['ACL: a right is dropped', dropRight, [100, 1_500], anywhere],
  ['ACL: no CLIENT TRACKING', dropTracking, [100, 1_500], anywhere],
  ['link cut', cutLink, [20, 1_500], hasLinks],
  ['link frozen, late bytes', freezeLink, [20, 2_500], hasLinks],
  ['link black-holed', blackHole, [20, 2_500], hasLinks],
  ['link half-open', halfOpen, [20, 2_500], hasLinks],
  ['link slow', slowLink, [100, 1_500], hasLinks],
  ['link trickling', tricklingLink, [100, 1_500], hasLinks],
  ['answers cut mid-frame', tornAnswers, [50, 1_000], hasLinks],
  ['SIGSTOP of a process', stopClient, [100, 2_500], anywhere],
  ['kill -9 of a process with leases', killClient, [0, 500], anywhere],
  ...FAILOVERS,
  ...CLUSTER_FAULTS,
  ...NETWORK_FAULTS,
]

/** What hits the server for longer would have another elected: that is a fault of its own. */
const ELECTING = new Set([stopServer, debugSleep, restartEmpty, restartFromOldFile])

/** The faults of a topology: { name, cause, least, most }. */
function faultsOf(topology) {
  const fitting = FAULTS.filter(([, , , fits]) => fits(topology))
  return fitting.map(([name, cause, [least, most]]) => ({
    name,
    cause,
    least,
    most: ELECTING.has(cause) && !isSingle(topology) ? Math.min(most, BRIEF) : most,
  }))
}

module.exports = { faultsOf }
