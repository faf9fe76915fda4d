'use strict'
// Bad arguments, as a table: for each member what may be wrong with which argument, and what the error must say.
//
// A row is { member, option, value, texts, run }: `run(cache)` throws or rejects with a message that has all `texts`.

const util = require('node:util')

/** How durations are told. */
const DURATION = "an integer number of milliseconds, or digits and a unit (ms, s, m, h, d) such as '5m', from "
const YEAR = `${DURATION}0 to 365d`

const fn = () => 'loaded'
/** Never called. */
const loader = () => {
  loader.calls++
}
loader.calls = 0

/** A value as a message shows it, or the beginning of that. */
function shown(value) {
  if (typeof value === 'string') return value.length > 50 ? `'${value.slice(0, 50)}` : quoted(value)
  if (Array.isArray(value)) return value.length === 0 ? '[]' : '[Array]'
  if (typeof value === 'function') return '[Function'
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? `${value}n` : String(value)
  if (util.types.isPromise(value)) return 'Promise'
  if (value instanceof RegExp) return String(value)
  if (Object.getPrototypeOf(value) === Object.prototype) return Object.keys(value).length === 0 ? '{}' : '[Object]'
  return ''
}

/** No message holds half a character or a NUL. */
function quoted(text) {
  const escaped = (character) => `\\u${character.charCodeAt(0).toString(16)}`
  return `'${text
    .replaceAll('\\', '\\\\')
    .replace(/[\ud800-\udfff]/g, escaped)
    .replace('\0', '\\x00')}'`
}

const rows = []

/** @param {(cache: object, value: unknown) => unknown} call */
function add(member, option, allowed, values, call) {
  for (const value of values) {
    const texts = [option, `got ${shown(value)}`, allowed]
    rows.push({ member, option, value, texts, run: (cache) => call(cache, value) })
  }
}

/** Cases whose message says something else than the value. */
function addSaid(member, option, said, values, call) {
  for (const value of values) {
    rows.push({ member, option, value, texts: [option, ...said], run: (cache) => call(cache, value) })
  }
}

module.exports = { DURATION, YEAR, add, addSaid, fn, loader, rows }
