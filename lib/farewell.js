'use strict'
// What a process that ends still owes: leases go back at once (others need not wait for them to lapse) and queued
// invalidations are sent, 100 ms at most.
//
// Node runs no native clean-up at `process.exit()`, and nothing at all when a signal nobody listens to ends it: so one
// 'exit' listener per context and one listener per signal stand in. When the application listens to the signal itself,
// it decides. A worker thread that is terminated runs neither; there the native clean-up does it.

const { isMainThread } = require('node:worker_threads')

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP']

/** Native handles of this context, held weakly: a cache that nobody has any more owes nothing. */
const handles = new Set()

function leave() {
  for (const reference of handles) reference.deref()?.leaveNow()
}

function onSignal(signal) {
  if (process.listenerCount(signal) > 1) return
  leave()
  process.removeListener(signal, onSignal)
  process.kill(process.pid, signal)
}

function listen() {
  process.on('exit', leave)
  // Worker threads get no signals.
  if (isMainThread) for (const signal of SIGNALS) process.on(signal, onSignal)
}

/** From here on the process does not end without `handle.leaveNow()`. */
function bidFarewell(handle) {
  if (handles.size === 0) listen()
  for (const reference of handles) if (reference.deref() === undefined) handles.delete(reference)
  handles.add(new WeakRef(handle))
}

module.exports = { bidFarewell }
