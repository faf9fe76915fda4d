'use strict'
// Replicas of examples/next-app, built from the packed tarballs: each a `next start` of its own, on one Postgres and,
// if wanted, one Redis.

const assert = require('node:assert/strict')
const { createHmac } = require('node:crypto')
const { createRequire } = require('node:module')
const path = require('node:path')
const { startPostgres } = require('../../scripts/postgres-server.js')
const { APP, prepareApp, spawnApp } = require('../../scripts/lib/next-app.js')
const { clock, eventually, freshNamespace } = require('./kit.js')
const { freePort } = require('../../scripts/lib/ports.js')
const { adopt, adoptFolder, discardFolder } = require('./reaper.js')
const { startRedis } = require('./redis.js')
const { cleanEnvironment } = require('./script.js')

const TOKEN = 'token-of-the-administrator'
const SESSION_SECRET = 'the same in both'

/** The cookie of who is signed in as this user. */
function sessionOf(id, secret = SESSION_SECRET) {
  const text = `${id}.${Date.now() + 60_000}`
  return `session=${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

/** Asks the database itself, with the application's own client. */
async function sql(url, text, parameters) {
  const { Client } = createRequire(path.join(APP, 'package.json'))('pg')
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text, parameters)).rows
  } finally {
    await client.end()
  }
}

class Replica {
  #child
  #exited
  #output = ''

  constructor(name) {
    this.name = name
  }

  async start(env) {
    const port = await freePort()
    this.origin = `http://127.0.0.1:${port}`
    const all = cleanEnvironment({ DATABASE_URL: '', ADMIN_TOKEN: TOKEN, REPLICA_NAME: this.name, ...env })
    this.#child = adopt(spawnApp({ port, env: all, stdio: 'pipe' }))
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve))
    for (const stream of [this.#child.stdout, this.#child.stderr]) stream.on('data', (text) => (this.#output += text))
    await eventually(() => this.#isUp(), 60_000, `next start is up:\n${this.#output}`)
    return this
  }

  async #isUp() {
    assert.equal(this.#child.exitCode, null, `next start ended:\n${this.#output}`)
    const response = await this.request('/sign-in').catch(() => undefined)
    return response?.status === 200
  }

  get output() {
    return this.#output
  }

  request(where, options) {
    return fetch(this.origin + where, options)
  }

  /** The HTML of a page that must be there, and how long it took. */
  async page(where, options) {
    const began = clock()
    const response = await this.request(where, options)
    const html = await response.text()
    assert.equal(response.status, 200, `${where}: ${response.status}\n${this.#output}`)
    return { html, ms: clock() - began }
  }

  /** What this replica says of the fleet, and of itself. */
  async fleet(cookie = '') {
    const response = await this.request('/metrics/live', { headers: { cookie } })
    const fleet = await response.json()
    return { ...fleet, own: fleet.replicas.find(({ name }) => name === this.name) }
  }

  async queries() {
    const { own } = await this.fleet()
    return own.queries
  }

  async stop() {
    const began = clock()
    this.#child.kill('SIGTERM')
    await this.#exited
    return clock() - began
  }
}

/** Two replicas, A and B, on one Redis and one Postgres. */
async function startFleet() {
  await prepareApp({ stdout: 2 })
  const cleanUps = []
  const stop = async () => {
    while (cleanUps.length > 0) await cleanUps.pop()()
  }
  try {
    const postgres = await startPostgres({ adopt })
    adoptFolder(postgres.folder)
    cleanUps.push(async () => {
      await postgres.stop()
      discardFolder(postgres.folder)
    })
    const redis = await startRedis()
    cleanUps.push(() => redis.stop())
    const env = {
      DATABASE_URL: postgres.url,
      REDIS_URL: redis.url,
      SESSION_SECRET,
      TIDECACHE_NAMESPACE: freshNamespace(),
    }
    // Both at once: one of them fills the database, the other waits for that.
    const [a, b] = await Promise.all(['replica-a', 'replica-b'].map((name) => new Replica(name).start(env)))
    cleanUps.push(() => Promise.all([a.stop(), b.stop()]))
    return { a, b, redis, postgres, env, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

module.exports = { Replica, TOKEN, sessionOf, sql, startFleet }
