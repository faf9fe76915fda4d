'use strict'
// Ways through the codec, for its tests.

const assert = require('node:assert/strict')
const { createCodec } = require('../../lib/codec.js')

const codec = createCodec()

/** What a value is after a way through the codec, and in which form it went. */
function roundTrip(value, by = codec) {
  const { codec: form, data } = by.encode(value)
  return { form, data, decoded: by.decode(form, data) }
}

/** The error of a value that must not be encoded. */
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

const thrower = (error) => () => {
  throw error
}

class Decimal {
  constructor(text) {
    this.text = text
  }
}

/** An entry of `types`. */
const DECIMAL = {
  name: 'Decimal',
  is: (value) => value instanceof Decimal,
  encode: (value) => value.text,
  decode: (text) => new Decimal(text),
}

module.exports = { DECIMAL, Decimal, codec, refusal, roundTrip, thrower }
