'use strict'
// The process behind peer.js: one cache, and commands over IPC.

const { clock, deferred, sleep } = require('./kit.js')
const { connect } = require('./resp.js')
const { serve } = require('./serve.js')
const { stress } = require('./stress.js')

const gates = new Map()
const loads = new Map()
let cache
let truth

function gate(name) {
  if (!gates.has(name)) gates.set(name, { began: deferred(), end: deferred() })
  return gates.get(name)
}

/** The current version of a key in the source of truth. */
async function version(key) {
  return Number(await truth.command('GET', key))
}

/** Makes a loader of its description. */
function loaderOf({ value, ms, error, gate: name, truth: fromTruth, tags, ttl, skip } = {}) {
  return async (ctx) => {
    const { key } = ctx
    loads.set(key, (loads.get(key) ?? 0) + 1)
    const found = fromTruth ? await version(key) : value
    if (ttl !== undefined) ctx.ttl(ttl)
    if (skip) ctx.skip()
    if (name !== undefined) {
      gate(name).began.resolve()
      await gate(name).end.promise
    }
    if (ms) await sleep(ms)
    if (tags !== undefined) ctx.tag(...tags)
    if (error !== undefined) throw new Error(error)
    return found
  }
}

const manyCalls = []

/** Makes a loader of many of its description. */
function manyLoaderOf({ value, ms, error, gate: name, absent = [] } = {}) {
  return async (keys) => {
    manyCalls.push(keys)
    for (const key of keys) loads.set(key, (loads.get(key) ?? 0) + 1)
    if (name !== undefined) {
      gate(name).began.resolve()
      await gate(name).end.promise
    }
    if (ms) await sleep(ms)
    if (error !== undefined) throw new Error(error)
    return new Map(keys.filter((key) => !absent.includes(key)).map((key) => [key, `${value} of ${key}`]))
  }
}

async function read(key, loader, options) {
  const began = clock()
  let result
  const value = await cache.getOrSet(key, loaderOf(loader), { ...options, onResult: (r) => (result = r) })
  return { value, ms: clock() - began, ...result }
}

/** Many callers of one key at one moment of the common clock. */
async function burst({ key, callers, loader, options, at }) {
  await sleep(Math.max(0, at - clock() - 5))
  while (clock() < at) await new Promise(setImmediate)
  const settled = await Promise.allSettled(Array.from({ length: callers }, () => read(key, loader, options)))
  const kept = settled.filter(({ status }) => status === 'fulfilled').map((one) => one.value)
  return {
    waits: kept.map(({ ms }) => ms),
    values: [...new Set(kept.map(({ value }) => value))],
    failures: settled.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.message),
    loads: loads.get(key) ?? 0,
    took: clock() - at,
  }
}

const commands = {
  create(options) {
    cache = require('../..').createCache({ logger: { warn() {} }, ...options })
  },
  /** What follows is asked of a view. */
  view(...names) {
    for (const name of names) cache = cache.namespace(name)
  },
  async truth(port) {
    truth = await connect(port)
  },
  read,
  getOrSet: async (...args) => (await read(...args)).value,
  readAll: (keys, loader, options) => Promise.all(keys.map((key) => read(key, loader, options))),
  get: (key, options) => cache.get(key, options),
  set: (key, value, options) => cache.set(key, value, options),
  many: (keys, loader, options) => cache.getOrSetMany(keys, manyLoaderOf(loader), options),
  /** The keys that loaders of many were called with, call by call. */
  manyCalls: () => manyCalls,
  inspect: (key, options) => cache.inspect(key, options),
  invalidate: (target, options) => cache.invalidate(target, options),
  metrics: () => cache.metrics(),
  health: () => cache.health(),
  ready: () => cache.ready(),
  burst,
  stress: (plan) => stress(cache, truth, plan),
  /** Resolves when a loader waits at the gate. */
  began: (name) => gate(name).began.promise,
  release: (name) => gate(name).end.resolve(),
  /** Loads of one key, or of all. */
  loads: (key) => (key === undefined ? [...loads.values()].reduce((sum, n) => sum + n, 0) : (loads.get(key) ?? 0)),
  /** Leaves by process.exit(), whatever is under way. */
  end: (code) => process.exit(code),
}

serve(commands, async () => {
  await cache?.close()
  truth?.close()
})
