'use strict'
// The part of the story that one process can tell: reads. Each step shows real counts and claims what they must be.

const db = require('./db.js')
const { atOnce, clock, sleep, staleThenFresh } = require('./measure.js')
const { getAllBuilds, getBuildById } = require('./services/build.cache.js')
const { getAllClasses, getClassByName, getClassTags } = require('./services/class.cache.js')
const { MISS, Step, WRITE } = require('./step.js')

const CALLERS = 100
const READS = 1_000

async function coldReads(sizes) {
  const step = new Step('coldReads', `${CALLERS} callers at once, nothing cached`)
  const all = { queries: 1, hits: 0, misses: CALLERS }
  const run = (call, read, tell) =>
    step.run(
      call,
      all,
      () => atOnce(CALLERS, read),
      ({ values }) => tell(values[0]),
    )

  const builds = await run('getAllBuilds()', getAllBuilds, (list) => `${list.length.toLocaleString('en')} builds, each`)
  const classes = await run('getAllClasses()', getAllClasses, (list) => `${list.length} classes, each`)
  const warden = (options) => getClassByName('Warden', options)
  const one = await run("getClassByName('Warden')", warden, ({ description }) => `“${description}”`)
  const tags = await run('getClassTags()', getClassTags, (list) => `${list.length} tags, each`)

  step.tell('callers', CALLERS)
  step.tell('queries', builds.queries)
  step.tell('queriesOfClasses', classes.queries)
  step.tell('queriesOfOneClass', one.queries)
  step.tell('queriesOfTags', tags.queries)
  step.claim('answered', builds.value.values.filter((list) => list.length === sizes.builds).length, CALLERS)
  return step
}

/** Calls one after another; the median of their milliseconds. */
async function medianOf(calls, read) {
  const times = []
  for (let call = 0; call < calls; call++) {
    const began = clock()
    await read()
    times.push(clock() - began)
  }
  return times.sort((a, b) => a - b)[calls / 2]
}

async function freshHits() {
  const step = new Step('freshHits', 'Read again: from memory')
  const first = await step.run(
    'getBuildById(42)',
    MISS,
    () => getBuildById(42),
    ({ title }) => `“${title}”`,
  )
  const cost = { queries: 0, hits: READS, misses: 0 }
  const times = `${READS.toLocaleString('en')} times, one by one`
  const later = await step.run('getBuildById(42)', cost, () => medianOf(READS, () => getBuildById(42)), times)
  step.show('  one of them', 'the median', { ms: later.value })

  step.tell('firstQueries', first.queries)
  step.tell('reads', READS)
  step.tell('queries', later.queries)
  step.tell('microseconds', Math.round(later.value * 100_000) / 100)
  return step
}

/** What another program does: it knows no cache, and nobody invalidates anything. */
const renamePastTheCache = (id, title) => db.query('UPDATE builds SET title = $2 WHERE id = $1', [id, title])

async function staleHits() {
  const step = new Step('staleHits', 'Past its ttl: stale at once, refreshed behind')
  const title = 'Moonlit Tide'
  const read = (options) => getBuildById(7, { ttl: '100ms', ...options })
  const { title: old } = await read()
  await step.run('UPDATE past the cache', WRITE, () => renamePastTheCache(7, title), `“${title}”`)
  await sleep(150)

  const [stale, fresh] = await staleThenFresh(
    () => atOnce(CALLERS, read),
    () => read({ refresh: 'never' }),
  )
  step.show('getBuildById(7)', `the old, ${stale.value.outcomes.stale} callers`, stale)
  step.show('getBuildById(7)', `“${fresh.value.title}”`, fresh)
  step.claim('stale', stale.value.outcomes.stale, CALLERS)
  step.claim('queries', fresh.queries, 1)
  step.claim(
    'isOld',
    stale.value.values.every((build) => build.title === old),
    true,
  )
  step.claim('isNew', fresh.value.title === title && old !== title, true)
  return step
}

module.exports = { CALLERS, coldReads, freshHits, staleHits }
