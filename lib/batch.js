'use strict'
// Many keys, one call of the loader.
//
// Every key is a read like any other: a lease of its own, a flight that others join. Only its loader is special: it
// takes a seat here, and the batch calls the user's loader for all who sit. It leaves as soon as it is known of every key
// whether it is there, is to be loaded here, or is awaited from somebody else. Who comes later, because that somebody
// failed, is called for in a further batch, which hardly waits (what one failure frees comes within some ms): its leases
// may be what others wait for in turn.

const { types } = require('node:util')
const { isPlain } = require('./codec/kinds.js')
const { ABSENT } = require('./flight.js')
const { runPressed } = require('./nested.js')
const { refuse } = require('./options/check.js')
const { withResolvers } = require('./waiting.js')

/** One key in a batch. It is unsure, then perhaps waits for others, perhaps sits (and is loaded), and is over. */
class Seat {
  key
  state = 'unsure'
  /** The loader was called for it, and knows nothing of it. */
  isUnknown = false
  /** What its loader asks for may find no place. */
  isPressed = false
  #batch

  constructor(batch, key) {
    this.#batch = batch
    this.key = key
  }

  /** There is no value, and there will be none: unknown, or nobody waits for it any more. */
  get isAbsent() {
    return this.isUnknown || this.#batch.isEnded
  }

  /** All of a batch are one load. @param {number} load */
  group(load) {
    return this.#batch.group(load)
  }

  /** The loader of its flight. Resolves to ABSENT when there is no such value. */
  loader = (context) => this.#batch.sit(this, context)

  /** Somebody else is loading it. */
  waits() {
    this.#batch.tell(this, 'waits')
  }

  over() {
    this.#batch.tell(this, 'over')
  }

  refresh(load, call) {
    this.#batch.addRefresh(load, call)
  }
}

class Batch {
  #loadMissing
  #host
  #info
  /** One more than there are seats until all are known. */
  #counts = { unsure: 1, waits: 0, sits: 0, over: 0 }
  #sitting = []
  #refreshes = []
  #refresh
  #hasLeft = false
  #isOver = false
  #isGivenUp = false
  #timer
  /** The first of its loads. */
  #group
  #next = withResolvers()
  /** A chain of promises, each of what is to be done and of the next. */
  #todo = this.#next.promise

  /** @param {{ events: import('./events.js').Events, refresh: boolean }} info what is told of its loads */
  constructor(loadMissing, host, info) {
    this.#loadMissing = loadMissing
    this.#host = host
    this.#info = info
  }

  seat(key) {
    this.#counts.unsure++
    return new Seat(this, key)
  }

  /** There are no more keys. */
  seal() {
    this.#counts.unsure--
    this.#check()
  }

  /**
   * Calls the loader, as often as it takes. To be called, and not awaited, by the caller: its async context is the loader's.
   *
   * @param {(refreshes: { load: number, call: object }[]) => void} refresh takes what is to be loaded in the background
   */
  async run(refresh) {
    this.#refresh = refresh
    for (;;) {
      const { seats, refreshes, next } = await this.#todo
      if (refreshes.length > 0) refresh(refreshes)
      if (seats.length > 0) this.#load(seats)
      if (next === undefined) return
      this.#todo = next
    }
  }

  /** Nobody wants its values any more: who sits, or is about to, gives his lease back. */
  giveUp() {
    this.#isGivenUp = true
    for (const { resolve } of this.#sitting.splice(0)) resolve(ABSENT)
    this.#check()
  }

  group(load) {
    this.#group ??= load
    return this.#group
  }

  get isEnded() {
    return this.#isGivenUp || this.#isOver
  }

  sit(seat, context) {
    if (this.isEnded) return ABSENT
    const { promise, resolve, reject } = withResolvers()
    this.#sitting.push({ seat, context, resolve, reject })
    this.#move(seat, 'sits')
    // Also for one that sat before, and whose value then was of no use.
    this.#check()
    return promise
  }

  addRefresh(load, call) {
    // Its caller is gone, and only those who joined its flight have waited for the answer.
    if (this.#isOver) return this.#refresh([{ load, call }])
    this.#refreshes.push({ load, call })
    if (this.#hasLeft) this.#leave()
  }

  /** How it stands with a seat that does not sit. */
  tell(seat, state) {
    this.#move(seat, state)
    this.#check()
  }

  #move(seat, state) {
    if (seat.state === 'over') return
    this.#counts[seat.state]--
    this.#counts[state]++
    seat.state = state
  }

  #check() {
    const { unsure, waits } = this.#counts
    if (unsure > 0) return
    if (!this.#hasLeft || waits === 0) this.#leave()
    else if (this.#sitting.length > 0) this.#timer ??= this.#host.setTimer(() => this.#leave(), this.#host.gather)
  }

  #leave() {
    this.#hasLeft = true
    if (this.#timer !== undefined) this.#host.clearTimer(this.#timer)
    this.#timer = undefined
    const { waits, sits } = this.#counts
    this.#isOver = waits === 0 && sits === 0
    if (this.#sitting.length === 0 && this.#refreshes.length === 0 && !this.#isOver) return
    const { resolve } = this.#next
    this.#next = withResolvers()
    const [seats, refreshes] = [this.#sitting.splice(0), this.#refreshes.splice(0)]
    resolve({ seats, refreshes, next: this.#isOver ? undefined : this.#next.promise })
  }

  async #load(seats) {
    try {
      const keys = seats.map(({ seat }) => seat.key)
      const context = contextOf(seats)
      const { events, refresh } = this.#info
      const info = { key: context.key, keys, signal: () => context.signal, refresh }
      const load = async () => reader(await this.#loadMissing(keys, context))
      const isPressed = seats.some(({ seat }) => seat.isPressed)
      const read = await events.run('load', info, isPressed ? () => runPressed(load) : load)
      for (const { seat, resolve } of seats) {
        const value = read(seat.key)
        seat.isUnknown = value === ABSENT
        resolve(value)
      }
    } catch (error) {
      for (const { reject } of seats) reject(error)
    }
  }
}

/** How to read what the loader returned. */
function reader(result) {
  if (types.isMap(result)) return (key) => (result.has(key) ? result.get(key) : ABSENT)
  const isRecord = typeof result === 'object' && result !== null && isPlain(result)
  if (!isRecord) refuse('what the loader of getOrSetMany returns', result, 'a Map, or a plain object, of values by key')
  return (key) => (Object.hasOwn(result, key) ? result[key] : ABSENT)
}

/** One context for all: what it is told holds for each value. */
function contextOf(seats) {
  const contexts = seats.map(({ context }) => context)
  const each =
    (method) =>
    (...args) => {
      for (const context of contexts) context[method](...args)
    }
  let signal
  return {
    key: seats[0].seat.key,
    /** Made when asked for. */
    get signal() {
      signal ??= whenAllAbort(contexts)
      return signal
    },
    get previous() {
      const known = seats.map(({ seat, context }) => [seat.key, context.previous])
      const previous = known.filter(([, value]) => value !== undefined)
      return previous.length === 0 ? undefined : new Map(previous)
    },
    ttl: each('ttl'),
    tag: each('tag'),
    skip: each('skip'),
  }
}

/** Aborts when nobody wants any of the values any more. */
function whenAllAbort(contexts) {
  const controller = new AbortController()
  let left = contexts.length
  for (const { signal } of contexts) {
    const onAbort = () => {
      if (--left === 0) controller.abort(signal.reason)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  }
  return controller.signal
}

module.exports = { Batch }
