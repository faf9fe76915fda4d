'use strict'
// The codec: what comes back is what went in, or the encoding is refused with the path to what is in the way.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const vm = require('node:vm')
const { createCodec } = require('../lib/codec.js')
const { assertSame } = require('./support/same.js')
const { randomValue, seeded } = require('./support/values.js')

const codec = createCodec()

/** What a value is after a way through the codec, and in which form it went. */
function roundTrip(value, by = codec) {
  const { codec: form, data } = by.encode(value)
  return { form, data, decoded: by.decode(form, data) }
}

function refusal(value, by = codec) {
  try {
    by.encode(value)
  } catch (error) {
    assert.equal(error.name, 'CacheEncodeError', error.stack)
    assert.equal(error.code, 'ERR_CACHE_ENCODE')
    return error
  }
  return assert.fail('must be refused')
}

function argumentsOf() {
  // biome-ignore lint/complexity/noArguments: the object itself is the case
  return arguments
}

const thrower = (error) => () => {
  throw error
}

const realm = (code) => vm.runInNewContext(code)
const table = (...nodes) => JSON.stringify([[1], ...nodes])

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
  const hidden = Object.defineProperty({ a: 1 }, 'toJSON', { value: () => calls++, enumerable: false })
  Object.defineProperty(hidden, Symbol('hidden'), { value: () => 1, enumerable: false })

  assertSame(roundTrip(hidden).decoded, { a: 1 })
  assertSame(roundTrip({ get total() { return 5 } }).decoded, { total: 5 }) // biome-ignore format: short
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

class Decimal {
  constructor(text) {
    this.text = text
  }
}

const DECIMAL = {
  name: 'Decimal',
  is: (value) => value instanceof Decimal,
  encode: (value) => value.text,
  decode: (text) => new Decimal(text),
}

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
  for (const encode of [
    () => 'text',
    async () => new Uint8Array(),
    () => {
      throw new Error('no')
    },
  ]) {
    // biome-ignore format: short
    refusal(1, createCodec({ codec: { ...upper, encode } }))
  }
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

/** Decodes what may be anything: a value or a CacheEncodeError, and no trace on Object.prototype. */
function decodeHostile(form, data) {
  try {
    createCodec({ types: [DECIMAL] }).decode(form, data)
  } catch (error) {
    assert.equal(error.name, 'CacheEncodeError', error.stack)
  }
  assert.equal({}.polluted, undefined)
  assert.deepEqual(Object.keys(Object.prototype), [])
}

test('malformed data is a CacheEncodeError', () => {
  const tables = [
    ...[
      '',
      'x',
      '{}',
      '[]',
      'null',
      '[[1]]',
      '[[1],5]',
      '[[1],null]',
      '[[-5]]',
      '[[0.5]]',
      '[[1e99]]',
      '[["xyz"]]',
      '[{}]',
    ],
    ...[
      ['z'],
      [],
      [1],
      ['s', -1],
      ['s', 1.5],
      ['s', 2 ** 32],
      ['s', 2, 5, 1],
      ['s', 2, 'length', 9],
      ['s', 1, '5', 1],
    ].map((n) => table(n)),
    ...[
      ['n', 'a'],
      ['n', {}, 1],
      ['m', 1],
      ['e', 'Object', 0],
      ['e', 'Error', 1, 'x', 1],
      ['d', 'x'],
      ['d', {}],
    ].map((n) => table(n)),
    ...[
      ['r', '(', '', 0],
      ['r', 'a', 'zz', 0],
      ['r', 'a', '', 'x'],
      ['b', 'Buffer', 1],
      ['b', 'eval', 0],
    ].map((n) => table(n)),
    ...[
      ['a', [2]],
      ['a', {}],
      ['a', [[]]],
      { a: { b: 1 } },
      { a: [-9] },
      ['T', 'Nobody', 1],
      ['T', 'Decimal', [1]],
    ].map((n) => table(n)),
    table(['T', 'Decimal', [2]], ['a', [1]]),
  ]

  for (const text of tables)
    assert.throws(() => createCodec({ types: [DECIMAL] }).decode(1, text), { code: 'ERR_CACHE_ENCODE' }, text)
  for (const bytes of [[], [1, 0, 0], [255, 255, 255, 255, 91], [2, 0, 0, 0, 91, 93, 1]]) {
    assert.throws(() => codec.decode(2, Uint8Array.from(bytes)), { code: 'ERR_CACHE_ENCODE' })
  }
  for (const form of [-1, 4, 255, undefined, '0']) assert.throws(() => codec.decode(form, '1'), /unknown codec/)
})

test('keys in forged data reach no prototype', () => {
  const payload = '{"polluted":true}'

  for (const text of [
    `[[1],{"__proto__":[2]},${payload}]`,
    `[[1],["n","__proto__",[2]],${payload}]`,
    `[[1],["s",0,"__proto__",[2]],${payload}]`,
    `[[1],["e","Error",0,"__proto__",[2]],${payload}]`,
    `[[1],["m","__proto__",[2]],${payload}]`,
    `[[1],["e","__proto__",0]]`,
    `[[1],["b","__proto__",0]]`,
  ]) {
    decodeHostile(1, text)
  }
  const decoded = codec.decode(1, `[[1],{"__proto__":[2]},${payload}]`)
  assert.equal(decoded.polluted, undefined)
  assert.equal(Object.getPrototypeOf(decoded), Object.prototype)
})

test('no length in the data makes memory grow beyond it', () => {
  const bomb = JSON.stringify([[0], ...Array.from({ length: 20_000 }, () => ['s', 30_000_000])])
  const before = process.memoryUsage().rss

  codec.decode(1, bomb)
  assert.throws(() => codec.decode(2, Buffer.concat([Buffer.from([14, 0, 0, 0]), Buffer.from('[[1],["b","Bu')])))

  assert.ok(process.memoryUsage().rss - before < 200e6)
})

test('damaged data never hangs, crashes or pollutes: 5,000 mutations', () => {
  const random = seeded(7)
  const pieces = [
    '[',
    ']',
    '{',
    '}',
    ',',
    '"',
    '[0]',
    '[1]',
    '[2]',
    '[-9]',
    '1e9',
    '"__proto__"',
    '"T"',
    '"s"',
    '"e"',
    '"b"',
    'null',
  ]
  const pick = (list) => list[Math.floor(random() * list.length)]
  const began = performance.now()

  for (let i = 0; i < 5_000; i++) {
    const { codec: form, data } = codec.encode(randomValue(random))
    if (form === 2) {
      const bytes = Uint8Array.from(data)
      for (let n = 0; n < 3; n++) bytes[Math.floor(random() * Math.min(bytes.length, 200))] = Math.floor(random() * 256)
      decodeHostile(2, bytes.subarray(0, random() < 0.2 ? Math.floor(random() * bytes.length) : bytes.length))
    } else {
      const at = Math.floor(random() * data.length)
      decodeHostile(1, data.slice(0, at) + pick(pieces) + data.slice(at + Math.floor(random() * 4)))
    }
  }

  assert.ok(performance.now() - began < 30_000)
})

test('deeply nested text is decoded or refused, not a crash', () => {
  for (const open of ['[', '{"a":']) decodeHostile(1, open.repeat(200_000))
  const closed = `[[1],["a",${'['.repeat(100_000)}${']'.repeat(100_000)}]]`
  decodeHostile(1, closed)
  decodeHostile(0, `${'['.repeat(100_000)}${']'.repeat(100_000)}`)
})
