'use strict'
// What the fleet saw, judged as it goes: a read as soon as every process has told its writes of before it. Writes of
// more than half a minute ago are reduced to the newest of each key, which is all that a read of today can break.

const { Checker } = require('../../__test__/support/checker.js')

const KEPT_MS = 30_000
const EXAMPLES = 10
/** In whose name the writes of long ago are kept. */
const PAST = 'the past'

class History {
  #bound
  #writes = new Map()
  #waiting = []
  reads = 0
  writes = 0
  staleReads = 0
  broken = 0
  tooOld = 0
  oldest = 0
  failures = 0
  /** The first of what should not be, in words. */
  examples = []

  /** @param bound how old a read may be that missed another process's invalidation, ms */
  constructor(bound) {
    this.#bound = bound
  }

  get violations() {
    return this.broken + this.tooOld + this.failures
  }

  /** Takes what a process has noted since the last time. */
  add(process, { reads, writes, failures, stale }) {
    if (!this.#writes.has(process)) this.#writes.set(process, [])
    for (const write of writes) this.#writes.get(process).push(write)
    for (const read of reads) this.#waiting.push([process, read])
    this.writes += writes.length
    this.staleReads += stale
    this.failures += failures.length
    for (const failure of failures) this.#tell(`${process} failed: ${failure}`)
  }

  /** Judges the reads that began before `until`: all writes of before then are here. `living`: who still reads. */
  judge(until, living) {
    const due = this.#waiting.filter(([, [, started]]) => started <= until)
    this.#waiting = this.#waiting.filter(([, [, started]]) => started > until)
    const checker = new Checker()
    for (const [process, writes] of this.#writes) {
      checker.add(process, { writes, reads: due.filter(([reader]) => reader === process).map(([, read]) => read) })
    }
    const { reads, broken, staleAges } = checker.verdict()
    this.reads += reads
    this.broken += broken.length
    for (const { process, key, start, read, written } of broken) {
      this.#tell(`${process} wrote version ${written} of ${key}, and read ${read} at ${start.toFixed(0)}`)
    }
    for (const age of staleAges) {
      this.oldest = Math.max(this.oldest, age)
      if (age <= this.#bound) continue
      this.tooOld++
      this.#tell(`a read ${age.toFixed(0)} ms after it was invalidated elsewhere, the bound is ${this.#bound} ms`)
    }
    this.#forget(until - KEPT_MS, new Set(living))
  }

  #forget(before, living) {
    const past = this.#writes.get(PAST) ?? []
    for (const [process, writes] of this.#writes) {
      if (process === PAST) continue
      const old = writes.filter(([, , resolved]) => resolved < before)
      past.push(...old.filter(([, , , receipt]) => receipt === 'applied'))
      // A living process must go on reading what it wrote itself.
      const own = living.has(process) ? newestOf(old) : []
      const rest = [...own, ...writes.filter(([, , resolved]) => resolved >= before)]
      if (rest.length === 0 && !living.has(process)) this.#writes.delete(process)
      else this.#writes.set(process, rest)
    }
    this.#writes.set(PAST, newestOf(past))
  }

  #tell(text) {
    if (this.examples.length < EXAMPLES) this.examples.push(text)
  }
}

/** Of each key the write of the highest version. */
function newestOf(writes) {
  const newest = new Map()
  for (const write of writes) {
    const [key, version] = write
    if (!(newest.get(key)?.[1] > version)) newest.set(key, write)
  }
  return [...newest.values()]
}

module.exports = { History, KEPT_MS }
