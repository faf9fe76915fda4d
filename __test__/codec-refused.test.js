'use strict'
// What the codec refuses, and how: with the path to it and a hint; and the two ways around it, `types` and `codec`.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { createCodec } = require('../lib/codec.js')
const { DECIMAL, Decimal, codec, refusal, roundTrip, thrower } = require('./support/codec.js')
const { assertSame } = require('./support/same.js')

function argumentsOf() {
  // biome-ignore lint/complexity/noArguments: the object itself is the case
  return arguments
}

test('what cannot be stored is refused with the path to it and a hint', () => {
  class Decimal {
    toJSON() {
      return '1'
    }
  }
  class Money {
    cents = 1
  }
  const cause = new TypeError('no b')
  const throwing = Object.defineProperty({}, 'b', { enumerable: true, get: thrower(cause) })
  const cases = [
    [() => 1, '', /a function: leave it out/],
    [Symbol('s'), '', /a symbol/],
    [{ items: [0, 1, 2, { price: new Decimal() }] }, '.items[3].price', /an instance of Decimal: .*`types`/],
    [{ 'a b': [new Money()] }, '["a b"][0]', /an instance of Money/],
    [{ user: Promise.resolve(1) }, '.user', /a promise: await it/],
    [{ toJSON() {} }, '.toJSON', /a function/],
    [{ a: { [Symbol('id')]: 1 } }, '.a[Symbol(id)]', /its key is a symbol/],
    [Object.assign([1], { [Symbol('id')]: 1 }), '[Symbol(id)]', /its key is a symbol/],
    [new Map([['k', Symbol('s')]]), ".get('k')", /a symbol/],
    [new Map([[() => 1, 1]]), '.keys()[0]', /a function/],
    [new Map([[{}, [new WeakMap()]]]), '.values()[0][0]', /an instance of WeakMap/],
    [new Set([1, new WeakSet()]), '.values()[1]', /an instance of WeakSet/],
    [new Error('x', { cause: new Decimal() }), '.cause', /an instance of Decimal/],
    [new AggregateError([1, () => 1]), '.errors[1]', /a function/],
    [Object.assign(new Map(), { extra: 1 }), '.extra', /an own property of a Map, which would be lost/],
    [Object.assign(new Date(), { extra: 1 }), '.extra', /an own property of a Date/],
    [new (class extends RegExp {})('x'), '', /an instance of/],
    [new (class Bytes extends Uint8Array {})(1), '', /an instance of Bytes/],
    [Object.create({ inherited: 1 }), '', /an instance of/],
    [{ a: new Proxy({}, {}) }, '.a', /a Proxy/],
    [new Proxy([], {}), '', /a Proxy/],
    [{ url: new URL('http://h') }, '.url', /an instance of URL: store its text/],
    [[Object(1)], '[0]', /a boxed Number: use the primitive/],
    [new SharedArrayBuffer(1), '', /a SharedArrayBuffer/],
    [argumentsOf(1), '', /an arguments object/],
    [(function* () {})(), '', /an instance of/],
    [{ a: throwing }, '.a', /it cannot be read: no b/],
  ]

  for (const [value, path, message] of cases) {
    const error = refusal(value)
    assert.equal(error.path, path)
    assert.match(error.message, message)
    assert.ok(
      error.message.startsWith(path === '' ? 'cannot cache the value: ' : `cannot cache the value at ${path}: `),
    )
  }
  assert.equal(refusal(throwing).cause, cause)
})

test('a getter is read; what is not enumerable is no data; toJSON is never called', () => {
  let calls = 0
  const withGetter = Object.defineProperty({}, 'total', { enumerable: true, get: () => 5 })
  const hidden = Object.defineProperty({ a: 1 }, 'toJSON', { value: () => calls++, enumerable: false })
  Object.defineProperty(hidden, Symbol('hidden'), { value: () => 1, enumerable: false })

  assertSame(roundTrip(hidden).decoded, { a: 1 })
  assertSame(roundTrip(withGetter).decoded, { total: 5 })
  assert.equal(calls, 0)
})

test('a toJSON or keys that somebody put on Object.prototype change nothing', (t) => {
  const value = { a: [1, { b: 2 }], date: new Date(1) }
  t.after(() => {
    delete Object.prototype.toJSON
    delete Object.prototype.added
  })

  Object.prototype.toJSON = () => 'wrong'
  Object.prototype.added = () => 'wrong'
  const trips = [roundTrip(value).decoded, roundTrip(value.a).decoded]
  delete Object.prototype.toJSON
  delete Object.prototype.added

  assertSame(trips[0], value)
  assertSame(trips[1], value.a)
})

class Node {
  constructor(value, next, extra) {
    Object.assign(this, { value, next, extra })
  }
}

const NODE = {
  name: 'Node',
  is: (value) => value instanceof Node,
  encode: ({ value, next, extra }) => ({ value, next, extra }),
  decode: ({ value, next, extra }) => Object.freeze(new Node(value, next, extra)),
}

test('types add classes: anywhere, nested in one another, shared, in any order', () => {
  const typed = createCodec({ types: [NODE, DECIMAL] })
  const price = new Decimal('1.50')
  const shared = { when: new Date(1) }
  const list = new Node(price, new Node(1n, undefined, shared), shared)

  const { decoded } = roundTrip(
    { price, list, again: [price, list], set: new Set([list]), bytes: Buffer.from('x') },
    typed,
  )

  assert.ok(decoded.price instanceof Decimal && decoded.list instanceof Node && decoded.list.next instanceof Node)
  assert.equal(decoded.price.text, '1.50')
  assert.equal(decoded.list.value, decoded.price)
  assert.equal(decoded.again[1], decoded.list)
  assert.ok(decoded.set.has(decoded.list))
  assert.equal(decoded.list.extra, decoded.list.next.extra)
  assert.equal(decoded.list.next.value, 1n)
  assert.equal(roundTrip({ plain: [1] }, typed).form, 0)

  let long
  for (let i = 0; i < 10_000; i++) long = new Node(i, long)
  let at = roundTrip(long, typed).decoded
  for (let i = 0; i < 9_999; i++) at = at.next
  assert.equal(at.value, 0)
})

test('types may take subclasses and functions, and are not asked about plain data', () => {
  class Rows extends Array {}
  const asked = []
  const entry = {
    name: 'Rows',
    is: (value) => asked.push(value) && value instanceof Rows,
    encode: (rows) => Array.from(rows),
    decode: (array) => Rows.from(array),
  }
  const rows = Rows.of(1, 2)

  const { decoded } = roundTrip({ a: [{}, rows], b: Object.create(null) }, createCodec({ types: [entry] }))

  assert.ok(decoded.a[1] instanceof Rows)
  assert.deepEqual(asked, [rows])
})

test('types that fail are refused with the path, and their error as the cause', () => {
  const cause = new Error('cannot')
  const fail = thrower(cause)
  const cases = [
    [{ ...DECIMAL, encode: fail }, /cannot be read: cannot/, cause],
    [{ ...DECIMAL, is: fail }, /cannot be read: cannot/, cause],
    [{ ...DECIMAL, encode: (value) => value }, /returned the value itself/],
    [{ ...DECIMAL, encode: () => new Decimal('more') }, /nested more than 100000 levels/],
    [{ ...DECIMAL, encode: async () => 'late' }, /a promise/],
    [{ ...DECIMAL, encode: (value) => ({ again: value }) }, /leads back to it/],
  ]

  for (const [entry, message, expected] of cases) {
    const error = refusal({ price: new Decimal('1') }, createCodec({ types: [entry] }))
    assert.match(error.path, /^\.price/)
    assert.match(error.message, message)
    if (expected !== undefined) assert.equal(error.cause, expected)
  }
  const { codec: form, data } = createCodec({ types: [DECIMAL] }).encode([new Decimal('1')])
  assert.throws(() => codec.decode(form, data), {
    code: 'ERR_CACHE_ENCODE',
    message: /no entry of `types` is called 'Decimal'/,
  })
  const failing = createCodec({ types: [{ ...DECIMAL, decode: fail }] })
  assert.throws(() => failing.decode(form, data), { code: 'ERR_CACHE_ENCODE', cause })
})

test("the user's codec replaces all, and only its own data is given to it", () => {
  const upper = {
    name: 'upper',
    encode: (value) => Buffer.from(String(value).toUpperCase()),
    decode: (bytes) => `${bytes.constructor.name}:${Buffer.from(bytes)}`,
  }
  const by = createCodec({ codec: upper })

  const { form, data, decoded } = roundTrip('abc', by)

  assert.equal(form, 3)
  assert.deepEqual([...data.subarray(0, 6)], [5, ...Buffer.from('upper')])
  assert.equal(decoded, 'Uint8Array:ABC')
  assert.throws(
    () => createCodec({ codec: { ...upper, name: 'other' } }).decode(form, data),
    /made by the codec 'upper', not by 'other'/,
  )
  assert.throws(() => codec.decode(form, data), { code: 'ERR_CACHE_ENCODE' })
  for (const bad of [new Uint8Array(), new Uint8Array([200, 1]), 'text', null]) {
    assert.throws(() => by.decode(3, bad), { code: 'ERR_CACHE_ENCODE' })
  }
  assert.deepEqual(by.decode(0, '[1]'), [1])
  for (const encode of [() => 'text', async () => new Uint8Array(), thrower(new Error('no'))]) {
    refusal(1, createCodec({ codec: { ...upper, encode } }))
  }
})
