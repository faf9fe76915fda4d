'use strict'
// `npm test`: everything from a fresh clone to the verdict, with Node and Rust alone.
//
//   npm test                      all of it
//   npm test -- lease outage      only the JS test files whose names contain one of these words

const { build, hostTarget } = require('./build.js')
const { ensureChromium } = require('./chromium.js')
const { ensureInstalled } = require('./lib/install.js')
const { runJsTests } = require('./lib/js-tests.js')
const { prepareApp } = require('./lib/next-app.js')
const { run, runSteps, tool } = require('./lib/run.js')
const { ensurePostgres } = require('./postgres-server.js')
const { ensureRedisServer } = require('./redis-server.js')

const PROFILE = 'dev-release'
const filters = process.argv.slice(2)

async function redisServer() {
  const { command, version } = await ensureRedisServer()
  console.log(`${command}: ${version}`)
}

/** What the tests of the example application take. Without a browser those in it are skipped, and say so. */
async function application() {
  const { postgres } = await ensurePostgres()
  const chromium = await ensureChromium().catch((error) => error.message)
  console.log(`Postgres: ${postgres}\nChromium: ${chromium}`)
  await prepareApp()
}

/** `napi build` always names a target: naming the same one shares what it has compiled. */
function testRust() {
  return run('cargo', ['test', '--workspace', '--profile', PROFILE, '--target', hostTarget()])
}

const prepare = [
  ['find a Redis server', redisServer],
  ['install the packages of the lock file', () => ensureInstalled()],
  ['build the addon', () => build({ profile: PROFILE })],
]
const app = [['build the example application', application]]
const isAppTested = filters.length === 0 || filters.some((filter) => filter.includes('app'))
const rust = [
  ['test the core and the model (Rust)', testRust],
  ['test the types', () => run(process.execPath, [tool('typescript', 'tsc'), '-p', 'tsconfig.json'])],
]
const javascript = [['test the package against real Redis servers', () => runJsTests({ filters })]]

runSteps([...prepare, ...(filters.length === 0 ? rust : []), ...(isAppTested ? app : []), ...javascript])
