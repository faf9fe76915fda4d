'use strict'
// What stands for the package where there is no Node.js: the edge runtime, workers, browsers. Everything has its name,
// so that a bundler finds it, and says at the call why it cannot work.

const errors = require('../errors.js')

function refusal(name) {
  const message =
    `${name}() of tidecache was called in a bundle for the edge runtime, a worker or a browser. It has a native addon and ` +
    "needs Node.js: leave out `export const runtime = 'edge'`, and call it in server code only"
  return new errors.CacheError(message, { code: 'ERR_CACHE_RUNTIME' })
}

const throws = (name) => () => {
  throw refusal(name)
}
const rejects = (name) => async () => {
  throw refusal(name)
}

exports.createCache = throws('createCache')
exports.duration = throws('duration')
exports.wrap = throws('wrap')
exports.withTidecache = throws('withTidecache')
exports.getOrSet = rejects('getOrSet')
exports.invalidate = rejects('invalidate')
exports.metrics = rejects('metrics')
exports.close = rejects('close')

exports.CacheError = errors.CacheError
exports.CacheConfigError = errors.CacheConfigError
exports.CacheClosedError = errors.CacheClosedError
exports.CacheRedisError = errors.CacheRedisError
exports.CacheTimeoutError = errors.CacheTimeoutError
exports.CacheOverloadError = errors.CacheOverloadError
exports.CacheEncodeError = errors.CacheEncodeError
