'use strict'
// Decoding damaged or forged data: a CacheEncodeError or a value, never a crash, a hang, a polluted prototype.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { createCodec } = require('../lib/codec.js')
const { DECIMAL, codec } = require('./support/codec.js')
const { seeded } = require('../scripts/lib/seeded.js')
const { randomValue } = require('./support/values.js')

const table = (...nodes) => JSON.stringify([[1], ...nodes])

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
  for (const bytes of [[], [1, 0, 0], [255, 255, 255, 255, 91], [2, 0, 0, 0, 91, 93, 1], [3, 0, 0, 0, 91, 53, 93, 1]]) {
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
