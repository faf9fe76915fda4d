'use strict'
// Which keys there are, how each is read, and how a writer invalidates it.
//
// Groups are kept apart where one would take the meaning from another: keys that are `set` have one writer, since two
// of them may arrive in another order than their commits; keys in mode `stale` serve what is old by intent.

const KEYS = 8
const VIEW = 'view'

const tagOf = (key) => `tag ${key[0]}${Number(key.slice(1)) % 3}`
const pick = (list, random) => list[Math.floor(random() * list.length)]
const patternsOf = (key) => [key, `${key[0]}*`, `?${key.slice(1)}`, `*${key.slice(1)}`, `[${key[0]}z]${key.slice(1)}*`]

const byKey = (cache, key) => cache.invalidate(key)
const byTag = (cache, key) => cache.invalidate({ tag: tagOf(key) })
const byPattern = (cache, key, { random }) => cache.invalidate({ pattern: pick(patternsOf(key), random) })
const byAll = (cache) => cache.invalidate({ all: true })
const bySet = async (cache, key, { version, options }) => {
  await cache.set(key, version, options)
  return { redis: 'set' }
}
const staleByKey = (cache, key) => cache.invalidate(key, { mode: 'stale' })
const staleByTag = (cache, key) => cache.invalidate({ tag: tagOf(key) }, { mode: 'stale' })

/** `invalidate`: ways with their weights; `tags`: told with each read, or named by the loader at its end. */
const GROUPS = {
  // The usual kind.
  k: {
    tags: 'told',
    invalidate: [
      [byKey, 10],
      [byTag, 5],
      [byPattern, 3],
      [byAll, 1],
    ],
  },
  // Its loader names the tag.
  l: {
    tags: 'named',
    invalidate: [
      [byKey, 1],
      [byTag, 2],
    ],
  },
  // Many at a time.
  m: {
    isMany: true,
    invalidate: [
      [byKey, 3],
      [byPattern, 1],
    ],
  },
  // In a view.
  v: {
    view: VIEW,
    tags: 'told',
    invalidate: [
      [byKey, 5],
      [byTag, 2],
      [byPattern, 2],
      [byAll, 1],
    ],
  },
  // Always stale: each read is followed by a refresh.
  e: {
    tags: 'told',
    options: { ttl: '50ms', staleWhileRevalidate: '1m' },
    invalidate: [
      [byKey, 2],
      [byTag, 1],
    ],
  },
  // Written by one process alone.
  s: {
    hasOneWriter: true,
    invalidate: [
      [bySet, 3],
      [byKey, 1],
    ],
  },
  // Old by intent: only in the end must it be the newest.
  w: {
    isStale: true,
    tags: 'told',
    options: { staleWhileRevalidate: '1m' },
    invalidate: [
      [staleByKey, 2],
      [staleByTag, 1],
    ],
  },
}

const groupOf = (key) => GROUPS[key[0]]
const keysOf = (name) => Array.from({ length: KEYS }, (_, n) => `${name}${n}`)
const ALL_KEYS = Object.keys(GROUPS).flatMap(keysOf)
const MANY_KEYS = Object.keys(GROUPS)
  .filter((name) => GROUPS[name].isMany)
  .flatMap(keysOf)

/** The keys that this process may write: all, and of those with one writer its share. */
function writableBy(index, processes) {
  const isOwn = (key) => Number(key.slice(1)) % processes === index
  const [own, shared] = [[], []]
  for (const key of ALL_KEYS) {
    if (!groupOf(key).hasOneWriter) shared.push(key)
    else if (isOwn(key)) own.push(key)
  }
  return { own, shared }
}

function optionsOf(key) {
  const { options, tags } = groupOf(key)
  return tags === 'told' ? { ...options, tags: [tagOf(key)] } : options
}

/** One of the ways to invalidate the key, by their weights. */
function invalidating(key, random) {
  const ways = groupOf(key).invalidate.flatMap(([way, weight]) => new Array(weight).fill(way))
  return pick(ways, random)
}

module.exports = { ALL_KEYS, MANY_KEYS, groupOf, invalidating, optionsOf, pick, tagOf, writableBy }
