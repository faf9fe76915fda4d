'use strict'
// What a read means for the page that makes it.
//
// A value from memory arrives within a microtask, so Next takes the page for static and keeps it for good. Here the page is
// told, by what Next has for that:
//
//   cacheComponents, outside of 'use cache'   the page waits for a request (`io`)
//   inside 'use cache'                        `cacheLife` and `cacheTag`, from ttl and tags
//   a prerender without cacheComponents       `revalidate` and tags, through an `unstable_cache` that holds nothing
//   anywhere else                             nothing: requests, actions, route handlers, scripts

const { optional, required, whereabouts } = require('./host.js')
const { NEVER, tagOfEntries } = require('./tags.js')

/** Below it `'use cache'` refuses to be prerendered. Its tags end a page with its entry, whatever this says. */
const LEAST_EXPIRE = 300
/** Next takes no more for one page or cached function. */
const MOST_TAGS = 128
const TAG_LENGTH = 256
/** For a page whose value is not stored: Next may keep it, and makes it anew at each request all the same. */
const NOT_KEPT = { seconds: 1, staleSeconds: 0, tags: [NEVER] }

const MARK = { __proto__: null, cache: markUseCache, 'private-cache': markUseCache, 'prerender-legacy': markPrerender }
const WAITS = ['request', 'prerender', 'prerender-client', 'prerender-runtime']

function cacheLife(life) {
  // Next inlines this into what it bundles, and knows of it nowhere else. Where it is not set there is no 'use cache'.
  process.env.__NEXT_USE_CACHE ??= 'true'
  required('next/cache', 'cacheLife')(life)
}

function markUseCache({ seconds, staleSeconds, tags }) {
  cacheLife({ revalidate: seconds, expire: Math.max(seconds + staleSeconds, LEAST_EXPIRE) })
  required('next/cache', 'cacheTag')(...tags)
}

async function markPrerender({ seconds, tags }) {
  const marker = required('next/cache', 'unstable_cache')
  // One key for all: what it holds is of no use, and each key is a file.
  await marker(async () => 0, ['tidecache'], { revalidate: seconds, tags })()
}

/** `ttl: 0`, or a value that could not be stored: the page is for one request. */
async function markNotKept({ work, unit }, ttl) {
  if (unit.type === 'prerender-legacy') {
    const isForced = work.forceStatic || work.dynamicShouldError
    // Later, Next takes it for an error when a page of the build turns out to need a request.
    if (work.isBuildTimePrerendering && !isForced) await required('next/server', 'connection')()
    else await markPrerender(NOT_KEPT)
  } else if (ttl === 0) cacheLife({ revalidate: 0, expire: 0 })
  else markUseCache(NOT_KEPT)
}

/** With cacheComponents: whether what follows must be of a request, and no part of what was prerendered. */
function needsRequest({ work, unit }) {
  return work.cacheComponentsEnabled && WAITS.includes(unit.type) && unit.phase !== 'after'
}

async function untilRequested() {
  const io = optional('next/cache').io ?? required('next/server', 'connection')
  await io()
}

/**
 * A read, and what it means for the page around it.
 *
 * @param {string[]} keys
 * @param {() => { source: object, ttl: number, staleWhileRevalidate: number }} termsOf how the reader wants it, ms; and
 *   where: { cache, version, settled(key), glimpse(key), glimpseValue(key) }. Asked where it matters
 * @param {() => Promise<unknown>} read
 * @param {(values: unknown[], keys: string[]) => unknown} join the values of the keys, as `read` gives them
 */
async function readInPage(keys, termsOf, read, join) {
  const place = whereabouts()
  if (place?.unit === undefined || keys.length === 0) return read()
  const mark = MARK[place.unit.type]
  if (mark === undefined) {
    // Awaited only where it matters: rendering would go on in between, and a hit in memory needs no wait at all.
    if (needsRequest(place)) await untilRequested()
    return read()
  }
  const terms = termsOf()
  if (terms.ttl === 0) {
    await markNotKept(place, 0)
    return read()
  }
  const value = await read()
  const entries = await entriesOf(terms.source, keys)
  if (entries === undefined) {
    await markNotKept(place)
    return value
  }
  await mark(lifeOf(keys, terms, entries))
  // The value of these very entries: another may have taken the place of what was read.
  const values = entries.map((entry) => entry.value)
  return join(values, keys)
}

/** The entries of a read that was just made, as memory holds them. undefined: not all are there. */
async function entriesOf({ settled, glimpseValue }, keys) {
  await Promise.all(keys.map(settled))
  const entries = keys.map(glimpseValue)
  return entries.includes(undefined) ? undefined : entries
}

/** How long the page may be kept, and by what names it ends. */
function lifeOf(keys, { source, ttl, staleWhileRevalidate }, entries) {
  // The writer's ttl counts, and the reader's; what is stale is to be replaced soon.
  const left = entries.map(({ age, freshFor, isStale }) => (isStale ? 0 : Math.min(freshFor, ttl - age)))
  const tags = entries.flatMap((entry) => entry.tags).filter(isFine)
  return {
    seconds: Math.max(1, Math.floor(Math.min(...left) / 1_000)),
    staleSeconds: Math.floor(staleWhileRevalidate / 1_000),
    tags: [tagOfEntries(source, keys, entries), ...new Set(tags)].slice(0, MOST_TAGS),
  }
}

/** Next splits lists of tags at commas, and refuses long ones. */
function isFine(tag) {
  return tag.length <= TAG_LENGTH && !tag.includes(',')
}

module.exports = { readInPage }
