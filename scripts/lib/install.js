'use strict'
// The packages this repository needs to be built and tested, from its lock file.

const { statSync } = require('node:fs')
const path = require('node:path')
const { ROOT, run } = require('./run.js')

function modified(...segments) {
  return statSync(path.join(ROOT, ...segments), { throwIfNoEntry: false })?.mtimeMs
}

/** Whether node_modules is missing or older than the lock file. */
function isInstallNeeded() {
  const installed = modified('node_modules', '.package-lock.json')
  return installed === undefined || installed < modified('package-lock.json')
}

async function ensureInstalled(options) {
  if (!isInstallNeeded()) return
  // Warnings are about build tools' own wishes for a newer Node: they work on this one.
  await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], options)
}

module.exports = { ensureInstalled, isInstallNeeded }
