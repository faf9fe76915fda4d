'use strict'
// What the codec stores: what comes back is what went in, to the kind, the identity and the bit.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const vm = require('node:vm')
const { codec, refusal, roundTrip } = require('./support/codec.js')
const { assertSame } = require('./support/same.js')
const { seeded } = require('../scripts/lib/seeded.js')
const { randomValue } = require('./support/values.js')

const realm = (code) => vm.runInNewContext(code)

test('plain data is stored as its JSON text', () => {
  const values = [
    null,
    true,
    0,
    1.5e300,
    'text',
    '\ud800 alone \udc00',
    { '\ud800': ['\udfff'] },
    [],
    {},
    { a: [1, { b: null }], 'a b': '\0\u2028"\\' },
    JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":1},"toString":0}'),
    { toJSON: 'no function' },
  ]

  for (const value of values) {
    const { form, data, decoded } = roundTrip(value)
    assert.equal(form, 0)
    assert.equal(data, JSON.stringify(value))
    assertSame(decoded, value)
  }
})

test('what JSON would lose comes back as it was', () => {
  const sparse = [1]
  sparse[2] = undefined
  const match = 'abcab'.match(/(?<first>b)/)
  const regExp = /a+/giu
  regExp.lastIndex = 3
  const values = [
    undefined,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    -0,
    [-0, { a: -0 }],
    { a: undefined },
    0n,
    -(2n ** 200n),
    [255n, '255n'],
    new Date(0),
    new Date(Number.NaN),
    /[/]\n/,
    regExp,
    /(?:)/,
    new Map([
      ['a', 1],
      [{ key: 1 }, new Map()],
      [Number.NaN, -0],
    ]),
    new Set([1, '1', undefined, new Set(), [1]]),
    Object.create(null),
    Object.assign(Object.create(null), JSON.parse('{"__proto__":1,"a":{"b":2}}')),
    sparse,
    new Array(3),
    Object.assign([1, 2], { extra: new Date(1), __proto__: Array.prototype }),
    match,
    { list: [new Date(1), { deep: [undefined] }] },
  ]

  for (const value of values) {
    const { form, decoded } = roundTrip(value)
    assert.equal(form, 1)
    assertSame(decoded, value)
  }
  assert.equal(roundTrip(regExp).decoded.lastIndex, 3)
})

test('an array with few elements and a great length costs little, and keeps both', () => {
  const far = []
  far[4_294_967_294] = 'last'
  const long = new Array(30_000_000)
  long[7] = { a: 1 }

  for (const value of [far, long]) {
    const { data, decoded } = roundTrip(value)
    assert.ok(data.length < 100)
    assert.equal(decoded.length, value.length)
    assert.deepEqual(Object.entries(decoded), Object.entries(value))
  }
})

test('bytes go raw and come back as the same kind, aligned, in memory of their own', () => {
  const odd = new Uint8Array(33).map((_, i) => i)
  const values = [
    Buffer.from('buffer'),
    Buffer.alloc(0),
    odd.subarray(1, 4),
    new Int8Array([-1]),
    new Uint8ClampedArray([300]),
    new Int16Array([-1, 2]),
    new Uint16Array(odd.buffer, 2, 3),
    new Int32Array([1]),
    new Uint32Array([4_294_967_295]),
    new Float32Array([0.5]),
    new Float64Array([-0, Number.NaN, 1e300]),
    new BigInt64Array([-1n]),
    new BigUint64Array(odd.buffer, 8, 2),
    odd.buffer.slice(0),
    new DataView(odd.buffer, 3, 7),
    { a: Buffer.alloc(10_000, 7), text: 'ü', b: [new Float64Array([1]), new Date(1)] },
    realm('new Float64Array([1, 2])'),
  ]

  for (const value of values) {
    const { form, data, decoded } = roundTrip(value)
    assert.equal(form, 2)
    assert.ok(data instanceof Uint8Array)
    assertSame(decoded, value)
    if (ArrayBuffer.isView(decoded)) assert.equal(decoded.byteOffset, 0)
    if (ArrayBuffer.isView(decoded)) assert.equal(decoded.buffer.byteLength, decoded.byteLength)
  }
  assert.ok(roundTrip({ bytes: Buffer.alloc(10_000) }).data.length < 10_100)
})

test('neither the encoded data nor the decoded value shares memory with anything', () => {
  const value = { bytes: Buffer.from('before') }
  const { codec: form, data } = codec.encode(value)

  value.bytes.fill(0)
  const first = codec.decode(form, data)
  first.bytes.fill(1)
  data.fill(data[0], 0, 0)

  assert.equal(codec.decode(form, data).bytes.toString(), 'before')
  data.fill(2, data.length - 6)
  assert.equal(first.bytes[0], 1)
})

test('an error keeps message, name, stack, cause, errors and own properties', () => {
  const named = new RangeError('named', { cause: { code: 5 } })
  named.name = 'Custom'
  class DatabaseError extends TypeError {
    constructor(message) {
      super(message)
      this.code = '23505'
    }

    get name() {
      return 'DatabaseError'
    }
  }
  const bare = new Error('no stack')
  delete bare.stack
  const values = [
    new Error(),
    new SyntaxError('bad', { cause: undefined }),
    named,
    new AggregateError([new Error('a'), 'b'], 'many'),
    Object.assign(new Error('with'), { when: new Date(1), errno: -1, message: 'shown' }),
    bare,
    realm("new TypeError('elsewhere')"),
  ]

  for (const value of values) {
    const { decoded } = roundTrip(value)
    assertSame(decoded, value)
    assert.equal(decoded.stack, value.stack)
    assert.equal(Object.hasOwn(decoded, 'cause'), Object.hasOwn(value, 'cause'))
  }
  const { decoded } = roundTrip(new DatabaseError('duplicate'))
  assert.equal(Object.getPrototypeOf(decoded), TypeError.prototype)
  assert.equal(decoded.name, 'DatabaseError')
  assert.deepEqual(Object.entries(decoded), [['code', '23505']])
  const self = new Error('self')
  self.cause = self
  assert.equal(roundTrip(self).decoded.cause.message, 'self')
})

test('cycles and shared references are kept, in small and in large values', () => {
  const shared = { shared: true }
  const cycle = { name: 'cycle', list: [shared, shared] }
  cycle.self = cycle
  cycle.map = new Map([[cycle, new Set([cycle])]])

  const { decoded } = roundTrip(cycle)
  assert.equal(decoded.self, decoded)
  assert.equal(decoded.list[0], decoded.list[1])
  assert.deepEqual([...decoded.map][0], [decoded, new Set([decoded])])

  const small = roundTrip({ a: shared, b: { c: shared } }).decoded
  assert.equal(small.a, small.b.c)
  const loop = []
  loop.push(loop)
  const looped = roundTrip(loop).decoded
  assert.equal(looped[0], looped)

  const date = new Date(5)
  const bytes = Buffer.from('x')
  const pair = roundTrip([date, date, bytes, bytes, shared, shared]).decoded
  assert.ok(pair[0] === pair[1] && pair[2] === pair[3] && pair[4] === pair[5])

  const rows = Array.from({ length: 1_000 }, (_, id) => ({ id }))
  const many = roundTrip([...rows, rows[999]]).decoded
  assert.equal(many[999], many[1_000])
  assert.equal(roundTrip(rows).form, 0)

  let doubled = {}
  for (let i = 0; i < 100; i++) doubled = { a: doubled, b: doubled }
  const back = roundTrip(doubled).decoded
  assert.equal(back.a.b.a, back.b.a.b)
})

test('nesting of 10,000 levels works, whatever is nested', () => {
  const wrappers = [
    (inner) => [inner],
    (inner) => ({ inner }),
    (inner) => new Map([['inner', inner]]),
    (inner) => new Error('e', { cause: inner }),
  ]

  for (const wrap of wrappers) {
    let value = 'core'
    for (let i = 0; i < 10_000; i++) value = wrap(value)
    let { decoded } = roundTrip(value)
    for (let depth = 0; depth < 10_000; depth++) {
      decoded = decoded.inner ?? decoded.cause ?? (Array.isArray(decoded) ? decoded[0] : decoded.get('inner'))
    }
    assert.equal(decoded, 'core')
  }

  let broken = () => {}
  for (let i = 0; i < 10_000; i++) broken = [broken]
  assert.match(refusal(broken).path, /^(\[0\]){20}…(\[0\]){20}$/)
})

test('values made in another realm are as good as ours', () => {
  const value = realm(`({
    object: { a: 1 }, array: [1, { b: 2 }], map: new Map([[1, { c: 3 }]]), set: new Set([[1]]), date: new Date(5),
    regExp: /x/g, error: new RangeError('far'), bytes: new Uint8Array([1, 2]), bare: Object.create(null), holes: [1, , 3],
  })`)

  const { decoded } = roundTrip(value)

  assert.equal(Object.getPrototypeOf(decoded.object), Object.prototype)
  assert.deepEqual(
    { ...decoded, error: null },
    { ...roundTrip(structuredClone({ ...value, bare: {} })).decoded, error: null, bare: Object.create(null) },
  )
  assert.equal(decoded.error.constructor, RangeError)
  assert.equal(roundTrip(realm('({ a: [1, { b: 2 }] })')).form, 0)
  const { path } = refusal(realm('class Money {}; ({ price: new Money() })'))
  assert.equal(path, '.price')
})

test('subclasses of Array, Map, Set and Error are stored as their base', () => {
  class Rows extends Array {
    get first() {
      return this[0]
    }

    toJSON() {
      return 'not called'
    }
  }
  const rows = Rows.from([{ id: 1 }, { id: 2 }])
  rows.connection = () => 'a property of the subclass'
  class Index extends Map {}
  class Names extends Set {}

  assertSame(roundTrip(rows).decoded, [{ id: 1 }, { id: 2 }])
  rows.length = 3
  assert.deepEqual(Object.keys(roundTrip(rows).decoded), ['0', '1'])
  assertSame(roundTrip({ rows: Rows.of(new Date(1)) }).decoded, { rows: [new Date(1)] })
  assertSame(roundTrip(new Index([[1, 2]])).decoded, new Map([[1, 2]]))
  assertSame(roundTrip(new Names([1])).decoded, new Set([1]))
  assert.equal(roundTrip(class extends Array {}.of(1)).form, 0)
})

test('a date of fake timers, which claims to be of the base class, is a date', () => {
  class ClockDate extends Date {}
  const date = Object.defineProperty(new ClockDate(5), 'constructor', { value: Date, enumerable: false })

  assertSame(roundTrip(date).decoded, new Date(5))
  assert.match(refusal(new ClockDate(5)).message, /an instance of ClockDate/)
})

test('2,000 random values come back the same', () => {
  const random = seeded(20_240_229)
  const forms = [0, 0, 0]

  for (let i = 0; i < 2_000; i++) {
    const value = randomValue(random)
    const { form, decoded } = roundTrip(value)
    assertSame(decoded, value, `value ${i}`)
    assert.deepStrictEqual(decoded, value)
    forms[form]++
  }

  assert.ok(
    forms.every((count) => count > 100),
    `forms used: ${forms}`,
  )
})
