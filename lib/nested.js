'use strict'
// Loads that a loader asks for: it waits for them, so they must not wait for it to end.
//
// Who called is known by an AsyncLocalStorage, and that costs every promise of the process something in Node 20 and 22. So
// loaders are called in one only while half of the places are taken: those that are pressed can always go on, and when
// they end, the others can.

const { AsyncLocalStorage } = require('node:async_hooks')

/** Made when it is needed. */
let storage

/** Calls a loader so that `isNested` knows what it asks for, until it ends: what it leaves behind is nobody's. */
async function runPressed(loader) {
  storage ??= new AsyncLocalStorage()
  const load = { isOver: false }
  try {
    return await storage.run(load, loader)
  } finally {
    load.isOver = true
  }
}

/** Whether the loader of a load that is pressed asks. */
function isNested() {
  return storage?.getStore()?.isOver === false
}

module.exports = { isNested, runPressed }
