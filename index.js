'use strict'
// The package's door: names only. The default cache is made at its first use, from the environment.

const { createCache } = require('./lib/cache.js')
const { duration } = require('./lib/duration.js')
const errors = require('./lib/errors.js')

let defaultCache

function shared() {
  defaultCache ??= createCache()
  return defaultCache
}

exports.createCache = createCache
exports.duration = duration

exports.getOrSet = (key, loader, options) => {
  try {
    return shared().getOrSet(key, loader, options)
  } catch (error) {
    // The environment of the default cache is wrong.
    return Promise.reject(error)
  }
}
exports.invalidate = async (target, options) => shared().invalidate(target, options)
exports.metrics = async (options) => shared().metrics(options)
exports.close = async () => defaultCache?.close()

exports.CacheError = errors.CacheError
exports.CacheConfigError = errors.CacheConfigError
exports.CacheClosedError = errors.CacheClosedError
exports.CacheRedisError = errors.CacheRedisError
exports.CacheTimeoutError = errors.CacheTimeoutError
exports.CacheOverloadError = errors.CacheOverloadError
exports.CacheEncodeError = errors.CacheEncodeError
