'use strict'
// Values to bytes and back, without loss or with a clear refusal.
//
// Four forms, by number: 0 plain JSON text; 1 tagged text (dates, maps, cycles …); 2 tagged text with raw bytes behind
// it; 3 what the user's own `codec` made, under its name. The caller stores the number beside the data. Functions,
// promises, instances of unknown classes are refused with the path to them, never dropped: a value that comes back
// different from the cache than from its loader is the worst kind of bug.

const { types } = require('node:util')
const { CacheEncodeError } = require('./errors.js')
const { reasonOf } = require('./codec/path.js')
const { plainText } = require('./codec/plain.js')
const { TaggedReader } = require('./codec/reader.js')
const { TaggedWriter } = require('./codec/writer.js')

const PLAIN = 0
const TAGGED = 1
const TAGGED_BINARY = 2
const CUSTOM = 3

const NO_BYTES = new Uint8Array(0)

/** @typedef {{ codec: 0 | 1 | 2 | 3, data: string | Uint8Array }} Encoded data: text for 0 and 1, bytes for 2 and 3 */

/** u32 length of the text, little endian; the text; the attachments one after the other. */
function pack(text, binaries) {
  const length = Buffer.byteLength(text)
  const total = binaries.reduce((sum, bytes) => sum + bytes.length, 4 + length)
  const data = Buffer.allocUnsafeSlow(total)
  data.writeUInt32LE(length, 0)
  data.write(text, 4, 'utf8')
  let offset = 4 + length
  for (const bytes of binaries) {
    data.set(bytes, offset)
    offset += bytes.length
  }
  return data
}

function unpack(data) {
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const end = buffer.length < 4 ? Number.POSITIVE_INFINITY : 4 + buffer.readUInt32LE(0)
  if (end > buffer.length) throw new Error('malformed: length of the text')
  return { text: buffer.toString('utf8', 4, end), bytes: buffer.subarray(end) }
}

/** JSON text when that loses nothing. Whatever goes wrong here, the tagged form says it better, with a path. */
function encodePlain(value, anyArray) {
  try {
    return plainText(value, anyArray)
  } catch {
    return undefined
  }
}

function encodeLossless(value, entries) {
  const plain = encodePlain(value, entries.length === 0)
  if (plain !== undefined) return { codec: PLAIN, data: plain }
  const { text, binaries } = new TaggedWriter(entries).write(value)
  return binaries.length === 0 ? { codec: TAGGED, data: text } : { codec: TAGGED_BINARY, data: pack(text, binaries) }
}

/** u8 length of the codec's name, the name, what it made. */
function encodeCustom(value, codec) {
  const bytes = codec.encode(value)
  if (!types.isUint8Array(bytes)) throw new TypeError('encode() must return a Uint8Array, at once')
  const name = Buffer.from(codec.name)
  return { codec: CUSTOM, data: Buffer.concat([Buffer.from([name.length]), name, bytes]) }
}

function decodeCustom(data, codec) {
  const end = 1 + data[0]
  const name = Buffer.from(data.subarray(1, end)).toString()
  if (codec === null || !(end <= data.length) || name !== codec.name) {
    throw new Error(
      `made by the codec '${name.slice(0, 60)}', not by ${codec === null ? 'tidecache' : `'${codec.name}'`}`,
    )
  }
  // A copy: a decoder may keep parts of it, or write to it.
  return codec.decode(new Uint8Array(data.subarray(end)))
}

function decodeOther(form, data, entries, codec) {
  switch (form) {
    case TAGGED:
      return new TaggedReader(data, NO_BYTES, entries).read()
    case TAGGED_BINARY: {
      const { text, bytes } = unpack(data)
      return new TaggedReader(text, bytes, entries).read()
    }
    case CUSTOM:
      return decodeCustom(data, codec)
    default:
      throw new Error(`unknown codec ${form}`)
  }
}

/** Every failure leaves as a CacheEncodeError. JSON.parse quotes the data in its message: that stays in the cause. */
function failed(what, error) {
  if (error instanceof CacheEncodeError) return error
  const reason = error instanceof SyntaxError ? 'malformed text' : reasonOf(error)
  return new CacheEncodeError(`cannot ${what}: ${reason}`, { cause: error })
}

class Codec {
  #types
  #codec

  constructor(types, codec) {
    this.#types = types
    this.#codec = codec
  }

  /**
   * @param {unknown} value
   * @returns {Encoded} shares no memory with the value
   * @throws {CacheEncodeError} with the path to what cannot be stored
   */
  encode(value) {
    try {
      return this.#codec === null ? encodeLossless(value, this.#types) : encodeCustom(value, this.#codec)
    } catch (error) {
      throw failed(`cache the value${this.#codec === null ? '' : ` with the codec '${this.#codec.name}'`}`, error)
    }
  }

  /**
   * @param {number} form the `codec` that `encode` gave
   * @param {string | Uint8Array} data
   * @returns {unknown} a fresh value: it shares nothing with `data` or an earlier one
   * @throws {CacheEncodeError} when the data is damaged, or made with other `types` or another `codec`
   */
  decode(form, data) {
    try {
      return form === PLAIN ? JSON.parse(data) : decodeOther(form, data, this.#types, this.#codec)
    } catch (error) {
      throw failed('decode a stored value', error)
    }
  }
}

/**
 * The codec of one handle.
 *
 * @param {{ types?: readonly object[] | null, codec?: object | null }} [options] as `cacheOptions` gives them. `codec`
 *   replaces everything when encoding; data of the other forms can still be decoded
 * @returns {Codec}
 */
function createCodec({ types: entries, codec } = {}) {
  return new Codec(entries ?? [], codec ?? null)
}

module.exports = { createCodec }
