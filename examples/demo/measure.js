'use strict'
// What the story is told with: counted queries, measured time, callers at once.

const db = require('./db.js')

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Milliseconds on the machine's monotonic clock: comparable between processes. */
const clock = () => Number(process.hrtime.bigint()) / 1e6

/** Runs an action; tells the SQL queries executed meanwhile and the time it took. */
async function measure(action) {
  const before = db.queries()
  const began = clock()
  const value = await action()
  return { value, ms: clock() - began, queries: db.queries() - before }
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

/** Calls one after another: the milliseconds of each. */
async function timesOf(calls, read) {
  const times = []
  for (let call = 0; call < calls; call++) {
    const began = performance.now()
    await read()
    times.push(performance.now() - began)
  }
  return times
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

module.exports = { atOnce, clock, measure, readUntil, sleep, timesOf }
