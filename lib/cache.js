'use strict'
// The public cache: what users call, each argument checked before anything happens.
//
// One object is one handle on an engine, or a view of it: a view has the same handle, and a scope of its own (path,
// events, counters). What the calls do is in reads.js, flight.js and the files beside them.

const { CacheClosedError, CacheRedisError } = require('./errors.js')
const { Events } = require('./events.js')
const { Handle } = require('./handle.js')
const { cacheOptions, entryOptions, getOptions, scopeOf, within } = require('./options.js')
const { checkKey, invalidateTarget } = require('./options.js')
const { checkFunction } = require('./options/check.js')
const { storedKey } = require('./path.js')
const { describeProcess, warnOfDefault } = require('./process.js')
const { metricsFormat, prometheus } = require('./prometheus.js')
const { lifetimes } = require('./wishes.js')

class Cache {
  #handle
  #reads
  #events
  /** The policy of a call without options. */
  #defaults

  /**
   * @param {object} options as `cacheOptions` gives them
   * @param {{ handle: Handle, defaults: object }} [place] of a view: whose it is, and its policy
   */
  constructor(options, { handle, defaults } = open(options)) {
    this.#handle = handle
    this.#reads = handle.reads
    this.#events = defaults.scope.events.belongTo(this)
    this.#defaults = defaults
  }

  on(name, listener) {
    this.#events.on(name, listener)
    return this
  }

  off(name, listener) {
    this.#events.off(name, listener)
    return this
  }

  getOrSet(key, loader, options) {
    try {
      const policy = options === undefined ? this.#defaults : entryOptions(options, this.#defaults)
      checkKey(key)
      if (typeof loader !== 'function') checkFunction(loader, 'loader')
      if (this.#handle.closing !== undefined) throw new CacheClosedError()
      if (policy.signal !== undefined) policy.signal.throwIfAborted()
      return this.#reads.read(storedKey(key, policy.prefix), loader, policy)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async get(key, options) {
    const policy = getOptions(options, this.#defaults)
    checkKey(key)
    this.#checkOpen()
    policy.signal?.throwIfAborted()
    return this.#reads.get(storedKey(key, policy.prefix), policy)
  }

  async set(key, value, options) {
    const policy = entryOptions(options, this.#defaults)
    checkKey(key)
    this.#checkOpen()
    const { channel, codec } = this.#handle
    let encoded
    try {
      encoded = codec.encode(value)
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
    const stored = storedKey(key, policy.prefix)
    await channel.held(channel.set(stored, encoded, lifetimes(policy, policy.ttl, policy.tags, channel.host.random)))
  }

  async invalidate(target, options) {
    const parts = invalidateTarget(target, options, this.#defaults.scope.path)
    this.#checkOpen()
    const info = { target, mode: parts.mode }
    const { state, why } = await this.#events.run('invalidate', info, () => this.#invalidate(parts))
    this.#events.invalidated(target, parts.mode, { redis: state })
    if (parts.strict && state === 'queued') {
      throw new CacheRedisError(`the invalidation is queued, not applied yet: ${why}`)
    }
    return { redis: state }
  }

  #invalidate(parts) {
    const { channel } = this.#handle
    const answered = channel.invalidate(parts)
    if (answered === undefined) return { state: 'off' }
    this.#handle.giveToPlatform(answered)
    return channel.held(answered)
  }

  async metrics(options) {
    const format = metricsFormat(options)
    this.#checkOpen()
    const { channel } = this.#handle
    const report = channel.report()
    if (format === 'object') return { process: describeProcess(), ...report }
    return prometheus(report, channel.histograms(), this.#events)
  }

  async health() {
    this.#checkOpen()
    const { channel } = this.#handle
    const { status, latency, isTracking, why } = await channel.held(channel.health())
    const isUp = status === 'ok'
    const redis = { connected: isUp, latency: isUp ? latency : null, coherence: isTracking ? 'tracking' : 'none' }
    return why === undefined ? { status, redis } : { status, redis: { ...redis, error: why } }
  }

  async ready() {
    this.#checkOpen()
    const { channel } = this.#handle
    const { isReady, why } = await channel.held(channel.ready())
    if (!isReady) throw new CacheRedisError(`Redis has not answered: ${why}`)
  }

  close() {
    return this.#handle.close()
  }

  #checkOpen() {
    if (this.#handle.closing !== undefined) throw new CacheClosedError()
  }
}

function open(options) {
  const events = new Events(options.namespace)
  const handle = new Handle(options, events)
  if (options.redis !== null && options.namespaceIsDefault) warnOfDefault()
  return { handle, defaults: within(options.defaults, scopeOf('', events)) }
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
