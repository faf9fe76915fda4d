'use strict'
// Whether JSON can carry a value without loss: one walk that only looks, then JSON.stringify and JSON.parse do the work.
//
// It says no at the first thing JSON changes, drops or cannot know (undefined, -0, a Date, an object met twice, a
// symbol key, a toJSON) and at what a walk by recursion should not meet (depth). The tagged form decides those.

const { types } = require('node:util')
const { isExactArray, isObjectPrototype } = require('./kinds.js')

const DEPTH_MAX = 200
/** Up to here a list is faster than a Set, and most values hold no more objects. */
const FEW = 16

/** The objects met so far: one met twice must stay one after decoding, and a cycle must end. */
class Met {
  #few = []
  #many

  /** @returns {boolean} whether it is the first time */
  add(object) {
    if (this.#many !== undefined) return this.#many.size !== this.#many.add(object).size
    if (this.#few.includes(object)) return false
    this.#few.push(object)
    if (this.#few.length === FEW) this.#many = new Set(this.#few)
    return true
  }
}

function isPlainNumber(number) {
  return Number.isFinite(number) && (number !== 0 || 1 / number > 0)
}

function isPlainArray(array, met, depth, anyArray) {
  const exact = isExactArray(array)
  if (!exact && !anyArray) return false
  for (let i = 0; i < array.length; i++) {
    if (!isPlainJson(array[i], met, depth, anyArray)) return false
  }
  // Own properties beside the elements, such as those of a RegExp match; a subclass is stored without its own.
  return !exact || (Object.keys(array).length === array.length && Object.getOwnPropertySymbols(array).length === 0)
}

function isPlainObject(object, met, depth, anyArray) {
  const proto = Object.getPrototypeOf(object)
  if (proto === null || !isObjectPrototype(proto)) return false
  for (const key in object) {
    if (!isPlainJson(object[key], met, depth, anyArray)) return false
  }
  return Object.getOwnPropertySymbols(object).length === 0
}

/**
 * Whether JSON.parse(JSON.stringify(value)) is the same value.
 *
 * @param {unknown} value
 * @param {boolean} anyArray whether arrays of subclasses are stored as arrays; not when `types` may want them
 */
function isPlainJson(value, met, depth, anyArray) {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true
  if (typeof value === 'number') return isPlainNumber(value)
  if (typeof value !== 'object' || depth === DEPTH_MAX || types.isProxy(value) || !met.add(value)) return false
  // Also one that is not enumerable, or that somebody added to Object.prototype: JSON.stringify would call it.
  if (typeof value.toJSON === 'function') return false
  const check = Array.isArray(value) ? isPlainArray : isPlainObject
  return check(value, met, depth + 1, anyArray)
}

/**
 * The JSON text of a value that JSON carries without loss.
 *
 * @param {unknown} value
 * @param {boolean} anyArray
 * @returns {string | undefined} undefined when it does not
 */
function plainText(value, anyArray) {
  return isPlainJson(value, new Met(), 0, anyArray) ? JSON.stringify(value) : undefined
}

module.exports = { plainText }
