'use strict'
// The cache for tests: the public one, memory only, on an engine of its own whose clock the test moves.

const { Cache } = require('../cache.js')
const { toMs } = require('../duration.js')
const { CacheClosedError, CacheConfigError } = require('../errors.js')
const { CACHE_NAMES, cacheOptions } = require('../options.js')
const { checkFunction, checkNames, isObject, refuse, shown } = require('../options/check.js')
const { TestHost } = require('./host.js')

/** No entry gets less than its ttl: a test knows when it is over. */
const NO_CHANCE = () => 0

class TestCache extends Cache {
  #host
  #isClosed = false

  constructor(options, host) {
    super({ ...options, host })
    this.#host = host
  }

  async advance(duration) {
    const ms = toMs(duration, 'advance')
    this.#checkOpen()
    await this.#host.advance(ms)
  }

  async idle() {
    this.#checkOpen()
    await this.#host.idle()
  }

  loads(key) {
    if (key !== undefined && typeof key !== 'string') {
      throw new CacheConfigError(`loads takes a key, or nothing for all keys; got ${shown(key)}`)
    }
    return this.#host.loads(key)
  }

  async reset() {
    await this.invalidate({ all: true })
    this.#host.forget()
  }

  close() {
    this.#isClosed = true
    return super.close()
  }

  #checkOpen() {
    if (this.#isClosed) throw new CacheClosedError()
  }
}

/** The environment is the application's: a test must not depend on it. */
const NO_ENVIRONMENT = Object.freeze({})

function createTestCache(options = {}) {
  if (!isObject(options)) {
    throw new CacheConfigError(`options of createTestCache must be an object; got ${shown(options)}`)
  }
  checkNames(options, [...CACHE_NAMES, 'random'])
  const { random = NO_CHANCE, redis = false, ...others } = options
  if (redis !== false) refuse('redis', redis, 'false or absent: a cache for tests is memory only')
  checkFunction(random, 'random')
  const checked = cacheOptions({ ...others, redis }, NO_ENVIRONMENT)
  return new TestCache(checked, new TestHost(random))
}

module.exports = { createTestCache }
