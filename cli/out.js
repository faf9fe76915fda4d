'use strict'
// Where a command writes: at the reader's pace, and with a quiet end when the reader has gone (`| head`).

/** Writes, and waits while the reader is behind. */
function write(stream, text) {
  if (stream.write(text)) return undefined
  return new Promise((resolve) => stream.once('drain', resolve))
}

/** A reader that closed its end has seen enough: no error, no stack. */
function endWithReader(stream) {
  stream.on('error', (error) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(0)
  })
}

/** A line on a terminal that is written over again and again, and leaves no trace. */
class Status {
  #stream
  #shown = false
  #since = performance.now()

  /** @param {number} [after] ms of work before it shows: what is quick needs none */
  constructor(stream, after = 500) {
    this.#stream = stream.isTTY === true ? stream : undefined
    this.#since += after
  }

  show(text) {
    if (this.#stream === undefined || performance.now() < this.#since) return
    this.#stream.write(`\r\x1b[K${text}`)
    this.#shown = true
  }

  clear() {
    if (this.#shown) this.#stream.write('\r\x1b[K')
    this.#shown = false
  }
}

module.exports = { write, endWithReader, Status }
