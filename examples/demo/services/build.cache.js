'use strict'
// The builds players share: under which key each is cached, for how long, and what a change makes new.
//
// A list names the builds it shows as tags while it loads, so a change of one build finds every list that shows it.
// The list of all has a key of its own for that: it shows more builds than an entry may have tags.

const { getOrSet, invalidate } = require('tidecache')
const { query } = require('../db.js')

const TTL = '5m'
const ALL = 'builds:all'
const keyOf = (id) => `build:${id}`
const byUser = (userId) => `user:${userId}:builds`
const likedBy = (userId) => `user:${userId}:liked`
const shows = (id) => `shows:build:${id}`

const BUILDS = 'SELECT b.*, u.name AS author FROM builds b JOIN users u ON u.id = b.user_id'

const TOGGLE = `
  WITH gone AS (DELETE FROM likes WHERE user_id = $1 AND build_id = $2 RETURNING 1),
    added AS (INSERT INTO likes SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM gone) RETURNING 1)
  UPDATE builds SET likes = likes + CASE WHEN EXISTS (SELECT FROM added) THEN 1 ELSE -1 END WHERE id = $2`

/** The build, or null: that there is none is cached as well. */
function getBuildById(id, options) {
  const load = async () => {
    const [build = null] = await query(`${BUILDS} WHERE b.id = $1`, [id])
    return build
  }
  return getOrSet(keyOf(id), load, { ttl: TTL, ...options })
}

function getAllBuilds(options) {
  return getOrSet(ALL, () => query(`${BUILDS} ORDER BY b.id`), { ttl: TTL, ...options })
}

function getBuildsByUser(userId, options) {
  const load = async (ctx) => {
    const builds = await query(`${BUILDS} WHERE b.user_id = $1 ORDER BY b.id`, [userId])
    ctx.tag(...builds.map(({ id }) => shows(id)))
    return builds
  }
  return getOrSet(byUser(userId), load, { ttl: TTL, ...options })
}

function getLikedBuildsByUser(userId, options) {
  const load = async (ctx) => {
    const liked = `${BUILDS} JOIN likes l ON l.build_id = b.id WHERE l.user_id = $1 ORDER BY b.id`
    const builds = await query(liked, [userId])
    ctx.tag(...builds.map(({ id }) => shows(id)))
    return builds
  }
  return getOrSet(likedBy(userId), load, { ttl: TTL, ...options })
}

// Once one of these has resolved, no read that starts later returns what was before. They invalidate after COMMIT.

/** @returns {Promise<number>} the new build's id: that there was none may be cached, too */
async function createBuild(userId, { title, className }) {
  const insert = 'INSERT INTO builds (title, class, user_id) VALUES ($1, $2, $3) RETURNING id'
  const [{ id }] = await query(insert, [title, className, userId])
  await invalidate({ keys: [keyOf(id), byUser(userId), ALL] })
  return id
}

async function updateBuild(id, { title }) {
  await query('UPDATE builds SET title = $2, updated_at = now() WHERE id = $1', [id, title])
  await invalidate({ keys: [keyOf(id), ALL], tag: shows(id) })
}

async function deleteBuild(id) {
  const [deleted] = await query('DELETE FROM builds WHERE id = $1 RETURNING user_id', [id])
  if (deleted === undefined) return
  await invalidate({ keys: [keyOf(id), byUser(deleted.user_id), ALL], tag: shows(id) })
}

/** The build and the user's likes are new at once. Lists with like counts may show the old one until refreshed. */
async function toggleLike(userId, id) {
  await query(TOGGLE, [userId, id])
  const lists = invalidate({ key: ALL, tag: shows(id) }, { mode: 'stale' })
  await Promise.all([lists, invalidate({ keys: [keyOf(id), likedBy(userId)] })])
}

module.exports = {
  createBuild,
  deleteBuild,
  getAllBuilds,
  getBuildById,
  getBuildsByUser,
  getLikedBuildsByUser,
  toggleLike,
  updateBuild,
}
