'use strict'
// `npm run chaos`: processes with a cache, and real Redis servers that fail, in every topology. Prints what was seen of
// each kind of fault and what must hold of all that was read.
//
//   npm run chaos                                    300 faults and a million checked reads on each topology
//   npm run chaos -- --topology tls,sentinel --faults 50 --reads 1 --seconds 120
//   npm run chaos -- --seed 7                        the same faults again
//   npm run chaos -- --topology cluster --write      keeps its part of the report: docs/chaos.json, docs/chaos.md
//   npm run chaos -- --together                      side by side
//   npm run chaos -- --only 'ACL|kill -9'            faults of these names alone
//
// The exit code is 0 if all that must hold does, else 1.

const os = require('node:os')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { build } = require('./build.js')
const { keep } = require('./chaos/page.js')
const { isMet, number, partOf, textOf, whereOf } = require('./chaos/report.js')
const { runChaos } = require('./chaos/run.js')
const { TOPOLOGIES, whyNot } = require('./chaos/topologies.js')
const { commitOf } = require('./lib/commit.js')
const { ensureInstalled } = require('./lib/install.js')
const { wholeNumber } = require('./lib/options.js')
const { fail, runSteps } = require('./lib/run.js')
const { ensureRedisServer } = require('./redis-server.js')

const OPTIONS = {
  topology: { type: 'string', default: Object.keys(TOPOLOGIES).join(',') },
  // A topology's run ends when it has had so many of both, or after so many seconds.
  faults: { type: 'string', default: '300' },
  reads: { type: 'string', default: '1000000' },
  seconds: { type: 'string', default: '3600' },
  processes: { type: 'string', default: '3' },
  seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1_000_000)) },
  only: { type: 'string', default: '' },
  together: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false },
}
const TELL_MS = 10_000

function readOptions() {
  const { values } = parseArgs({ options: OPTIONS })
  const count = (name, least) => wholeNumber(values, name, least)
  const topologies = values.topology.split(',')
  for (const name of topologies) {
    if (!Object.hasOwn(TOPOLOGIES, name))
      throw new Error(`--topology is of ${Object.keys(TOPOLOGIES).join(', ')}, not ${name}`)
  }
  const { together: isTogether, write: isKept } = values
  const plan = { faults: count('faults'), reads: count('reads'), seconds: count('seconds') }
  const how = { processes: count('processes', 2), seed: count('seed'), only: new RegExp(values.only) }
  return { topologies, isTogether, isKept, plan: { ...plan, ...how } }
}

/** A line every ten seconds, and one at once for what must not be. */
function teller(topology, { faults }) {
  let told = -Infinity
  let violations = 0
  return ({ number: done, name, elapsed, history, run }) => {
    if (run.violations > violations) console.log(`  ✖ ${topology}: ${[...run.problems, ...history.examples].at(-1)}`)
    else if (performance.now() - told < TELL_MS) return
    told = performance.now()
    violations = run.violations
    const so = `${Math.round(elapsed)} s, ${done} of ${faults} faults, ${number(history.reads)} reads`
    console.log(`  ${topology}: ${so}, ${violations === 0 ? 'no' : violations} violations; now ${name}`)
  }
}

/** Runs one topology: what is kept of it, or why it cannot be had here. */
async function one(topology, plan, machine) {
  const skipped = await whyNot(topology)
  if (skipped !== undefined) {
    console.log(`▶ ${topology}: skipped, ${skipped}`)
    return { topology, skipped }
  }
  const loadBefore = os.loadavg()[0]
  console.log(`▶ ${topology}: seed ${plan.seed}`)
  const result = await runChaos({ topology, ...plan, tell: teller(topology, plan) })
  const part = partOf(result, whereOf({ ...machine, loadBefore }))
  console.log(textOf(part))
  return part
}

async function all(topologies, plan, machine) {
  if (machine.isTogether) return Promise.all(topologies.map((topology) => one(topology, plan, machine)))
  const parts = []
  for (const topology of topologies) parts.push(await one(topology, plan, machine))
  return parts
}

async function main() {
  const { topologies, plan, isTogether, isKept } = readOptions()
  let redis
  const preparations = [
    ['find a Redis server', async () => (redis = await ensureRedisServer())],
    ['install the packages of the lock file', () => ensureInstalled()],
    ['build the addon', () => build()],
  ]
  if (!(await runSteps(preparations))) return
  const version = /\d+\.\d+\.\d+/.exec(redis.version)?.[0]
  // Of the beginning: there may be another one at the end.
  const machine = { isTogether, commit: commitOf(), redis: `${path.basename(redis.command)} ${version}` }
  const parts = await all(topologies, plan, machine)
  if (isKept) {
    keep(parts, Object.keys(TOPOLOGIES))
    console.log('\n  kept in docs/chaos.md')
  }
  if (!parts.every((part) => part.skipped !== undefined || isMet(part))) process.exitCode = 1
}

main().catch(fail)
