'use strict'
// A Next.js application with the packed package in it: installed, built and run in a folder of its own, as users do it.

const assert = require('node:assert/strict')
const { execFile, spawn } = require('node:child_process')
const { cpSync, mkdtempSync } = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const { promisify } = require('node:util')
const { triple } = require('../../lib/platform.js')
const { pack } = require('../../scripts/pack.js')
const { clock, eventually } = require('./kit.js')
const { freePort } = require('../../scripts/lib/ports.js')
const { adopt, adoptFolder, discardFolder } = require('./reaper.js')
const { cleanEnvironment } = require('./script.js')

const exec = promisify(execFile)
const FIXTURE = path.join(__dirname, '..', 'fixtures', 'next-app')
const NEXT = path.join('node_modules', 'next', 'dist', 'bin', 'next')
const QUIET = { NEXT_TELEMETRY_DISABLED: '1' }
const NPM = ['npm', 'install', '--prefer-offline', '--no-audit', '--no-fund']

/** What the loaders of the application ask: an HTTP server here, whose values change and whose queries are counted. */
async function startSource() {
  const versions = {}
  const queries = {}
  const server = http.createServer((request, response) => {
    const name = request.url.slice(1)
    queries[name] = (queries[name] ?? 0) + 1
    setTimeout(() => response.end(`${name}-${versions[name] ?? 0}`), 20)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  // A test that could not be prepared must end all the same.
  server.unref()
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    queriesOf: (name) => queries[name] ?? 0,
    /** @returns {string} what the loaders give from now on */
    change(name) {
      versions[name] = (versions[name] ?? 0) + 1
      return `${name}-${versions[name]}`
    },
    stop: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  }
}

/** Runs a command; what it printed is returned, and is in the error if it fails. */
async function run(cwd, [command, ...args], env) {
  const options = { cwd, env: cleanEnvironment({ ...QUIET, ...env }), shell: process.platform === 'win32' }
  const running = exec(command, args, options)
  adopt(running.child)
  const { stdout } = await running.catch(({ message, stdout, stderr }) =>
    assert.fail(`${message}\n${stdout}\n${stderr}`),
  )
  return stdout
}

/** A folder that is removed, by the test or at the end. */
function makeFolder(name) {
  const folder = adoptFolder(mkdtempSync(path.join(os.tmpdir(), name)))
  return { folder, remove: () => discardFolder(folder) }
}

/** The application in a folder of its own, with the tarballs that it needs, not installed. */
function copyApp() {
  const made = makeFolder('tidecache-next-')
  cpSync(FIXTURE, made.folder, { recursive: true })
  return { ...made, tarballs: pack({ out: path.join(made.folder, 'tarballs') }) }
}

/** The application with its packages, installed by npm. */
async function installApp() {
  const { folder, remove, tarballs } = copyApp()
  await run(folder, [...NPM, tarballs.main, tarballs.platforms[triple()]])
  return { folder, remove }
}

/** Tools of the tests alone, in a folder of their own. */
async function installTools(...names) {
  const made = makeFolder('tidecache-tools-')
  await run(made.folder, [...NPM, '--prefix', made.folder, ...names])
  return made
}

/** `next build`. @returns {Promise<Record<string, string>>} by route: ○ static, ◐ partly, ƒ dynamic */
async function build(folder, env, ...args) {
  const printed = await run(folder, [process.execPath, NEXT, 'build', ...args], env)
  return Object.fromEntries([...printed.matchAll(/^[┌├└] (\S) (\/\S*)/gm)].map(([, kind, route]) => [route, kind]))
}

/** A server of the application on a port of its own. */
class Replica {
  #child
  #exited
  #output = ''

  /** @param {string[]} command for Node: a script and its arguments */
  async start(folder, command, env) {
    const port = await freePort()
    this.origin = `http://127.0.0.1:${port}`
    const all = cleanEnvironment({ ...QUIET, PORT: String(port), HOSTNAME: '127.0.0.1', ...env })
    this.#child = adopt(spawn(process.execPath, command, { cwd: folder, env: all, stdio: 'pipe' }))
    this.#exited = new Promise((resolve) => this.#child.once('exit', (code, signal) => resolve(code ?? signal)))
    for (const stream of [this.#child.stdout, this.#child.stderr]) stream.on('data', (text) => (this.#output += text))
    const up = () => fetch(`${this.origin}/up.txt`).catch(() => assert.equal(this.#child.exitCode, null, this.#output))
    await eventually(async () => (await up()) !== undefined, 60_000, 'the server is up')
    return this
  }

  get output() {
    return this.#output
  }

  request(where, options) {
    return fetch(this.origin + where, options)
  }

  async json(where, options) {
    const response = await this.request(where, options)
    assert.equal(response.status, 200, this.#output)
    return response.json()
  }

  async text(where) {
    const response = await this.request(where)
    assert.equal(response.status, 200, this.#output)
    return response.text()
  }

  /**
   * A page: its value, its lifetime in shared caches and how long they may show it after that while they fetch a new one
   * (s), and how long the answer took (ms).
   */
  async page(where) {
    const began = clock()
    const response = await this.request(where)
    const html = await response.text()
    const told = (name) => Number(response.headers.get('cache-control').match(`${name}=(\\d+)`)?.[1] ?? 0)
    const value = html.match(/<output>(.*?)<\/output>/)?.[1]
    assert.equal(response.status, 200, this.#output)
    const ms = clock() - began
    const kept = response.headers.get('x-nextjs-cache')
    return { value, seconds: told('s-maxage'), stale: told('stale-while-revalidate'), kept, ms }
  }

  invalidate(target, options) {
    return this.json('/api/invalidate', { method: 'POST', body: JSON.stringify([target, options]) })
  }

  metrics() {
    return this.json('/api/metrics')
  }

  /** @returns {Promise<{ how: number | string, ms: number }>} exit code or signal */
  async stop() {
    const began = clock()
    this.#child.kill('SIGTERM')
    return { how: await this.#exited, ms: clock() - began }
  }
}

const startReplica = (folder, env) => new Replica().start(folder, [NEXT, 'start'], env)

module.exports = { NEXT, Replica, build, copyApp, installApp, installTools, run, startReplica, startSource }
