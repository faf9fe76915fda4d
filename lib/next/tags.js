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
/** Entries that pages were made from. The oldest are forgotten: their pages are made anew. */
const MOST = 20_000
/** Two processes must not mean different entries by one tag. */
const ours = `${PREFIX}${randomBytes(9).toString('base64url')}.`
/** The tag of an entry that does not exist. */
const NEVER = `${PREFIX}never`
/** How long a look may take to tell when an entry was stored, ms; and how often it is tried. */
const BLUR = 0.5
const LOOKS = 5
const WATCHED = Symbol.for('tidecache.pages')

/** By tag: the entries as they were, how to look at them, and where the tag is noted. */
const named = new Map()
/** By cache: tags by version and keys. */
const tagsOf = new WeakMap()
let last = 0

/** An entry of memory as it was seen. */
class Sight {
  /**
   * @param {() => { age: number, isStale: boolean } | undefined} peek
   * @returns {Sight | undefined} undefined: there is none, or this thread was held up, so that its age says nothing
   */
  static of(peek) {
    for (let attempt = 0; attempt < LOOKS; attempt++) {
      const before = performance.now()
      const found = peek()
      if (found === undefined) return undefined
      if (performance.now() - before <= BLUR) return new Sight(before - found.age, found.isStale)
    }
    return undefined
  }

  /** @param {number} since when it was stored, known to a millisecond and BLUR */
  constructor(since, isStale) {
    this.since = since
    this.isStale = isStale
  }

  /** Whether both are the same entry. */
  isOf(other) {
    return other !== undefined && Math.abs(this.since - other.since) < 1 + BLUR
  }
}

function forget(tag) {
  const entry = named.get(tag)
  if (entry === undefined) return
  named.delete(tag)
  entry.tags.delete(entry.name)
}

/**
 * The tag of the entries of a read; entries that took the place of others have another.
 *
 * @param {object} source as `readInPage` takes it
 * @param {string[]} keys
 * @param {Sight[]} sights of the keys
 */
function tagOfSights({ cache, version, peek }, keys, sights) {
  if (!tagsOf.has(cache)) tagsOf.set(cache, new Map())
  const tags = tagsOf.get(cache)
  const name = JSON.stringify([version, ...keys])
  const known = tags.get(name)
  if (known !== undefined && areSame(named.get(known).sights, sights)) return known
  forget(known)
  const tag = ours + (++last).toString(36)
  tags.set(name, tag)
  named.set(tag, { sights, look: () => keys.map(peek), tags, name })
  if (named.size > MOST) forget(named.keys().next().value)
  return tag
}

/** Whether all are there, and each is the entry that it was. */
function areSame(before, now) {
  return now.every((sight, n) => sight?.isOf(before[n]))
}

/** What Next is told of such a tag: since when a page with it is expired (not later than now), or stale. */
function stateOf(tag) {
  const entry = named.get(tag)
  const now = entry?.look()
  if (now !== undefined && areSame(entry.sights, now)) {
    return now.some(({ isStale }) => isStale) ? { stale: Infinity } : undefined
  }
  // Should clocks disagree so much that the page looks younger than now, it is stale at least.
  return { expired: performance.timeOrigin + performance.now(), stale: Infinity }
}

/** From here on Next asks about our tags. Does nothing where there is no Next, or where it has no such table. */
function watchPages() {
  const table = optional('tags')
  if (!(table instanceof Map) || table[WATCHED]) return
  const { get } = table
  table.get = function (tag) {
    return typeof tag === 'string' && tag.startsWith(PREFIX) ? stateOf(tag) : get.call(this, tag)
  }
  table[WATCHED] = true
}

module.exports = { NEVER, Sight, areSame, tagOfSights, watchPages }
