'use strict'
// The public cache: one handle on an engine. Its policy (defaults, types, codec, logger) is its own; memory, loads and
// connections are shared by all handles of the process with the same namespace and Redis.

const { randomUUID } = require('node:crypto')
const { hostname } = require('node:os')
const { Channel, PROBE, FLAG, ANSWER } = require('./channel.js')
const { createCodec } = require('./codec.js')
const { CacheClosedError, CacheRedisError } = require('./errors.js')
const { Events } = require('./events.js')
const { Flight, LOOK_AGAIN, lifetimes } = require('./flight.js')
const { cacheOptions, entryOptions, getOptions, checkKey, invalidateTarget } = require('./options.js')
const { checkFunction } = require('./options/check.js')
const { metricsFormat, prometheus } = require('./prometheus.js')

const REFRESH_FLAGS = { auto: 0, force: FLAG.FORCE, never: FLAG.NEVER }

const UNDECODABLE = Symbol('undecodable')
/** Entries that cannot be decoded, one after the other, before the caller is told. */
const ATTEMPTS = 5

let description

/** Which process the counters are of; made when first asked for. */
function describeProcess() {
  const since = new Date(Date.now() - process.uptime() * 1_000).toISOString()
  description ??= { id: randomUUID(), pid: process.pid, host: hostname(), since }
  return { ...description }
}

class Cache {
  #channel
  #codec
  #defaults
  #events
  /** By load: the flight, or its leader's policy while nobody has joined. */
  #flights = new Map()
  #discards = new Map()
  #shared
  #hasMemory
  #waitUntil
  #closing

  constructor(options) {
    const { disabled, redis, memoryMaxBytes } = options
    const off = { redis: null, memoryMaxBytes: 0 }
    this.#events = new Events(options.namespace).belongTo(this)
    this.#channel = new Channel(disabled ? { ...options, ...off } : options, this.#events)
    this.#codec = createCodec(options)
    this.#defaults = options.defaults
    this.#waitUntil = options.waitUntil
    this.#shared = {
      channel: this.#channel,
      codec: this.#codec,
      events: this.#events,
      flights: this.#flights,
      refresh: (...args) => this.#refresh(...args),
      waitUntil: (promise) => this.#giveToPlatform(promise),
    }
    if (redis !== null && options.namespaceIsDefault && process.env.NODE_ENV === 'production') warnOfDefault()
    this.#hasMemory = memoryMaxBytes > 0
  }

  on(name, listener) {
    this.#events.on(name, listener)
    return this
  }

  off(name, listener) {
    this.#events.off(name, listener)
    return this
  }

  /** Not `async`: returning a promise from an async function costs three turns of the microtask queue. */
  getOrSet(key, loader, options) {
    try {
      const policy = options === undefined ? this.#defaults : entryOptions(options, this.#defaults)
      checkKey(key)
      if (typeof loader !== 'function') checkFunction(loader, 'loader')
      if (this.#closing !== undefined) throw new CacheClosedError()
      if (policy.signal !== undefined) policy.signal.throwIfAborted()
      return this.#read(key, loader, policy)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #read(key, loader, policy) {
    const { ttlGiven, refresh } = policy
    const flags = ttlGiven === 0 ? FLAG.BYPASS : REFRESH_FLAGS[refresh]
    const { numbers, probe } = this.#channel
    const data = flags === 0 && ttlGiven === -1 ? probe(key) : probe(key, ttlGiven, flags)
    if (numbers[0] !== PROBE.FRESH || policy.onResult !== undefined || this.#events.areHitsHeard) {
      return this.#answer(key, loader, policy, flags, data)
    }
    try {
      return Promise.resolve(this.#codec.decode(numbers[4], data))
    } catch {
      return this.#answer(key, loader, policy, flags, data)
    }
  }

  /** Everything but the plain memory hit. The first probe has been made. */
  async #answer(key, loader, policy, flags, data) {
    const started = policy.onResult === undefined ? 0 : this.#channel.host.now()
    const { numbers, probe } = this.#channel
    this.#channel.hold()
    try {
      let value = data
      for (let attempt = 0; ; attempt++) {
        const code = numbers[0]
        let result
        if (code === PROBE.FRESH || code === PROBE.STALE) {
          result = { codec: numbers[4], data: value, outcome: OUTCOME[code], tier: 'memory', age: numbers[1] }
          if (numbers[3] !== 0) this.#refresh(numbers[3], key, loader, policy)
        } else if (code === PROBE.LEAD) {
          const load = numbers[2]
          if (isPatient(policy) && flags !== FLAG.BYPASS) {
            // Most lookups are hits that nobody joins: the flight is made when somebody does, or when it has to load.
            this.#flights.set(load, policy)
            const { tags, ttlGiven, waitTimeout } = policy
            const found = await this.#channel.lookup(load, tags, ttlGiven, flags, waitTimeout)
            const taken = this.#take(load, key, found, loader, policy)
            result = taken instanceof Promise ? await taken : taken
          } else result = await this.#leadImpatiently(this.#flight(load, key, policy), loader, policy, flags)
        } else result = await this.#join(numbers[2], key, policy)
        if (result !== LOOK_AGAIN) {
          const decoded = this.#decode(result, attempt)
          if (decoded !== UNDECODABLE) return this.#deliver(key, decoded, result, policy, started)
          await this.#discard(key)
        }
        value = probe(key, policy.ttlGiven, flags)
      }
    } finally {
      this.#channel.release()
    }
  }

  #decode(result, attempt) {
    if ('raw' in result) return result.raw
    try {
      return this.#codec.decode(result.codec, result.data)
    } catch (error) {
      // What another release or another codec wrote is a miss; a value just loaded is decoded as it was encoded.
      if (result.outcome === 'miss' || attempt >= ATTEMPTS) throw error
      return UNDECODABLE
    }
  }

  /** Gives up an entry that this handle cannot decode, once for all who found it. */
  #discard(key) {
    const others = this.#discards.get(key)
    if (others !== undefined) return others
    const parts = { keys: [key], tags: [], all: false, mode: 'remove' }
    const gone = Promise.resolve(this.#channel.invalidate(parts)).finally(() => this.#discards.delete(key))
    this.#discards.set(key, gone)
    return gone
  }

  #deliver(key, value, result, policy, started) {
    this.#events.answered(key, result)
    if (policy.onResult !== undefined) {
      const { outcome, tier, age } = result
      policy.onResult({ outcome, tier, age, waited: this.#channel.host.now() - started })
    }
    return value
  }

  /** What the core found for a load of ours: an answer, or a promise of one. */
  #take(load, key, found, loader, policy) {
    if (found.kind === ANSWER.HIT && this.#flights.get(load) === policy) {
      this.#flights.delete(load)
      if (found.refresh !== 0) this.#refresh(found.refresh, key, loader, policy)
      return found
    }
    return this.#flight(load, key, policy).take(found, loader)
  }

  /** The flight of a load, with its leader in it; made now if there was none. */
  #flight(load, key, policy) {
    const known = this.#flights.get(load)
    if (known instanceof Flight) return known
    const flight = new Flight(this.#shared, load, key, policy)
    this.#flights.set(load, flight)
    flight.join()
    return flight
  }

  /** A leader that may leave its flight: somebody else has to take what the core finds. */
  #leadImpatiently(flight, loader, policy, flags) {
    const takeOff = async () => flight.take(await flight.look(flags), loader)
    // A rejection reaches the callers through `result`.
    takeOff().catch(() => {})
    return this.#waitFor(flight, policy)
  }

  async #join(load, key, policy) {
    // The leader's policy stands for the flight until somebody joins.
    const known = this.#flights.get(load)
    const flight = known === undefined ? undefined : this.#flight(load, key, known)
    if (flight === undefined) {
      // Another context of this process (a worker thread, a second copy of the module) is loading it.
      await waitFor(this.#channel.awaitLoad(load), policy.signal)
      return LOOK_AGAIN
    }
    if (flight.done !== undefined) {
      if (this.#hasMemory) return this.#takeDone(flight)
      await waitFor(flight.filled, policy.signal)
      return LOOK_AGAIN
    }
    flight.join()
    this.#channel.joined(false)
    try {
      const result = await (isPatient(policy) ? flight.result : this.#waitFor(flight, policy))
      return result !== LOOK_AGAIN && result.outcome === 'miss' ? { ...result, outcome: 'joined' } : result
    } catch (error) {
      this.#events.missed(key, true)
      throw error
    }
  }

  /** The value of a load that is on its way to the tiers is in memory as any other. */
  #takeDone({ done: { codec, data, since } }) {
    this.#channel.joined(true)
    return { codec, data, outcome: 'fresh', tier: 'memory', age: Math.floor(this.#channel.host.now() - since) }
  }

  /** Waits as long as this caller wants to. */
  async #waitFor(flight, policy) {
    try {
      return await waitFor(withStaleAfter(flight, policy.staleAfter, this.#channel.host), policy.signal)
    } catch (error) {
      if (policy.signal?.aborted && error === policy.signal.reason) flight.leave(error)
      throw error
    }
  }

  /** Runs the loader in the background for a stale entry. */
  #refresh(load, key, loader, policy) {
    const flight = new Flight(this.#shared, load, key, policy).background()
    this.#flights.set(load, flight)
    // Its error is its own business: the core counts it and tries again later.
    const takeOff = async () => flight.take(await flight.look(0), loader)
    const over = takeOff().then(
      () => flight.ended,
      () => flight.ended,
    )
    // Nobody waits for it, unless somebody was asked to: then the process stays for it.
    if (this.#waitUntil !== null) this.#giveToPlatform(this.#held(over))
  }

  /** A `waitUntil` that throws (outside a request, say) is not the caller's trouble. */
  #giveToPlatform(promise) {
    try {
      this.#waitUntil?.(promise)
    } catch (error) {
      this.#channel.warn(`waitUntil threw: ${error?.message}`, error)
    }
  }

  async get(key, options) {
    const { signal } = getOptions(options)
    checkKey(key)
    if (this.#closing !== undefined) throw new CacheClosedError()
    signal?.throwIfAborted()
    const data = this.#channel.probe(key, -1, FLAG.NO_LOAD)
    const { numbers } = this.#channel
    const outcome = OUTCOME[numbers[0]]
    if (outcome !== undefined) {
      return this.#decodeOrMiss(key, { codec: numbers[4], data, outcome, tier: 'memory', age: numbers[1] })
    }
    const flight = numbers[0] === PROBE.JOIN ? this.#flights.get(numbers[2]) : undefined
    if (flight?.done !== undefined && this.#hasMemory) {
      return this.#decodeOrMiss(key, this.#takeDone(flight))
    }
    const found = await this.#held(waitFor(this.#channel.get(key), signal))
    if (found.kind === ANSWER.HIT) return this.#decodeOrMiss(key, found)
    this.#events.missed(key, false)
    return undefined
  }

  #decodeOrMiss(key, result) {
    try {
      const value = this.#codec.decode(result.codec, result.data)
      this.#events.answered(key, result)
      return value
    } catch {
      this.#events.missed(key, false)
      return undefined
    }
  }

  async set(key, value, options) {
    const policy = entryOptions(options, this.#defaults)
    checkKey(key)
    if (this.#closing !== undefined) throw new CacheClosedError()
    let encoded
    try {
      encoded = this.#codec.encode(value)
    } catch (error) {
      this.#events.notEncoded(key, error)
      if (policy.onEncodeError !== 'bypass') throw error
      // What cannot be stored must not leave the old value behind.
      await this.invalidate(key)
      return
    }
    if (policy.ttl === 0) {
      await this.invalidate(key)
      return
    }
    await this.#held(
      this.#channel.set(key, encoded, lifetimes(policy, policy.ttl, policy.tags, this.#channel.host.random)),
    )
  }

  async invalidate(target, options) {
    const parts = invalidateTarget(target, options)
    if (this.#closing !== undefined) throw new CacheClosedError()
    const { state, why } = await this.#events.run('invalidate', { target, mode: parts.mode }, () =>
      this.#invalidate(parts),
    )
    this.#events.invalidated(target, parts.mode, { redis: state })
    if (parts.strict && state === 'queued') {
      throw new CacheRedisError(`the invalidation is queued, not applied yet: ${why}`)
    }
    return { redis: state }
  }

  #invalidate(parts) {
    const answered = this.#channel.invalidate(parts)
    if (answered === undefined) return { state: 'off' }
    this.#giveToPlatform(answered)
    return this.#held(answered)
  }

  async metrics(options) {
    const format = metricsFormat(options)
    if (this.#closing !== undefined) throw new CacheClosedError()
    const report = this.#channel.report()
    if (format === 'object') return { process: describeProcess(), ...report }
    return prometheus(report, this.#channel.histograms(), { namespace: this.#events.namespace })
  }

  async health() {
    if (this.#closing !== undefined) throw new CacheClosedError()
    const { status, latency, isTracking, why } = await this.#held(this.#channel.health())
    const isUp = status === 'ok'
    const redis = { connected: isUp, latency: isUp ? latency : null, coherence: isTracking ? 'tracking' : 'none' }
    return why === undefined ? { status, redis } : { status, redis: { ...redis, error: why } }
  }

  async ready() {
    if (this.#closing !== undefined) throw new CacheClosedError()
    const { isReady, why } = await this.#held(this.#channel.ready())
    if (!isReady) throw new CacheRedisError(`Redis has not answered: ${why}`)
  }

  close() {
    this.#closing ??= this.#held(this.#channel.close()).then(() => this.#channel.end())
    return this.#closing
  }

  async #held(promise) {
    this.#channel.hold()
    try {
      return await promise
    } finally {
      this.#channel.release()
    }
  }
}

const OUTCOME = { [PROBE.FRESH]: 'fresh', [PROBE.STALE]: 'stale' }

/** Whether the caller waits for whatever comes. */
function isPatient({ signal, staleAfter }) {
  return signal === undefined && staleAfter === -1
}

/** Waits for a promise, or until the signal aborts. */
function waitFor(promise, signal) {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** The flight's result, or the stale value beside it once the loader takes longer than `staleAfter` ms. */
async function withStaleAfter(flight, staleAfter, host) {
  if (staleAfter === -1) return flight.result
  await Promise.race([flight.found, flight.result])
  const { previous } = flight
  if (previous === undefined || flight.isSettled) return flight.result
  let timer
  const late = new Promise((resolve) => {
    timer = host.setTimer(() => resolve({ ...previous, outcome: 'stale', tier: 'memory' }), staleAfter)
  })
  try {
    return await Promise.race([flight.result, late])
  } finally {
    host.clearTimer(timer)
  }
}

let isDefaultTold = false

function warnOfDefault() {
  if (isDefaultTold) return
  isDefaultTold = true
  process.emitWarning(
    "the namespace is the default, 'tidecache': two applications on one Redis would share it; set `namespace` or TIDECACHE_NAMESPACE",
    'TidecacheWarning',
  )
}

/**
 * Makes a cache. Synchronous: it works before, during and without a connection.
 *
 * @throws {CacheConfigError}
 */
function createCache(options) {
  return new Cache(cacheOptions(options))
}

module.exports = { Cache, createCache }
