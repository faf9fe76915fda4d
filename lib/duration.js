'use strict'
// Durations as users write them ('300ms', '5m', 1500) to integer milliseconds.
//
// Refuses what could be read two ways or loses something: fractions, signs, exponents, blanks, digits without a unit.
// A number is milliseconds, never seconds; because a bare ttl of 300 mostly meant seconds, it warns, once per process.

const { CacheConfigError } = require('./errors.js')
const { shown } = require('./options/check.js')

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const TEXT = /^(\d{1,15})(ms|s|m|h|d)$/
const YEAR = 365 * UNITS.d
/** The longest a timer of Node can wait is 24.8 days; beyond it fires at once. */
const TIMER_MAX = 24 * UNITS.d

const WINDOW = Object.freeze({ min: 0, max: YEAR })
const TIMEOUT = Object.freeze({ min: 1, max: TIMER_MAX })
const WAIT = Object.freeze({ min: 0, max: TIMER_MAX })
const TTL = Object.freeze({ min: 0, max: YEAR, forever: true })

/** Texts already parsed. Programs write few; the bound is for those that compute them. */
const parsed = new Map()
const PARSED_MAX = 1_000

/** @returns {number} NaN when the text is no duration */
function parse(text) {
  const known = parsed.get(text)
  if (known !== undefined) return known
  const match = TEXT.exec(text)
  if (match === null) return Number.NaN
  const ms = Number(match[1]) * UNITS[match[2]]
  if (parsed.size >= PARSED_MAX) parsed.clear()
  parsed.set(text, ms)
  return ms
}

/** For messages: 86,400,000 → '1d'. */
function written(ms) {
  for (const unit of ['d', 'h', 'm', 's']) {
    if (ms >= UNITS[unit] && ms % UNITS[unit] === 0) return `${ms / UNITS[unit]}${unit}`
  }
  return ms === 0 ? '0' : `${ms}ms`
}

function refuse(value, name, { min, max, forever }) {
  const also = forever === true ? ", or 'forever' (365d)" : ''
  const hint = typeof value === 'string' && /^\d+$/.test(value) ? ` (write '${value.slice(0, 15)}ms' or a number)` : ''
  throw new CacheConfigError(
    `${name} must be an integer number of milliseconds, or digits and a unit (ms, s, m, h, d) such as '5m', ` +
      `from ${written(min)} to ${written(max)}${also}; got ${shown(value)}${hint}`,
  )
}

/**
 * Integer milliseconds of a duration.
 *
 * @param {unknown} value
 * @param {string} name the option, for the message
 * @param {{ min: number, max: number, forever?: boolean }} [limits] in ms, both inclusive
 * @returns {number}
 * @throws {CacheConfigError} naming the option, the value and what is allowed
 */
function toMs(value, name, limits = WINDOW) {
  if (typeof value === 'number') {
    if (!Number.isInteger(value) || value < limits.min || value > limits.max) refuse(value, name, limits)
    return value + 0 // -0 becomes 0
  }
  if (typeof value !== 'string') refuse(value, name, limits)
  if (limits.forever === true && value === 'forever') return YEAR
  const ms = parse(value)
  if (!(ms >= limits.min && ms <= limits.max)) refuse(value, name, limits)
  return ms
}

let warned = false

/** A ttl in ms: also takes 'forever'; a bare number under 1,000 warns once per process. */
function ttlMs(value, name = 'ttl') {
  const ms = toMs(value, name, TTL)
  if (typeof value === 'number' && ms > 0 && ms < 1_000 && !warned) {
    warned = true
    process.emitWarning(
      `${name}: ${ms} is ${ms} milliseconds; write '${ms}ms' if that is meant, '${ms}s' for seconds`,
      {
        type: 'TidecacheWarning',
        code: 'TIDECACHE_BARE_TTL',
      },
    )
  }
  return ms
}

/**
 * Integer milliseconds of a duration, for values that come from the environment.
 *
 * @param {string | number} text '300ms', '5s', '5m', '12h', '30d', or integer milliseconds as a number; at most 365 d
 * @returns {number}
 * @throws {CacheConfigError} naming the value and what is allowed
 */
function duration(text) {
  return toMs(text, 'duration', WINDOW)
}

module.exports = { duration, toMs, ttlMs, WINDOW, TIMEOUT, WAIT, TIMER_MAX }
