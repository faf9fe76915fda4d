'use strict'
// Any value as JSON, for machines that read it: what JSON has no form for becomes the nearest thing it has.

const { types } = require('node:util')

function convert(value) {
  if (typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value))) return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (types.isMap(value)) return [...value]
  if (types.isSet(value)) return [...value]
  if (types.isRegExp(value)) return String(value)
  if (types.isNativeError(value)) return { name: value.name, message: value.message }
  if (types.isArrayBuffer(value)) return Buffer.from(value).toString('base64')
  if (ArrayBuffer.isView(value)) return bytesOf(value)
  return value
}

function bytesOf(view) {
  if (types.isTypedArray(view) && !types.isUint8Array(view)) return [...view]
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('base64')
}

/** One line of JSON; what refers to itself ends in '[Circular]', members that are undefined are left out. */
function toJson(value) {
  const above = []
  // `this` is the object that holds the member: what is not above it was left.
  return JSON.stringify(value, function replace(key, seen) {
    // A Buffer and a Date have been through toJSON by now: the member itself is what counts.
    const member = types.isUint8Array(this[key]) ? this[key] : seen
    // null would be another value.
    if (types.isDate(this[key]) && seen === null) return String(this[key])
    if (member === undefined && (key === '' || Array.isArray(this))) return 'undefined'
    while (above.length > 0 && above.at(-1) !== this) above.pop()
    const converted = convert(member)
    if (typeof converted !== 'object' || converted === null) return converted
    if (above.includes(converted)) return '[Circular]'
    above.push(converted)
    return converted
  })
}

module.exports = { toJson }
