'use strict'
// Runs one code block of a page as its reader would: a file or a shell in a process of its own, with a real Redis.

const { spawn } = require('node:child_process')
const { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } = require('node:fs')
const { delimiter, join } = require('node:path')
const { pathToFileURL } = require('node:url')
const { freshNamespace } = require('../kit.js')
const { freePort } = require('../../../scripts/lib/ports.js')
const { adopt } = require('../reaper.js')
const { ROOT, cleanEnvironment } = require('../script.js')
const { runByRunner } = require('./runners.js')

const WORLD = pathToFileURL(join(__dirname, 'world.mjs')).href
const TIMEOUT = 30_000
/** Programs of a bash block that are stood in for: what they are asked is checked, and done where that is sensible. */
const STAND_INS = ['bun', 'bunx', 'cargo', 'curl', 'npm', 'npx', 'pnpm', 'redis-cli', 'valkey-cli', 'yarn']

/** A folder for the blocks inside the package, where `tidecache` resolves to the package itself. */
function makeFolder() {
  const parent = join(ROOT, 'target', 'docs')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'run-'))
  mkdirSync(join(folder, 'bin'))
  for (const name of STAND_INS) symlinkSync(join(__dirname, 'stand-in.js'), join(folder, 'bin', name))
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

async function environment(folder, redis) {
  return cleanEnvironment({
    REDIS_URL: redis.url,
    TIDECACHE_NAMESPACE: freshNamespace(),
    DOCS_REDIS_PID: String(redis.pid),
    NO_COLOR: '1',
    PATH: [join(folder, 'bin'), process.env.PATH].join(delimiter),
    PORT: String(await freePort()),
  })
}

/** @returns {Promise<{ code: number | null, stdout: string, stderr: string }>} */
function run(command, args, { timeout = TIMEOUT, ...options }) {
  const child = adopt(spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] }))
  const timer = setTimeout(() => child.kill('SIGKILL'), timeout)
  const told = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (told[name] += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, ...told })
    })
  })
}

const isCommonJs = (code) => /\brequire\(/.test(code) && !/^import /m.test(code)

async function runJs(block, { folder, redis }) {
  const { code, before = '', line, runner } = block
  if (runner !== undefined) return runByRunner(block, run)
  const file = join(folder, `line-${line}.${isCommonJs(code) ? 'cjs' : 'mjs'}`)
  writeFileSync(file, `${before.replaceAll('\n', ' ')}\n${code}`)
  return run(process.execPath, ['--import', WORLD, file], { cwd: folder, env: await environment(folder, redis) })
}

/** `-e`: the first command that fails ends the block. The tool finds some entries in Redis. */
async function runBash({ code, before = '' }, { folder, redis }) {
  const options = { cwd: folder, env: await environment(folder, redis) }
  const seed = `'${process.execPath}' '${join(__dirname, 'seed.mjs')}'`
  const here = code.replaceAll('localhost:6379', new URL(redis.url).host)
  const prepared = code.includes('npx tidecache') ? `${before}\n${seed}` : before
  return run('bash', ['-c', `set -euo pipefail\n${prepared}\n${here}`], options)
}

module.exports = { makeFolder, run, runBash, runJs }
