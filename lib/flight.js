'use strict'
// A flight: one load in one JavaScript context, shared by all who ask for the key meanwhile.
//
// The loader is called here, in the async context of the caller that leads, and by nobody else: a loader called from
// native code would lose AsyncLocalStorage. The core decided that it may run; this file only runs it: context,
// deadline, encoding, the value to all joiners, and then the value (or the failure) back to the core.

const { CacheEncodeError, CacheOverloadError, CacheTimeoutError } = require('./errors.js')
const { runPressed } = require('./nested.js')
const { ANSWER, END, FLAG } = require('./numbers.js')
const { keyOf, shortKey } = require('./path.js')
const { isValid } = require('./validate.js')
const { withResolvers } = require('./waiting.js')
const { Wishes, contextOf } = require('./wishes.js')

/** The flight came to nothing that answers a caller: look again. */
const LOOK_AGAIN = Symbol('look again')

/** What a loader of many returns for a key that it knows nothing of. */
const ABSENT = Symbol('absent')

class Flight {
  /** The stale value beside the load, once it is known whether there is one. */
  previous
  isSettled = false
  /** The loaded value and since when, from the moment callers have it until the core has it too. */
  done
  /** Resolves when the core has the value, too. */
  filled
  /** Resolves when a load is over, its value stored or its failure told. */
  ended
  /** The leader's. */
  policy
  #handle
  #id
  #call
  #callers = 0
  // Made when somebody needs them: most flights end as a hit in Redis that nobody joined.
  #result
  #outcome
  #found
  #isFound = false
  /** What its loader asks for may find no place. */
  #isPressed = false
  #controller
  #deadline
  /** When the loader was called. */
  #began

  constructor(handle, id, call) {
    this.#handle = handle
    this.#id = id
    this.#call = call
    this.policy = call.policy
  }

  /**
   * Resolves to { codec, data, outcome, tier, age } or { raw, … } or LOOK_AGAIN; rejects with the loader's own error.
   */
  get result() {
    this.#result ??= withResolvers()
    if (this.#outcome !== undefined) this.#result.resolve(this.#outcome)
    return this.#result.promise
  }

  /** Resolves when it is known whether a stale value exists beside the load. */
  get found() {
    this.#found ??= withResolvers()
    if (this.#isFound || this.isSettled) this.#found.resolve()
    return this.#found.promise
  }

  /** Asks the core. @returns {Promise<object>} to be handed to `take`, by the leader in its own async context */
  look(flags) {
    const { channel } = this.#handle
    // `ttl` 0 asks nobody, if there is a place.
    const begun = flags & FLAG.BYPASS ? channel.beginAtOnce(this.#id, this.#call.seat) : undefined
    return begun ?? channel.lookup(this.#id, this.policy, flags, this.#call.seat)
  }

  /**
   * What the core found: an answer, or the leader's turn to load.
   * @returns the answer, or a promise of it
   */
  take(found) {
    this.previous = this.#usable(found.previous)
    this.#isFound = true
    this.#found?.resolve()
    if (this.isSettled) {
      // All have left while the answer was on its way, and with them who would run the refresh that came with it.
      if (found.refresh > 0) this.#handle.channel.endLoad(found.refresh, END.ABANDONED)
      return this.result
    }
    if (found.kind === ANSWER.HIT) {
      if (found.refresh !== 0) this.#handle.reads.refresh(found.refresh, this.#call)
      return this.#settle({ ...found, refresh: 0 })
    }
    if (found.kind === ANSWER.OVERLOAD) return this.#turnAway(found)
    if (found.kind !== ANSWER.LEAD) return this.#settle(LOOK_AGAIN)
    this.#isPressed = found.isPressed
    const { result } = this
    this.ended = this.#load()
    return result
  }

  /** There is no place for the load: as if it had failed. */
  #turnAway({ hasWaited }) {
    const { channel, flights } = this.#handle
    this.policy.scope.counts?.miss()
    if (this.previous?.onError) return this.#settle({ ...this.previous, outcome: 'stale', tier: 'memory' })
    flights.delete(this.#id)
    const { result } = this
    this.#reject(new CacheOverloadError(channel.overload(shortKey(this.#call.key), hasWaited, this.policy)))
    return result
  }

  /** A stale value that `validate` refuses is none. */
  #usable(previous) {
    if (previous === undefined || this.policy.validate === undefined) return previous
    const { channel, codec } = this.#handle
    try {
      return isValid(codec.decode(previous.codec, previous.data), this.policy, channel) ? previous : undefined
    } catch {
      return undefined
    }
  }

  /** Ends the flight with an answer for all. */
  #settle(outcome) {
    this.#answer(outcome)
    this.#handle.flights.delete(this.#id)
    return outcome
  }

  #answer(outcome) {
    this.isSettled = true
    this.#outcome = outcome
    this.#result?.resolve(outcome)
    this.#found?.resolve()
  }

  #reject(error) {
    this.isSettled = true
    const { result } = this
    // Callers see the rejection through their own waits; a flight that all have left must not be "unhandled".
    result.catch(() => {})
    this.#result.reject(error)
    this.#found?.resolve()
  }

  // --- callers -------------------------------------------------------------------------------------------------

  join() {
    this.#callers++
  }

  /** A caller stops waiting; the last one ends the load. */
  leave(reason) {
    if (--this.#callers > 0 || this.isSettled) return
    if (this.#began !== undefined) this.policy.scope.counts?.load('abandoned')
    this.#giveUp(reason, END.ABANDONED)
  }

  #giveUp(reason, how) {
    this.#handle.flights.delete(this.#id)
    this.#handle.channel.endLoad(this.#id, how)
    this.#controller?.abort(reason)
    this.#stopClock()
    this.#reject(reason)
  }

  // --- the load ------------------------------------------------------------------------------------------------

  /** Never rejects: callers wait for `result`. */
  async #load() {
    const wishes = new Wishes(this.policy)
    this.#controller = new AbortController()
    this.#startClock()
    this.#tellStart()
    try {
      const [key, { signal }] = [this.#key, this.#controller]
      const context = contextOf(wishes, key, signal, this.previous, this.#handle.codec)
      const value = await this.#run(context)
      if (this.isSettled) return
      if (value === ABSENT) return await this.#endWithout()
      this.#tellSuccess()
      await this.#keep(value, wishes)
    } catch (error) {
      if (!this.isSettled) this.#fail(error)
      else if (this.done !== undefined) this.#loseValue(error)
    } finally {
      this.#stopClock()
      this.#handle.flights.delete(this.#id)
    }
  }

  /** One among many has no loader of its own: its batch tells of the one that it calls for all. */
  #run(context) {
    const { loader, seat } = this.#call
    if (seat !== undefined) {
      seat.isPressed = this.#isPressed
      return loader(context)
    }
    const { key, signal } = context
    const call = this.#isPressed ? () => runPressed(() => loader(context)) : () => loader(context)
    return this.#events.run('load', { key, signal: () => signal, refresh: this.#isBackground }, call)
  }

  /** The deadline of the loader, and signs of life for its lease. */
  #startClock() {
    const { loadTimeout } = this.policy
    const { channel } = this.#handle
    channel.host.loadBegan(this.#key)
    this.#deadline = channel.host.setTimer(() => {
      const error = new CacheTimeoutError(
        `the loader of '${shortKey(this.#call.key)}' took longer than ${loadTimeout} ms`,
      )
      if (this.isSettled) return
      this.#tellFailure(error, 'timedOut')
      this.#giveUp(error, END.TIMED_OUT)
    }, loadTimeout)
    // A background load keeps no process alive.
    if (this.#isBackground) this.#deadline.unref()
    channel.leads()
  }

  #stopClock() {
    if (this.#deadline === undefined) return
    const { channel } = this.#handle
    channel.host.clearTimer(this.#deadline)
    this.#deadline = undefined
    channel.host.loadEnded()
    channel.led()
  }

  /** A background flight is nobody's and everybody's: nobody can leave it. */
  background() {
    this.#callers = Infinity
    return this
  }

  get #isBackground() {
    return this.#callers === Infinity
  }

  // --- what is told and counted ----------------------------------------------------------------------------------

  /** As the user knows it. */
  get #key() {
    return keyOf(this.#call.key)
  }

  get #events() {
    return this.policy.scope.events
  }

  #tellStart() {
    const { counts, events } = this.policy.scope
    counts?.load('started')
    if (!this.#isBackground) {
      counts?.miss(this.policy.ttlGiven !== 0)
      events.missed(this.#key, false)
    }
    this.#began = this.#handle.channel.host.now()
  }

  #tellSuccess() {
    const { counts, events } = this.policy.scope
    const duration = this.#handle.channel.host.now() - this.#began
    counts?.loadEnded('succeeded', duration)
    if (this.#isBackground || this.policy.refresh === 'force') counts?.load('refreshed')
    events.loaded(this.#key, duration, this.#isBackground)
  }

  /** @param {'failed' | 'timedOut'} how */
  #tellFailure(error, how) {
    const { counts, events } = this.policy.scope
    const duration = this.#handle.channel.host.now() - this.#began
    counts?.loadEnded(how, duration)
    events.failed(this.#key, error, duration, this.#isBackground)
  }

  // --- what the loader is given, and what becomes of what it gives ------------------------------------------------

  /** The value to all callers first, then to the core. */
  async #keep(value, wishes) {
    const { channel, codec } = this.#handle
    const isKept = !wishes.isSkipped && wishes.ttl > 0
    let encoded
    try {
      encoded = codec.encode(value)
    } catch (error) {
      return this.#cannotEncode(value, error, isKept)
    }
    this.#answer({ ...encoded, outcome: 'miss', tier: null, age: 0 })
    this.done = { ...encoded, since: channel.host.now() }
    if (!isKept) return channel.endLoad(this.#id, END.SKIPPED)
    this.filled = channel.fill(this.#id, encoded, wishes.lifetimes(channel.host.random))
    if (this.filled === undefined) return
    channel.hold()
    this.#handle.giveToPlatform(this.filled)
    await this.filled
    channel.release()
  }

  /** Callers have the value; whoever comes later must not wait for it to be stored. */
  #loseValue(error) {
    const { channel } = this.#handle
    channel.endLoad(this.#id, END.SKIPPED)
    channel.warn(`a value was loaded, and not kept: ${error?.message}`, error)
  }

  /** There is nothing to keep. That there is nothing is what those are told who joined, unless nobody was asked. */
  async #endWithout() {
    const { isUnknown } = this.#call.seat
    if (!isUnknown) return this.#endUnasked()
    this.#tellSuccess()
    this.#handle.channel.endLoad(this.#id, END.SKIPPED)
    // What its source does not know any more is not kept either.
    if (this.previous !== undefined || this.policy.refresh === 'force') await this.#handle.discard(this.#call.key)
    if (!this.isSettled) this.#settle({ raw: ABSENT, outcome: 'miss', tier: null, age: 0 })
  }

  #endUnasked() {
    this.policy.scope.counts?.load('abandoned')
    this.#handle.channel.endLoad(this.#id, END.ABANDONED)
    this.#settle(LOOK_AGAIN)
  }

  #cannotEncode(value, error, isKept) {
    this.#handle.channel.endLoad(this.#id, END.SKIPPED)
    if (isKept) this.#events.notEncoded(this.#key, error)
    const isReturned = !isKept || this.policy.onEncodeError === 'bypass'
    if (isReturned && error instanceof CacheEncodeError) {
      this.#answer({ raw: value, outcome: 'miss', tier: null, age: 0 })
    } else this.#reject(this.#call.seat === undefined ? error : withKey(error, this.#call.key))
  }

  #fail(error) {
    this.#handle.channel.endLoad(this.#id, END.FAILED)
    this.#tellFailure(error, 'failed')
    const { previous } = this
    if (previous?.onError) {
      this.#answer({ ...previous, outcome: 'stale', tier: 'memory' })
    } else this.#reject(error)
  }
}

/** Which of many it is. */
function withKey(error, key) {
  if (!(error instanceof CacheEncodeError)) return error
  return new CacheEncodeError(`${error.message} (key '${shortKey(key)}')`, { path: error.path, cause: error.cause })
}

module.exports = { ABSENT, Flight, LOOK_AGAIN }
