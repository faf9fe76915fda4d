'use strict'
// A replica that lags: what is invalidated at last it has never heard of, and its master is gone.

const { clock, sleep } = require('../../__test__/support/kit.js')

/** A replica that runs has heard of everything by then. */
const CAUGHT_UP_MS = 50

/** Ends a master that has told its replica less than it was told; resolves to when that was. */
async function loseTheLatest({ master, replica }, { random, plant }) {
  const invalidate = await plant()
  await sleep(CAUGHT_UP_MS)
  replica.pause()
  // What is sent to a process that stands still waits in its socket: without a connection it is truly lost.
  await master.command('CLIENT', 'KILL', 'TYPE', 'replica')
  await invalidate()
  await sleep(100 + 200 * random())
  const since = clock()
  await master.kill()
  replica.resume()
  return since
}

module.exports = { loseTheLatest }
