'use strict'
// A RESP2 client of one connection: commands in, replies out, nothing else. Raw access to Redis for the tests, and
// the source of truth of the coherence checks. An error reply rejects its command; a lost connection rejects all
// pending ones.

const net = require('node:net')

/** Reads one reply at `at`; undefined while it is incomplete, else [value, next]. */
function parse(buffer, at) {
  const end = buffer.indexOf('\r\n', at)
  if (end === -1) return undefined

  const head = buffer.toString('utf8', at + 1, end)
  const next = end + 2
  switch (buffer[at]) {
    case 0x2b: // +
      return [head, next]
    case 0x2d: // -
      return [new Error(head), next]
    case 0x3a: // :
      return [Number(head), next]
    case 0x24: // $
      return parseBulk(buffer, Number(head), next)
    case 0x2a: // *
      return parseArray(buffer, Number(head), next)
    default:
      throw new Error(`not RESP2: byte ${buffer[at]}`)
  }
}

function parseBulk(buffer, length, at) {
  if (length === -1) return [null, at]
  if (buffer.length < at + length + 2) return undefined
  return [buffer.toString('utf8', at, at + length), at + length + 2]
}

function parseArray(buffer, length, at) {
  if (length === -1) return [null, at]
  const items = []
  for (let i = 0; i < length; i++) {
    const item = parse(buffer, at)
    if (item === undefined) return undefined
    items.push(item[0])
    at = item[1]
  }
  return [items, at]
}

function encode(args) {
  const parts = args.map((arg) => {
    const bytes = Buffer.from(String(arg))
    return `$${bytes.length}\r\n${bytes}\r\n`
  })
  return `*${args.length}\r\n${parts.join('')}`
}

class RespClient {
  #socket
  #pending = []
  #buffer = Buffer.alloc(0)

  constructor(socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      for (const { reject } of this.#pending.splice(0)) reject(new Error('connection lost'))
    })
  }

  /** Sends one command. Commands of one client are answered in order. */
  command(...args) {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Error('connection lost'))
      this.#pending.push({ resolve, reject })
      this.#socket.write(encode(args))
    })
  }

  close() {
    this.#socket.destroy()
  }

  #read(chunk) {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk])
    let at = 0
    for (;;) {
      const reply = at < this.#buffer.length ? parse(this.#buffer, at) : undefined
      if (reply === undefined) break
      at = reply[1]
      const { resolve, reject } = this.#pending.shift()
      if (reply[0] instanceof Error) reject(reply[0])
      else resolve(reply[0])
    }
    this.#buffer = this.#buffer.subarray(at)
  }
}

/** Connects to a port of this machine, or to the path of a unix socket. */
function connect(port, host = '127.0.0.1') {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, host)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(new RespClient(socket))
    })
  })
}

module.exports = { connect, RespClient }
