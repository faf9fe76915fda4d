'use strict'
// Loaders of many keys, and keys by the dozen.

const { sleep } = require('./kit.js')

/** A loader of many that notes what it was called with. */
function loaderOf(make = (key) => `value of ${key}`, ms = 0) {
  const loader = async (keys, ctx) => {
    loader.calls.push([...keys])
    loader.ctx = ctx
    if (ms > 0) await sleep(ms)
    return new Map(keys.map((key) => [key, make(key)]))
  }
  return Object.assign(loader, { calls: [] })
}

const plain = (map) => Object.fromEntries(map)
const numbered = (count, name = 'k') => Array.from({ length: count }, (_, n) => `${name}${n}`)

module.exports = { loaderOf, numbered, plain }
