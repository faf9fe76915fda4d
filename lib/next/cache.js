'use strict'
// The page-aware cache: the cache of this package, whose reads tell the page around them and whose loaders see no request.

const { GLIMPSE, POLICY, SETTLED, createCache: createBareCache } = require('../cache.js')
const { Events } = require('../events.js')
const { checkKey, checkKeys } = require('../options.js')
const { checkFunction } = require('../options/check.js')
const { optional, whereabouts } = require('./host.js')
const { loadApart } = require('./loader.js')
const { readInPage } = require('./page.js')

/** Work that outlives its request. Outside of requests, and in builds, nobody has to keep the process for it. */
function afterResponse(promise) {
  if (whereabouts() === undefined) return
  try {
    optional('next/server')?.after(promise)
  } catch {
    // There is no request.
  }
}

/** Of a read of one key, and of many. */
const single = ([value]) => value
const mapOf = (values, keys) => new Map(keys.map((key, n) => [key, values[n]]))

class PageCache {
  #cache

  constructor(cache) {
    this.#cache = cache
    Events.of(cache).belongTo(this)
  }

  /** The entries that a policy reads, as a page looks at them. */
  #source(policy) {
    const cache = this.#cache
    return {
      cache,
      version: policy.version,
      settled: (key) => cache[SETTLED](key, policy),
      glimpse: (key) => cache[GLIMPSE](key, policy, false),
      glimpseValue: (key) => cache[GLIMPSE](key, policy, true),
    }
  }

  #inPage(keys, options, read, join = single) {
    const termsOf = () => {
      const policy = this.#cache[POLICY](options)
      const { ttl, staleWhileRevalidate } = policy
      return { source: this.#source(policy), ttl, staleWhileRevalidate }
    }
    return readInPage(keys, termsOf, read, join)
  }

  async getOrSet(key, loader, options) {
    checkKey(key)
    checkFunction(loader, 'loader')
    const apart = (context) => loadApart(key, () => loader(context))
    return this.#inPage([key], options, () => this.#cache.getOrSet(key, apart, options))
  }

  async getOrSetMany(keys, loadMissing, options) {
    checkKeys(keys)
    checkFunction(loadMissing, 'loadMissing')
    const apart = (missing, context) => loadApart(missing.join(', '), () => loadMissing(missing, context))
    return this.#inPage(keys, options, () => this.#cache.getOrSetMany(keys, apart, options), mapOf)
  }

  async get(key, options) {
    checkKey(key)
    return this.#inPage([key], options, () => this.#cache.get(key, options))
  }

  wrap(fn, options) {
    checkFunction(fn, 'fn')
    const apart = function (...args) {
      return loadApart(wrapped.key(...args), () => Reflect.apply(fn, this, args))
    }
    // The cache looks at both.
    Object.defineProperties(apart, { name: { value: fn.name }, length: { value: fn.length } })
    const wrapped = this.#cache.wrap(apart, options)
    const { key: _, tags: __, ...entry } = options
    const inPage = (keys, read) => this.#inPage(keys, entry, read)

    async function read(...args) {
      return inPage([wrapped.key(...args)], () => Reflect.apply(wrapped, this, args))
    }
    Object.defineProperty(read, 'name', { value: fn.name, configurable: true })
    return Object.assign(read, { key: wrapped.key, invalidate: wrapped.invalidate })
  }

  namespace(prefix) {
    return new PageCache(this.#cache.namespace(prefix))
  }

  set(key, value, options) {
    return this.#cache.set(key, value, options)
  }

  invalidate(target, options) {
    return this.#cache.invalidate(target, options)
  }

  inspect(key, options) {
    return this.#cache.inspect(key, options)
  }

  metrics(options) {
    return this.#cache.metrics(options)
  }

  health() {
    return this.#cache.health()
  }

  ready() {
    return this.#cache.ready()
  }

  on(name, listener) {
    this.#cache.on(name, listener)
    return this
  }

  off(name, listener) {
    this.#cache.off(name, listener)
    return this
  }

  close() {
    return this.#cache.close()
  }
}

/** As `createCache` of the package; its background work is given to `after` of `next/server`. */
function createCache(options = {}) {
  const all = options?.waitUntil === undefined ? { ...options, waitUntil: afterResponse } : options
  return new PageCache(createBareCache(all))
}

let defaultCache

function shared() {
  defaultCache ??= createCache()
  return defaultCache
}

module.exports = {
  createCache,
  getOrSet: async (key, loader, options) => shared().getOrSet(key, loader, options),
  wrap: (fn, options) => shared().wrap(fn, options),
  invalidate: async (target, options) => shared().invalidate(target, options),
  metrics: async (options) => shared().metrics(options),
  close: async () => defaultCache?.close(),
}
