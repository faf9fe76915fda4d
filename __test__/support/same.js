'use strict'
// Whether two values are the same in every way the codec promises: more than deepStrictEqual, which does not look at
// identity, holes or the kind of memory, and takes two invalid dates for different.

const assert = require('node:assert/strict')
const { inspect, types } = require('node:util')

const HIDDEN = ['name', 'message', 'stack', 'cause', 'errors', 'lastIndex', 'source', 'flags']

/** By the names of the prototypes: `expected` may come from another realm. */
function kindOf(object) {
  const proto = Object.getPrototypeOf(object)
  return proto === null ? 'null' : (proto.constructor?.name ?? '?')
}

function partsOf(object) {
  if (types.isMap(object)) return [...object].flat()
  if (types.isSet(object)) return [...object]
  if (types.isDate(object)) return [object.getTime()]
  if (types.isAnyArrayBuffer(object)) return [...new Uint8Array(object)]
  if (ArrayBuffer.isView(object)) {
    return [...new Uint8Array(object.buffer, object.byteOffset, object.byteLength)]
  }
  const hidden = types.isNativeError(object) || types.isRegExp(object) ? HIDDEN.map((name) => object[name]) : []
  const own = Object.keys(object).flatMap((key) => [key, object[key]])
  return [Array.isArray(object) ? object.length : null, ...hidden, ...own]
}

/** @throws {assert.AssertionError} with `message`; identity must correspond: one object here, one object there */
function assertSame(actual, expected, message = '') {
  const partner = new Map()
  const todo = [[actual, expected]]
  while (todo.length > 0) {
    const [a, e] = todo.pop()
    if (typeof e !== 'object' || e === null) {
      if (!Object.is(a, e)) assert.fail(`${message}: ${inspect(a)} is not ${inspect(e)}`)
      continue
    }
    if (partner.has(e)) {
      assert.equal(partner.get(e), a, `${message}: identity`)
      continue
    }
    partner.set(e, a)
    if (typeof a !== 'object' || a === null) assert.fail(`${message}: ${inspect(a)} is no object`)
    assert.notEqual(a, e, `${message}: shares an object`)
    assert.equal(kindOf(a), kindOf(e), message)
    const [as, es] = [partsOf(a), partsOf(e)]
    assert.equal(as.length, es.length, `${message}: parts of ${kindOf(e)}`)
    for (let i = 0; i < es.length; i++) todo.push([as[i], es[i]])
  }
  assert.equal(new Set(partner.values()).size, partner.size, `${message}: two objects became one`)
}

module.exports = { assertSame }
