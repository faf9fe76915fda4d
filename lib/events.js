'use strict'
// What happens in a cache, told to those who asked: listeners of `on`, and subscribers of `node:diagnostics_channel`.
//
// Nobody asking is the ordinary case. A memory hit then reads one boolean here; payloads are made only for somebody.
// What happens in a view is told to its listeners and, with the view's name, to those of the cache it belongs to. What
// happens to Redis concerns the cache and its views alike.

const { channel } = require('node:diagnostics_channel')
const { CacheConfigError } = require('./errors.js')
const { checkFunction, refuse } = require('./options/check.js')

const NAMES = [
  'hit',
  'miss',
  'stale',
  'load',
  'loadError',
  'invalidate',
  'redisDown',
  'redisUp',
  'breaker',
  'encodeError',
  'warning',
]

/** Told of the engine as a whole. */
const OF_ENGINE = ['redisDown', 'redisUp', 'breaker', 'warning']

/** Held here: Node forgets a channel that nobody holds. */
const CHANNELS = Object.fromEntries(NAMES.map((name) => [name, channel(`tidecache:${name}`)]))
const HITS = CHANNELS.hit

const known = new WeakMap()
/** Listeners whose failure was reported: one that fails on every hit is reported once. */
const reported = new WeakSet()

class Events {
  #namespace
  #view
  #parent
  #listeners = new Map()
  /** What `tidecache/otel` put around operations. */
  #wrapper
  /** Shared by a cache and its views: how many listen to hits. */
  #tree

  /**
   * @param {string} namespace the engine's: subscribers of a channel hear all caches of the process
   * @param {{ parent: Events, view: string }} [place] of a view: the cache it belongs to, and its full name
   */
  constructor(namespace, { parent = null, view } = {}) {
    this.#namespace = namespace
    this.#view = view
    this.#parent = parent
    this.#tree = parent === null ? { hitListeners: 0 } : parent.#tree
  }

  /** Whether a memory hit has to be told to anybody. */
  get areHitsHeard() {
    return this.#tree.hitListeners !== 0 || HITS.hasSubscribers
  }

  on(name, listener) {
    checkName(name)
    checkFunction(listener, 'listener')
    if (this.#isAbove(name)) return this.#parent.on(name, listener)
    const listeners = this.#listeners.get(name) ?? []
    if (listeners.includes(listener)) return
    // A new list: one that is being told is not changed.
    this.#listeners.set(name, [...listeners, listener])
    if (name === 'hit') this.#tree.hitListeners++
  }

  off(name, listener) {
    checkName(name)
    checkFunction(listener, 'listener')
    if (this.#isAbove(name)) return this.#parent.off(name, listener)
    const listeners = this.#listeners.get(name)
    if (listeners === undefined || !listeners.includes(listener)) return
    const others = listeners.filter((other) => other !== listener)
    if (others.length === 0) this.#listeners.delete(name)
    else this.#listeners.set(name, others)
    if (name === 'hit') this.#tree.hitListeners--
  }

  #isAbove(name) {
    return this.#parent !== null && OF_ENGINE.includes(name)
  }

  /** Whether a payload would reach anybody. */
  has(name) {
    if (CHANNELS[name].hasSubscribers || this.#listeners.has(name)) return true
    return this.#parent?.has(name) ?? false
  }

  emit(name, payload) {
    const told = this.#view === undefined ? payload : { ...payload, view: this.#view }
    for (let at = this; at !== null; at = at.#parent) at.#tell(name, told)
    const subscribers = CHANNELS[name]
    if (subscribers.hasSubscribers) subscribers.publish({ ...told, namespace: this.#namespace })
  }

  #tell(name, payload) {
    const listeners = this.#listeners.get(name)
    if (listeners === undefined) return
    for (const listener of listeners) {
      try {
        const returned = listener(payload)
        if (typeof returned?.then === 'function') returned.then(undefined, (error) => report(name, listener, error))
      } catch (error) {
        report(name, listener, error)
      }
    }
  }

  // --- what is told where -------------------------------------------------------------------------------------

  /** A read was answered. A miss that the caller itself loads was told before its loader ran. */
  answered(key, { outcome, tier, age }) {
    if (outcome === 'joined') return this.missed(key, true)
    const name = outcome === 'fresh' ? 'hit' : outcome
    if (name !== 'miss' && this.has(name)) this.emit(name, { key, tier, age })
  }

  missed(key, joined) {
    if (this.has('miss')) this.emit('miss', { key, joined })
  }

  /** @param {number} duration ms */
  loaded(key, duration, refresh) {
    if (this.has('load')) this.emit('load', { key, duration, refresh })
  }

  failed(key, error, duration, refresh) {
    if (this.has('loadError')) this.emit('loadError', { key, error, duration, refresh })
  }

  notEncoded(key, error) {
    if (this.has('encodeError')) this.emit('encodeError', { key, path: error.path ?? '', error })
  }

  /** @param {string | object} target as the user gave it */
  invalidated(target, mode, receipt) {
    if (!this.has('invalidate')) return
    this.emit('invalidate', { target: typeof target === 'string' ? { key: target } : { ...target }, mode, receipt })
  }

  // --- spans --------------------------------------------------------------------------------------------------

  /** Runs an operation inside what `wrap` put around it: the nearest, so that a load in a view is told once. */
  run(name, info, operation) {
    let at = this
    while (at !== null && at.#wrapper === undefined) at = at.#parent
    if (at === null) return operation()
    return at.#wrapper(name, { ...info, view: this.#view }, operation)
  }

  /**
   * Puts a function around every load and invalidation of the cache and of those of its views that have none of their own.
   *
   * @param {(name: 'load' | 'invalidate', info: object, operation: () => unknown) => unknown} wrapper
   * @returns {() => void} takes it away again
   */
  wrap(wrapper) {
    this.#wrapper = wrapper
    return () => {
      if (this.#wrapper === wrapper) this.#wrapper = undefined
    }
  }

  get namespace() {
    return this.#namespace
  }

  /** The view's full name; undefined: of a cache itself. */
  get view() {
    return this.#view
  }

  // --- for the package's other doors --------------------------------------------------------------------------

  /** Lets `Events.of` find the events of a cache. */
  belongTo(cache) {
    known.set(cache, this)
    return this
  }

  /** @throws {CacheConfigError} when it is no cache of this package */
  static of(cache) {
    const events = typeof cache === 'object' && cache !== null ? known.get(cache) : undefined
    if (events === undefined) throw new CacheConfigError('cache must be what createCache or namespace returned')
    return events
  }
}

function checkName(name) {
  if (!NAMES.includes(name)) refuse('event', name, `one of ${NAMES.join(', ')}`)
}

function report(name, listener, error) {
  if (reported.has(listener)) return
  reported.add(listener)
  process.emitWarning(`a listener of '${name}' failed: ${error?.stack ?? error}`, 'TidecacheWarning')
}

module.exports = { Events }
