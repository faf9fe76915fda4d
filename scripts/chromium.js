'use strict'
// Finds a Chromium for the tests in a browser, or installs Debian's where it may: `node scripts/chromium.js` prints it.

const { execFileSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const path = require('node:path')
const { fail, run } = require('./lib/run.js')

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
const HOW_TO = 'Chromium is missing: put chromium on the PATH (apt-get install chromium), or name it in CHROMIUM'

/** @returns {string | undefined} its path: that of CHROMIUM, else one on the PATH */
function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  return NAMES.flatMap((name) => folders.map((folder) => path.join(folder, name))).find(existsSync)
}

function mayInstall() {
  if (process.getuid?.() !== 0) return false
  try {
    execFileSync('apt-get', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function ensureChromium(options) {
  if (findChromium() === undefined && mayInstall()) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    await run('apt-get', ['update', '-qq'], { env, ...options })
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium', 'fonts-liberation'], {
      env,
      ...options,
    })
  }
  const found = findChromium()
  if (found === undefined) throw new Error(HOW_TO)
  return found
}

module.exports = { ensureChromium, findChromium }
if (require.main === module) ensureChromium().then(console.log, fail)
