'use strict'
// What the JS layer takes from its surroundings: time, timers, chance. A cache for tests brings its own instead
// (lib/testing/host.js).
//
// Taken when the package is loaded: fake timers that a test runner installs later do not stop a cache.

const { performance } = require('node:perf_hooks')
const { clearTimeout, setTimeout } = require('node:timers')
const { nextTick } = process

/** Calls `act(argument)` as a microtask: what no test runner replaces. */
function soonAsPromise(act, argument) {
  Promise.resolve(argument).then(act)
}

/** Jest can replace it before anything is loaded (`enableGlobally`), and then only a test's own hand would call it. */
const isFaked = 'clock' in nextTick

const SYSTEM = Object.freeze({
  manualClock: false,
  /** Milliseconds on a monotonic clock. */
  now: () => performance.now(),
  /** @returns {{ unref(): void }} what `clearTimer` takes */
  setTimer: setTimeout,
  clearTimer: clearTimeout,
  /** How long what comes one after the other is gathered into one call of a loader, ms. */
  gather: 10,
  /** Calls `act(argument)` at the end of the tick. */
  soon: isFaked ? soonAsPromise : nextTick,
  /** From 0 to 1. */
  random: () => Math.random(),
  /** The way to the core is open. */
  opened() {},
  /** A loader is about to run for the key; `loadEnded` follows when it has ended, however. */
  loadBegan() {},
  loadEnded() {},
})

module.exports = { SYSTEM, soonAsPromise }
