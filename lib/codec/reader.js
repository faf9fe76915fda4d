'use strict'
// Reads the tagged form back. Mirrors `writer.js`.
//
// The text may be damaged or forged: everything is checked, no length in it makes memory grow beyond a small multiple
// of the text itself, no key reaches a prototype, no code runs but the `decode` of the user's own `types`.

const { ERROR_NAMES } = require('./kinds.js')

/** By code: [0], [-1] … */
const SPECIAL = [undefined, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0]
const HIDDEN = ['message', 'stack', 'cause', 'errors', 'name']
const LENGTH_MAX = 0xffffffff
/** The place of an instance of a `types` class before it is decoded. */
const PENDING = Symbol('pending')

const TYPED_ARRAYS = [
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float16Array', // not in every Node this runs on
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
].filter((name) => typeof globalThis[name] === 'function')

function malformed(what) {
  throw new Error(`malformed: ${what}`)
}

function define(object, key, value, enumerable) {
  Object.defineProperty(object, key, { value, enumerable, writable: true, configurable: true })
}

/** An array of this length that takes memory for its elements only, however long. */
function sparse(length, given) {
  if (!Number.isInteger(length) || length < 0 || length > LENGTH_MAX) malformed('length')
  const array = []
  // V8 keeps an array that once had the greatest length as a dictionary, with no memory set aside for holes.
  if (length > 16 + 4 * given) array.length = LENGTH_MAX
  array.length = length
  return array
}

function emptyError(base) {
  if (!ERROR_NAMES.includes(base)) malformed('error')
  const error = base === 'AggregateError' ? new AggregateError([]) : new globalThis[base]()
  delete error.stack
  return error
}

function regExpOf([, source, flags, lastIndex]) {
  if (typeof source !== 'string' || typeof flags !== 'string' || !Number.isSafeInteger(lastIndex)) malformed('RegExp')
  const regExp = new RegExp(source, flags)
  regExp.lastIndex = lastIndex
  return regExp
}

function dateOf([, time]) {
  if (time !== null && typeof time !== 'number') malformed('Date')
  return new Date(time ?? Number.NaN)
}

function bigIntOf(text) {
  if (!/^-?[0-9a-f]+$/.test(text)) malformed('BigInt')
  return text[0] === '-' ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`)
}

/** Bytes of its own: aligned, shared with nothing. */
function binaryOf(name, bytes) {
  const { buffer } = new Uint8Array(bytes)
  if (name === 'Buffer') return Buffer.from(buffer)
  if (name === 'ArrayBuffer') return buffer
  if (name === 'DataView') return new DataView(buffer)
  return TYPED_ARRAYS.includes(name) ? new globalThis[name](buffer) : malformed('binary')
}

class TaggedReader {
  #types
  #table
  #values
  #bytes
  #offset = 0

  /**
   * @param {string} text
   * @param {Uint8Array} bytes the attachments
   * @param {readonly { name: string, decode(plain: unknown): unknown }[]} types
   */
  constructor(text, bytes, types) {
    this.#table = JSON.parse(text)
    if (!Array.isArray(this.#table) || this.#table.length === 0) malformed('table')
    this.#bytes = bytes
    this.#types = types
    this.#values = new Array(this.#table.length)
  }

  /** First every object empty, so that each can be named; then what is in them. */
  read() {
    const table = this.#table
    let typed = false
    for (let i = 1; i < table.length; i++) {
      this.#values[i] = this.#empty(table[i])
      if (this.#values[i] === PENDING) typed = true
    }
    if (this.#offset !== this.#bytes.length) malformed('bytes left over')
    if (typed) for (const number of this.#childrenFirst()) this.#fill(number)
    else for (let i = 1; i < table.length; i++) this.#fill(i)
    return this.#child(table[0])
  }

  #empty(node) {
    if (typeof node !== 'object' || node === null) malformed('node')
    if (!Array.isArray(node)) return node
    switch (node[0]) {
      case 'a':
        return node
      case 's':
        return sparse(node[1], node.length / 2)
      case 'n':
        return Object.create(null)
      case 'm':
        return new Map()
      case 't':
        return new Set()
      case 'e':
        return emptyError(node[1])
      case 'd':
        return dateOf(node)
      case 'r':
        return regExpOf(node)
      case 'b':
        return binaryOf(node[1], this.#take(node[2]))
      case 'T':
        return PENDING
      default:
        return malformed('code')
    }
  }

  /** The next attachment. Each byte is taken once: what is decoded cannot outgrow what is there. */
  #take(length) {
    if (!Number.isInteger(length) || length < 0 || length > this.#bytes.length - this.#offset) malformed('byte length')
    this.#offset += length
    return this.#bytes.subarray(this.#offset - length, this.#offset)
  }

  #fill(number) {
    const node = this.#table[number]
    const value = this.#values[number]
    if (!Array.isArray(node)) return this.#fillObject(node)
    switch (node[0]) {
      case 'a':
        return this.#fillArray(node)
      case 's':
        return this.#fillSparse(node, value)
      case 'n':
        return this.#pairs(node, 1, (key, child) => define(value, key, child, true))
      case 'm':
        return this.#fillMap(node, value)
      case 't':
        return this.#fillSet(node, value)
      case 'e':
        return this.#fillError(node, value)
      case 'T':
        return this.#decode(number, node)
    }
  }

  /** JSON.parse made `__proto__` an own property: writing it again keeps it one. */
  #fillObject(object) {
    for (const key of Object.keys(object)) {
      const child = object[key]
      if (typeof child === 'object' && child !== null) object[key] = this.#child(child)
    }
  }

  /** The node itself becomes the array: its code goes, the children move up by one. */
  #fillArray(node) {
    for (let i = 1; i < node.length; i++) node[i - 1] = this.#child(node[i])
    node.pop()
  }

  #fillSparse(node, array) {
    this.#pairs(node, 2, (key, child) => {
      const index = typeof key === 'number'
      if (index ? !Number.isInteger(key) || key < 0 || key >= array.length : Object.hasOwn(array, key))
        malformed('index')
      define(array, key, child, true)
    })
    if (array.length !== node[1]) malformed('length')
  }

  #fillMap(node, map) {
    if (node.length % 2 === 0) malformed('Map')
    for (let i = 1; i < node.length; i += 2) map.set(this.#child(node[i]), this.#child(node[i + 1]))
  }

  #fillSet(node, set) {
    for (let i = 1; i < node.length; i++) set.add(this.#child(node[i]))
  }

  #fillError(node, error) {
    let hidden = node[2]
    this.#pairs(node, 3, (key, child) => {
      const shown = hidden-- <= 0
      if (!shown && !HIDDEN.includes(key)) malformed('error')
      define(error, key, child, shown)
    })
  }

  /** Calls back with each key (a text, or an index) and its child. */
  #pairs(node, from, each) {
    if ((node.length - from) % 2 !== 0) malformed('pairs')
    for (let i = from; i < node.length; i += 2) {
      if (typeof node[i] !== 'string' && typeof node[i] !== 'number') malformed('key')
      each(node[i], this.#child(node[i + 1]))
    }
  }

  #decode(number, [, name, plain]) {
    const type = this.#types.find((candidate) => candidate.name === name)
    if (type === undefined) malformed(`no entry of \`types\` is called '${String(name).slice(0, 60)}'`)
    this.#values[number] = type.decode(this.#child(plain))
  }

  #child(child) {
    if (typeof child !== 'object' || child === null) return child
    const code = Array.isArray(child) ? child[0] : malformed('child')
    if (typeof code === 'string') return bigIntOf(code)
    if (!Number.isInteger(code) || code >= this.#values.length || code <= -SPECIAL.length) malformed('reference')
    if (code <= 0) return SPECIAL[-code]
    const value = this.#values[code]
    return value === PENDING ? malformed('the plain form of a `types` entry leads back to it') : value
  }

  /** The numbers in an order in which each node comes after those in it, cycles apart: `decode` needs them filled. */
  #childrenFirst() {
    const order = []
    const state = new Uint8Array(this.#table.length) // 0 not met, 1 its children are on the stack, 2 done
    const stack = this.#references([this.#table[0]])
    while (stack.length > 0) {
      const number = stack.at(-1)
      if (state[number] === 0) {
        state[number] = 1
        for (const child of this.#references(Object.values(this.#table[number]))) {
          if (state[child] === 0) stack.push(child)
        }
        continue
      }
      stack.pop()
      if (state[number] === 1) order.push(number)
      state[number] = 2
    }
    return order
  }

  #references(children) {
    const isReference = (child) => Array.isArray(child) && child[0] > 0 && child[0] < this.#table.length
    return children.filter(isReference).map(([number]) => number)
  }
}

module.exports = { TaggedReader }
