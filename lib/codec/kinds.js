'use strict'
// What a value is, whichever realm it was made in.
//
// By brand (`node:util` types, which look at internal slots) and by the shape of the prototype, never by `instanceof`:
// test runners and node:vm make values whose Object, Array and Error are not ours.

const { types } = require('node:util')

const ERROR_NAMES = [
  'Error',
  'AggregateError',
  'EvalError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'TypeError',
  'URIError',
]

const typedArrayName = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
).get

/** The constructor a prototype declares, without running a getter. */
function constructorOf(proto) {
  const declared = Object.getOwnPropertyDescriptor(proto, 'constructor')?.value
  return typeof declared === 'function' && declared.prototype === proto ? declared : undefined
}

/** Object.prototypes of other realms, found once each; weak, so that a realm can go. */
const foreign = new WeakSet()

/** Whether this is the Object.prototype of some realm. */
function isObjectPrototype(proto) {
  if (proto === Object.prototype || foreign.has(proto)) return true
  if (Object.getPrototypeOf(proto) !== null || constructorOf(proto)?.name !== 'Object') return false
  if (!Object.hasOwn(proto, 'hasOwnProperty') || !Object.hasOwn(proto, 'isPrototypeOf')) return false
  foreign.add(proto)
  return true
}

/** Whether an object is plain: prototype null, or an Object.prototype of any realm. */
function isPlain(object) {
  const proto = Object.getPrototypeOf(object)
  return proto === null || isObjectPrototype(proto)
}

/** Whether this is the prototype `name` of some realm itself (Map.prototype), not one of a subclass. */
function isBase(proto, name) {
  if (proto === null || constructorOf(proto)?.name !== name) return false
  const above = Object.getPrototypeOf(proto)
  return above !== null && isObjectPrototype(above)
}

/** Array.prototype is an array itself, in every realm; the prototype of a subclass is not. */
function isExactArray(array) {
  const proto = Object.getPrototypeOf(array)
  return proto === Array.prototype || Array.isArray(proto)
}

/** Fake timers make dates of a subclass that claim to be of the base, by an own `constructor`. */
function isExactDate(date) {
  const claimed = Object.getOwnPropertyDescriptor(date, 'constructor')?.value
  return isBase(typeof claimed === 'function' ? claimed.prototype : Object.getPrototypeOf(date), 'Date')
}

/** The nearest built-in class of an error, and whether it is of that class itself. */
function errorBase(error) {
  for (let proto = Object.getPrototypeOf(error), exact = true; proto !== null; exact = false) {
    const name = constructorOf(proto)?.name
    if (ERROR_NAMES.includes(name) && Object.hasOwn(proto, 'message')) return { base: name, exact }
    proto = Object.getPrototypeOf(proto)
  }
  return { base: 'Error', exact: false }
}

/** 'Buffer', 'Uint8Array', 'ArrayBuffer', 'DataView' …; undefined for what holds no bytes of its own, and subclasses. */
function binaryName(value) {
  const proto = Object.getPrototypeOf(value)
  if (proto === Buffer.prototype) return 'Buffer'
  // Only the built-in prototypes have this, not those of subclasses.
  if (types.isTypedArray(value)) {
    return Object.hasOwn(proto, 'BYTES_PER_ELEMENT') ? typedArrayName.call(value) : undefined
  }
  if (types.isArrayBuffer(value) && isBase(proto, 'ArrayBuffer')) return 'ArrayBuffer'
  return types.isDataView(value) && isBase(proto, 'DataView') ? 'DataView' : undefined
}

/** A class's name for a message, without running a getter. */
function className(value) {
  for (let proto = Object.getPrototypeOf(value); proto !== null; proto = Object.getPrototypeOf(proto)) {
    const name = constructorOf(proto)?.name
    if (typeof name === 'string' && name !== '') return name.slice(0, 60)
  }
  return 'an unnamed class'
}

/** What a value that cannot be stored is, and what to do about it. */
function describe(value) {
  if (typeof value === 'function') return 'a function: leave it out of what the loader returns'
  if (typeof value === 'symbol') return 'a symbol: leave it out of what the loader returns'
  if (types.isProxy(value)) return 'a Proxy: return a plain copy of it'
  if (types.isPromise(value)) return 'a promise: await it before returning'
  if (types.isBoxedPrimitive(value)) return `a boxed ${className(value)}: use the primitive value`
  if (types.isArgumentsObject(value)) return 'an arguments object: use an array'
  if (types.isSharedArrayBuffer(value)) return 'a SharedArrayBuffer: copy what is in it'
  const name = className(value)
  if (name === 'URL' || name === 'URLSearchParams') return `an instance of ${name}: store its text`
  return `an instance of ${name}: turn it into plain data in the loader, or handle its class with the option \`types\``
}

module.exports = {
  ERROR_NAMES,
  binaryName,
  describe,
  errorBase,
  isBase,
  isExactArray,
  isExactDate,
  isObjectPrototype,
  isPlain,
}
