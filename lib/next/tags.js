'use strict'
// How pages that Next keeps end with the entries that they were made from, in every process.
//
// Next looks up the tags of a page in a table of its process (`tagsManifest`) each time it serves the page. A page made from
// a cached value carries one tag more, which names that very entry; for such tags the table is answered from here: whether
// memory still holds the entry, fresh and proven. So a page falls with its entry, whatever made it fall (an invalidation by
// key, tag or pattern, here or in another process, or the end of its life). A page made by another process or by
// `next build`, of whose entries this process knows nothing, is made anew at its first request.

const { randomBytes } = require('node:crypto')
const { optional } = require('./host.js')

const PREFIX = 'tidecache.'
/** Reads that pages were made from. Those that nobody asked for the longest are forgotten: their pages are made anew. */
const MOST = 20_000
/** Two processes must not mean different entries by one tag. */
const ours = `${PREFIX}${randomBytes(9).toString('base64url')}.`
/** The tag of an entry that does not exist. */
const NEVER = `${PREFIX}never`
const WATCHED = Symbol.for('tidecache.pages')

/** By tag, the latest used last: the ids of the entries, how to look at them now, and where the tag is noted. */
const named = new Map()
/** By cache: tags by version and keys. */
const tagsOf = new WeakMap()
let last = 0

function forget(tag) {
  const entry = named.get(tag)
  if (entry === undefined) return
  named.delete(tag)
  entry.tags.delete(entry.name)
}

/** What a tag names; from here on the latest used. */
function lookUp(tag) {
  const entry = named.get(tag)
  if (entry === undefined) return undefined
  named.delete(tag)
  named.set(tag, entry)
  return entry
}

/**
 * The tag of the entries of a read; entries that took the place of others have another.
 *
 * @param {object} source as `readInPage` takes it
 * @param {string[]} keys
 * @param {{ id: string }[]} entries of the keys
 */
function tagOfEntries({ cache, version, glimpse }, keys, entries) {
  if (!tagsOf.has(cache)) tagsOf.set(cache, new Map())
  const tags = tagsOf.get(cache)
  const name = JSON.stringify([version, ...keys])
  const known = tags.get(name)
  if (known !== undefined && areThose(lookUp(known).ids, entries)) return known
  forget(known)
  const tag = ours + (++last).toString(36)
  tags.set(name, tag)
  named.set(tag, { ids: entries.map(({ id }) => id), look: () => keys.map(glimpse), tags, name })
  if (named.size > MOST) forget(named.keys().next().value)
  return tag
}

/** Whether all are there, and each is the entry that it was. */
function areThose(ids, entries) {
  return entries.every((entry, n) => entry?.id === ids[n])
}

/** What Next is told of such a tag: since when a page with it is expired (not later than now), or stale. */
function stateOf(tag) {
  const entry = lookUp(tag)
  const now = entry?.look()
  if (now !== undefined && areThose(entry.ids, now)) {
    return now.some(({ isStale }) => isStale) ? { stale: Infinity } : undefined
  }
  // Should clocks disagree so much that the page looks younger than now, it is stale at least.
  return { expired: performance.timeOrigin + performance.now(), stale: Infinity }
}

/** From here on Next asks about our tags. Does nothing where there is no Next, or where it has no such table. */
function watchPages() {
  const table = optional('next/dist/server/lib/incremental-cache/tags-manifest.external')?.tagsManifest
  if (!(table instanceof Map) || table[WATCHED]) return
  const { get } = table
  table.get = function (tag) {
    return typeof tag === 'string' && tag.startsWith(PREFIX) ? stateOf(tag) : get.call(this, tag)
  }
  table[WATCHED] = true
}

module.exports = { NEVER, stateOf, tagOfEntries, watchPages }
