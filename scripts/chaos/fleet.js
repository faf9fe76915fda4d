'use strict'
// The processes of the application: each is a worker with a cache of its own, and a name that no later one gets again.

const { join } = require('node:path')
const { Peer } = require('../../__test__/support/peer.js')

const WORKER = join(__dirname, 'worker.js')

class Fleet {
  #describe
  #history
  #within
  #started = 0
  clients = []

  /** @param describe what the worker of this index is started with, without its name; `within`: a command that runs it */
  constructor(describe, history, within) {
    this.#describe = describe
    this.#history = history
    this.#within = within
  }

  async start(count) {
    await Promise.all(Array.from({ length: count }, (_, index) => this.#startOne(index)))
    for (const { peer } of this.clients) await peer.call('run')
  }

  any(random) {
    return this.clients[Math.floor(random() * this.clients.length)]
  }

  /** The answers of all. */
  ask(op, ...args) {
    return Promise.all(this.clients.map(({ peer }) => peer.call(op, ...args)))
  }

  /** Takes over what all have noted, and judges what can be judged by it. */
  async collect() {
    const taken = await this.ask('take')
    for (const [n, notes] of taken.entries()) this.#history.add(this.clients[n].name, notes)
    this.#history.judge(
      Math.min(...taken.map(({ at }) => at)),
      this.clients.map(({ name }) => name),
    )
  }

  async kill(client) {
    this.#history.add(client.name, await client.peer.call('take'))
    await client.peer.kill()
  }

  /** Starts a new process in the place of one that was killed. */
  async replace({ index, name }) {
    await this.#startOne(index)
    await this.clients[index].peer.call('run', name)
  }

  /** Every process is asked to close its cache and to end by itself, and must do so within 5 s. */
  async stop() {
    const ends = await Promise.allSettled(this.clients.map(({ peer }) => peer.stop()))
    this.clients = []
    const bad = ends.find(({ status }) => status === 'rejected')
    if (bad !== undefined) throw bad.reason
  }

  async #startOne(index) {
    const number = ++this.#started
    const name = `process ${number}`
    const peer = new Peer({}, WORKER, this.#within)
    this.clients[index] = { index, name, peer }
    await peer.call('start', { ...this.#describe(index, number), index, name })
  }
}

module.exports = { Fleet }
