'use strict'
// The part of the story that one process can tell. Each step shows real counts and claims what they must be.

const { metrics } = require('tidecache')
const db = require('./db.js')
const { atOnce, measure, readUntil, sleep, timesOf } = require('./measure.js')
const { getAllBuilds, getBuildById, updateBuild } = require('./services/build.cache.js')
const { getAllClasses, getClassByName } = require('./services/class.cache.js')
const { Step } = require('./step.js')

const CALLERS = 100
const READS = 1_000

async function coldReads(sizes) {
  const step = new Step('coldReads', `${CALLERS} callers at once, nothing cached`)
  const builds = await measure(() => atOnce(CALLERS, getAllBuilds))
  const classes = await measure(() => atOnce(CALLERS, getAllClasses))
  const one = await measure(() => atOnce(CALLERS, (options) => getClassByName('Warden', options)))

  step.show('getAllBuilds()', `${sizes.builds.toLocaleString('en')} builds, a copy for each of ${CALLERS}`, builds)
  step.show('getAllClasses()', `${sizes.classes} classes, a copy for each of ${CALLERS}`, classes)
  step.show("getClassByName('Warden')", one.value.values[0].description, one)
  step.tell('callers', CALLERS)
  step.claim('queries', builds.queries, 1)
  step.claim('queriesOfClasses', classes.queries, 1)
  step.claim('queriesOfOneClass', one.queries, 1)
  step.claim('answered', builds.value.values.filter((list) => list.length === sizes.builds).length, CALLERS)
  return step
}

async function freshHits() {
  const step = new Step('freshHits', 'Fresh hits')
  const first = await measure(() => getBuildById(42))
  const later = await measure(() => timesOf(READS, () => getBuildById(42)))
  const median = later.value.sort((a, b) => a - b)[READS / 2]

  step.show('getBuildById(42)', `“${first.value.title}”, from Postgres`, first)
  step.show('getBuildById(42)', `${READS.toLocaleString('en')} reads from memory, median`, { ...later, ms: median })
  step.claim('firstQueries', first.queries, 1)
  step.tell('reads', READS)
  step.claim('queries', later.queries, 0)
  step.tell('microseconds', Math.round(median * 100_000) / 100)
  return step
}

/** A like that another program gives, past the cache: nobody invalidates anything. */
const likePastTheCache = (id) => db.query('UPDATE builds SET likes = likes + 1 WHERE id = $1', [id])

/** How many refreshes have ended in this process. */
async function refreshes() {
  const { loads } = await metrics()
  return loads.refreshed
}

async function staleHits() {
  const step = new Step('staleHits', 'Stale hits: the old value at once, one refresh in the background')
  const read = (options) => getBuildById(7, { ttl: '100ms', ...options })
  await read()
  await likePastTheCache(7)
  await sleep(150)

  const before = await refreshes()
  const { value, queries, ms } = await measure(async () => {
    const stale = await measure(() => atOnce(CALLERS, read))
    await readUntil(refreshes, (count) => count > before)
    return { stale, fresh: await read({ refresh: 'never' }) }
  })
  const { stale, fresh } = value

  step.show('another program', 'likes build 7 past the cache; its ttl of 100 ms ends')
  step.show('getBuildById(7)', `${stale.value.values[0].likes} likes, stale, for each of ${CALLERS}`, { ms: stale.ms })
  step.show('getBuildById(7)', `${fresh.likes} likes, refreshed`, { queries, ms })
  step.claim('stale', stale.value.outcomes.stale, CALLERS)
  step.claim('queries', queries, 1)
  step.claim('likesAdded', fresh.likes - stale.value.values[0].likes, 1)
  return step
}

async function mutation() {
  const step = new Step('mutation', 'A change and its invalidation')
  const title = 'Oath of the Rising Tide'
  await getBuildById(43)
  const before = await measure(() => getBuildById(42))
  const update = await measure(() => updateBuild(42, { title }))
  const after = await measure(() => getBuildById(42))
  const neighbour = await measure(() => getBuildById(43))

  step.show('getBuildById(42)', `“${before.value.title}”, fresh`, before)
  step.show('updateBuild(42, …)', 'UPDATE, then invalidate({ key, tag })', update)
  step.show('getBuildById(42)', `“${after.value.title}”: the next read is new`, after)
  step.show('getBuildById(43)', `“${neighbour.value.title}”: still cached`, neighbour)
  step.claim('queriesBefore', before.queries, 0)
  step.claim('queriesOfUpdate', update.queries, 1)
  step.claim('queriesAfter', after.queries, 1)
  step.claim('queriesOfOthers', neighbour.queries, 0)
  step.claim('isNew', after.value.title === title && before.value.title !== title, true)
  return step
}

module.exports = { CALLERS, coldReads, freshHits, mutation, staleHits }
