'use strict'
// Memory hits until some of them were held against Redis (`metrics().coherence`): one of 64 is timed, one of these in a second
// is checked.

const { eventually } = require('./kit.js')
const { open } = require('./setups.js')

/** How long memory is served without proof: so long a check waits before it counts what it has found. */
const BOUND = 300
const hour = { ttl: '1h' }

/**
 * How a cache is connected: with the patience that a machine with much else to do needs. An entry whose FILL was not answered in
 * time lies in memory alone for its whole ttl, and such a one is never checked.
 */
const patiently = ({ url }) => ({ url, maxUnverified: BOUND, commandTimeout: '2s' })

const coherence = async (cache) => (await cache.metrics()).coherence

/** Enough hits that one of them is looked at. */
async function readOften(cache, key, loader = () => 'loaded', options = hour) {
  let value
  for (let n = 0; n < 128; n++) value = await cache.getOrSet(key, loader, options)
  return value
}

/** Reads until the figures are so. */
function readUntil(cache, key, are, options) {
  const look = async () => {
    await readOften(cache, key, undefined, options)
    return are(await coherence(cache))
  }
  return eventually(look, 8_000, `${are} of reads of ${key}`)
}

/** A cache whose checks have begun: what it loads from now on can be judged. */
async function opened(t, redis, options) {
  const warnings = []
  const logger = { warn: (message) => warnings.push(message) }
  const cache = open(t, { redis: patiently(redis), logger, ...options })
  await readUntil(cache, 'first', ({ checked }) => checked > 0)
  return { cache, warnings }
}

module.exports = { BOUND, coherence, hour, opened, patiently, readOften, readUntil }
