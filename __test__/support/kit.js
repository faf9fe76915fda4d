'use strict'
// Small things every test needs: names of their own, loaders that count, gates, one clock for all processes.

const assert = require('node:assert/strict')

let names = 0

/** A namespace nobody else uses. */
const freshNamespace = () => `t${process.pid.toString(36)}-${(++names).toString(36)}-${Date.now().toString(36)}`

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Milliseconds on the machine's monotonic clock: comparable between processes. */
const clock = () => Number(process.hrtime.bigint()) / 1e6

/** A promise and what settles it. */
function deferred() {
  const it = {}
  it.promise = new Promise((resolve, reject) => Object.assign(it, { resolve, reject }))
  return it
}

/** A loader that counts its calls. `value` may be a function of the call's number and its context. */
function counted(value, ms = 0) {
  const loader = async (ctx) => {
    const call = ++loader.calls
    if (ms > 0) await sleep(ms)
    return typeof value === 'function' ? value(call, ctx) : value
  }
  loader.calls = 0
  return loader
}

/** A loader that fails with `error` each time, and counts. */
function failing(error, ms = 0) {
  return counted(() => {
    throw error
  }, ms)
}

/** A loader that says when it began and ends when told. */
function gated(value) {
  const began = deferred()
  const gate = deferred()
  const loader = async (ctx) => {
    loader.calls++
    loader.ctx = ctx
    began.resolve(ctx)
    const given = await gate.promise
    return given === undefined ? value : given
  }
  return Object.assign(loader, { calls: 0, began: began.promise, release: gate.resolve, fail: gate.reject })
}

/** What the promise settles to, or `otherwise` after `ms`. */
async function within(promise, ms, otherwise) {
  let timer
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms, otherwise)))
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Asks until the answer is true; returns the milliseconds it took. */
async function eventually(condition, ms = 2_000, what = String(condition)) {
  const began = clock()
  for (;;) {
    if (await condition()) return clock() - began
    assert.ok(clock() - began < ms, `not within ${ms} ms: ${what}`)
    await sleep(5)
  }
}

/** Runs an action and returns its result and how long it took. */
async function timed(action) {
  const began = clock()
  const value = await action()
  return { value, ms: clock() - began }
}

/** Reads with the outcome that `onResult` reports. */
async function read(cache, key, loader, options) {
  let result
  const value = await cache.getOrSet(key, loader, { ...options, onResult: (r) => (result = r) })
  return { value, ...result }
}

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}

/** The long forms, asked for by name: the short ones run on every change. */
const long = [process.env.TIDECACHE_LONG, process.env.TIDECACHE_TEST_LONG].includes('1')

module.exports = {
  clock,
  counted,
  deferred,
  eventually,
  failing,
  freshNamespace,
  gated,
  long,
  percentile,
  read,
  sleep,
  timed,
  within,
}
