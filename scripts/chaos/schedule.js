'use strict'
// Which fault comes when, and for how long: a seed decides.

const { seeded } = require('../lib/seeded.js')

/**
 * Without end: all faults once, in random order, then again. `random` is each fault's own: what it decides for itself
 * does not move those that follow.
 */
function* schedule(faults, seed) {
  const random = seeded(seed)
  for (;;) {
    const deck = [...faults]
    while (deck.length > 0) {
      const [fault] = deck.splice(Math.floor(random() * deck.length), 1)
      const ms = Math.round(fault.least + random() * (fault.most - fault.least))
      yield { ...fault, ms, random: seeded(Math.floor(random() * 2 ** 32)) }
    }
  }
}

module.exports = { schedule }
