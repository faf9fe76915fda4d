'use strict'
// A Next.js application that uses the package as its users do: installed from the packed tarballs, built by
// `next build`, run by `next start` on a real Redis, and asked over HTTP.

const assert = require('node:assert/strict')
const { execFile, spawn } = require('node:child_process')
const { cpSync, mkdtempSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, before, test } = require('node:test')
const { promisify } = require('node:util')
const { triple } = require('../lib/platform.js')
const { pack } = require('../scripts/pack.js')
const { clock, eventually, freshNamespace } = require('./support/kit.js')
const { freePort } = require('../scripts/lib/ports.js')
const { adopt, adoptFolder, discardFolder } = require('./support/reaper.js')
const { startRedis } = require('./support/redis.js')
const { cleanEnvironment } = require('./support/script.js')

const exec = promisify(execFile)
const EXAMPLE = path.join(__dirname, '..', 'examples', 'smoke-next')
const NEXT = path.join('node_modules', 'next', 'dist', 'bin', 'next')
const TOKEN = 'token-of-the-administrator'
const NOT_COPIED = new Set(['node_modules', '.next', 'package-lock.json'])

let folder
let redis
let app

const environment = (env) => cleanEnvironment({ NEXT_TELEMETRY_DISABLED: '1', ...env })

/** Runs a command in the application's folder; what it printed is in the error if it fails. */
async function run(command, ...args) {
  const options = { cwd: folder, env: environment(), shell: process.platform === 'win32' && command === 'npm' }
  const running = exec(command, args, options)
  adopt(running.child)
  await running.catch(({ message, stdout, stderr }) => assert.fail(`${message}\n${stdout}\n${stderr}`))
}

/** `next start` on a free port, with the given variables beside Redis's. */
class App {
  #child
  #exited
  #output = ''

  async start(env) {
    const port = await freePort()
    this.origin = `http://127.0.0.1:${port}`
    const args = [NEXT, 'start', '--hostname', '127.0.0.1', '--port', String(port)]
    this.#child = adopt(spawn(process.execPath, args, { cwd: folder, env: environment(env), stdio: 'pipe' }))
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve))
    for (const stream of [this.#child.stdout, this.#child.stderr]) stream.on('data', (text) => (this.#output += text))
    await eventually(() => this.#isUp(), 20_000, `next start is up:\n${this.#output}`)
    return this
  }

  async #isUp() {
    assert.equal(this.#child.exitCode, null, `next start ended:\n${this.#output}`)
    const response = await this.request('/api/v1/cache').catch(() => undefined)
    return response !== undefined
  }

  request(where, options) {
    return fetch(this.origin + where, options)
  }

  /** What the page shows: the likes by title, the count of queries, and its forms. */
  async page(options) {
    const response = await this.request('/', options)
    const html = await response.text()
    assert.equal(response.status, 200, html)
    return pageOf(html)
  }

  async figures() {
    const response = await this.request('/api/v1/cache', { headers: { authorization: `Bearer ${TOKEN}` } })
    assert.equal(response.status, 200)
    return response.json()
  }

  async stop() {
    const began = clock()
    this.#child.kill('SIGTERM')
    await this.#exited
    return clock() - began
  }
}

function pageOf(html) {
  const likes = {}
  const forms = {}
  for (const [, title, form] of html.matchAll(/<tr><td>(.+?)<\/td>.*?<form[^>]*>(.*?)<\/form>/g)) {
    likes[title] = Number(form.match(/♥ (\d+)/)[1])
    forms[title] = [...form.matchAll(/name="(.+?)"(?: value="(.*?)")?/g)].map(([, name, value = '']) => [name, value])
  }
  return { likes, forms, queries: Number(html.match(/<output>(\d+)<\/output>/)[1]) }
}

const environmentOfApps = {}

before(async () => {
  folder = adoptFolder(mkdtempSync(path.join(os.tmpdir(), 'tidecache-next-')))
  cpSync(EXAMPLE, folder, { recursive: true, filter: (source) => !NOT_COPIED.has(path.basename(source)) })
  const { main, platforms } = pack({ out: path.join(folder, 'tarballs') })
  await run('npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', main, platforms[triple()])
  await run(process.execPath, NEXT, 'build')
  redis = await startRedis()
  Object.assign(environmentOfApps, { REDIS_URL: redis.url, TIDECACHE_NAMESPACE: freshNamespace() })
  app = await new App().start({ ...environmentOfApps, ADMIN_TOKEN: TOKEN })
})

after(async () => {
  await app?.stop()
  await redis?.stop()
  if (folder !== undefined) discardFolder(folder)
})

test('the page lists the builds, and a second request makes no query', async () => {
  const first = await app.page()
  const second = await app.page()

  assert.equal(Object.keys(first.likes).length, 5)
  assert.equal(first.likes['Stormcaller of the Reach'], 30)
  assert.equal(first.queries, 1)
  assert.deepEqual(second, first)
})

test('figures of fewer than 100 reads claim nothing', async () => {
  const { success, data } = await app.figures()

  assert.equal(success, true)
  assert.deepEqual(Object.keys(data), ['redis', 'performance'])
  assert.deepEqual(Object.keys(data.redis), ['hits', 'misses', 'hitRate', 'health'])
  assert.deepEqual([data.redis.hits, data.redis.misses, data.redis.hitRate], [1, 1, 50])
  assert.equal(data.redis.health.connected, true)
  assert.equal(typeof data.redis.health.latency, 'number')
  assert.deepEqual(data.performance, { hitRateAchieved: false, subMillisecondReads: false })
})

test('a server action, sent by its form without JavaScript, changes a build and the next page shows it', async () => {
  const { forms, queries } = await app.page()
  const body = new FormData()
  for (const [name, value] of forms['Ashen Duelist']) body.append(name, value)

  const answer = await app.page({ method: 'POST', body })
  const next = await app.page()

  assert.equal(answer.likes['Ashen Duelist'], 11)
  assert.equal(next.likes['Ashen Duelist'], 11)
  assert.equal(next.queries, queries + 2, 'the change and one load')
})

test('the figures need the token: 401 without, 403 with a wrong one', async () => {
  const status = async (authorization) => {
    const response = await app.request('/api/v1/cache', { headers: authorization && { authorization } })
    const { success, data } = await response.json()
    assert.deepEqual([success, data], [false, undefined])
    return response.status
  }

  assert.equal(await status(), 401)
  assert.equal(await status('Basic dXNlcjpwYXNz'), 401)
  assert.equal(await status('Bearer '), 401)
  assert.equal(await status('Bearer wrong'), 403)
  assert.equal(await status(`Bearer ${TOKEN}x`), 403)
})

test('after a hundred reads the figures tell the hit rate and the speed', async () => {
  for (let request = 0; request < 110; request++) await app.page()

  const { data } = await app.figures()

  assert.ok(data.redis.hits > 100)
  assert.equal(data.redis.misses, 2)
  assert.deepEqual(data.performance, { hitRateAchieved: true, subMillisecondReads: true })
})

test('another process shows what the first one loaded, and without ADMIN_TOKEN it lets nobody in', async () => {
  const other = await new App().start({ ...environmentOfApps })
  try {
    const { likes, queries } = await other.page()
    const refused = await other.request('/api/v1/cache', { headers: { authorization: `Bearer ${TOKEN}` } })

    assert.equal(likes['Ashen Duelist'], 11)
    assert.equal(queries, 0)
    assert.equal(refused.status, 503)
  } finally {
    await other.stop()
  }
})

test('SIGTERM ends the server within 2 s', async () => {
  const ms = await app.stop()

  assert.ok(ms <= 2_000, `${Math.round(ms)} ms`)
})
