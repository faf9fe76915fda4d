'use strict'
// A server that lies: a real Redis behind it, whose answers are replaced, once it is told to, by bytes of one's own.

const net = require('node:net')
const { freePort } = require('../../scripts/lib/ports.js')

class Liar {
  #target
  #links = new Set()
  #answer
  #honest = 0
  /** Answers that were replaced. */
  lies = 0

  constructor(target) {
    this.#target = target
  }

  /** Lets each connection have so many honest answers from now on; `answer` is sent in place of each further one. */
  lie(answer, honest = 0) {
    this.#answer = answer
    this.#honest = honest
    this.lies = 0
    for (const link of this.#links) link.answers = 0
  }

  /** Ends all connections; those that come get true answers. */
  reform() {
    this.#answer = undefined
    for (const { client } of this.#links) client.destroy()
  }

  /** Says something that nobody asked for, on all connections. */
  say(bytes) {
    for (const { client } of this.#links) client.write(bytes)
  }

  async listen() {
    const port = await freePort()
    this.url = `redis://127.0.0.1:${port}`
    this.#server = net.createServer((client) => this.#accept(client))
    await new Promise((resolve, reject) => this.#server.once('error', reject).listen(port, '127.0.0.1', resolve))
    this.#server.unref()
  }
  #server

  async close() {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.reform()
    await closed
  }

  #accept(client) {
    const upstream = net.connect(this.#target, '127.0.0.1')
    const link = { client, answers: 0 }
    this.#links.add(link)
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => {
        other.destroy()
        this.#links.delete(link)
      })
    }
    client.on('data', (chunk) => upstream.write(chunk))
    upstream.on('data', (chunk) => client.write(this.#answerFor(link, chunk)))
  }

  #answerFor(link, chunk) {
    if (this.#answer === undefined || link.answers++ < this.#honest) return chunk
    this.lies++
    return this.#answer
  }
}

/** A liar of one test, in front of a port of this machine. */
async function useLiar(t, target) {
  const liar = new Liar(target)
  await liar.listen()
  t.after(() => liar.close())
  return liar
}

module.exports = { useLiar }
