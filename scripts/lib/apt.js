'use strict'
// Programs that are no packages of npm: found, or installed by apt where this user may.

const { execFileSync } = require('node:child_process')
const { run } = require('./run.js')

function mayInstall() {
  if (process.getuid?.() !== 0) return false
  try {
    execFileSync('apt-get', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/**
 * What `find` finds, if need be after an installation.
 *
 * @template T
 * @param {() => T | undefined} find
 * @param {string[]} packages of Debian
 * @param {string} howTo what the error says when there is none
 * @param {object} [options] of `run`
 * @returns {Promise<T>}
 */
async function findOrInstall(find, packages, howTo, options) {
  if (find() === undefined && mayInstall()) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    await run('apt-get', ['update', '-qq'], { env, ...options })
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env, ...options })
  }
  const found = find()
  if (found === undefined) throw new Error(howTo)
  return found
}

module.exports = { findOrInstall, mayInstall }
