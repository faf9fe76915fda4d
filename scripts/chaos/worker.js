'use strict'
// A process of the fleet: it reads and writes without a pause, and notes what it saw (see __test__/support/checker.js).
//
// A write raises the key's version in the source of truth, then invalidates the key. Which keys those are is noted beside
// the versions, as an application would in an outbox: who follows a process that was killed between the two invalidates them.

const { clock, deferred, sleep } = require('../../__test__/support/kit.js')
const { connect } = require('../../__test__/support/resp.js')
const { serve } = require('../../__test__/support/serve.js')
const { createCache } = require('../..')
const { seeded } = require('../lib/seeded.js')
const { ALL_KEYS, MANY_KEYS, groupOf, invalidating, optionsOf, pick, tagOf, writableBy } = require('./mix.js')

const READERS = 4
const AT_A_TIME = 4
const WRITERS = 2
const LATE_MS = 4_000

let cache
let truth
let random
let plan
let isEnding = false
let writing = Promise.resolve()
let notes = emptyNotes()
const loaded = new Set()

function emptyNotes() {
  return { reads: [], writes: [], failures: [], stale: 0 }
}

const within = (low, high) => low + random() * (high - low)
const cacheOf = (key) => (groupOf(key)?.view === undefined ? cache : cache.namespace(groupOf(key).view))
const outbox = (name) => `outbox of ${name}`

async function versionOf(key) {
  return Number(await truth.command('GET', key))
}

// --- reads --------------------------------------------------------------------------------------------------------

async function load(ctx, key) {
  const version = await versionOf(key)
  await sleep(within(0, 20))
  if (groupOf(key).tags === 'named') ctx.tag(tagOf(key))
  return version
}

function note(key, started, version) {
  if (groupOf(key).isStale) notes.stale++
  else notes.reads.push([key, started, version])
}

async function read(key) {
  const started = clock()
  try {
    note(key, started, await cacheOf(key).getOrSet(key, (ctx) => load(ctx, key), optionsOf(key)))
  } catch (error) {
    notes.failures.push(`${key}: ${error.message}`)
  }
}

async function readMany(keys) {
  const started = clock()
  const loadMissing = async (missing) => {
    const versions = await truth.command('MGET', ...missing)
    await sleep(within(0, 20))
    return new Map(missing.map((key, n) => [key, Number(versions[n])]))
  }
  try {
    for (const [key, version] of await cache.getOrSetMany(keys, loadMissing)) note(key, started, version)
  } catch (error) {
    notes.failures.push(`many: ${error.message}`)
  }
}

async function readOn() {
  while (!isEnding) {
    if (random() < 0.1) await readMany(Array.from({ length: within(1, 6) }, () => pick(MANY_KEYS, random)))
    else await Promise.all(Array.from({ length: AT_A_TIME }, () => read(pick(ALL_KEYS, random))))
    await sleep(within(0, 6))
  }
}

// --- writes -------------------------------------------------------------------------------------------------------

let written = 0

async function write(key) {
  const entry = `${key} ${++written}`
  const [, version] = await Promise.all([truth.command('SADD', outbox(plan.name), entry), truth.command('INCR', key)])
  // The checker's own check: some writes are told as done, and were not.
  const isOmitted = plan.sabotage && random() < 0.2
  const invalidate = isOmitted ? () => ({ redis: 'applied' }) : invalidating(key, random)
  const { redis } = await invalidate(cacheOf(key), key, { version, random, options: optionsOf(key) })
  if (!groupOf(key).isStale) notes.writes.push([key, version, clock(), redis])
  if (redis === 'applied') truth.command('SREM', outbox(plan.name), entry).catch(() => {})
  await read(key)
}

async function writeOn(keys) {
  while (!isEnding && keys.length > 0) {
    const gate = writing
    await gate
    if (gate !== writing) continue
    inFlight++
    try {
      await write(pick(keys, random))
    } catch (error) {
      notes.failures.push(`a write: ${error.message}`)
    }
    inFlight--
    await sleep(within(5, 60))
  }
}

let inFlight = 0
let mayWrite

/** No write begins from now on; resolves when none is under way. */
async function rest() {
  const gate = deferred()
  writing = gate.promise
  mayWrite = gate.resolve
  while (inFlight > 0) await sleep(1)
}

/** Invalidates what a process that was killed may have left, until Redis has confirmed it. */
async function takeOver(name) {
  const entries = await truth.command('SMEMBERS', outbox(name))
  const keys = [...new Set(entries.map((entry) => entry.split(' ')[0]))]
  await Promise.all(
    keys.map(async (key) => {
      while (!isEnding && (await cacheOf(key).invalidate(key)).redis !== 'applied') await sleep(20)
    }),
  )
  await truth.command('DEL', outbox(name))
}

// --- what is asked of it --------------------------------------------------------------------------------------------

/** Reads a key that nobody else writes. `isLoaded`: this process had to load it by itself. */
async function look(key) {
  loaded.delete(key)
  const value = await cache.getOrSet(key, () => {
    loaded.add(key)
    return versionOf(key)
  })
  return { value, isLoaded: loaded.has(key) }
}

/** A process that has not ended in time says where it hangs, before it is killed: its end is shown with what it wrote. */
function tellIfLate(where) {
  const say = () =>
    process.stderr.write(`not ended after ${LATE_MS} ms, ${where()}: ${process.getActiveResourcesInfo()}\n`)
  setTimeout(say, LATE_MS).unref()
}

serve(
  {
    async start({ options, truth: at, ...rest }) {
      plan = rest
      random = seeded(plan.seed)
      truth = await connect(at)
      cache = createCache({ logger: { warn() {} }, ...options })
      await cache.ready().catch(() => {}) // it may be started while Redis is away
    },
    run(predecessor) {
      const { own, shared } = writableBy(plan.index, plan.processes)
      for (let i = 0; i < READERS; i++) readOn()
      for (let i = 0; i < WRITERS; i++) writeOn(shared)
      // What a killed process was setting must be out of the way before this one sets the same keys.
      const taken = predecessor === undefined ? Promise.resolve() : takeOver(predecessor)
      taken.then(() => writeOn(own)).catch((error) => notes.failures.push(`taking over: ${error.message}`))
    },
    /** What was noted since the last time. All that ended before `at` is in it. */
    take() {
      const taken = { ...notes, at: clock() }
      notes = emptyNotes()
      return taken
    },
    rest,
    resume: () => mayWrite?.(),
    health: async () => (await cache.health()).status,
    metrics: () => cache.metrics(),
    async raise(key) {
      const version = await truth.command('INCR', key)
      const { redis } = await cache.invalidate(key)
      return { version, redis }
    },
    look,
    /** Begins a load that never ends: its lease is held until this process is gone. */
    hold: (key) =>
      new Promise((resolve) => {
        const forever = () => {
          resolve()
          return new Promise(() => {})
        }
        cache.getOrSet(key, forever).catch(() => {})
      }),
    /** Every key as it is read now: [key, version] where it is not the newest. */
    async outdated() {
      const versions = (await truth.command('MGET', ...ALL_KEYS)).map(Number)
      const values = await Promise.all(
        ALL_KEYS.map((key) => cacheOf(key).getOrSet(key, (ctx) => load(ctx, key), optionsOf(key))),
      )
      return ALL_KEYS.map((key, n) => ({ key, read: values[n], newest: versions[n] })).filter(
        ({ read, newest }) => read !== newest,
      )
    },
  },
  async () => {
    isEnding = true
    mayWrite?.()
    let isClosed = false
    tellIfLate(() => (isClosed ? 'after close()' : 'in close()'))
    await cache?.close()
    isClosed = true
    truth?.close()
  },
)
