'use strict'
// What the story is told with: counted queries, hits and misses, measured time, callers at once.

const { metrics } = require('tidecache')
const db = require('./db.js')

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Milliseconds on the machine's monotonic clock: comparable between processes. */
const clock = () => Number(process.hrtime.bigint()) / 1e6

/** The caches that are counted: this process's, and the second's once there is one. */
const counted = [metrics]

/** @param {() => Promise<object>} source the metrics of another process */
const countAlso = (source) => counted.push(source)

async function counts() {
  const all = await Promise.all(counted.map((source) => source()))
  const sum = (name) => all.reduce((total, figures) => total + figures[name], 0)
  return { queries: db.queries(), hits: sum('hits'), misses: sum('misses') }
}

/** Runs an action; tells the SQL queries executed meanwhile, the cache's hits and misses, and the time it took. */
async function measure(action) {
  const before = await counts()
  const began = clock()
  const value = await action()
  const ms = clock() - began
  const after = await counts()
  const [queries, hits, misses] = ['queries', 'hits', 'misses'].map((name) => after[name] - before[name])
  return { value, queries, hits, misses, ms }
}

/** `callers` calls at once: their values, and how many had each outcome. */
async function atOnce(callers, read) {
  const outcomes = {}
  const onResult = ({ outcome }) => {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
  const values = await Promise.all(Array.from({ length: callers }, () => read({ onResult })))
  return { values, outcomes }
}

/** Reads until the value is as wanted, for at most `ms`; counts the reads that were not. */
async function readUntil(read, isWanted, ms = 5_000) {
  const deadline = clock() + ms
  for (let before = 0; ; before++) {
    const value = await read()
    if (isWanted(value)) return { value, before, at: clock() }
    if (clock() > deadline) throw new Error(`not seen within ${ms} ms`)
    await new Promise(setImmediate)
  }
}

/** How many refreshes have ended in this process. */
async function refreshes() {
  const { loads } = await metrics()
  return loads.refreshed
}

/**
 * Reads what has become stale, then again when its refresh has ended.
 *
 * @returns {Promise<[stale: object, fresh: object]>} both measured; what the refresh asked counts for the second
 */
async function staleThenFresh(read, readAgain) {
  const before = await refreshes()
  const queries = db.queries()
  const { queries: _, ...stale } = await measure(read)
  await readUntil(refreshes, (count) => count > before)
  const fresh = await measure(readAgain)
  return [stale, { ...fresh, queries: db.queries() - queries }]
}

module.exports = { atOnce, clock, countAlso, measure, readUntil, sleep, staleThenFresh }
