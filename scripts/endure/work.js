'use strict'
// Random operations on a cache, of a seed. What comes back is held against what was loaded: a value of another key is an error.

const TAGS = 50
const WEIGHTS = [
  ['getOrSet', 0.84],
  ['get', 0.05],
  ['many', 0.03],
  ['set', 0.04],
  ['invalidateKey', 0.03],
  ['invalidateTag', 0.008],
  ['invalidatePattern', 0.002],
]

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

class Work {
  #cache
  #random
  #keys
  #loadMs
  /** What went wrong, the first few in full. */
  errors = []
  failed = 0
  done = 0

  /** `keys`: how many there are; `loadMs`: how long a loader takes at most. */
  constructor(cache, random, { keys = 5_000, loadMs = 0 } = {}) {
    this.#cache = cache
    this.#random = random
    this.#keys = keys
    this.#loadMs = loadMs
  }

  /** Runs `count` operations, so many at once; `tick` after each. */
  async run(count, { atOnce = 64, tick = () => {} } = {}) {
    let left = count
    const caller = async () => {
      while (left-- > 0) {
        await this.#one()
        tick(++this.done)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, caller))
  }

  /** Loads every key once. */
  async fill() {
    for (let n = 0; n < this.#keys; n += 100) {
      const keys = Array.from({ length: 100 }, (_, i) => `k${n + i}`)
      await Promise.all(keys.map((key) => this.#cache.getOrSet(key, () => this.#valueOf(key), this.#options(key))))
    }
  }

  async #one() {
    try {
      await this[`_${this.#pick()}`]()
    } catch (error) {
      this.failed++
      if (this.errors.length < 5) this.errors.push(String(error?.stack ?? error))
    }
  }

  #pick() {
    let at = this.#random()
    for (const [name, weight] of WEIGHTS) {
      at -= weight
      if (at < 0) return name
    }
    return 'getOrSet'
  }

  /** A few keys are hot. */
  #key() {
    return `k${Math.floor(this.#random() ** 3 * this.#keys)}`
  }

  #valueOf(key) {
    return { key, text: 'x'.repeat((Number(key.slice(1)) * 7) % 8_000) }
  }

  #check(key, value) {
    if (value !== undefined && value.key !== key) throw new Error(`${key}: got the value of ${value.key}`)
  }

  async #load(key) {
    if (this.#loadMs > 0) await sleep(this.#random() * this.#loadMs)
    return this.#valueOf(key)
  }

  #options(key) {
    return { ttl: '10s', staleWhileRevalidate: '10s', tags: [`t${Number(key.slice(1)) % TAGS}`] }
  }

  async _getOrSet() {
    const key = this.#key()
    this.#check(key, await this.#cache.getOrSet(key, () => this.#load(key), this.#options(key)))
  }

  async _get() {
    const key = this.#key()
    this.#check(key, await this.#cache.get(key))
  }

  async _many() {
    const keys = [...new Set(Array.from({ length: 5 }, () => this.#key()))]
    const load = (missing) => new Map(missing.map((key) => [key, this.#valueOf(key)]))
    for (const [key, value] of await this.#cache.getOrSetMany(keys, load, { ttl: '10s' })) this.#check(key, value)
  }

  async _set() {
    const key = this.#key()
    await this.#cache.set(key, this.#valueOf(key), this.#options(key))
  }

  async _invalidateKey() {
    await this.#cache.invalidate(this.#key())
  }

  async _invalidateTag() {
    await this.#cache.invalidate({ tag: `t${Math.floor(this.#random() * TAGS)}` })
  }

  async _invalidatePattern() {
    await this.#cache.invalidate({ pattern: `k${Math.floor(this.#random() * 10)}?` })
  }
}

module.exports = { Work, sleep }
