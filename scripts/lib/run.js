'use strict'
// Child processes that fail loudly, and named steps with their durations.

const { spawn } = require('node:child_process')
const { readFileSync } = require('node:fs')
const path = require('node:path')

const ROOT = path.resolve(__dirname, '../..')
const WINDOWS = process.platform === 'win32'

/**
 * Runs a program in the repository and resolves when it ends well.
 *
 * `stdout: 2` sends what it prints to stderr, for commands whose own stdout is an answer.
 */
function run(command, args, { cwd = ROOT, env = process.env, stdout = 1 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', stdout, 2], shell: WINDOWS && command === 'npm' })
    child.once('error', (error) => {
      reject(error.code === 'ENOENT' ? new Error(`${command} was not found on the PATH`) : error)
    })
    child.once('exit', (code, signal) => {
      if (code === 0) return resolve()
      reject(new Error(`${path.basename(command)} ended with ${signal ?? `code ${code}`}`))
    })
  })
}

/** The file behind a command of an installed package, to be run by this very Node. */
function tool(packageName, command) {
  const folder = path.join(ROOT, 'node_modules', packageName)
  const { bin } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
  return path.join(folder, typeof bin === 'string' ? bin : bin[command])
}

function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}

/** Thrown by a step that cannot do its work here; its message says why. It is no failure, and no success. */
class NotChecked extends Error {}

async function runStep(title, action, log) {
  const started = performance.now()
  try {
    await action()
    return { title, took: seconds(started) }
  } catch (error) {
    if (error instanceof NotChecked) return { title, took: seconds(started), unchecked: error.message }
    log(`\n✖ ${title}: ${error.message}`)
    return { title, took: seconds(started), error }
  }
}

function markOf({ error, unchecked }) {
  if (error !== undefined) return '✖'
  return unchecked === undefined ? '✔' : '-'
}

const noteOf = ({ unchecked }) => (unchecked === undefined ? '' : ` (not checked: ${unchecked})`)

/**
 * Runs `[title, action]` pairs in order and prints a closing table.
 *
 * Ends at the first failure unless `keepGoing`. Sets the process's exit code; resolves to whether all went well.
 */
async function runSteps(steps, { keepGoing = false, log = console.log } = {}) {
  const results = []
  const started = performance.now()
  for (const [title, action] of steps) {
    log(`\n▶ ${results.length + 1}/${steps.length} ${title}`)
    const result = await runStep(title, action, log)
    results.push(result)
    if (result.error !== undefined && !keepGoing) break
  }

  log('')
  for (const result of results) log(`${markOf(result)} ${result.took.padStart(8)}  ${result.title}${noteOf(result)}`)
  for (const [title] of steps.slice(results.length)) log(`- ${'not run'.padStart(8)}  ${title}`)
  const failed = results.filter((result) => result.error !== undefined).length
  const unchecked = results.filter((result) => result.unchecked !== undefined).length
  const rest = unchecked === 0 ? '' : `, ${unchecked} not checked`
  log(`${failed === 0 ? 'all went well' : `${failed} failed`}${rest} in ${seconds(started)}`)
  if (failed > 0) process.exitCode = 1
  return failed === 0
}

/** For scripts without steps: one sentence and exit code 1, no stack. */
function fail(error) {
  console.error(`✖ ${error.message}`)
  process.exitCode = 1
}

module.exports = { NotChecked, ROOT, fail, run, runSteps, tool }
