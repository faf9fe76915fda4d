'use strict'
// The classes of the game. They change with a release: ten minutes.

const { getOrSet } = require('tidecache')
const { query } = require('../db.js')

const CACHED = { ttl: '10m', tags: ['classes'] }

const TAGS = 'SELECT unnest(tags) AS tag, count(*)::integer AS classes FROM classes GROUP BY 1 ORDER BY 1'

function getAllClasses(options) {
  return getOrSet('classes:all', () => query('SELECT * FROM classes ORDER BY name'), { ...CACHED, ...options })
}

/** The class, or null. */
function getClassByName(name, options) {
  const load = async () => {
    const [found = null] = await query('SELECT * FROM classes WHERE name = $1', [name])
    return found
  }
  return getOrSet(`class:${name}`, load, { ...CACHED, ...options })
}

/** Each tag that classes have, and how many have it. */
function getClassTags(options) {
  return getOrSet('classes:tags', () => query(TAGS), { ...CACHED, ...options })
}

module.exports = { getAllClasses, getClassByName, getClassTags }
