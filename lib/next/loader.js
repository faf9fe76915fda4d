'use strict'
// Keeps request data out of what many requests share.
//
// The loader of a page-aware call runs outside of the request: in the clean context that Next makes for its own
// 'use cache'. `cookies()`, `headers()` and the like find no request there and throw, in development and in production;
// a function memoised by React's `cache` runs anew; Next's `fetch` keeps nothing beside what is kept here. Spans of
// OpenTelemetry go on.

const { CacheError } = require('../errors.js')
const { outside, whereabouts } = require('./host.js')

const CODE = 'ERR_CACHE_REQUEST_DATA'
/** As Next says it, link included: an error of the user's own may say the like. */
const OUTSIDE = /^`(\w+)(?:\(\))?` was called outside a request scope\. Read more: https:\/\/nextjs\.org\//

function inTrace(fn) {
  const manager = globalThis[Symbol.for('opentelemetry.js.api.1')]?.context
  if (manager === undefined) return fn
  const active = manager.active()
  return () => manager.with(active, fn)
}

function outsideOf(work, fn) {
  if (typeof work.runInCleanSnapshot === 'function') return work.runInCleanSnapshot(inTrace(fn))
  return outside(fn)
}

/** Next's error, in words of ours where it is about the request. */
function explained(error, key) {
  const api = OUTSIDE.exec(error?.message)?.[1]
  if (api === undefined) return error
  const message =
    `the loader of '${key.length > 60 ? `${key.slice(0, 57)}...` : key}' called ${api}(): its value is for every request, so it must not ` +
    `depend on one. Call ${api}() before the cache, and make what you take from it part of the key`
  return new CacheError(message, { code: CODE, cause: error })
}

/**
 * Runs a loader without the request around it.
 *
 * @param {string} key for the message
 * @param {() => unknown} load
 */
async function loadApart(key, load) {
  const place = whereabouts()
  if (place === undefined) return load()
  try {
    return await outsideOf(place.work, load)
  } catch (error) {
    throw explained(error, key)
  }
}

module.exports = { loadApart }
