'use strict'
// What the JS layer takes from its surroundings: time, timers, chance. A cache for tests brings its own instead
// (lib/testing/host.js).
//
// Taken when the package is loaded: fake timers that a test runner installs later do not stop a cache.

const { performance } = require('node:perf_hooks')
const { clearTimeout, setTimeout } = require('node:timers')
const { nextTick } = process

const SYSTEM = Object.freeze({
  manualClock: false,
  /** Milliseconds on a monotonic clock. */
  now: () => performance.now(),
  /** @returns {{ unref(): void }} what `clearTimer` takes */
  setTimer: setTimeout,
  clearTimer: clearTimeout,
  /** Calls `act(argument)` at the end of the tick. */
  soon: nextTick,
  /** From 0 to 1. */
  random: () => Math.random(),
  /** The way to the core is open. */
  opened() {},
  /** A loader is about to run for the key; `loadEnded` follows when it has ended, however. */
  loadBegan() {},
  loadEnded() {},
})

module.exports = { SYSTEM }
