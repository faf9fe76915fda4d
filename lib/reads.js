'use strict'
// How a read is answered: from memory at once, else by what the core finds, by somebody's load, or by one's own.
//
// A *call* is what one caller asked: { key (as stored), loader, policy }. The core says of each what is to be done;
// this file does it, and looks again where it came to nothing.

const { CacheClosedError } = require('./errors.js')
const { ABSENT, Flight, LOOK_AGAIN } = require('./flight.js')
const { ANSWER, END, FLAG, PROBE } = require('./numbers.js')
const { keyOf } = require('./path.js')
const { isValid } = require('./validate.js')
const { isPatient, waitFor, withStaleAfter } = require('./waiting.js')

const REFRESH_FLAGS = { auto: 0, force: FLAG.FORCE, never: FLAG.NEVER }
const OUTCOME = { [PROBE.FRESH]: 'fresh', [PROBE.STALE]: 'stale' }

/** An entry was found that this caller cannot use: another release or another codec wrote it. */
const UNDECODABLE = Symbol('undecodable')
const INVALID = Symbol('invalid')
/** Entries that cannot be decoded, one after the other, before the caller is told. */
const ATTEMPTS = 5

/** How a key was answered that nobody waits for any more. */
const NOTHING = { outcome: 'miss', tier: null, age: 0 }
/** What counted a hit, or is to count it. Joined, none is by a probe. */
const COUNTED = { PROBE: 0, LOAD: 0, MEMORY: 1, REDIS: 2 }

function flagsOf({ ttlGiven, refresh }) {
  return ttlGiven === 0 ? FLAG.BYPASS : REFRESH_FLAGS[refresh]
}

class Reads {
  #handle
  #channel
  #codec
  #flights

  constructor(handle) {
    this.#handle = handle
    this.#channel = handle.channel
    this.#codec = handle.codec
    this.#flights = handle.flights
  }

  /** Not `async`: returning a promise from an async function costs three turns of the microtask queue. */
  read(key, loader, policy) {
    const { ttlGiven } = policy
    const flags = flagsOf(policy)
    const { numbers, probe } = this.#channel
    const data = flags === 0 && ttlGiven === -1 ? probe(key) : probe(key, ttlGiven, flags)
    if (numbers[0] === PROBE.FRESH && policy.isPlain) {
      const { counts, events } = policy.scope
      if (!events.areHitsHeard) {
        try {
          const value = this.#codec.decode(numbers[4], data)
          if (counts !== undefined) counts.memoryHit(false)
          return Promise.resolve(value)
        } catch {
          // It is looked at again below.
        }
      }
    }
    return this.#answer({ key, loader, policy, seat: undefined }, flags, data)
  }

  /** A read of one among many: a value, or a promise of one. Only what is not in memory takes a seat. */
  readSeated(key, policy, takeSeat) {
    const { ttlGiven } = policy
    const flags = flagsOf(policy)
    const { numbers, probe } = this.#channel
    const data = probe(key, ttlGiven, flags)
    if (numbers[0] === PROBE.FRESH && policy.isPlain) {
      const result = this.#probed(data)
      const value = this.#decode(result, policy, 0)
      if (value !== UNDECODABLE) return this.#deliver({ key, policy }, value, result, 0)
    }
    const seat = takeSeat()
    return this.#answer({ key, loader: seat.loader, policy, seat }, flags, data)
  }

  /** Everything but the plain memory hit. The first probe has been made. */
  async #answer(call, flags, data) {
    const { key, policy, seat } = call
    const started = policy.onResult === undefined ? 0 : this.#channel.host.now()
    this.#channel.hold()
    try {
      let isRefused = false
      let found = data
      for (let attempt = 0; ; attempt++) {
        const answer = this.#follow(call, flags, found)
        const result = answer instanceof Promise ? await answer : answer
        if (result !== LOOK_AGAIN) {
          const value = this.#decode(result, policy, attempt)
          if (value !== UNDECODABLE && value !== INVALID) return this.#deliver(call, value, result, started)
          this.#takeBack(result, policy, false)
          if (value === INVALID && isRefused) return await this.#answerAlone(call)
          isRefused ||= value === INVALID
          await this.#handle.discard(key)
        } else if (seat?.isAbsent) return this.#deliver(call, ABSENT, NOTHING, started)
        // The core has given up what it was asked; nobody is there to be asked again.
        else if (this.#handle.closing !== undefined) throw new CacheClosedError()
        found = this.#channel.probe(key, policy.ttlGiven, flags)
      }
    } finally {
      this.#channel.release()
      seat?.over()
    }
  }

  /** Does what the last probe said. @returns what answers the call, or a promise of it */
  #follow(call, flags, data) {
    const { 0: code, 2: load } = this.#channel.numbers
    if (code === PROBE.FRESH || code === PROBE.STALE) return this.#probed(data)
    if (code !== PROBE.LEAD) return this.#join(load, call)
    const isLookup = isPatient(call.policy) && flags !== FLAG.BYPASS
    return isLookup ? this.#lead(load, call, flags) : this.#leadImpatiently(this.#flight(load, call), flags)
  }

  /** Most lookups are hits that nobody joins: the flight is made when somebody does, or when it has to load. */
  async #lead(load, call, flags) {
    this.#flights.set(load, call)
    const found = await this.#channel.lookup(load, call.policy, flags, call.seat)
    if (found.kind === ANSWER.HIT && this.#flights.get(load) === call) {
      this.#flights.delete(load)
      return found
    }
    return this.#flight(load, call).take(found)
  }

  /** Another process keeps writing what is invalid here: the two must not take turns for ever. */
  #answerAlone(call) {
    const policy = { ...call.policy, ttl: 0, ttlGiven: 0 }
    return this.#answer({ ...call, policy }, FLAG.BYPASS, this.#channel.probe(call.key, 0, FLAG.BYPASS))
  }

  /** What the last probe found in memory. */
  #probed(data) {
    const { numbers } = this.#channel
    const outcome = OUTCOME[numbers[0]]
    return { codec: numbers[4], data, outcome, tier: 'memory', age: numbers[1], refresh: numbers[3] }
  }

  /** An error reaches the caller, and leaves no refresh behind that nobody runs. */
  #decode(result, policy, attempt) {
    try {
      return this.#valueOf(result, policy, attempt)
    } catch (error) {
      this.#dropRefresh(result)
      throw error
    }
  }

  #valueOf(result, policy, attempt) {
    if ('raw' in result) return result.raw
    let value
    try {
      value = this.#codec.decode(result.codec, result.data)
    } catch (error) {
      // A value just loaded is decoded as it was encoded.
      if (result.outcome === 'miss' || attempt >= ATTEMPTS) throw error
      return UNDECODABLE
    }
    // What was just loaded here is what there is.
    return result.tier === null || isValid(value, policy, this.#channel) ? value : INVALID
  }

  /** What was found was no hit: it is not counted as one, and not refreshed either. */
  #takeBack(result, { scope }, isOver) {
    this.#dropRefresh(result)
    const counted = countedBy(result)
    if (counted !== undefined) this.#channel.refused(counted, result.outcome === 'stale', isOver)
    if (isOver) scope.counts?.miss()
  }

  #dropRefresh({ refresh }) {
    if (refresh > 0) this.#channel.endLoad(refresh, END.ABANDONED)
  }

  /** The flight of a load, with its leader in it; made now if there was none. */
  #flight(load, call) {
    const known = this.#flights.get(load)
    if (known instanceof Flight) return known
    const flight = new Flight(this.#handle, load, call)
    this.#flights.set(load, flight)
    flight.join()
    return flight
  }

  /** A leader that may leave its flight: somebody else has to take what the core finds. */
  #leadImpatiently(flight, flags) {
    const takeOff = async () => flight.take(await flight.look(flags))
    // A rejection reaches the callers through `result`.
    takeOff().catch(() => {})
    return this.#waitIn(flight, flight.policy)
  }

  async #join(load, { key, policy, seat }) {
    seat?.waits()
    this.#channel.awaited(load)
    // The leader's call stands for the flight until somebody joins.
    const known = this.#flights.get(load)
    const flight = known === undefined ? undefined : this.#flight(load, known)
    if (flight === undefined) {
      // Another context of this process (a worker thread, a second copy of the module) is loading it.
      await waitFor(this.#channel.awaitLoad(load), policy.signal)
      return LOOK_AGAIN
    }
    if (flight.done !== undefined) {
      if (this.#handle.hasMemory) return this.#takeDone(flight)
      await waitFor(flight.filled, policy.signal)
      return LOOK_AGAIN
    }
    flight.join()
    try {
      const result = await (isPatient(policy) ? flight.result : this.#waitIn(flight, policy))
      // Its loader does not know the key; a loader of one's own may.
      if (result === LOOK_AGAIN || (result.raw === ABSENT && seat === undefined)) return LOOK_AGAIN
      return this.#joined(result, policy)
    } catch (error) {
      this.#joinedLoad(policy)
      policy.scope.events.missed(keyOf(key), true)
      throw error
    }
  }

  /** Counted when it is known what answered it: the lookup that it waited for may have found an entry. */
  #joined(result, policy) {
    const counted = countedBy(result)
    if (counted === undefined) {
      this.#joinedLoad(policy)
      return { ...result, isJoined: true, outcome: result.outcome === 'miss' ? 'joined' : result.outcome }
    }
    this.#channel.joined(counted, result.outcome === 'stale')
    return result
  }

  #joinedLoad({ scope }) {
    this.#channel.joined(COUNTED.LOAD, false)
    scope.counts?.joined()
  }

  /** The value of a load that is on its way to the tiers is in memory as any other. */
  #takeDone({ done: { codec, data, since } }) {
    this.#channel.joined(COUNTED.MEMORY, false)
    return {
      kind: ANSWER.HIT,
      codec,
      data,
      outcome: 'fresh',
      tier: 'memory',
      age: Math.floor(this.#channel.host.now() - since),
    }
  }

  /** Brings a new value for a stale one, in the background; one among many with the others. */
  refresh(load, call) {
    if (call.seat === undefined) this.refreshNow(load, call)
    else call.seat.refresh(load, call)
  }

  /** @returns {Promise<void>} resolves when it is over */
  refreshNow(load, call) {
    const flight = new Flight(this.#handle, load, call).background()
    this.#flights.set(load, flight)
    // Its error is its own business: the core counts it and tries again later.
    const takeOff = async () => flight.take(await flight.look(0))
    // Past `loadTimeout` its loader may go on for ever.
    const over = takeOff().then(
      () => flight.ended,
      () => {},
    )
    // Nobody waits for it, unless somebody was asked to: then the process stays for it.
    if (this.#handle.isWaitedUntil) this.#handle.giveToPlatform(this.#channel.held(over))
    return over
  }

  /** Resolves when a value that was just loaded, and is on its way to the tiers, has arrived. */
  async settled(key) {
    const load = this.#channel.runningLoad(key)
    if (load === 0) return
    const isOfOtherContext = !this.#flights.has(load)
    await this.#channel.held(isOfOtherContext ? this.#channel.awaitLoad(load) : this.#flights.get(load).filled)
  }

  /**
   * What memory would serve of a key now, see `Channel.glimpse`. With a policy its value, too.
   *
   * @returns {object | undefined}
   */
  glimpse(key, policy) {
    const found = this.#channel.glimpse(key, policy !== undefined)
    if (found === null || policy === undefined) return found ?? undefined
    const value = this.#decode({ ...found, outcome: 'fresh', tier: 'memory' }, policy, 0)
    return value === UNDECODABLE || value === INVALID ? undefined : { ...found, value }
  }

  /** A read that never loads: the value, or undefined. */
  async get(key, policy) {
    const { numbers, probe } = this.#channel
    const data = probe(key, -1, FLAG.NO_LOAD)
    if (OUTCOME[numbers[0]] !== undefined) return this.#decodeOrMiss(key, this.#probed(data), policy)
    const flight = numbers[0] === PROBE.JOIN ? this.#flights.get(numbers[2]) : undefined
    if (flight?.done !== undefined && this.#handle.hasMemory) {
      return this.#decodeOrMiss(key, this.#takeDone(flight), policy)
    }
    const found = await this.#channel.held(waitFor(this.#channel.get(key), policy.signal))
    if (found.kind === ANSWER.HIT) return this.#decodeOrMiss(key, found, policy)
    policy.scope.counts?.miss()
    policy.scope.events.missed(keyOf(key), false)
    return undefined
  }

  #decodeOrMiss(key, result, policy) {
    const { counts, events } = policy.scope
    const value = this.#decode(result, policy, 0)
    if (value === UNDECODABLE || value === INVALID) {
      this.#takeBack(result, policy, true)
      events.missed(keyOf(key), false)
      return undefined
    }
    counts?.answered(result)
    events.answered(keyOf(key), result)
    return value
  }

  /** Waits in a flight as long as this caller wants to. */
  async #waitIn(flight, { signal, staleAfter }) {
    try {
      return await waitFor(withStaleAfter(flight, staleAfter, this.#channel.host), signal)
    } catch (error) {
      if (signal?.aborted && error === signal.reason) flight.leave(error)
      throw error
    }
  }

  #deliver(call, value, result, started) {
    const { key, policy } = call
    if (result.refresh > 0) this.refresh(result.refresh, call)
    const { counts, events } = policy.scope
    if (counts !== undefined) counts.answered(result)
    events.answered(keyOf(key), result)
    if (policy.onResult !== undefined) {
      const { outcome, tier, age } = result
      policy.onResult({ outcome, tier, age, waited: this.#channel.host.now() - started }, keyOf(key))
    }
    return value
  }
}

/** How the core counted a hit; undefined: it did not (a stale value beside a load, what was just loaded). */
function countedBy(result) {
  if (result.isJoined) return undefined
  if (result.kind === undefined) {
    return result.outcome === 'miss' || 'onError' in result ? undefined : COUNTED.PROBE
  }
  return result.tier === 'redis' ? COUNTED.REDIS : COUNTED.MEMORY
}

module.exports = { Reads }
