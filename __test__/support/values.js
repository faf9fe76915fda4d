'use strict'
// Random values of every kind the codec stores, from a seed: a failure can be made again.

const TEXTS = [
  '',
  'a',
  'key',
  '__proto__',
  'constructor',
  'length',
  '0',
  '-1',
  'ü€😀',
  '\ud800',
  '\udc00x',
  '\0"\\\n',
  '[1]',
]
const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.1,
  1e21,
  5e-324,
  2 ** 53,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
]
const ERRORS = [Error, TypeError, RangeError, SyntaxError]
const VIEWS = [Uint8Array, Int16Array, Uint32Array, Float32Array, Float64Array, BigInt64Array, Uint8ClampedArray]
const PLAIN = ['text', 'number', 'literal', 'object', 'array']
const SHARED = [...PLAIN, 'again']
const ALL = [...PLAIN, 'special', 'object', 'array', 'map', 'set', 'date', 'regExp', 'error', 'bare', 'holes', 'again']
const BINARY = [...ALL, 'bytes', 'view', 'memory']

class Maker {
  #random
  #kinds
  #left = 60
  #made = []

  constructor(random) {
    this.#random = random
    this.#kinds = this.#pick([PLAIN, SHARED, ALL, ALL, BINARY])
  }

  #int(limit) {
    return Math.floor(this.#random() * limit)
  }

  #pick(list) {
    return list[this.#int(list.length)]
  }

  #text() {
    return this.#random() < 0.6 ? this.#pick(TEXTS) : this.#int(1e9).toString(36)
  }

  #list(depth) {
    return Array.from({ length: this.#int(6) }, () => this.make(depth + 1))
  }

  #keep(object) {
    this.#made.push(object)
    return object
  }

  make(depth = 0) {
    this.#left--
    if (depth > 6 || this.#left < 0) return this.#text()
    return this[this.#pick(this.#kinds)](depth)
  }

  text() {
    return this.#text()
  }

  number() {
    const number = this.#random() < 0.5 ? this.#pick(NUMBERS) : this.#int(1e6) / 4
    return this.#kinds === PLAIN && (!Number.isFinite(number) || Object.is(number, -0)) ? 7 : number
  }

  literal() {
    return this.#pick([null, true, false])
  }

  special() {
    return this.#pick([undefined, Number.NaN, -0, 10n ** 30n, -1n, 0n])
  }

  #fill(object, depth) {
    for (let n = this.#int(6); n > 0; n--) {
      const value = this.make(depth + 1)
      Object.defineProperty(object, this.#text(), { value, enumerable: true, writable: true, configurable: true })
    }
    return object
  }

  object(depth) {
    return this.#fill(this.#keep({}), depth)
  }

  bare(depth) {
    return this.#fill(this.#keep(Object.create(null)), depth)
  }

  array(depth) {
    const array = this.#keep([])
    array.push(...this.#list(depth))
    return array
  }

  holes(depth) {
    const array = this.#keep([])
    array.length = this.#int(2_000)
    for (const value of this.#list(depth)) array[this.#int(100)] = value
    if (this.#random() < 0.3) array.extra = this.make(depth + 1)
    return array
  }

  map(depth) {
    const map = this.#keep(new Map())
    for (const value of this.#list(depth)) map.set(this.make(depth + 1), value)
    return map
  }

  set(depth) {
    const set = this.#keep(new Set())
    for (const value of this.#list(depth)) set.add(value)
    return set
  }

  date() {
    return this.#keep(new Date(this.#int(1e13)))
  }

  regExp() {
    return this.#keep(new RegExp(this.#pick(['', 'a/b', '[/]', '\\n', 'ü']), this.#pick(['', 'g', 'giu', 'y'])))
  }

  error(depth) {
    const error = this.#keep(new (this.#pick(ERRORS))(this.#text()))
    if (this.#random() < 0.5) error.cause = this.make(depth + 1)
    if (this.#random() < 0.3) error.name = this.#text()
    return Object.assign(error, { code: this.make(depth + 1) })
  }

  /** One that was made before, perhaps the one it goes into. */
  again() {
    return this.#made.length === 0 ? null : this.#pick(this.#made)
  }

  bytes() {
    return this.#keep(Buffer.from(this.#text()))
  }

  view() {
    const View = this.#pick(VIEWS)
    return this.#keep(new View(new ArrayBuffer(64), 8 * this.#int(4), this.#int(4)))
  }

  memory() {
    const { buffer } = Uint8Array.from(TEXTS, () => this.#int(256))
    return this.#keep(this.#random() < 0.5 ? buffer : new DataView(buffer, 1))
  }
}

/** @param {() => number} random from `seeded` */
function randomValue(random) {
  return new Maker(random).make()
}

module.exports = { randomValue }
