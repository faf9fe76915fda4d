'use strict'
// Runs the command line tool as a user does: a process of its own, its words, what it printed, its exit code.

const { spawn } = require('node:child_process')
const { join } = require('node:path')
const { adopt } = require('./reaper.js')
const { ROOT, cleanEnvironment } = require('./script.js')
const { clock } = require('./kit.js')

const CLI = join(ROOT, require('../../package.json').bin.tidecache)

/** Starts the tool; `child` is the process, `ended` its result. */
function startCli(args, { env, stdin = 'ignore' } = {}) {
  const began = clock()
  const child = adopt(
    spawn(process.execPath, [CLI, ...args], { env: cleanEnvironment(env), stdio: [stdin, 'pipe', 'pipe'] }),
  )
  const result = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      result.firstAfter ??= clock() - began
      result[name] += text
    })
  }
  const ended = new Promise((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, ...result, ms: clock() - began }))
  })
  return { child, ended }
}

/** @returns {Promise<{ code: number, stdout: string, stderr: string, firstAfter: number, ms: number }>} */
const runCli = (args, options) => startCli(args, options).ended

/** Lines of JSON as values. */
const jsonLines = (text) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

module.exports = { CLI, jsonLines, runCli, startCli }
