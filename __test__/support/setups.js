'use strict'
// What a test opens: caches with a namespace of their own that close with the test, and the two set-ups whose
// behaviour must not differ: with Redis, and with memory alone.

const assert = require('node:assert/strict')
const { describe, before, after } = require('node:test')
const { freshNamespace } = require('./kit.js')
const { startRedis } = require('./redis.js')

/** A cache that closes with its test. */
function open(t, options) {
  const { createCache } = require('../..')
  const cache = createCache({ namespace: freshNamespace(), logger: { warn() {} }, ...options })
  t.after(() => cache.close())
  return cache
}

/** Keeps the event loop turning: what a cache does in the background does not, and a test may wait for just that. */
function keepTurning() {
  let timer
  before(() => {
    timer = setInterval(() => {}, 60_000)
  })
  after(() => clearInterval(timer))
}

/** Runs the same tests with Redis and without: `define(openCache, { redis })`. */
function inBothSetups(define) {
  describe('with Redis', () => {
    let redis
    keepTurning()
    before(async () => {
      redis = await startRedis()
    })
    after(() => redis.stop())
    define((t, options) => open(t, { redis: redis.url, ...options }), { receipt: 'applied' })
  })
  describe('memory only', () => {
    keepTurning()
    define((t, options) => open(t, { redis: false, ...options }), { receipt: 'off' })
  })
}

/** Runs a file's tests against one server: `define(redis)`, whose url is known once they run. */
function withRedis(name, define) {
  describe(name, () => {
    const redis = {}
    keepTurning()
    before(async () => {
      redis.server = await startRedis()
      redis.url = redis.server.url
    })
    after(() => redis.server.stop())
    define(redis)
  })
}

/** The promise rejects with one of our errors: this class, this code, and the texts in its message. */
async function rejectsWith(promise, className, code, ...texts) {
  const tidecache = require('../..')
  const error = await promise.then(
    (value) => assert.fail(`resolved to ${String(value)}, not ${className}`),
    (reason) => reason,
  )
  assert.ok(error instanceof tidecache[className], `${error} is a ${className}`)
  assert.ok(error instanceof tidecache.CacheError, `${className} is a CacheError`)
  assert.equal(error.code, code)
  for (const text of texts) assert.match(error.message, text instanceof RegExp ? text : new RegExp(text))
  return error
}

module.exports = { inBothSetups, open, rejectsWith, withRedis }
