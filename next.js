'use strict'
// The package's door for Next.js: names only. A configuration file imports it too, so nothing is loaded before it is used:
// neither the addon nor anything of Next.

const lazily = (name) => require('./lib/next/cache.js')[name]

exports.withTidecache = require('./lib/next/config.js').withTidecache
exports.createCache = (options) => lazily('createCache')(options)
exports.getOrSet = (key, loader, options) => lazily('getOrSet')(key, loader, options)
exports.wrap = (fn, options) => lazily('wrap')(fn, options)
exports.invalidate = (target, options) => lazily('invalidate')(target, options)
exports.metrics = (options) => lazily('metrics')(options)
exports.close = () => lazily('close')()

require('./lib/next/tags.js').watchPages()
