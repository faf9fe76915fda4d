'use strict'
// Runs a piece of JavaScript in a Node process of its own, for what only a whole process can show: environment
// variables at first use, leaving by itself, warnings, resident memory.

const { spawn } = require('node:child_process')
const { join } = require('node:path')
const { adopt } = require('./reaper.js')
const { clock } = require('./kit.js')

const ROOT = join(__dirname, '..', '..')
const OWN_VARIABLES = /^(REDIS_|TIDECACHE_(?!TEST_))|^NODE_(ENV|OPTIONS|TEST_CONTEXT)$/

/** The environment without what would change a cache. */
function cleanEnvironment(env) {
  const kept = Object.entries(process.env).filter(([name]) => !OWN_VARIABLES.test(name))
  return { ...Object.fromEntries(kept), ...env }
}

const PRELUDE = `
const tidecache = require(${JSON.stringify(ROOT)})
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const say = (value) => require('node:fs').writeSync(1, JSON.stringify(value) + '\\n')
`

/**
 * Runs the body of an async function. It has `tidecache`, `sleep` and `say(value)`, whose values come back in `said`.
 * `lingered` is the time from the last `say` to the end of the process.
 */
async function runScript(body, { env, args = [], nodeArgs = [], timeout = 20_000 } = {}) {
  const source = `${PRELUDE}\n;(async () => {\n${body}\n})().catch((error) => { console.error(error); process.exit(70) })`
  const child = adopt(
    spawn(process.execPath, [...nodeArgs, '-e', source, '--', ...args], {
      cwd: ROOT,
      env: cleanEnvironment(env),
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  )
  const timer = setTimeout(() => child.kill('SIGKILL'), timeout)
  const output = { text: '', lines: [], lastLine: clock() }
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    output.text += chunk
    output.lastLine = clock()
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (chunk) => (stderr += chunk))
  let ended
  child.once('exit', () => (ended = clock()))

  const [code, signal] = await new Promise((resolve) => child.once('close', (...how) => resolve(how)))
  clearTimeout(timer)
  const said = output.text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
  return { code, signal, said, stderr, lingered: ended - output.lastLine }
}

/** The same for a script that must end well; returns what it said last. */
async function lastSaid(body, options) {
  const { code, signal, said, stderr } = await runScript(body, options)
  if (code !== 0) throw new Error(`script ended with ${signal ?? code}:\n${stderr}`)
  return said.at(-1)
}

module.exports = { ROOT, cleanEnvironment, lastSaid, runScript }
