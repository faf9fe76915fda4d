'use strict'
// `npm run test:nodes`: the same JS tests on the newest releases of later Node lines, which npm packages carry.

const { existsSync, mkdirSync, writeFileSync } = require('node:fs')
const path = require('node:path')
const { build } = require('./build.js')
const { ensureInstalled } = require('./lib/install.js')
const { runJsTests } = require('./lib/js-tests.js')
const { ROOT, run, runSteps } = require('./lib/run.js')
const { ensureRedisServer } = require('./redis-server.js')

const VERSIONS = ['22.23.3', '24.21.0']
const PACKAGE = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
const filters = process.argv.slice(2)

/** The path of a Node of this version, downloaded at first use. */
async function ensureNode(version) {
  const folder = path.join(ROOT, 'target', 'nodes', version)
  const binary = path.join(folder, 'node_modules', PACKAGE, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (existsSync(binary)) return binary
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n')
  await run('npm', ['install', '--no-save', '--no-package-lock', '--loglevel=error', `${PACKAGE}@${version}`], {
    cwd: folder,
  })
  return binary
}

const prepare = [
  ['find a Redis server', () => ensureRedisServer()],
  ['install the packages of the lock file', () => ensureInstalled()],
  ['build the addon', () => build()],
]
const nodes = VERSIONS.map((version) => [
  `test on Node ${version}`,
  async () => runJsTests({ node: await ensureNode(version), filters }),
])

runSteps([...prepare, ...nodes])
