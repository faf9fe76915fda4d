'use strict'
// `npm run lint`: everything that can be said about the code without running it. All checks run; then the verdict.

const path = require('node:path')
const { addonFile, build } = require('./build.js')
const { checkCrateAdvisories, checkCrates, checkPackageAdvisories } = require('./check-dependencies.js')
const { checkGlibc } = require('./check-glibc.js')
const { checkLocks } = require('./check-locks.js')
const { checkManifests } = require('./check-manifests.js')
const { ensureInstalled } = require('./lib/install.js')
const { ROOT, run, runSteps, tool } = require('./lib/run.js')
const { pack } = require('./pack.js')

const CLIPPY = ['clippy', '--workspace', '--all-targets', '--', '-D', 'warnings']
const node = (packageName, command, ...args) => run(process.execPath, [tool(packageName, command), ...args])

async function tarballs() {
  await build()
  const { main } = pack({ out: path.join(ROOT, 'dist') })
  await node('publint', 'publint', main, '--strict')
  // Resolution by Node 10's rules ignores `exports`; nobody on Node 20 has it.
  await node('@arethetypeswrong/cli', 'attw', main, '--profile', 'node16', '--no-emoji')
}

runSteps(
  [
    ['install the packages of the lock file', () => ensureInstalled()],
    ['rustfmt', () => run('cargo', ['fmt', '--all', '--check'])],
    ['clippy', () => run('cargo', CLIPPY)],
    ['biome', () => node('@biomejs/biome', 'biome', 'check', '--error-on-warnings')],
    ['types', () => node('typescript', 'tsc', '-p', 'tsconfig.json')],
    ['manifests agree', checkManifests],
    ['Cargo.lock is up to date', () => run('cargo', ['fetch', '--locked', '--quiet'])],
    ['lock files hold no addresses', checkLocks],
    ['licences and origins of the crates', checkCrates],
    ['known vulnerabilities of the crates', checkCrateAdvisories],
    ['known vulnerabilities of the npm packages', checkPackageAdvisories],
    ['publint and attw on the packed package', tarballs],
    ['glibc the addon needs', () => checkGlibc(addonFile())],
  ],
  { keepGoing: true },
)
