'use strict'
// A worker thread that works until it is ended from outside, or leaves by itself with everything in flight.

const { parentPort, workerData } = require('node:worker_threads')
const { createCache } = require('../..')
const { seeded } = require('../lib/seeded.js')
const { Work } = require('./work.js')

const { options, seed, leaves } = workerData
const random = seeded(seed)
const work = new Work(createCache({ ...options, logger: { warn() {} } }), random, { keys: 200, loadMs: 20 })

let said = 0
work.run(Number.POSITIVE_INFINITY, {
  atOnce: 16,
  tick: (done) => {
    if (work.failed > said) parentPort.postMessage({ errors: work.errors.slice(said) })
    said = work.failed
    if (done === 1) parentPort.postMessage({ isWorking: true })
    if (leaves !== undefined && done >= leaves) process.exit()
  },
})
