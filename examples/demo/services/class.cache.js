'use strict'
// The classes of the game. They change with a release: ten minutes.

const { getOrSet } = require('tidecache')
const { query } = require('../db.js')

const CACHED = { ttl: '10m', tags: ['classes'] }

function getAllClasses(options) {
  return getOrSet('classes:all', () => query('SELECT * FROM classes ORDER BY name'), { ...CACHED, ...options })
}

async function loadClass(name) {
  const [found = null] = await query('SELECT * FROM classes WHERE name = $1', [name])
  return found
}

/** The class, or null. */
function getClassByName(name, options) {
  return getOrSet(`class:${name}`, () => loadClass(name), { ...CACHED, ...options })
}

module.exports = { getAllClasses, getClassByName }
