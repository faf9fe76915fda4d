'use strict'
// One step of the story: what it shows, and what it claims. A claim that does not hold fails the demonstration.

class Step {
  /** For machines: figures by name. */
  counts = {}
  failures = []
  /** For people: [what was called, what came of it, SQL queries, milliseconds]; the last two may be undefined. */
  rows = []

  constructor(name, title) {
    this.name = name
    this.title = title
  }

  show(call, result, { queries, ms } = {}) {
    this.rows.push([call, result, queries, ms])
  }

  /** A figure that is as it is: a time, say. */
  tell(name, value) {
    this.counts[name] = value
  }

  /** A figure that must be what the story says. */
  claim(name, actual, expected) {
    this.tell(name, actual)
    if (actual !== expected) this.failures.push(`${this.name}: ${name} is ${actual}, not ${expected}`)
  }
}

module.exports = { Step }
