'use strict'
// Calls of one view at random: reads of one key and of many, that fail, leave, force, refuse, and are invalidated
// meanwhile. Nobody waits for ever, nobody sees what was loaded before an invalidation that he came after.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { long, sleep, within } = require('./support/kit.js')
const { inBothSetups } = require('./support/setups.js')

const KEYS = 40
const MS = long ? 20_000 : 2_000
const DOWN = new Error('down')
const ENOUGH = new Error('enough')

const random = (below) => Math.floor(Math.random() * below)
const oneIn = (n) => random(n) === 0
const keyOf = (n) => `k${n}`
const numberOf = (key) => Number(key.slice(1))

function randomOptions() {
  const options = {}
  if (oneIn(4)) {
    const controller = new AbortController()
    options.signal = controller.signal
    setTimeout(() => controller.abort(ENOUGH), random(10))
  }
  if (oneIn(6)) options.staleAfter = '2ms'
  if (oneIn(8)) options.refresh = 'force'
  if (oneIn(10)) options.ttl = 0
  else if (oneIn(3)) Object.assign(options, { ttl: '5ms', staleWhileRevalidate: '50ms', staleIfError: '1s' })
  // An answer of chance: a value may be of use when it is found, and of none when it is to be served.
  if (oneIn(10)) options.validate = () => !oneIn(3)
  if (oneIn(8)) options.tags = [`t${random(3)}`]
  return options
}

class Run {
  #cache
  #until = Date.now() + MS
  /** Committed, and known to be invalidated up to. */
  #truth = Array(KEYS).fill(1)
  #floor = Array(KEYS).fill(1)
  seen = { reads: 0, values: 0, failed: 0 }
  wrong = []

  constructor(cache) {
    this.#cache = cache
  }

  async run() {
    const readers = Array.from({ length: 12 }, () => this.#readOn())
    await Promise.all([...readers, this.#writeOn(), this.#writeOn()])
  }

  async #readOn() {
    while (Date.now() < this.#until) {
      const keys = Array.from({ length: 1 + random(12) }, () => keyOf(random(KEYS)))
      const floors = new Map(keys.map((key) => [key, this.#floor[numberOf(key)]]))
      const options = randomOptions()
      const told = () => `${keys} with ${JSON.stringify(options)}`
      const found = await within(this.#read(keys, options), 10_000, 'late').catch((error) => error)
      this.seen.reads++
      if (found === DOWN || found === ENOUGH) this.seen.failed++
      else if (!(found instanceof Map)) this.wrong.push(`${found?.stack ?? found}: ${told()}`)
      else {
        this.seen.values += found.size
        for (const [key, value] of found) {
          if (value < floors.get(key)) this.wrong.push(`${key} is ${value}, not ${floors.get(key)}: ${told()}`)
        }
      }
    }
  }

  async #read(keys, options) {
    if (oneIn(4)) {
      const load = async () => (await this.#load([keys[0]])).get(keys[0])
      return new Map([[keys[0], await this.#cache.getOrSet(keys[0], load, options)]])
    }
    return this.#cache.getOrSetMany(keys, (missing, ctx) => this.#load(missing, ctx), options)
  }

  async #load(keys, ctx) {
    const values = keys.map((key) => [key, this.#truth[numberOf(key)]])
    if (oneIn(10)) ctx?.tag(`late${random(3)}`)
    await sleep(random(8))
    if (oneIn(12)) throw DOWN
    return new Map(ctx === undefined ? values : values.filter(() => !oneIn(9)))
  }

  async #writeOn() {
    while (Date.now() < this.#until) {
      await sleep(random(5))
      const n = random(KEYS)
      const key = keyOf(n)
      const version = ++this.#truth[n]
      const targets = [key, key, key, { keys: [key] }, { pattern: key }, oneIn(5) ? { all: true } : { key }]
      await this.#cache.invalidate(targets[random(targets.length)])
      this.#floor[n] = Math.max(this.#floor[n], version)
    }
  }
}

inBothSetups((openCache) => {
  test('I1 read-your-writes: no call hangs, none sees what is from before it, nothing is left behind', async (t) => {
    const unhandled = []
    const onUnhandled = (error) => unhandled.push(error)
    process.on('unhandledRejection', onUnhandled)
    t.after(() => process.off('unhandledRejection', onUnhandled))
    const cache = openCache(t)
    const run = new Run(cache.namespace('v'))

    await run.run()

    const { hits, misses, loads } = await cache.metrics()
    t.diagnostic(`${JSON.stringify(run.seen)}, ${hits} hits, ${misses} misses, ${loads.fenced} fenced`)
    assert.deepEqual(run.wrong.slice(0, 5), [], `${run.wrong.length} are wrong`)
    assert.deepEqual(unhandled, [])
    assert.ok(run.seen.reads > 100 && run.seen.values > 100, JSON.stringify(run.seen))
    assert.ok(hits < 1e9, `${hits} hits`)
  })
})
