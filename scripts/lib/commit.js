'use strict'
// Which commit of this repository something was measured at.

const { execFileSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const path = require('node:path')
const { ROOT } = require('./run.js')

const git = (folder, ...args) =>
  execFileSync('git', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()

/**
 * @param {string} [folder] the root of a checkout
 * @returns {string | undefined} the short hash, '-dirty' behind it where files differ from it, beside the pages (reports are written
 *   one after the other); undefined: there is no checkout, or no git
 */
function commitOf(folder = ROOT) {
  // A package inside of somebody else's checkout has not that one's commit.
  if (!existsSync(path.join(folder, '.git'))) return undefined
  try {
    const changed = git(folder, 'diff', '--name-only', 'HEAD', '--', '.', ':!docs')
    return `${git(folder, 'rev-parse', '--short', 'HEAD')}${changed === '' ? '' : '-dirty'}`
  } catch {
    return undefined
  }
}

module.exports = { commitOf }
