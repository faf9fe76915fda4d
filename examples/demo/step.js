'use strict'
// One step of the story: what it shows, and what it claims. A claim that does not hold fails the demonstration.

const { measure } = require('./measure.js')

/** What one call may cost: SQL queries, hits and misses of the cache. */
const HIT = { queries: 0, hits: 1, misses: 0 }
const MISS = { queries: 1, hits: 0, misses: 1 }
const WRITE = { queries: 1, hits: 0, misses: 0 }

class Step {
  /** For machines: figures by name. */
  counts = {}
  failures = []
  /** What was called, what came of it, and what that cost; the figures may be undefined. */
  rows = []

  constructor(name, title) {
    this.name = name
    this.title = title
  }

  show(call, result, { queries, hits, misses, ms } = {}) {
    this.rows.push({ call, result, queries, hits, misses, ms })
  }

  /**
   * Measures an action, shows it, and claims what it costs.
   *
   * @param {string | ((value) => string)} tell what came of it, in some words
   */
  async run(call, cost, action, tell) {
    const measured = await measure(action)
    const { value, ...figures } = measured
    this.show(call, typeof tell === 'function' ? tell(value) : tell, figures)
    for (const [name, expected] of Object.entries(cost)) {
      if (figures[name] !== expected) this.#fail(`${call}: ${name} are ${figures[name]}, not ${expected}`)
    }
    return measured
  }

  /** A figure that is as it is: a time, say. */
  tell(name, value) {
    this.counts[name] = value
  }

  /** A figure that must be what the story says. */
  claim(name, actual, expected) {
    this.tell(name, actual)
    if (actual !== expected) this.#fail(`${name} is ${actual}, not ${expected}`)
  }

  /** For machines: the figures by name, and every call with its cost. */
  get told() {
    return { ...this.counts, calls: this.rows }
  }

  #fail(text) {
    this.failures.push(`${this.name}: ${text}`)
  }
}

module.exports = { HIT, MISS, Step, WRITE }
