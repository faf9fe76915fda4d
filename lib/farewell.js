'use strict'
// What a process that ends still owes: leases go back at once (others need not wait for them to lapse) and queued
// invalidations are sent, 100 ms at most.
//
// Node runs no native clean-up at `process.exit()`, so one 'exit' listener per context stands in. Signals to which nobody
// listens are taken below JavaScript (src/farewell.rs): a listener here would count as the application's. A worker thread
// that is terminated is the business of its environment's clean-up.

const { constants } = require('node:os')
const { performance } = require('node:perf_hooks')
const { isMainThread } = require('node:worker_threads')
const { watchSignals } = require('./native.js')

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP']

/** Native handles of this context, held weakly: a cache that nobody has any more owes nothing. */
const handles = new Set()

/** For all handles together, ms. */
const AT_MOST = 100

function leave() {
  const end = performance.now() + AT_MOST
  for (const reference of handles) reference.deref()?.leaveNow(end - performance.now())
}

function watchUnheard() {
  const unheard = SIGNALS.filter((name) => process.listenerCount(name) === 0)
  watchSignals(unheard.map((name) => constants.signals[name]))
}

/** From here on the process does not end without `handle.leaveNow()`. */
function bidFarewell(handle) {
  if (handles.size === 0) process.on('exit', leave)
  if (isMainThread) watchUnheard()
  for (const reference of handles) if (reference.deref() === undefined) handles.delete(reference)
  handles.add(new WeakRef(handle))
}

module.exports = { bidFarewell }
