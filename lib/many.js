'use strict'
// getOrSetMany: one batched read of many keys, and one call of the loader for all that are missing.

const { setMaxListeners } = require('node:events')
const { Batch } = require('./batch.js')
const { ABSENT } = require('./flight.js')
const { storedKey } = require('./path.js')

/**
 * @param {import('./handle.js').Handle} handle
 * @param {readonly string[]} keys checked
 * @param {(keys: string[], context: object) => unknown} loadMissing
 * @param {object} policy of all of them
 * @returns {Promise<Map<string, unknown>>} in the order of the keys, without those that do not exist
 */
async function getOrSetMany(handle, keys, loadMissing, policy) {
  const { channel, reads } = handle
  const names = [...new Set(keys)]
  const batch = new Batch(loadMissing, channel.host, { events: policy.scope.events, refresh: false })
  // One listener on the caller's signal, not one for each key.
  const { signal, release } = relayed(policy.signal)
  const one = signal === undefined ? policy : { ...policy, signal }
  batch.run((refreshes) => refreshTogether(handle, refreshes, loadMissing))
  const answers = names.map((key) => reads.readSeated(storedKey(key, policy.prefix), one, () => batch.seat(key)))
  batch.seal()
  try {
    return mapOf(names, await Promise.all(answers))
  } catch (error) {
    batch.giveUp()
    throw error
  } finally {
    release()
  }
}

function mapOf(names, values) {
  const map = new Map()
  for (let n = 0; n < names.length; n++) if (values[n] !== ABSENT) map.set(names[n], values[n])
  return map
}

/** A signal that many may listen to, and how to take it off the one it follows. */
function relayed(signal) {
  if (signal === undefined) return { release() {} }
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  const onAbort = () => controller.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  return { signal: controller.signal, release: () => signal.removeEventListener('abort', onAbort) }
}

/** Stale values were served: one call of the loader in the background brings new ones for all. */
function refreshTogether(handle, refreshes, loadMissing) {
  const { channel, reads } = handle
  const { events } = refreshes[0].call.policy.scope
  const batch = new Batch(loadMissing, channel.host, { events, refresh: true })
  batch.run((more) => refreshTogether(handle, more, loadMissing))
  for (const { load, call } of refreshes) {
    const seat = batch.seat(call.seat.key)
    reads.refreshNow(load, { ...call, loader: seat.loader, seat }).then(() => seat.over())
  }
  batch.seal()
}

module.exports = { getOrSetMany }
