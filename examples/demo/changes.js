'use strict'
// The four changes: what each makes new, and what it leaves cached.

const { staleThenFresh } = require('./measure.js')
const builds = require('./services/build.cache.js')
const { HIT, MISS, Step, WRITE } = require('./step.js')

const { getAllBuilds, getBuildById, getBuildsByUser, getLikedBuildsByUser } = builds

/** A build, who made it, who likes it, and who does not yet: the seed makes the same ones at every run. */
const BUILD = 44
const AUTHOR = 43
const FAN = 187
const READER = 12

const title = (build) => (build === null ? 'null' : `“${build.title}”`)
const titleIn = (list, id = BUILD) => title(list.find((build) => build.id === id) ?? null)
const likesIn = (list, id) => list.find((build) => build.id === id).likes

async function updateBuild() {
  const step = new Step('updateBuild', 'updateBuild: it, and the lists that show it')
  const name = 'Oath of the Tide'
  const reads = [
    [`getBuildById(${BUILD})`, () => getBuildById(BUILD), title],
    ['getAllBuilds()', getAllBuilds, titleIn],
    [`getBuildsByUser(${AUTHOR})`, () => getBuildsByUser(AUTHOR), titleIn],
    [`getLikedBuildsByUser(${FAN})`, () => getLikedBuildsByUser(FAN), titleIn],
  ]
  for (const [, read] of reads) await read()
  await builds.getBuildById(45)

  const change = () => builds.updateBuild(BUILD, { title: name })
  const update = await step.run(`updateBuild(${BUILD}, …)`, WRITE, change, `“${name}”`)
  let found = 0
  for (const [call, read, tell] of reads) {
    const { value } = await step.run(call, MISS, () => read(), tell)
    if (tell(value) === `“${name}”`) found++
  }
  const other = await step.run('getBuildById(45)', HIT, () => getBuildById(45), 'another one: cached')

  step.tell('queriesOfUpdate', update.queries)
  step.tell('queriesOfOthers', other.queries)
  step.claim('isNewIn', found, reads.length)
  return step
}

async function createBuild(sizes) {
  const step = new Step('createBuild', "createBuild: the user's builds and all builds")
  const id = sizes.builds + 1
  const count = (list) => `${list.length.toLocaleString('en')} builds`
  const none = await getBuildById(id)
  const own = await getBuildsByUser(FAN)

  const change = () => builds.createBuild(FAN, { title: 'Song of the Ebb', className: 'Druid' })
  const create = await step.run(`createBuild(${FAN}, …)`, WRITE, change, (made) => `build ${made}`)
  const one = await step.run(`getBuildById(${id})`, MISS, () => getBuildById(id), title)
  const mine = await step.run(`getBuildsByUser(${FAN})`, MISS, () => getBuildsByUser(FAN), count)
  const all = await step.run('getAllBuilds()', MISS, () => getAllBuilds(), count)
  await step.run(`getBuildById(${BUILD})`, HIT, () => getBuildById(BUILD), 'another one: cached')

  step.claim('id', create.value, id)
  step.claim('wasNull', none === null && one.value !== null, true)
  step.claim('addedToUser', mine.value.length - own.length, 1)
  step.claim('all', all.value.length, sizes.builds + 1)
  return step
}

async function deleteBuild(sizes) {
  const step = new Step('deleteBuild', 'deleteBuild: the same, and the build itself')
  const id = sizes.builds + 1
  const count = (list) => `${list.length.toLocaleString('en')} builds`

  await step.run(`deleteBuild(${id})`, WRITE, () => builds.deleteBuild(id), '')
  const one = await step.run(`getBuildById(${id})`, MISS, () => getBuildById(id), title)
  const mine = await step.run(`getBuildsByUser(${FAN})`, MISS, () => getBuildsByUser(FAN), count)
  const all = await step.run('getAllBuilds()', MISS, () => getAllBuilds(), count)

  step.claim('isNull', one.value === null, true)
  step.claim('isListed', titleIn(mine.value, id) !== 'null', false)
  step.claim('all', all.value.length, sizes.builds)
  return step
}

async function toggleLike() {
  const step = new Step('toggleLike', 'toggleLike: the user sees it now, lists soon')
  const likes = (build) => `${build.likes} likes`
  const liked = (list) => `${list.length} builds`
  const before = await getBuildById(BUILD)
  const was = await getLikedBuildsByUser(READER)

  await step.run(
    `toggleLike(${READER}, ${BUILD})`,
    WRITE,
    () => builds.toggleLike(READER, BUILD),
    `${likes(before)} before`,
  )
  const one = await step.run(`getBuildById(${BUILD})`, MISS, () => getBuildById(BUILD), likes)
  const own = await step.run(`getLikedBuildsByUser(${READER})`, MISS, () => getLikedBuildsByUser(READER), liked)
  const [stale, fresh] = await staleThenFresh(getAllBuilds, () => getAllBuilds({ refresh: 'never' }))
  step.show('getAllBuilds()', `${likesIn(stale.value, BUILD)} likes: stale`, stale)
  step.show('getAllBuilds()', `${likesIn(fresh.value, BUILD)} likes: refreshed`, fresh)

  step.claim('likesAdded', one.value.likes - before.likes, 1)
  step.claim('likedAdded', own.value.length - was.length, 1)
  step.claim('likesInStaleList', likesIn(stale.value, BUILD), before.likes)
  step.claim('likesInFreshList', likesIn(fresh.value, BUILD), before.likes + 1)
  step.claim('queriesOfRefresh', fresh.queries, 1)
  return step
}

module.exports = { createBuild, deleteBuild, toggleLike, updateBuild }
