'use strict'
// Finds a Postgres for what takes two replicas, installs one where it may, and starts servers of its own: on a free
// port, in a folder that is removed. `node scripts/postgres-server.js` prints which one is found.

const { execFile, execFileSync, spawn } = require('node:child_process')
const { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } = require('node:fs')
const { once } = require('node:events')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const { promisify } = require('node:util')
const { findOrInstall } = require('./lib/apt.js')
const { freePort } = require('./lib/ports.js')
const { fail } = require('./lib/run.js')

const exec = promisify(execFile)
const DEBIAN = '/usr/lib/postgresql'
const HOW_TO =
  'Postgres is missing: put initdb and postgres on the PATH (apt-get install postgresql), then run this again'
/** Nothing is to survive a crash here. */
const FAST = ['-c', 'fsync=off', '-c', 'full_page_writes=off', '-c', 'synchronous_commit=off']

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

function folders() {
  const debian = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => b - a) : []
  return [
    ...(process.env.PATH ?? '').split(path.delimiter),
    ...debian.map((version) => path.join(DEBIAN, version, 'bin')),
  ]
}

/** @returns {{ initdb: string, postgres: string } | undefined} */
function findPostgres() {
  const folder = folders().find(
    (name) => existsSync(path.join(name, 'initdb')) && existsSync(path.join(name, 'postgres')),
  )
  return folder === undefined
    ? undefined
    : { initdb: path.join(folder, 'initdb'), postgres: path.join(folder, 'postgres') }
}

function ensurePostgres(options) {
  return findOrInstall(findPostgres, ['postgresql'], HOW_TO, options)
}

/** Postgres refuses to run as root. */
function unprivileged() {
  if (process.getuid?.() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag) =>
        Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
      return { uid: id('-u'), gid: id('-g') }
    } catch {}
  }
  throw new Error('Postgres does not run as root, and there is no user postgres or nobody')
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** `adopt` is told of the child process, for those who see to it that nothing is left over. */
async function startPostgres({ adopt = (child) => child } = {}) {
  const { initdb, postgres } = await ensurePostgres({ stdout: 2 })
  const identity = unprivileged()
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tidecache-postgres-'))
  if (identity.uid !== undefined) chownSync(folder, identity.uid, identity.gid)
  const data = path.join(folder, 'data')
  const options = { ...identity, cwd: folder, env: { ...process.env, LC_ALL: 'C' } }
  await exec(initdb, ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'], options)
  const port = await freePort()
  const args = ['-D', data, '-p', String(port), '-k', folder, '-c', 'listen_addresses=127.0.0.1', ...FAST]
  const child = adopt(spawn(postgres, args, { ...options, stdio: 'ignore' }))
  const ended = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGINT') // ends its connections, too
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  for (let attempt = 0; child.exitCode === null && attempt < 300; attempt++) {
    if (await accepts(port)) return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, folder, child, stop }
    await sleep(100)
  }
  await stop()
  throw new Error('Postgres did not start')
}

module.exports = { ensurePostgres, startPostgres }
if (require.main === module) ensurePostgres().then(({ postgres }) => console.log(postgres), fail)
