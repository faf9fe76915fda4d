'use strict'
// The public cache: what users call, each argument checked before anything happens.
//
// One object is one handle on an engine, or a view of it: a view has the same handle, and a scope of its own (path,
// events, counters). What the calls do is in reads.js, flight.js and the files beside them.

const { Counts } = require('./counts.js')
const { CacheClosedError, CacheRedisError } = require('./errors.js')
const { Events } = require('./events.js')
const { CLOSED, Handle } = require('./handle.js')
const { getOrSetMany } = require('./many.js')
const { ANSWER } = require('./numbers.js')
const { cacheOptions, entryOptions, getOptions, inspectOptions, scopeOf, within } = require('./options.js')
const { checkKey, checkKeys, checkView, invalidateTarget } = require('./options.js')
const { checkFunction } = require('./options/check.js')
const { nameOf, pathOf, storedKey, tagOf } = require('./path.js')
const { describeProcess, warnOfDefault } = require('./process.js')
const { metricsOptions, prometheus } = require('./prometheus.js')
const { lifetimes } = require('./wishes.js')
const { wrap } = require('./wrap.js')

/** For lib/next: the policy of a call with such options. */
const POLICY = Symbol('policy')
/** For lib/next: the entry that memory would serve of a key now, without a promise, a count or a load. */
const GLIMPSE = Symbol('glimpse')
/** For lib/next: resolves when what was just loaded is where `GLIMPSE` finds it. */
const SETTLED = Symbol('settled')

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
      return this.#read(key, loader, policy)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #read(key, loader, policy) {
    if (this.#handle.closing !== undefined) throw new CacheClosedError()
    if (policy.signal !== undefined) throwIfAborted(policy.signal)
    return this.#reads.read(storedKey(key, policy.prefix), loader, policy)
  }

  async getOrSetMany(keys, loadMissing, options) {
    const policy = entryOptions(options, this.#defaults)
    checkKeys(keys)
    checkFunction(loadMissing, 'loadMissing')
    this.#checkOpen()
    throwIfAborted(policy.signal)
    return getOrSetMany(this.#handle, keys, loadMissing, policy)
  }

  wrap(fn, options) {
    return wrap(fn, options, this.#defaults, {
      read: (key, loader, policy) => this.#read(key, loader, policy),
      invalidate: (key) => this.invalidate(key),
    })
  }

  namespace(prefix) {
    checkView(prefix)
    this.#checkOpen()
    const path = pathOf(this.#defaults.scope.path, prefix)
    return new Cache(undefined, { handle: this.#handle, defaults: this.#handle.view(path, () => this.#below(path)) })
  }

  /** The policy of a view: this cache's, with counters and listeners of its own. */
  #below(path) {
    const events = new Events(this.#events.namespace, { parent: this.#events, view: nameOf(path) })
    return within(this.#defaults, scopeOf(path, events, new Counts(this.#handle.hasRedis)))
  }

  async get(key, options) {
    const policy = getOptions(options, this.#defaults)
    checkKey(key)
    this.#checkOpen()
    throwIfAborted(policy.signal)
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

  async inspect(key, options) {
    const { prefix, scope } = inspectOptions(options, this.#defaults)
    checkKey(key)
    this.#checkOpen()
    const { channel } = this.#handle
    const found = await channel.held(channel.inspect(storedKey(key, prefix)))
    if (found.kind !== ANSWER.INSPECTED) return undefined
    const { tier, age, isStale, tags, bytes } = found
    return { tier, age, state: isStale ? 'stale' : 'fresh', tags: tagsIn(scope, tags), bytes }
  }

  [POLICY](options) {
    return entryOptions(options, this.#defaults)
  }

  async [SETTLED](key, { prefix }) {
    await this.#reads.settled(storedKey(key, prefix))
  }

  /**
   * @param {object} policy where the entry is, and how its value is read
   * @param {boolean} wantsValue
   * @returns {{ id: string, isStale: boolean, age: number, freshFor: number, tags?: string[], value?: unknown } | undefined}
   *   `tags`: with the value
   */
  [GLIMPSE](key, policy, wantsValue) {
    if (this.#handle.closing !== undefined) return undefined
    const found = this.#reads.glimpse(storedKey(key, policy.prefix), wantsValue ? policy : undefined)
    if (found === undefined || !wantsValue) return found
    return { ...found, tags: tagsIn(policy.scope, JSON.parse(found.tags)) }
  }

  async metrics(options) {
    const { format, views } = metricsOptions(options)
    this.#checkOpen()
    const { channel } = this.#handle
    const whole = channel.report()
    if (format === 'object') return { process: describeProcess(), ...this.#reported(whole).report }
    const below = views.map((prefixes) => prefixes.reduce((at, prefix) => at.namespace(prefix), this))
    const sources = [this, ...below].map((one) => one.#reported(whole))
    return prometheus(sources, channel.histograms())
  }

  #reported(whole) {
    const { counts, events } = this.#defaults.scope
    return { report: counts === undefined ? whole : counts.within(whole), place: events }
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
    // A view ends alone: it has nothing that others do not use.
    if (this.#defaults.scope.path !== '') this.#handle = CLOSED
    return this.#handle.close()
  }

  #checkOpen() {
    if (this.#handle.closing !== undefined) throw new CacheClosedError()
  }
}

/** Tags as users of a view know them. */
function tagsIn({ path }, stored) {
  return stored.map((tag) => tagOf(tag, path)).filter((tag) => tag !== undefined)
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

/** By shape: a signal of a polyfill may have no method for it. */
function throwIfAborted(signal) {
  if (signal?.aborted) throw signal.reason
}

module.exports = { Cache, GLIMPSE, POLICY, SETTLED, createCache }
