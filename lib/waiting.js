'use strict'
// How long a caller waits: until the promise settles, the signal aborts, or a stale value is good enough.

/** Whether the caller waits for whatever comes. */
function isPatient({ signal, staleAfter }) {
  return signal === undefined && staleAfter === -1
}

/** Waits for a promise, or until the signal aborts. */
function waitFor(promise, signal) {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) {
      // What is not waited for may fail all the same.
      promise.catch(() => {})
      return onAbort()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** The flight's result, or the stale value beside it once the loader takes longer than `staleAfter` ms. */
async function withStaleAfter(flight, staleAfter, host) {
  if (staleAfter === -1) return flight.result
  await Promise.race([flight.found, flight.result])
  const { previous } = flight
  if (previous === undefined || flight.isSettled) return flight.result
  let timer
  const late = new Promise((resolve) => {
    timer = host.setTimer(() => resolve({ ...previous, outcome: 'stale', tier: 'memory' }), staleAfter)
  })
  try {
    return await Promise.race([flight.result, late])
  } finally {
    host.clearTimer(timer)
  }
}

/** A promise and what settles it. */
function withResolvers() {
  const deferred = {}
  deferred.promise = new Promise((resolve, reject) => {
    deferred.resolve = resolve
    deferred.reject = reject
  })
  return deferred
}

module.exports = { isPatient, waitFor, withResolvers, withStaleAfter }
