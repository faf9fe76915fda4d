'use strict'
// Why an entry is not fresh, in plain words.

const { time, visible } = require('./text.js')

const NAMED = {
  namespace: () => 'the whole namespace',
  view: ({ name }) => `view ${name}`,
  key: () => 'its key',
  tag: ({ name }) => `tag ${visible(name)}`,
  pattern: ({ name }) => (name === null ? 'the patterns invalidated since' : `pattern ${visible(name)}`),
  unknown: () => 'a tag whose name is not known',
}

const SAID = {
  removed: (name, ago) => `${name} was invalidated ${ago} ago`,
  staled: (name, ago) => `${name} was marked stale ${ago} ago`,
  missing: (name) => `what Redis knew of ${name} is gone (evicted, flushed or expired)`,
}

/** One sentence part for a dependency that does not match any more. */
function reasonOf(dependency, now) {
  const ago = dependency.at === null ? '' : time(Math.max(0, now - dependency.at / 1_000))
  return SAID[dependency.matches](NAMED[dependency.kind](dependency), ago)
}

/** @returns {string[]} why an entry is stale, invalid or expired; empty for a fresh one */
function reasons({ state, isItsKey, isOfThisReign, markedStale, now, created, ttl, dependencies }) {
  const found = []
  if (!isItsKey) found.push('it is of another key with the same hash')
  if (!isOfThisReign) found.push('Redis was restarted or failed over since it was stored')
  found.push(...dependencies.filter(({ matches }) => matches !== 'same').map((one) => reasonOf(one, now)))
  if (markedStale) found.push('its key was marked stale')
  const past = now - created - ttl
  if (past >= 0 && state !== 'invalid') found.push(`its ttl ended ${time(past)} ago`)
  return found
}

module.exports = { reasons, reasonOf, NAMED }
