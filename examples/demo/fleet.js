'use strict'
// The part of the story that takes two processes on one Redis. This one is A; B is peer.js.

const { fork } = require('node:child_process')
const { once } = require('node:events')
const path = require('node:path')
const db = require('./db.js')
const { atOnce, clock, measure, sleep } = require('./measure.js')
const { getAllBuilds, getBuildById, updateBuild } = require('./services/build.cache.js')
const { HIT, Step, WRITE } = require('./step.js')
const { CALLERS } = require('./story.js')

/** Process B. It shares nothing with this one but Redis, and Postgres by way of the channel. */
class Peer {
  #child = fork(path.join(__dirname, 'peer.js'), { serialization: 'advanced' })
  #waiting = new Map()
  #calls = 0

  constructor() {
    db.serve(this.#child)
    this.#child.on('message', ({ replyTo, value, error }) => {
      const call = this.#waiting.get(replyTo)
      this.#waiting.delete(replyTo)
      if (error === undefined) call?.resolve(value)
      else call?.reject(error)
    })
    this.#child.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('process B has ended'))
    })
  }

  call(command, ...parameters) {
    const id = ++this.#calls
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, command, parameters })
    })
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.disconnect()
    await once(this.#child, 'exit')
  }
}

async function oneLoad(peer) {
  const step = new Step('oneLoad', `Two processes, ${CALLERS} callers in each`)
  await step.run(
    'A updateBuild(46, …)',
    WRITE,
    () => updateBuild(46, { title: 'Vigil of the Ebb' }),
    '“Vigil of the Ebb”',
  )
  const both = await measure(() => Promise.all([atOnce(CALLERS, getAllBuilds), peer.call('readAll', CALLERS)]))
  const [a, b] = both.value
  const loads = (a.outcomes.miss ?? 0) + b.loads
  step.show('A and B getAllBuilds()', `loaded once, by ${b.loads === 0 ? 'A' : 'B'}`, both)

  step.tell('processes', 2)
  step.tell('callers', 2 * CALLERS)
  step.claim('queries', both.queries, 1)
  step.claim('loads', loads, 1)
  step.claim('answered', a.values.length + b.answered, 2 * CALLERS)
  return step
}

async function coherence(peer) {
  const step = new Step('coherence', 'A changes what B has in its memory')
  const title = 'Dirge of the Undertow'
  const old = await peer.call('title', 47)
  const watching = peer.call('watch', 47, title)
  await peer.call('isWatching')
  await sleep(20)

  const selects = db.selects()
  const change = await measure(async () => {
    const began = clock()
    await updateBuild(47, { title })
    return { began, returned: clock(), seen: await watching }
  })
  const { began, returned, seen } = change.value
  const loads = db.selects() - selects
  const ms = seen.at - began
  step.show('A updateBuild(47, …)', `“${title}”`, { queries: change.queries - loads, ms: returned - began })
  step.show('B getBuildById(47)', `“${seen.title}”`, { ...change, queries: loads, ms })
  const own = await step.run('A getBuildById(47)', HIT, () => getBuildById(47), 'the same, from Redis')

  step.claim('queries', change.queries, 2)
  step.claim('queriesOfA', own.queries, 0)
  step.claim('isNew', seen.title === title && own.value.title === title && old !== title, true)
  step.tell('readsBefore', seen.before)
  step.tell('millisecondsFromUpdate', Math.round(ms * 100) / 100)
  step.tell('millisecondsFromInvalidation', Math.round((seen.at - returned) * 100) / 100)
  return step
}

module.exports = { Peer, coherence, oneLoad }
