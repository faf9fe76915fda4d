'use strict'
// One step of the story: what it shows, and what it claims. A claim that does not hold fails the demonstration.

const { figures, sql, time } = require('./text.js')

class Step {
  /** For machines: the figures by name. */
  counts = {}
  failures = []
  rows = []

  constructor(name, title, note) {
    this.name = name
    this.title = title
    this.note = note
  }

  /** A row of the report: what was called, what came of it, its queries and its time. */
  show(call, result, { queries, ms } = {}) {
    const cells = [queries === undefined ? '' : sql(queries), ms === undefined ? '' : time(ms)]
    this.rows.push([call, result, ...cells])
  }

  /** Notes a figure that has no one right value. */
  note_(name, value) {
    this.counts[name] = value
  }

  claim(name, actual, expected) {
    this.counts[name] = actual
    if (actual !== expected) this.failures.push(`${this.name}: ${name} is ${figures(actual)}, not ${figures(expected)}`)
  }
}

module.exports = { Step }
