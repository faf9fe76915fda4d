'use strict'
// A TCP proxy in front of a real Redis that can break the link in the ways networks do.
//
//   cut      connections are reset, new ones refused: both ends hear of it
//   freeze   nothing is forwarded, nothing is closed, new connections are accepted and not answered: nobody hears of it
//   heal     forwards again; what was sent while frozen arrives late, as after retransmission
//   delay    every chunk takes that long, each way, in order
//   throttle so many bytes per ms, each way
//   trickle  so many bytes at a time, each way, each piece a millisecond after the one before
//   swallow  what is sent is lost, and who connects is not answered; nobody hears of it before it heals. Or one way only
//   tear     each answer is cut off after so many bytes, and its connection ends there

const net = require('node:net')
const { performance } = require('node:perf_hooks')
const { freePort } = require('../../scripts/lib/ports.js')

/** One direction of a link: chunks in order, each when it is due, none while frozen. */
class Pipe {
  #faults
  #to
  #queue = []
  #timer

  constructor(faults, from, to, way) {
    this.#faults = faults
    this.#to = to
    this.way = way
    from.on('data', (chunk) => this.#take(chunk))
    from.on('end', () => this.#push(() => to.end()))
  }

  /** Delivers what is due. */
  pump() {
    clearTimeout(this.#timer)
    while (!this.#faults.frozen && this.#queue.length > 0) {
      const wait = this.#queue[0].due - performance.now()
      if (wait > 0) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(wait))
        return
      }
      const { deliver } = this.#queue.shift()
      if (this.#to.writable) deliver()
    }
  }

  /** Delivers all, also what a slow link would have brought later. */
  hurry() {
    for (const one of this.#queue) one.due = 0
    this.pump()
  }

  #take(chunk) {
    const { swallowed, torn, piece } = this.#faults
    if (swallowed.includes(this.way)) {
      this.lost = true
    } else if (torn !== undefined && this.way === 'back') {
      this.#push(() => this.#to.end(chunk.subarray(0, torn)))
    } else {
      for (let at = 0; at < chunk.length; at += piece) {
        const part = chunk.subarray(at, at + piece)
        this.#push(() => this.#to.write(part), part.length)
      }
    }
  }

  #push(deliver, bytes = 0) {
    const { delay, rate } = this.#faults
    const last = this.#queue.at(-1)?.due ?? 0
    this.#queue.push({ due: Math.max(last, performance.now() + delay) + bytes / rate, deliver })
    this.pump()
  }
}

/** One accepted connection and its counterpart to the server, which is dialled only while the link is not frozen. */
class Link {
  #faults
  #client
  #upstream
  #pipes = []
  #onClose

  constructor(faults, client, onClose) {
    this.#client = client
    this.#faults = faults
    this.#onClose = onClose
    client.setNoDelay(true)
    client.on('error', () => {})
    client.on('close', () => this.destroy())
    if (faults.frozen) client.pause()
    else this.#dial()
  }

  freeze() {
    this.#client.pause()
    this.#upstream?.pause()
  }

  heal() {
    // Of a stream that has lost bytes nothing more can be understood.
    if (this.#pipes.some(({ lost }) => lost)) return this.reset()
    if (this.#upstream === undefined) this.#dial()
    for (const pipe of this.#pipes) pipe.hurry()
    this.#upstream.resume()
    this.#client.resume()
  }

  destroy() {
    this.#client.destroy()
    this.#upstream?.destroy()
    this.#onClose(this)
  }

  reset() {
    // A reset in the middle of a shutdown leaves Node 20 spinning at its end.
    if (!this.#client.writableEnded) this.#client.resetAndDestroy()
    this.destroy()
  }

  #dial() {
    const faults = this.#faults
    const upstream = net.connect(faults.target, '127.0.0.1')
    this.#upstream = upstream
    upstream.setNoDelay(true)
    upstream.on('error', () => {})
    upstream.on('close', () => this.destroy())
    this.#pipes = [new Pipe(faults, this.#client, upstream, 'there'), new Pipe(faults, upstream, this.#client, 'back')]
  }
}

const WHOLE = {
  frozen: false,
  delay: 0,
  rate: Number.POSITIVE_INFINITY,
  piece: Number.POSITIVE_INFINITY,
  swallowed: [],
  torn: undefined,
}

class FaultyLink {
  #faults
  #links = new Set()
  #server
  /** Connections accepted since the start. */
  accepted = 0

  constructor(target, port) {
    this.#faults = { target, ...WHOLE }
    this.port = port
    this.url = `redis://127.0.0.1:${port}`
  }

  /** Connections that are open now. */
  get open() {
    return this.#links.size
  }

  async cut() {
    await this.#unlisten()
  }

  freeze() {
    this.#faults.frozen = true
    for (const link of this.#links) link.freeze()
  }

  /** Adds this many milliseconds, each way, to what is sent from now on. */
  delay(ms) {
    this.#faults.delay = ms
  }

  /** Lets so many bytes per millisecond through, each way, of what is sent from now on. */
  throttle(rate) {
    this.#faults.rate = rate
  }

  /** Lets what is sent from now on through in pieces of so many bytes. */
  trickle(bytes) {
    Object.assign(this.#faults, { piece: bytes, rate: bytes })
  }

  /** 'there': nothing arrives at the server; 'back': nothing comes from it. Both: a black hole. */
  swallow(...ways) {
    this.#faults.swallowed = ways.length === 0 ? ['there', 'back'] : ways
  }

  /** Ends each connection after so many bytes of the next answer. */
  tear(bytes) {
    this.#faults.torn = bytes
  }

  async heal() {
    Object.assign(this.#faults, WHOLE)
    for (const link of [...this.#links]) link.heal()
    if (this.#server === undefined) await this.listen()
  }

  async close() {
    await this.#unlisten()
  }

  async listen() {
    const server = net.createServer((socket) => {
      this.accepted++
      this.#links.add(new Link(this.#faults, socket, (link) => this.#links.delete(link)))
    })
    await new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.port, '127.0.0.1', resolve)
    })
    server.unref()
    this.#server = server
  }

  async #unlisten() {
    const server = this.#server
    this.#server = undefined
    const closed = server && new Promise((resolve) => server.close(resolve))
    for (const link of [...this.#links]) link.reset()
    await closed
  }
}

/** Starts a proxy in front of a port of this machine. */
async function startProxy(target) {
  const proxy = new FaultyLink(target, await freePort())
  await proxy.listen()
  return proxy
}

/** A proxy of one test. */
async function useProxy(t, target) {
  const proxy = await startProxy(target)
  t.after(() => proxy.close())
  return proxy
}

module.exports = { startProxy, useProxy }
