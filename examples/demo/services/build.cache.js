'use strict'
// The builds players share. Each build has a key of its own; every list of builds carries the tag `builds`.

const { getOrSet, invalidate } = require('tidecache')
const { query } = require('../db.js')

const TTL = '5m'
const LISTS = 'builds'
const keyOf = (id) => `build:${id}`

function getAllBuilds(options) {
  const load = () => query('SELECT * FROM builds ORDER BY id')
  return getOrSet('builds:all', load, { ttl: TTL, tags: [LISTS], ...options })
}

async function loadBuild(id) {
  const [build = null] = await query('SELECT * FROM builds WHERE id = $1', [id])
  return build
}

/** The build, or null: that there is none is cached as well. */
function getBuildById(id, options) {
  return getOrSet(keyOf(id), () => loadBuild(id), { ttl: TTL, ...options })
}

/** Once this has resolved, no read that starts later returns the build as it was before. */
async function updateBuild(id, { title }) {
  await query('UPDATE builds SET title = $2, updated_at = now() WHERE id = $1', [id, title])
  await invalidate({ key: keyOf(id), tag: LISTS })
}

module.exports = { getAllBuilds, getBuildById, updateBuild }
