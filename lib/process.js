'use strict'
// What is told of this process, or to it, once.

const { randomUUID } = require('node:crypto')
const { hostname } = require('node:os')

let description

/** Which process the counters are of; made when first asked for. */
function describeProcess() {
  const since = new Date(Date.now() - process.uptime() * 1_000).toISOString()
  description ??= { id: randomUUID(), pid: process.pid, host: hostname(), since }
  return { ...description }
}

let isDefaultTold = false

/** In production, that the namespace is the default one. */
function warnOfDefault() {
  if (isDefaultTold || process.env.NODE_ENV !== 'production') return
  isDefaultTold = true
  process.emitWarning(
    "the namespace is the default, 'tidecache': two applications on one Redis would share it; set `namespace` or TIDECACHE_NAMESPACE",
    'TidecacheWarning',
  )
}

module.exports = { describeProcess, warnOfDefault }
