'use strict'
// The tagged form: JSON text for what JSON alone would lose.
//
// [root, node 1, node 2 …]: every object is a node of one flat table and is named by its number, so cycles, shared
// references and any depth cost nothing special. Inside a node a child is a JSON primitive, [n] for node n, [0] or
// [-1] … for undefined, NaN, Infinity, -Infinity, -0, or ["-ff"] for a BigInt. A node is {…} for a plain object, else
// [code, …], see `reader.js`, which mirrors this file. Bytes go raw behind the text, in the order of their nodes.

const { types } = require('node:util')
const { CacheEncodeError } = require('../errors.js')
const { binaryName, describe, errorBase, isBase, isExactArray, isExactDate, isPlain } = require('./kinds.js')
const { pathOf, reasonOf } = require('./path.js')

/** Far beyond data; a `types` entry whose plain form holds another instance of its class would go on for ever. */
const DEPTH_MAX = 100_000
const HIDDEN = ['message', 'stack', 'cause', 'errors']

function numberText(number) {
  if (Number.isFinite(number)) return Object.is(number, -0) ? '[-4]' : String(number)
  if (Number.isNaN(number)) return '[-1]'
  return number > 0 ? '[-2]' : '[-3]'
}

function isIndex(key) {
  const index = Number(key) >>> 0
  return String(index) === key && index !== 0xffffffff
}

class TaggedWriter {
  #types
  /** By number, 0 standing for the root's place: the value, the node it was found in, the step that led to it. */
  #values = [undefined]
  #parents = [0]
  #steps = [undefined]
  #depths = [0]
  #numbers = new Map()
  #typed = new Set()
  #current = 0
  #binaries = []

  constructor(types) {
    this.#types = types
  }

  /**
   * @param {unknown} value
   * @returns {{ text: string, binaries: Uint8Array[] }} the binaries are views of the caller's memory: copy at once
   * @throws {CacheEncodeError}
   */
  write(value) {
    let text = `[${this.#child(value, undefined)}`
    for (this.#current = 1; this.#current < this.#values.length; this.#current++) {
      text += `,${this.#read(this.#values[this.#current])}`
    }
    return { text: `${text}]`, binaries: this.#binaries }
  }

  /** A getter, a `types` entry or an exotic object may throw while it is read. */
  #read(value) {
    try {
      return this.#node(value)
    } catch (error) {
      if (error instanceof CacheEncodeError) throw error
      return this.#refuse(`it cannot be read: ${reasonOf(error)}`, [], { cause: error })
    }
  }

  #child(value, step) {
    switch (typeof value) {
      case 'string':
        return JSON.stringify(value)
      case 'number':
        return numberText(value)
      case 'boolean':
        return value ? 'true' : 'false'
      case 'undefined':
        return '[0]'
      case 'bigint':
        return `["${value.toString(16)}"]`
      default:
        return value === null ? 'null' : `[${this.#number(value, step)}]`
    }
  }

  /** The number of an object's node: a new one when it is met for the first time. */
  #number(value, step) {
    const known = this.#numbers.get(value)
    if (known !== undefined) {
      if (this.#typed.has(known)) this.#refuseCycle(known, step)
      return known
    }
    const number = this.#values.length
    const depth = this.#depths[this.#current] + 1
    if (depth > DEPTH_MAX) this.#refuse(`it is nested more than ${DEPTH_MAX} levels deep`, [step])
    this.#numbers.set(value, number)
    this.#values.push(value)
    this.#parents.push(this.#current)
    this.#steps.push(step)
    this.#depths.push(depth)
    return number
  }

  /** `decode` of a `types` entry needs its plain form complete: it cannot hold the instance itself. */
  #refuseCycle(typed, step) {
    for (let at = this.#current; at !== 0; at = this.#parents[at]) {
      if (at === typed) this.#refuse('its plain form from `types` leads back to it', [step])
    }
  }

  #node(value) {
    const readable = typeof value === 'object' && !types.isProxy(value)
    if (readable && Array.isArray(value) && isExactArray(value)) return this.#array(value, true)
    if (readable && isPlain(value) && !types.isArgumentsObject(value)) return this.#object(value)
    const type = this.#types.find((candidate) => candidate.is(value))
    if (type !== undefined) return this.#type(type, value)
    return readable ? this.#builtIn(value) : this.#refuse(`it is ${describe(value)}`)
  }

  #builtIn(value) {
    if (Array.isArray(value)) return this.#array(value, false)
    if (types.isMap(value)) return this.#map(value)
    if (types.isSet(value)) return this.#set(value)
    if (types.isNativeError(value)) return this.#error(value)
    if (types.isDate(value) && isExactDate(value)) return this.#date(value)
    if (types.isRegExp(value) && isBase(Object.getPrototypeOf(value), 'RegExp')) return this.#regExp(value)
    const binary = binaryName(value)
    return binary === undefined ? this.#refuse(`it is ${describe(value)}`) : this.#binary(binary, value)
  }

  #object(object) {
    this.#refuseSymbols(object)
    const bare = Object.getPrototypeOf(object) === null
    let text = ''
    for (const key of Object.keys(object)) {
      text += `${text === '' ? '' : ','}${JSON.stringify(key)}${bare ? ',' : ':'}${this.#child(object[key], key)}`
    }
    if (!bare) return `{${text}}`
    return text === '' ? '["n"]' : `["n",${text}]`
  }

  /** An array of a subclass is stored as an array: its elements, without properties of its own. */
  #array(array, exact) {
    if (exact) this.#refuseSymbols(array)
    let text = '["a"'
    for (let i = 0; i < array.length; i++) {
      const element = array[i]
      if (element === undefined && !Object.hasOwn(array, i)) return this.#sparse(array, exact)
      text += `,${this.#child(element, i)}`
    }
    if (exact && Object.keys(array).length !== array.length) return this.#sparse(array, true)
    return `${text}]`
  }

  /** With holes, or with properties beside the elements. */
  #sparse(array, exact) {
    let text = `["s",${array.length}`
    for (const key of Object.keys(array)) {
      const index = isIndex(key)
      if (index) text += `,${key},${this.#child(array[key], Number(key))}`
      else if (exact) text += `,${JSON.stringify(key)},${this.#child(array[key], key)}`
    }
    return `${text}]`
  }

  #map(map) {
    if (isBase(Object.getPrototypeOf(map), 'Map')) this.#refuseProperties(map, 'Map')
    let text = '["m"'
    let step = 0
    for (const [key, value] of Map.prototype.entries.call(map)) {
      text += `,${this.#child(key, step)},${this.#child(value, step + 1)}`
      step += 2
    }
    return `${text}]`
  }

  #set(set) {
    if (isBase(Object.getPrototypeOf(set), 'Set')) this.#refuseProperties(set, 'Set')
    let text = '["t"'
    let step = 0
    for (const value of Set.prototype.values.call(set)) text += `,${this.#child(value, step++)}`
    return `${text}]`
  }

  /** Properties that do not show (message, stack, cause) first, then those that do, as an error of the built-in class. */
  #error(error) {
    const { base, exact } = errorBase(error)
    if (exact) this.#refuseSymbols(error)
    const shown = Object.keys(error)
    // Error.prepareStackTrace may have made something else of the stack.
    const isData = (name) => name !== 'stack' || typeof error.stack === 'string'
    const hidden = HIDDEN.filter((name) => Object.hasOwn(error, name) && !shown.includes(name) && isData(name))
    if (typeof error.name === 'string' && error.name !== base && !shown.includes('name')) hidden.push('name')
    let text = `["e","${base}",${hidden.length}`
    for (const name of [...hidden, ...shown]) text += `,${JSON.stringify(name)},${this.#child(error[name], name)}`
    return `${text}]`
  }

  #date(date) {
    this.#refuseProperties(date, 'Date')
    const time = Date.prototype.getTime.call(date)
    return `["d",${Number.isNaN(time) ? 'null' : time}]`
  }

  #regExp(regExp) {
    this.#refuseProperties(regExp, 'RegExp')
    const { source, flags, lastIndex } = regExp
    return `["r",${JSON.stringify(source)},${JSON.stringify(flags)},${Number.isSafeInteger(lastIndex) ? lastIndex + 0 : 0}]`
  }

  #binary(name, value) {
    const bytes = ArrayBuffer.isView(value)
      ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      : new Uint8Array(value)
    this.#binaries.push(bytes)
    return `["b","${name}",${bytes.length}]`
  }

  #type(type, value) {
    const plain = type.encode(value)
    if (plain === value) this.#refuse(`\`types\` entry ${type.name} returned the value itself from encode()`)
    this.#typed.add(this.#current)
    return `["T",${JSON.stringify(type.name)},${this.#child(plain, { type: type.name })}]`
  }

  /** Own properties that the stored form of a built-in has no place for. */
  #refuseProperties(value, kind) {
    this.#refuseSymbols(value)
    const [key] = Object.keys(value)
    if (key !== undefined) this.#refuse(`it is an own property of a ${kind}, which would be lost`, [key])
  }

  /** Symbol keys that do not show (not enumerable) are no data. */
  #refuseSymbols(value) {
    for (const symbol of Object.getOwnPropertySymbols(value)) {
      if (!Object.prototype.propertyIsEnumerable.call(value, symbol)) continue
      this.#refuse('its key is a symbol: use a text', [symbol])
    }
  }

  /** @param {unknown[]} [steps] from the current node to what is wrong */
  #refuse(why, steps = [], details = {}) {
    const trail = []
    for (let at = this.#current; this.#parents[at] !== 0; at = this.#parents[at]) {
      trail.push({ owner: this.#values[this.#parents[at]], step: this.#steps[at] })
    }
    const own = steps.map((step) => ({ owner: this.#values[this.#current], step }))
    const path = pathOf([...trail.reverse(), ...own])
    const where = path === '' ? 'the value' : `the value at ${path}`
    throw new CacheEncodeError(`cannot cache ${where}: ${why}`, { ...details, path })
  }
}

module.exports = { TaggedWriter }
