'use strict'
// The way to a part of a value, as one would write it: `.items[3].price`, `.get('k')`, `["a b"]`.
//
// Cut in the middle when it is long, so that a message stays a message.

const { inspect, types } = require('node:util')

const STEPS_MAX = 40
const NAME_MAX = 80

function ofMap(map, step) {
  const index = step >> 1
  if (step % 2 === 0) return `.keys()[${index}]`
  const key = [...Map.prototype.keys.call(map)][index]
  const simple = (typeof key !== 'object' && typeof key !== 'function') || key === null
  return simple ? `.get(${inspect(key).slice(0, NAME_MAX)})` : `.values()[${index}]`
}

/** One step out of `owner`: a property, an index, an entry, or the plain form made by a `types` entry. */
function stepText(owner, step) {
  if (step === undefined) return ''
  if (typeof step === 'object') return `<${step.type.slice(0, NAME_MAX)}>`
  if (typeof step === 'symbol') return `[${String(step).slice(0, NAME_MAX)}]`
  if (typeof step === 'number') {
    if (types.isMap(owner)) return ofMap(owner, step)
    return types.isSet(owner) ? `.values()[${step}]` : `[${step}]`
  }
  return /^[A-Za-z_$][\w$]{0,79}$/.test(step) ? `.${step}` : `[${JSON.stringify(step.slice(0, NAME_MAX))}]`
}

/**
 * @param {{ owner: unknown, step: unknown }[]} trail from the root on; `owner` is what the step leads out of
 * @returns {string} '' for the root itself
 */
function pathOf(trail) {
  const text = ({ owner, step }) => stepText(owner, step)
  if (trail.length <= STEPS_MAX) return trail.map(text).join('')
  const half = STEPS_MAX / 2
  return [...trail.slice(0, half).map(text), '…', ...trail.slice(-half).map(text)].join('')
}

/** What somebody threw, in a message of ours. */
function reasonOf(error) {
  return String(error?.message ?? error).slice(0, 200)
}

module.exports = { pathOf, reasonOf }
