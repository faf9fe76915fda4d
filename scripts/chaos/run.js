'use strict'
// One topology under faults: they come one after the other by a schedule that its seed decides; after each the time is
// measured until all is well again, and what was read meanwhile is judged.

const { clock, freshNamespace, sleep, within } = require('../../__test__/support/kit.js')
const { startRedis } = require('../../__test__/support/redis.js')
const { seeded } = require('../lib/seeded.js')
const { faultsOf } = require('./faults.js')
const { Fleet } = require('./fleet.js')
const { History } = require('./history.js')
const { schedule } = require('./schedule.js')
const { TOPOLOGIES } = require('./topologies.js')

/** Both bounds of what memory may serve without proof: docs/outages.md. */
const BOUND = 1_000
/** A lease lapses within 5 s of its holder's end. */
const HELD_MS = 5_500
/** A lease whose end was lost with a connection holds others up as long; what they read then is new. */
const REST_MS = HELD_MS
/** How long is waited for what should have happened. */
const PATIENCE = 15_000
const ROUND_MS = 90_000
const ROUNDS_BETWEEN_RESTS = 25
const CALM = [50, 300]
/** In a cluster each master has some of them. */
const PLANTED = 9

/** What must be ended when the run ends, the latest first. */
class Scope {
  #ends = []

  after(end) {
    this.#ends.push(end)
  }

  /** All of it, also when one part ends badly. */
  async end() {
    const bad = []
    while (this.#ends.length > 0) {
      const end = this.#ends.pop()
      await Promise.resolve(end()).catch((error) => bad.push(error))
    }
    if (bad.length > 0) throw bad[0]
  }
}

class Run {
  #fleet
  #topology
  #history
  #random
  #probes = 0
  #held = []
  #planted = []
  /** What was last seen of the fleet's state. */
  #why = ''
  faults = new Map()
  recoveries = []
  rests = []
  problems = []

  constructor({ fleet, topology, history, random }) {
    this.#fleet = fleet
    this.#topology = topology
    this.#history = history
    this.#random = random
  }

  get violations() {
    return this.#history.violations + this.problems.length
  }

  async round(number, fault) {
    const { name, cause, ms, random } = fault
    const [least, most] = CALM
    await sleep(least + random() * (most - least))
    const expect = (keys) => this.#held.push(...keys)
    const plant = () => this.#plant(number)
    const world = { topology: this.#topology, fleet: this.#fleet, round: number, ms, random, expect, plant }

    const caused = await cause(world)
    await sleep(ms)
    const { heal, after, since } = typeof caused === 'function' ? { heal: caused } : caused
    await heal()

    const recovery = await this.#recovered(since)
    this.#note(name, number, recovery)
    await this.#readPlanted(number)
    await after?.()
    await this.#topology.settle()
    await this.#readHeld(number)
    await this.#fleet.collect()
    if (number % ROUNDS_BETWEEN_RESTS === 0) await this.rest(number)
  }

  /** Nobody writes: all must come to read the newest of every key. */
  async rest(number) {
    await this.#fleet.ask('rest')
    const began = clock()
    let outdated
    do {
      outdated = (await this.#fleet.ask('outdated')).flat()
    } while (outdated.length > 0 && clock() - began < PATIENCE)
    const took = clock() - began
    this.rests.push(took)
    if (took > REST_MS) {
      const what = outdated.map(({ key, read, newest }) => `${key}: ${read} of ${newest}`).join(', ')
      this.problems.push(`at rest after round ${number}, ${took.toFixed(0)} ms until all was new ${what}`)
    }
    await this.#fleet.ask('resume')
  }

  /** Milliseconds, from now or from `since`, until every process is well, and reads through Redis what another has just written. */
  async #recovered(since) {
    const healed = since ?? clock()
    while (clock() - healed < PATIENCE) {
      if (await this.#isWell()) return clock() - healed
      await sleep(5)
    }
    return Infinity
  }

  async #isWell() {
    const states = await this.#fleet.ask('health')
    this.#why = `health ${states.join(', ')}`
    if (states.some((state) => state !== 'ok')) return false
    const keys = Array.from({ length: this.#topology.probes }, () => `probe ${++this.#probes}`)
    const writer = this.#fleet.any(this.#random)
    const seen = await Promise.all(keys.map((key) => this.#isSeen(key, writer)))
    return seen.every(Boolean)
  }

  async #isSeen(key, writer) {
    const { version, redis } = await writer.peer.call('raise', key)
    if (redis !== 'applied') {
      this.#why = `an invalidation is ${redis}`
      return false
    }
    await writer.peer.call('look', key)
    const seen = await this.#fleet.ask('look', key)
    this.#why = `of version ${version}: ${seen.map(({ value, isLoaded }) => `${value}${isLoaded ? ' loaded' : ''}`).join(', ')}`
    return this.#fleet.clients.every(
      (client, n) => seen[n].value === version && (client === writer || !seen[n].isLoaded),
    )
  }

  #note(name, number, recovery) {
    if (!this.faults.has(name)) this.faults.set(name, [])
    this.faults.get(name).push(recovery)
    this.recoveries.push(recovery)
    if (recovery <= this.#topology.recovery) return
    const when = Number.isFinite(recovery) ? `until ${recovery.toFixed(0)} ms` : `within ${PATIENCE} ms (${this.#why})`
    this.problems.push(`round ${number}, ${name}: not well ${when} after it healed`)
  }

  /**
   * Entries that nobody else writes or reads, stored before a server is made to lag. What it returns invalidates them: of that
   * the server will know nothing.
   */
  async #plant(number) {
    // Whoever invalidates the whole namespace meanwhile hides what was lost.
    await this.#fleet.ask('rest')
    const keys = Array.from({ length: PLANTED }, (_, n) => `planted ${number} ${n}`)
    const writer = this.#fleet.any(this.#random)
    const raise = (key) => writer.peer.call('raise', key)
    await Promise.all(keys.map(raise))
    for (const key of keys) await this.#fleet.ask('look', key)
    return async () => {
      const raised = await Promise.all(keys.map(raise))
      this.#planted = keys.map((key, n) => [key, raised[n].version])
    }
  }

  /** Whoever has lost the invalidation of an entry must have lost the entry. */
  async #readPlanted(number) {
    const planted = this.#planted.splice(0)
    for (const [key, version] of planted) {
      const old = (await this.#fleet.ask('look', key)).filter(({ value }) => value !== version)
      if (old.length > 0)
        this.problems.push(`round ${number}: ${key} is ${old[0].value}, not ${version}, after a failover`)
    }
    if (planted.length > 0) await this.#fleet.ask('resume')
  }

  /** The keys that a killed process held: somebody else loads them. */
  async #readHeld(number) {
    const keys = this.#held.splice(0)
    const began = clock()
    await Promise.all(keys.map((key) => this.#fleet.ask('look', key)))
    const took = clock() - began
    if (keys.length > 0 && took > HELD_MS)
      this.problems.push(`round ${number}: a lease of a killed process held others up for ${took.toFixed(0)} ms`)
  }
}

async function setUp(scope, { topology: name, seed, processes, sabotage }) {
  const truth = await startRedis({ socket: true })
  scope.after(() => truth.stop())
  const topology = await TOPOLOGIES[name](scope, processes)
  const history = new History(BOUND + topology.detection)
  const namespace = freshNamespace()
  const describe = (index, number) => ({
    options: { redis: { ...topology.redisFor(index), maxUnverified: BOUND, isolated: BOUND }, namespace },
    truth: truth.at,
    seed: seed + number,
    processes,
    sabotage,
  })
  const fleet = new Fleet(describe, history, topology.within)
  scope.after(() => fleet.stop())
  await fleet.start(processes)
  return { fleet, topology, history }
}

/** Shares of the reads of those who still run. */
async function sharesOf(fleet) {
  const all = await fleet.ask('metrics')
  const sum = (of) => all.reduce((total, one) => total + of(one), 0)
  const reads = sum(({ hits, misses }) => hits + misses)
  return { memory: sum(({ memory }) => memory.hits) / reads, redis: sum(({ redis }) => redis.hits) / reads }
}

/**
 * @param {{ topology: string, seed: number, processes: number, faults: number, reads?: number, seconds: number,
 *   only?: RegExp, sabotage?: boolean, tell?: (state: object) => void }} plan It ends after so many faults and so many checked reads, or
 *   after so many seconds. `only`: faults of such names. `sabotage`: one write in five is told as done and was not, which must be found.
 */
async function runChaos({ faults, reads = 0, seconds, only = /^/, tell, ...plan }) {
  const scope = new Scope()
  const began = clock()
  const elapsed = () => (clock() - began) / 1_000
  try {
    const { fleet, topology, history } = await setUp(scope, plan)
    const run = new Run({ fleet, topology, history, random: seeded(plan.seed + 1) })
    let number = 0
    const fitting = faultsOf(topology).filter(({ name }) => only.test(name))
    if (fitting.length === 0) throw new Error(`${plan.topology} has no fault whose name matches ${only}`)
    for (const fault of schedule(fitting, plan.seed)) {
      if ((number >= faults && history.reads >= reads) || elapsed() >= seconds) break
      tell?.({ number, name: fault.name, elapsed: elapsed(), history, run })
      const end = await within(
        run.round(++number, fault).catch((error) => error),
        ROUND_MS,
        new Error(`no end within ${ROUND_MS / 1_000} s`),
      )
      if (end instanceof Error) {
        run.problems.push(`round ${number}, ${fault.name}: ${end.message}`)
        break
      }
    }
    if (run.violations === 0) await run.rest(number)
    await fleet.collect()
    const shares = await sharesOf(fleet)
    await fleet.stop().catch((error) => run.problems.push(`at the end: ${error.message.trim()}`))
    const { detection, recovery } = topology
    const bounds = { read: BOUND + detection, recovery }
    return { ...plan, elapsed: elapsed(), count: number, history, run, shares, bounds }
  } finally {
    await scope.end()
  }
}

module.exports = { runChaos }
