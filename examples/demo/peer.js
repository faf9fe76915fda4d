'use strict'
// Process B: does what A asks for, with the same services.

const { close, metrics } = require('tidecache')
const { atOnce, readUntil } = require('./measure.js')
const { getAllBuilds, getBuildById } = require('./services/build.cache.js')

const COMMANDS = {
  metrics,

  /** `loads`: how many of the callers ran the loader in this process. */
  async readAll(callers) {
    const before = await metrics()
    const { values, outcomes } = await atOnce(callers, getAllBuilds)
    const after = await metrics()
    return { answered: values.length, outcomes, loads: after.loads.started - before.loads.started }
  },

  async title(id) {
    const build = await getBuildById(id)
    return build.title
  },

  /** Reads a build in a loop until its title is the one given. */
  async watch(id, title) {
    const { value, before, at } = await readUntil(
      () => getBuildById(id),
      (build) => build.title === title,
    )
    return { title: value.title, before, at }
  },

  /** Answered after `watch`, which comes first on the channel, has begun. */
  async isWatching() {},
}

process.on('message', async ({ id, command, parameters }) => {
  if (command === undefined) return
  const reply = await COMMANDS[command](...parameters).then(
    (value) => ({ value }),
    (error) => ({ error }),
  )
  if (process.connected) process.send({ replyTo: id, ...reply })
})

process.once('disconnect', close)
process.on('SIGINT', () => {}) // A ends this process
