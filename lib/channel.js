'use strict'
// The way to the core and back, in batches.
//
// What is asked in one tick goes over in one call, at the end of the tick; what was answered comes back in one wake-up
// of the event loop. Numbers travel in an array of doubles that this side owns, values as strings (or Buffers), so a
// question costs no object. The core answers each question exactly once.

const { clearInterval, setInterval } = require('node:timers')
const { NativeCache } = require('./native.js')
const { bidFarewell } = require('./farewell.js')
const { SYSTEM } = require('./host.js')
const { Log } = require('./log.js')
const { isNested } = require('./nested.js')
const { ANSWER, FLAG, HEAD, MOST, NOTICES, STRIDE, answerAt } = require('./numbers.js')
const { conflictOf, nativeRedis } = require('./options/native.js')

/** Numbers of our own questions; the core numbers loads from 1. */
const FIRST_OWN = 2 ** 52
/** A sign of life while a load of ours holds a lease: a quarter of the lease's life. */
const RENEW_EVERY = 1_000
const A_LONG_TIME = 2 ** 31 - 1

/** Outside of the class: a closure made there would hold the channel. */
function doNothing() {}

/** Channels with a caller that waits: nothing else may hold what will answer it. */
const awaited = new Set()

class Channel {
  numbers = new Float64Array(HEAD + MOST * STRIDE)
  /** (key, ttl, flags) → value; its other answers are in `numbers`. See PROBE in numbers.js. */
  probe
  /** Time, timers, chance. */
  host
  #native
  #lookup
  #waiting = new Map()
  /** By load: who is told that somebody else loads. */
  #seats = new Map()
  #answered = 0
  #next = FIRST_OWN
  #isFlushing = false
  #held = 0
  #alive
  #leading = 0
  #renewal
  #log
  /** Warnings that other handles may print are left to them. */
  #prints
  #limits
  /** What wakes the core's answers up: it alone would keep a cache for ever. */
  #bell
  #hasEnded = false

  constructor(options, events) {
    this.#log = new Log(options.logger, events)
    this.#prints = options.logger === null
    this.host = options.host ?? SYSTEM
    // With Redis, a cache may owe invalidations: it lives until it is closed. Without, until nobody has it any more.
    this.#bell = { channel: options.redis === null ? new WeakRef(this) : { deref: () => this } }
    this.#limits = options
    this.#native = this.#open(options)
    const [probe, lookup] = this.#native.fastFunctions(this.numbers)
    this.probe = probe
    this.#lookup = lookup
    // Nothing of the core keeps the process alive; this timer does, while somebody waits for an answer.
    this.#alive = setInterval(doNothing, A_LONG_TIME).unref()
    if (options.redis !== null) bidFarewell(this.#native)
    this.host.opened(this)
  }

  #open({ namespace, memoryMaxBytes, maxLoads, maxQueuedLoads, redis }) {
    const replace = process.env.NODE_ENV === 'development'
    const { manualClock } = this.host
    const bell = this.#bell
    try {
      return new NativeCache(
        {
          namespace,
          memoryMaxBytes,
          maxLoads,
          maxQueuedLoads,
          redis: redis === null ? undefined : nativeRedis(redis),
          replace,
          manualClock,
        },
        this.numbers,
        () => bell.channel?.deref()?.fetch(),
      )
    } catch (error) {
      throw conflictOf(error, namespace) ?? error
    }
  }

  /** Counts a caller that joined. @param {number} counted by what it was answered, as the core counts hits; 0: by a load */
  joined(counted, isStale) {
    this.#native.joined(counted, isStale)
  }

  /**
   * Asks Redis for a load.
   *
   * @param {{ waits(): void }} [seat] told when the answer will take as long as somebody else's load
   * @returns {Promise<object>} { kind, … } as in `answerAt`
   */
  lookup(load, { tags, ttlGiven, waitTimeout }, flags, seat) {
    const list = tags.length === 0 ? undefined : tags
    const all = isNested() ? flags | FLAG.NESTED : flags
    if (seat === undefined) this.#lookup(load, ttlGiven, all, waitTimeout, list)
    else {
      this.#seats.set(load, seat)
      this.#lookup(load, ttlGiven, all | FLAG.TELL, waitTimeout, list, seat.group(load))
    }
    return this.#answer(load)
  }

  /** Begins a load that asks nobody, if there is a place. @returns {object | undefined} as `lookup`, at once */
  beginAtOnce(load, seat) {
    const begun = this.#native.beginAtOnce(load, seat?.group(load) ?? load, isNested())
    return begun === 0 ? undefined : { kind: ANSWER.LEAD, previous: undefined, isPressed: begun === 2 }
  }

  /** Somebody waits for a load; if that is a loader, the load must not wait for a place. */
  awaited(load) {
    if (isNested()) this.#native.hasten(load)
  }

  /** Why a load was not begun. */
  overload(key, hasWaited, { waitTimeout }) {
    const { maxLoads, maxQueuedLoads } = this.#limits
    const run = `${maxLoads} loads run at once (maxLoads)`
    if (hasWaited)
      return `'${key}' was not loaded: ${run}, and none has ended for it within ${waitTimeout} ms (waitTimeout)`
    return `'${key}' was not loaded: ${run}, and ${maxQueuedLoads} wait (maxQueuedLoads)`
  }

  /**
   * What was found is of no use to who asked: it was no hit. `counted`: 0 by `probe`, 1 by an answer from memory, 2 by
   * one from Redis. `isOver`: nothing follows that counts the miss.
   */
  refused(counted, isStale, isOver) {
    this.#native.refused(counted, isStale, isOver)
  }

  /** Asks Redis for a key without loading it. */
  get(key) {
    const id = this.#next++
    this.#native.get(id, key)
    return this.#answer(id)
  }

  /** What is known of a key. @returns {Promise<{ kind, tier, age, isStale, bytes, freshFor, tags: string[] } | { kind: MISS }>} */
  inspect(key) {
    const id = this.#next++
    this.#native.inspect(id, key)
    return this.#answer(id)
  }

  /**
   * What memory would serve of a key now; nothing is counted, and nothing begins.
   *
   * @returns {{ id: string, isStale: boolean, age: number, freshFor: number, codec: number, tags?: string, data } | null}
   */
  glimpse(key, withValue) {
    return this.#native.glimpse(key, withValue)
  }

  /** The load of a key that runs in this process, or whose value is on its way to the tiers; 0: none. */
  runningLoad(key) {
    return this.#native.runningLoad(key)
  }

  /** Resolves when a load of another context of this process has ended. */
  awaitLoad(load) {
    const ended = new Promise((resolve) => this.#addWaiter(-load, resolve))
    this.#native.awaitLoad(load)
    return ended
  }

  /** @returns {Promise<void> | undefined} resolves when the load has ended; undefined: it has */
  fill(load, { codec, data }, { ttl, staleWhileRevalidate, staleIfError, tags }) {
    const list = tags.length === 0 ? undefined : tags
    if (this.#native.fill(load, codec, data, ttl, staleWhileRevalidate, staleIfError, list)) return undefined
    const filled = this.#answer(load)
    // Not at the end of the tick: all who joined decode their copies before that, and other processes wait for this.
    this.flush()
    return filled
  }

  endLoad(load, how) {
    this.#native.endLoad(load, how)
  }

  /** @returns {Promise<object> | undefined} undefined: stored, there is no Redis */
  set(key, { codec, data }, { ttl, staleWhileRevalidate, staleIfError, tags }) {
    const id = this.#next++
    if (this.#native.set(id, key, codec, data, ttl, staleWhileRevalidate, staleIfError, tags)) return undefined
    return this.#answer(id)
  }

  /** @returns {Promise<{ state: 'applied' | 'queued' | 'off', why?: string }> | undefined} undefined: done, no Redis */
  invalidate({ keys, tags, patterns, all, mode, settle }) {
    const id = this.#next++
    const stale = mode === 'stale'
    if (this.#native.invalidate(id, { keys, tags, patterns, all, stale, settle })) return undefined
    return this.#answer(id)
  }

  health() {
    const id = this.#next++
    this.#native.health(id)
    return this.#answer(id)
  }

  ready() {
    const id = this.#next++
    this.#native.ready(id)
    return this.#answer(id)
  }

  close() {
    const id = this.#next++
    this.#native.close(id)
    return this.#answer(id)
  }

  /** Nothing will be asked any more. What was asked is still answered: somebody may wait for it. */
  end() {
    clearInterval(this.#renewal)
    this.#hasEnded = true
    this.#letGo()
  }

  #letGo() {
    if (!this.#hasEnded || this.#waiting.size > 0) return
    clearInterval(this.#alive)
    this.#bell.channel = undefined
  }

  /** Answers of the core so far. */
  get answered() {
    return this.#answered
  }

  /** Moves the clock of a cache for tests. */
  advance(ms) {
    this.#native.advance(ms)
  }

  /** Refreshes that failed may be tried again at once. */
  forgetFailures() {
    this.#native.forgetFailures()
  }

  report() {
    return JSON.parse(this.#native.report())
  }

  /** Latencies in buckets: { memory, redis, load }, each { buckets: [le in s, count][], count, sum in s }. */
  histograms() {
    return JSON.parse(this.#native.histograms())
  }

  // --- keeping the process alive, and leases ------------------------------------------------------------------

  /**
   * Somebody waits: the process stays until `release`. A cache for tests keeps it only while the core owes an answer: its
   * clock ends no loader that hangs, and a test runner shall see that nothing more will happen.
   */
  hold() {
    if (this.#held++ > 0) return
    if (!this.host.manualClock) this.#alive.ref()
    awaited.add(this)
  }

  release() {
    if (--this.#held > 0) return
    if (!this.host.manualClock) this.#alive.unref()
    awaited.delete(this)
  }

  /** The promise, with the process kept alive until it settles. */
  async held(promise) {
    this.hold()
    try {
      return await promise
    } finally {
      this.release()
    }
  }

  /** A loader of ours runs: its lease is renewed while this event loop turns. */
  leads() {
    if (this.#leading++ === 0) this.#renewal = setInterval(() => this.#native.renew(), RENEW_EVERY).unref()
  }

  led() {
    if (--this.#leading === 0) clearInterval(this.#renewal)
  }

  // --- questions and answers ------------------------------------------------------------------------------------

  #answer(id) {
    const answered = new Promise(keepResolve)
    this.#waiting.set(id, lastResolve)
    if (this.host.manualClock) this.#alive.ref()
    if (!this.#isFlushing) {
      this.#isFlushing = true
      this.host.soon(flush, this)
    }
    return answered
  }

  /** Several may wait for one load of another context. */
  #addWaiter(id, resolve) {
    const others = this.#waiting.get(id)
    const all = (value) => {
      others?.(value)
      resolve(value)
    }
    this.#waiting.set(id, all)
  }

  flush() {
    this.#isFlushing = false
    this.#native.flush()
  }

  /** The core has answers. */
  fetch() {
    let values
    do {
      values = this.#native.fetch()
      for (let n = 0; n < values.length; n++) this.#deliver(HEAD + n * STRIDE, values[n])
    } while (values.length === MOST)
    if (this.numbers[NOTICES] !== 0) this.#log.notices(JSON.parse(this.#native.notices(this.#prints)))
  }

  #deliver(at, value) {
    const { numbers } = this
    let id = numbers[at + 1]
    if (numbers[at] === ANSWER.HELD) return this.#seats.get(id)?.waits()
    // The end of another context's load, which may be ours to look up at the same time, is numbered below zero.
    if (numbers[at] === ANSWER.RETRY && !this.#waiting.has(id)) id = -id
    const resolve = this.#waiting.get(id)
    if (resolve === undefined) return
    this.#waiting.delete(id)
    this.#seats.delete(id)
    this.#answered++
    if (this.host.manualClock && this.#waiting.size === 0) this.#alive.unref()
    if (this.#hasEnded) this.#letGo()
    resolve(answerAt(numbers, at, value))
  }

  warn(message, detail) {
    this.#log.warn(message, detail)
  }
}

/** One function for all promises, instead of a closure for each: a third of what a Redis hit allocates here. */
let lastResolve
function keepResolve(resolve) {
  lastResolve = resolve
}

function flush(channel) {
  channel.flush()
}

module.exports = { Channel }
