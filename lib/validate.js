'use strict'
// The user's `validate`: whether a value that was found may be served.
//
// One that throws says no: it was written for values of today, and met one of another release. It is told once, because
// one that always throws would hide as a low hit rate.

const { refuse } = require('./options/check.js')

/** Functions whose failure was told. */
const told = new WeakSet()

/**
 * @param {unknown} value
 * @param {{ validate?: (value: unknown) => boolean }} policy
 * @param {{ warn(message: string, detail: unknown): void }} channel
 * @returns {boolean}
 * @throws {CacheConfigError} when it answers anything but true or false: a promise would always be true
 */
function isValid(value, { validate }, channel) {
  if (validate === undefined) return true
  let answer
  try {
    answer = validate(value)
  } catch (error) {
    if (!told.has(validate)) channel.warn(`validate threw, which counts as false: ${error?.message}`, error)
    told.add(validate)
    return false
  }
  return typeof answer === 'boolean' ? answer : refuse('what validate returns', answer, 'true or false, at once')
}

module.exports = { isValid }
