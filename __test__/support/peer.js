'use strict'
// A peer: another process with a cache of its own, driven over IPC (see peer-main.js for what it understands).
//
// Functions do not cross a process border, so loaders are described:
//   { value }         resolves to it                 { ms }      takes that long
//   { error }         fails with that message        { truth }   reads the key's version from the source of truth
//   { gate }          waits until release(gate)      { tags, ttl, skip }   calls ctx.tag, ctx.ttl, ctx.skip
// A loader of many gives each key `${value} of ${key}`; { absent } lists keys that it knows nothing of.

const { fork } = require('node:child_process')
const { join } = require('node:path')
const { adopt, signal } = require('./reaper.js')
const { cleanEnvironment } = require('./script.js')

const COMMANDS = [
  'began',
  'burst',
  'create',
  'end',
  'get',
  'getOrSet',
  'health',
  'inspect',
  'invalidate',
  'loads',
  'many',
  'manyCalls',
  'metrics',
  'read',
  'readAll',
  'ready',
  'release',
  'set',
  'stress',
  'truth',
  'view',
]

class Peer {
  #child
  #exited
  #calls = new Map()
  #lastCall = 0
  #stderr = ''
  #leaving = false

  /** `within`: a command that runs it, as `ip netns exec`. */
  constructor(env, main = join(__dirname, 'peer-main.js'), within = []) {
    const [execPath, ...execArgv] = [...within, process.execPath]
    const child = fork(main, {
      ...(within.length > 0 && { execPath, execArgv }),
      env: cleanEnvironment(env),
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child = adopt(child)
    child.stderr.setEncoding('utf8').on('data', (text) => (this.#stderr += text))
    child.on('error', () => {}) // a message to a process that has just ended: its end settles what was asked
    child.on('message', (answer) => this.#settle(answer))
    this.#exited = new Promise((resolve) => child.once('exit', (code, name) => resolve(this.#ended(code, name))))
  }

  get pid() {
    return this.#child.pid
  }

  /** What it wrote to stderr, warnings among it. */
  get stderr() {
    return this.#stderr
  }

  call(op, ...args) {
    const answer = new Promise((resolve, reject) => {
      const id = ++this.#lastCall
      this.#calls.set(id, { resolve, reject })
      this.#child.send({ id, op, args }, (error) => error && this.#settle({ id, error }))
    })
    answer.catch(() => {}) // a test that failed before it awaited this says so itself
    return answer
  }

  /** Ends the process by a signal and waits until it is gone. */
  async kill(name = 'SIGKILL') {
    this.#leaving = true
    signal(this.pid, name)
    await this.#exited
  }

  pause() {
    signal(this.pid, 'SIGSTOP')
  }

  resume() {
    signal(this.pid, 'SIGCONT')
  }

  /** Closes its cache and lets the process end by itself; a bad end is an error. */
  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    if (this.#leaving) return void (await this.#exited)
    this.#leaving = true
    this.resume()
    const timer = setTimeout(() => signal(this.pid, 'SIGKILL'), 5_000)
    this.#child.send({ op: 'stop' })
    const { code, name } = await this.#exited
    clearTimeout(timer)
    if (code !== 0) throw new Error(`peer ended with ${name ?? code}\n${this.#stderr}`)
  }

  #settle({ id, value, error }) {
    const call = this.#calls.get(id)
    if (call === undefined) return
    this.#calls.delete(id)
    if (error === undefined) call.resolve(value)
    else call.reject(error instanceof Error ? error : Object.assign(new Error(error.message), error))
  }

  #ended(code, name) {
    const text = this.#leaving ? '' : `\n${this.#stderr}`
    for (const { reject } of this.#calls.values()) reject(new Error(`peer ended with ${name ?? code}${text}`))
    this.#calls.clear()
    return { code, name }
  }
}

for (const op of COMMANDS) {
  Peer.prototype[op] = function (...args) {
    return this.call(op, ...args)
  }
}

const peersOf = new WeakMap()

/** Ends all peers of a test, also when one of them ends badly: a process left over would keep the file running. */
async function stopAll(peers) {
  const ends = await Promise.allSettled(peers.map((peer) => peer.stop()))
  const bad = ends.find(({ status }) => status === 'rejected')
  if (bad !== undefined) throw bad.reason
}

/** A process with a cache of these options that ends with its test. */
async function usePeer(t, options, { env, truth } = {}) {
  if (!peersOf.has(t)) {
    const peers = []
    peersOf.set(t, peers)
    t.after(() => stopAll(peers))
  }
  const peer = new Peer(env)
  peersOf.get(t).push(peer)
  if (truth !== undefined) await peer.truth(truth.port)
  await peer.create(options)
  return peer
}

/** Several alike. */
function usePeers(t, count, options, more) {
  return Promise.all(Array.from({ length: count }, () => usePeer(t, options, more)))
}

module.exports = { Peer, usePeer, usePeers }
