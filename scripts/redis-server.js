'use strict'
// Finds a Redis or Valkey server for the tests, or installs one: `node scripts/redis-server.js` prints which.
//
// It starts nothing: each test starts servers of its own on free ports.

const { execFileSync } = require('node:child_process')
const { fail, run } = require('./lib/run.js')

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

function mayInstall() {
  return process.getuid?.() === 0 && output('apt-get', ['--version']) !== undefined
}

async function install(options) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update', '-qq'], { env, ...options })
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'], { env, ...options })
}

/** The server's command and version, installed by apt when there is none and this user may install. */
async function ensureRedisServer(options) {
  if (findRedisServer() === undefined && mayInstall()) await install(options)
  const found = findRedisServer()
  if (found === undefined) throw new Error(HOW_TO)
  return found
}

async function main() {
  const { command, version } = await ensureRedisServer()
  console.log(`${command}: ${version}`)
}

module.exports = { ensureRedisServer, findRedisServer }
if (require.main === module) main().catch(fail)
