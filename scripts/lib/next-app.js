'use strict'
// examples/next-app as its users would have it: the packed tarballs installed, `next build`, `next start`.
//
// All of it happens in the example's own folder, and only what is out of date is done again.

const { spawn } = require('node:child_process')
const { createHash } = require('node:crypto')
const { readFileSync, readdirSync, rmSync, statSync, writeFileSync } = require('node:fs')
const path = require('node:path')
const { triple } = require('../../lib/platform.js')
const { build, isBuildNeeded } = require('../build.js')
const { pack } = require('../pack.js')
const { ensureInstalled, isInstallNeeded } = require('./install.js')
const { ROOT, run } = require('./run.js')

const APP = path.join(ROOT, 'examples', 'next-app')
const NEXT = path.join(APP, 'node_modules', 'next', 'dist', 'bin', 'next')
const STAMP = path.join(APP, 'node_modules', '.tidecache-installed')
const BUILT = path.join(APP, '.next', 'BUILD_ID')
const NOT_SOURCES = new Set(['node_modules', '.next', 'next-env.d.ts', 'README.md', 'compose.yaml'])
const QUIET = { NEXT_TELEMETRY_DISABLED: '1' }

const modified = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** A folder is newer when a file in it is gone; the application's own changes with each build. */
function newest(file) {
  if (!statSync(file).isDirectory()) return file.endsWith('.tsbuildinfo') ? 0 : modified(file)
  const names = readdirSync(file).filter((name) => !NOT_SOURCES.has(name))
  return Math.max(file === APP ? 0 : modified(file), ...names.map((name) => newest(path.join(file, name))))
}

function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

/** Changes with the packages' content, and with what the application asks for. */
function fingerprint(files) {
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(file))
  return hash.digest('hex')
}

/** Packs the package and installs it into the application, as from a registry: a link would be bundled. */
async function installPackage(options) {
  const { main, platforms } = pack()
  const tarballs = [main, platforms[triple()]]
  const now = fingerprint([...tarballs, path.join(APP, 'package.json')])
  if (read(STAMP) === now) return
  rmSync(BUILT, { force: true })
  const args = ['install', '--no-save', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', ...tarballs]
  await run('npm', args, { cwd: APP, ...options })
  writeFileSync(STAMP, now)
}

async function buildApp(options) {
  if (modified(BUILT) > Math.max(newest(APP), modified(STAMP))) return
  const env = { ...process.env, ...QUIET }
  delete env.NODE_ENV // `next build` sets its own, and warns of another
  await run(process.execPath, [NEXT, 'build'], { cwd: APP, env, ...options })
}

/** What is to be done before the application can start, as steps for `runSteps`. */
function preparations(options) {
  const steps = []
  if (isInstallNeeded()) steps.push(['install the packages of the lock file', () => ensureInstalled(options)])
  if (isBuildNeeded()) steps.push(['build the addon (Rust; minutes at the first time)', () => build(options)])
  steps.push(['pack the package and install it into examples/next-app', () => installPackage(options)])
  steps.push(['build the application (next build)', () => buildApp(options)])
  return steps
}

async function prepareApp(options) {
  for (const [, action] of preparations(options)) await action()
}

/**
 * `next start` in a process of its own.
 *
 * The embedded Postgres is WebAssembly: compiled fast rather than well, it starts in half the time.
 */
function spawnApp({ port, env, stdio = 'inherit' }) {
  const isEmbedded = (env.DATABASE_URL ?? '') === ''
  const flags = isEmbedded ? ['--liftoff-only'] : []
  const args = [...flags, NEXT, 'start', '--port', String(port)]
  return spawn(process.execPath, args, { cwd: APP, env: { ...env, ...QUIET, PORT: String(port) }, stdio })
}

module.exports = { APP, prepareApp, preparations, spawnApp }
