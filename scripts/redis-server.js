'use strict'
// Finds a Redis or Valkey server for the tests, or installs one: `node scripts/redis-server.js` prints which.
//
// It starts nothing: each test starts servers of its own on free ports.

const { execFileSync } = require('node:child_process')
const { findOrInstall } = require('./lib/apt.js')
const { fail } = require('./lib/run.js')

const CANDIDATES = ['redis-server', 'valkey-server']
const HOW_TO =
  'a Redis server is missing: put redis-server or valkey-server on the PATH ' +
  '(apt-get install redis-server, apk add valkey, brew install redis), then run this command again'

function output(command, args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

/** @returns {{ command: string, version: string } | undefined} */
function findRedisServer() {
  for (const command of CANDIDATES) {
    const version = output(command, ['--version'])
    if (version !== undefined) return { command, version }
  }
  return undefined
}

/** The server's command and version, installed by apt when there is none and this user may install. */
function ensureRedisServer(options) {
  return findOrInstall(findRedisServer, ['redis-server'], HOW_TO, options)
}

async function main() {
  const { command, version } = await ensureRedisServer()
  console.log(`${command}: ${version}`)
}

module.exports = { ensureRedisServer, findRedisServer }
if (require.main === module) main().catch(fail)
