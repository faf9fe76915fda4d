'use strict'
// `npm run format`: rewrites Rust and JavaScript as `npm run lint` wants them.

const { ensureInstalled } = require('./lib/install.js')
const { run, runSteps, tool } = require('./lib/run.js')

runSteps([
  ['install the packages of the lock file', () => ensureInstalled()],
  ['rustfmt', () => run('cargo', ['fmt', '--all'])],
  ['biome', () => run(process.execPath, [tool('@biomejs/biome', 'biome'), 'check', '--write'])],
])
