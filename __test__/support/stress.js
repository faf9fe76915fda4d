'use strict'
// Random readers and writers over a few keys for a while, each noting what it did and when (see checker.js).
//
// The source of truth is a counter per key in another Redis. A write raises the counter, then invalidates (or sets)
// and notes when that resolved; a load reads the counter, waits a random time, and returns what it read.

const { clock, sleep } = require('./kit.js')

const random = (low, high) => low + Math.random() * (high - low)
const pick = (list) => list[Math.floor(Math.random() * list.length)]

/** How a writer makes the cache forget a key, by mode. */
const FORGET = {
  key: (cache, key) => cache.invalidate(key),
  tag: (cache, key) => cache.invalidate({ tag: tagOf(key) }),
  late: (cache, key) => cache.invalidate({ tag: tagOf(key) }),
  all: (cache) => cache.invalidate({ all: true }),
  pattern: (cache, key) => cache.invalidate({ pattern: pick(patternsOf(key)) }),
  set: (cache, key, version, options) => cache.set(key, version, options),
}

/** Patterns that match the key, and some of them others. */
const patternsOf = (key) => [key, `${key.slice(0, 2)}*`, `?${key.slice(1)}`, `*${key.at(-1)}`, `[a-k]${key.slice(1)}*`]

/** Four keys share a tag. */
const tagOf = (key) => `tag ${Number(key.slice(1)) % 5}`

class Stress {
  #cache
  #truth
  #plan
  #keys
  #ownKeys
  #until
  reads = []
  writes = []
  failures = []
  slowest = 0

  constructor(cache, truth, plan) {
    this.#cache = cache
    this.#truth = truth
    this.#plan = plan
    this.#keys = Array.from({ length: plan.keys }, (_, i) => `k${i}`)
    // A `set` of two writers may arrive in another order than their commits: there, each key has one writer.
    const mine = (_, i) => i % plan.processes === plan.index
    this.#ownKeys = plan.mode === 'set' ? this.#keys.filter(mine) : this.#keys
  }

  async run() {
    this.#until = clock() + this.#plan.ms
    const readers = Array.from({ length: this.#plan.readers ?? 8 }, () => this.#readOn())
    const writers = Array.from({ length: this.#plan.mode === 'set' ? 1 : 2 }, () => this.#writeOn())
    await Promise.all([...readers, ...writers])
    const { reads, writes, failures, slowest } = this
    return { reads, writes, failures, slowest }
  }

  async #readOn() {
    while (clock() < this.#until) {
      if (this.#plan.many) await this.#readMany(Array.from({ length: random(1, 8) }, () => pick(this.#keys)))
      else await this.#read(pick(this.#keys))
      await sleep(random(0, 3))
    }
  }

  async #writeOn() {
    const { mode, pause = [5, 40] } = this.#plan
    while (clock() < this.#until) {
      const key = pick(this.#ownKeys)
      const version = await this.#truth.command('INCR', key)
      const receipt = await FORGET[mode](this.#cache, key, version, this.#options(key))
      this.writes.push([key, version, clock(), receipt?.redis])
      await this.#read(key)
      await sleep(random(...pause))
    }
  }

  async #read(key) {
    const start = clock()
    try {
      const version = await this.#cache.getOrSet(key, (ctx) => this.#load(ctx), this.#options(key))
      this.reads.push([key, start, version])
      this.slowest = Math.max(this.slowest, clock() - start)
    } catch (error) {
      this.failures.push(error.message)
    }
  }

  async #readMany(keys) {
    const start = clock()
    const load = async (missing) => {
      const versions = await this.#truth.command('MGET', ...missing)
      await sleep(random(0, 20))
      return new Map(missing.map((key, n) => [key, Number(versions[n])]))
    }
    try {
      for (const [key, version] of await this.#cache.getOrSetMany(keys, load, this.#plan.options)) {
        this.reads.push([key, start, version])
      }
      this.slowest = Math.max(this.slowest, clock() - start)
    } catch (error) {
      this.failures.push(error.message)
    }
  }

  async #load(ctx) {
    const version = Number(await this.#truth.command('GET', ctx.key))
    await sleep(random(0, 20))
    if (this.#plan.mode === 'late') ctx.tag(tagOf(ctx.key))
    return version
  }

  #options(key) {
    const { mode, options } = this.#plan
    return mode === 'tag' ? { ...options, tags: [tagOf(key)] } : options
  }
}

/** Runs a plan: { ms, keys, mode, index, processes, readers?, pause?, options?, many? }. */
function stress(cache, truth, plan) {
  return new Stress(cache, truth, plan).run()
}

module.exports = { stress }
