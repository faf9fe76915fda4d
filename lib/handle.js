'use strict'
// What a cache and its views share: the channel to the core, the codec, the loads that run here, the end of it all.

const { Channel } = require('./channel.js')
const { createCodec } = require('./codec.js')
const { Reads } = require('./reads.js')

/** Views whose counters and listeners are kept. Who makes more names than this makes them of data: one for each tenant. */
const MOST_VIEWS = 1_000

class Handle {
  channel
  codec
  /** Whether there are tiers: without one, the value of a load that has just ended is nowhere. */
  hasMemory
  hasRedis
  /** By load: the flight, or its leader's call while nobody has joined. */
  flights = new Map()
  reads
  /** From the call of `close` on: resolves when all is flushed. */
  closing
  #discards = new Map()
  #views = new Map()
  #waitUntil

  /** @param {import('./events.js').Events} events of the cache itself, which hears of Redis */
  constructor(options, events) {
    const { disabled, redis, memoryMaxBytes } = options
    const off = { redis: null, memoryMaxBytes: 0 }
    this.channel = new Channel(disabled ? { ...options, ...off } : options, events)
    this.codec = createCodec(options)
    this.hasMemory = !disabled && memoryMaxBytes > 0
    this.hasRedis = !disabled && redis !== null
    this.reads = new Reads(this)
    this.#waitUntil = options.waitUntil
  }

  /**
   * The policy of a view, and with it its counters and listeners: one for all who name it.
   *
   * @param {string} path
   * @param {() => object} make
   */
  view(path, make) {
    const policy = this.#views.get(path) ?? make()
    // The one that was asked for last stands last.
    this.#views.delete(path)
    this.#views.set(path, policy)
    if (this.#views.size > MOST_VIEWS) this.#views.delete(this.#views.keys().next().value)
    return policy
  }

  /** Whether somebody keeps the process for what runs in the background. */
  get isWaitedUntil() {
    return this.#waitUntil !== null
  }

  /** A `waitUntil` that throws (outside a request, say) is not the caller's trouble. */
  giveToPlatform(promise) {
    try {
      this.#waitUntil?.(promise)
    } catch (error) {
      this.channel.warn(`waitUntil threw: ${error?.message}`, error)
    }
  }

  /** Gives up an entry that this handle cannot use, once for all who found it. */
  discard(key) {
    const others = this.#discards.get(key)
    if (others !== undefined) return others
    const parts = { keys: [key], tags: [], patterns: [], all: false, mode: 'remove', settle: 0 }
    const gone = Promise.resolve(this.channel.invalidate(parts)).finally(() => this.#discards.delete(key))
    this.#discards.set(key, gone)
    return gone
  }

  close() {
    this.closing ??= this.channel.held(this.channel.close()).then(() => this.channel.end())
    return this.closing
  }
}

/** What a view has once it is closed: nothing but the answer that it is. */
const CLOSED = { closing: Promise.resolve(), close: () => CLOSED.closing }

module.exports = { Handle, CLOSED }
