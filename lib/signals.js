'use strict'
// What a process that is ended by a signal still owes: leases go back at once (others need not wait for them to lapse)
// and queued invalidations are sent, 100 ms at most.
//
// Node runs no clean-up when a signal nobody listens to ends it, so one listener per process stands in. When the
// application listens itself, it decides; the clean-up of the environment does the rest at its exit.

const { isMainThread } = require('node:worker_threads')

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP']

/** Native handles of this context, held weakly: a closed cache owes nothing. */
const handles = new Set()

function onSignal(signal) {
  if (process.listenerCount(signal) > 1) return
  for (const reference of handles) reference.deref()?.leaveNow()
  process.removeListener(signal, onSignal)
  process.kill(process.pid, signal)
}

/** Worker threads get no signals; their environment's clean-up does it. */
function watchSignals(handle) {
  if (!isMainThread) return
  if (handles.size === 0) for (const signal of SIGNALS) process.on(signal, onSignal)
  for (const reference of handles) if (reference.deref() === undefined) handles.delete(reference)
  handles.add(new WeakRef(handle))
}

module.exports = { watchSignals }
