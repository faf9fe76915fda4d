'use strict'
// The page-aware cache: the cache of this package, whose reads tell the page around them and whose loaders see no request.

const { LOOK, PEEK, createCache: createBareCache } = require('../cache.js')
const { cacheOptions, checkKey, checkKeys, entryOptions } = require('../options.js')
const { checkFunction } = require('../options/check.js')
const { optional } = require('./host.js')
const { loadApart } = require('./loader.js')
const { readInPage } = require('./page.js')
const { Sight } = require('./tags.js')

/** Work that outlives its request. Outside of requests, and in builds, nobody has to keep the process for it. */
function afterResponse(promise) {
  try {
    optional('next/server')?.after(promise)
  } catch {
    // There is no request.
  }
}

class PageCache {
  #cache
  /** The policy of a call without options. */
  #defaults

  constructor(cache, defaults) {
    this.#cache = cache
    this.#defaults = defaults
  }

  /** The entries of a version, as a page looks at them. */
  #source(version) {
    const given = version === undefined ? undefined : { version }
    const peek = (key) => Sight.of(() => this.#cache[PEEK](key, given))
    return { cache: this.#cache, version, peek, look: (key) => this.#cache[LOOK](key, given) }
  }

  #inPage(keys, options, read) {
    const termsOf = () => {
      const { ttl, staleWhileRevalidate, version } = entryOptions(options, this.#defaults)
      return { source: this.#source(version), ttl, staleWhileRevalidate }
    }
    return readInPage(keys, termsOf, read)
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
    return this.#inPage(keys, options, () => this.#cache.getOrSetMany(keys, apart, options))
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
    return new PageCache(this.#cache.namespace(prefix), this.#defaults)
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
  const all = { waitUntil: afterResponse, ...options }
  return new PageCache(createBareCache(all), cacheOptions(all).defaults)
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
