'use strict'
// `npm run demo`: installs and builds what is missing, then tells the story with the arguments given.
// Everything but the demonstration's own output goes to stderr: `npm run --silent demo -- --json` is pure JSON.

const { spawn } = require('node:child_process')
const path = require('node:path')
const { build, isBuildNeeded } = require('./build.js')
const { ensureInstalled, isInstallNeeded } = require('./lib/install.js')
const { ROOT, runSteps } = require('./lib/run.js')

const DEMO = path.join(ROOT, 'examples', 'demo', 'index.js')
const STDERR = { stdout: 2 }

async function prepare() {
  const steps = []
  if (isInstallNeeded()) steps.push(['install the packages of the lock file', () => ensureInstalled(STDERR)])
  if (isBuildNeeded()) steps.push(['build the addon', () => build(STDERR)])
  return steps.length === 0 || runSteps(steps, { log: console.error })
}

/** Runs in the foreground: a signal to this process is the demonstration's to handle. */
function demonstrate() {
  const child = spawn(process.execPath, [DEMO, ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  child.once('exit', (code, signal) => {
    process.exitCode = code ?? (signal === null ? 1 : 128)
  })
}

prepare().then((ready) => {
  if (ready) demonstrate()
})
