'use strict'
// What every check of an option shares: how a bad value is shown, how an unknown name is refused.
//
// A value in a message is cut to 60 characters and never a password: text with a URL or an '@' in it is redacted, objects
// are shown by their kind alone.

const { inspect } = require('node:util')
const { CacheConfigError, redact } = require('../errors.js')

const SHOWN_MAX = 60

/** A refused value as it may stand in a message. */
function shown(value) {
  const mayTell = typeof value === 'string' && /:\/\/|@/.test(value)
  const safe = mayTell ? redact(value) : value
  const text = inspect(safe, { depth: -1, customInspect: false, breakLength: Infinity, maxStringLength: SHOWN_MAX })
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX - 3)}...` : text
}

/** @throws {CacheConfigError} always: `name` must be `allowed`; got `value` */
function refuse(name, value, allowed) {
  throw new CacheConfigError(`${name} must be ${allowed}; got ${shown(value)}`)
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Number of single-character edits between two short names, two neighbours swapped counting as one. */
function distance(a, b) {
  let before = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      row[j] = Math.min(row[j - 1] + 1, last[j] + 1, last[j - 1] + same)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) row[j] = Math.min(row[j], before[j - 2] + 1)
    }
    before = last
    last = row
  }
  return last[b.length]
}

/** The allowed names a misspelt one probably meant, best first, at most three. */
function nearest(name, allowed) {
  const wanted = name.slice(0, 64).toLowerCase()
  const close = Math.max(2, Math.floor(wanted.length / 3))
  return allowed
    .map((candidate) => ({ candidate, edits: distance(wanted, candidate.toLowerCase()) }))
    .filter(({ edits }) => edits <= close)
    .sort((a, b) => a.edits - b.edits)
    .slice(0, 3)
    .map(({ candidate }) => candidate)
}

/**
 * Refuses an option name that does not exist, or does not exist yet.
 *
 * @param {string} name as the user wrote it
 * @param {readonly string[]} allowed
 * @param {{ prefix?: string, later?: readonly string[], unsaid?: readonly string[] }} [context] prefix: 'redis.';
 *   later: names planned; unsaid: names that are never suggested
 * @throws {CacheConfigError} always
 */
function refuseName(name, allowed, { prefix = '', later = [], unsaid = [] } = {}) {
  const list = `allowed: ${allowed.join(', ')}`
  const written = `${prefix}${name.slice(0, SHOWN_MAX)}`
  if (later.includes(name)) throw new CacheConfigError(`option '${written}' is not supported yet; ${list}`)
  const near = nearest(
    name,
    allowed.filter((one) => !unsaid.includes(one)),
  )
  const guess = near.length === 0 ? '' : ` (did you mean ${near.map((n) => `'${n}'`).join(' or ')}?)`
  throw new CacheConfigError(`unknown option '${written}'${guess}; ${list}`)
}

/**
 * Refuses unknown members of an options object, also those whose value is undefined: they are misspelt all the same.
 * What somebody added to Object.prototype is no option.
 */
function checkNames(options, allowed, context) {
  for (const name in options) {
    if (!allowed.includes(name) && Object.hasOwn(options, name)) refuseName(name, allowed, context)
  }
}

function checkFunction(value, name) {
  return typeof value === 'function' ? value : refuse(name, value, 'a function')
}

function checkOneOf(value, name, allowed) {
  return allowed.includes(value) ? value : refuse(name, value, allowed.map((a) => `'${a}'`).join(' or '))
}

/** @param {string} allowed for the message: the same range in words */
function checkInteger(value, name, [least, most], allowed = `an integer from ${least} to ${most}`) {
  return Number.isInteger(value) && value >= least && value <= most ? value : refuse(name, value, allowed)
}

/** Text of the environment: unset and empty are the same. */
function envText(env, name) {
  const text = env[name]
  return text === undefined || text === '' ? undefined : text
}

/** A switch of the environment: 'true' or '1'; 'false', '0' or unset is off; anything else is refused. */
function envSwitch(env, name) {
  const text = envText(env, name)
  if (text === undefined || text === 'false' || text === '0') return false
  if (text === 'true' || text === '1') return true
  return refuse(name, text, "'true', '1', 'false' or '0'")
}

module.exports = {
  shown,
  refuse,
  refuseName,
  isObject,
  checkNames,
  checkFunction,
  checkOneOf,
  checkInteger,
  envText,
  envSwitch,
}
