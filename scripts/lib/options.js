'use strict'
// Options of the scripts, as `parseArgs` has read them.

/**
 * @param {Record<string, unknown>} values
 * @param {string} name of the option
 * @param {number} [least]
 * @throws what to tell the user
 */
function wholeNumber(values, name, least = 1) {
  const value = Number(values[name])
  if (Number.isInteger(value) && value >= least) return value
  throw new Error(`--${name} is a whole number from ${least}, not ${values[name]}`)
}

module.exports = { wholeNumber }
