'use strict'
// Finds a Chromium for the tests in a browser, or installs Debian's where it may: `node scripts/chromium.js` prints it.

const { existsSync } = require('node:fs')
const path = require('node:path')
const { findOrInstall } = require('./lib/apt.js')
const { fail } = require('./lib/run.js')

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
const HOW_TO = 'Chromium is missing: put chromium on the PATH (apt-get install chromium), or name it in CHROMIUM'

/** @returns {string | undefined} its path: that of CHROMIUM, else one on the PATH */
function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  return NAMES.flatMap((name) => folders.map((folder) => path.join(folder, name))).find(existsSync)
}

function ensureChromium(options) {
  return findOrInstall(findChromium, ['chromium', 'fonts-liberation'], HOW_TO, options)
}

module.exports = { ensureChromium, findChromium }
if (require.main === module) ensureChromium().then(console.log, fail)
