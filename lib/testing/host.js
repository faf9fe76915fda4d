'use strict'
// What surrounds a cache for tests: a clock that stands still, timers on it, no chance, and a count of loads.
//
// It uses no timer of Node and no `process.nextTick`: those are what a test runner replaces. Turns of the event loop
// are made by asking the core, which answers from its own thread.

const { soonAsPromise } = require('../host.js')

/** Turns in a row without any news after which nothing more comes by itself. */
const CALM = 2
/** For a test that never comes to rest: one that reads in a loop, say. */
const MOST_TURNS = 1_000

class Timer {
  constructor(at, act) {
    this.at = at
    this.act = act
  }

  /** Keeps nothing alive anyway. */
  unref() {}
}

class TestHost {
  manualClock = true
  soon = soonAsPromise
  /** Nobody has to move the clock for it. */
  gather = 0
  random
  #time = 0
  #timers = new Set()
  #channel
  #loads = new Map()
  #began = 0
  #running = 0
  #moving = Promise.resolve()
  #onEnd = new Set()

  constructor(random) {
    this.random = random
  }

  // --- what the cache asks for ------------------------------------------------------------------------------------

  now() {
    return this.#time
  }

  setTimer(act, ms) {
    const timer = new Timer(this.#time + ms, act)
    this.#timers.add(timer)
    // No time at all passes without anybody moving the clock.
    if (ms === 0) this.#turn().then(() => this.#fire(timer))
    return timer
  }

  clearTimer(timer) {
    this.#timers.delete(timer)
  }

  opened(channel) {
    this.#channel = channel
  }

  loadBegan(key) {
    this.#loads.set(key, this.loads(key) + 1)
    this.#began++
    this.#running++
  }

  loadEnded() {
    this.#running--
    for (const tell of this.#onEnd) tell()
    this.#onEnd.clear()
  }

  // --- what a test asks for ---------------------------------------------------------------------------------------

  /** How often a loader ran for the key, or for all keys. */
  loads(key) {
    if (key !== undefined) return this.#loads.get(key) ?? 0
    let sum = 0
    for (const count of this.#loads.values()) sum += count
    return sum
  }

  /** Moves the clock; calls follow each other. */
  advance(ms) {
    const moved = this.#moving.then(() => this.#move(ms))
    this.#moving = moved
    return moved
  }

  /** Resolves when no loader runs any more. */
  async idle() {
    await this.#rest()
    while (this.#running > 0) {
      await this.#kept(new Promise((resolve) => this.#onEnd.add(resolve)))
      await this.#rest()
    }
  }

  forget() {
    this.#loads.clear()
    this.#channel.forgetFailures()
  }

  /** Timer after timer, each at its own time and with all that follows from it, as if the time had passed. */
  async #move(ms) {
    const end = this.#time + ms
    await this.#rest()
    for (let timer = this.#next(end); timer !== undefined; timer = this.#next(end)) {
      this.#moveTo(timer.at)
      this.#fire(timer)
      await this.#rest()
    }
    this.#moveTo(end)
  }

  #moveTo(time) {
    this.#channel.advance(time - this.#time)
    this.#time = time
  }

  #next(end) {
    let next
    for (const timer of this.#timers) if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer
    return next
  }

  #fire(timer) {
    if (this.#timers.delete(timer)) timer.act()
  }

  /** Until nothing more happens without the clock or the outside world: what was asked is answered, callers have it. */
  async #rest() {
    let calm = 0
    for (let turn = 0; turn < MOST_TURNS && calm < CALM; turn++) {
      const { answered } = this.#channel
      const before = this.#began + this.#running
      await this.#turn()
      const isCalm = this.#channel.answered === answered + 1 && this.#began + this.#running === before
      calm = isCalm ? calm + 1 : 0
    }
  }

  /** To the core and back: all that was asked before is answered, unless it waits for a loader. */
  #turn() {
    return this.#kept(this.#channel.health())
  }

  async #kept(promise) {
    this.#channel.hold()
    try {
      return await promise
    } finally {
      this.#channel.release()
    }
  }
}

module.exports = { TestHost }
