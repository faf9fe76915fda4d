'use strict'
// One run: two replicas on one Redis and one Postgres under the mix, with the cache or without it; at a steady rate first,
// then as fast as they answer.

const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { spawnApp } = require('../lib/next-app.js')
const { freePort } = require('../lib/ports.js')
const { startPostgres } = require('../postgres-server.js')
const { seeded } = require('../lib/seeded.js')
const { ensureRedisServer } = require('../redis-server.js')
const { Client } = require('./client.js')
const { Mix } = require('./mix.js')

const NAMES = ['A', 'B']
const ALL_VISITORS = [1, 2, 3, 4, 5]
/** To one replica: load that it cannot carry must not pile up. */
const MOST_OPEN = 200
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Everything that is started ends with this process, however it ends. */
const running = new Set()
function adopt(child) {
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130))

async function startRedis() {
  const { command } = await ensureRedisServer({ stdout: 2 })
  const port = await freePort()
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const child = adopt(spawn(command, args, { stdio: 'ignore' }))
  return { url: `redis://127.0.0.1:${port}`, child }
}

async function end(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}

async function untilUp(client, child, isReady) {
  for (let attempt = 0; attempt < 300; attempt++) {
    if (child.exitCode !== null) throw new Error('a replica has ended')
    const fleet = await client.json('/metrics/live').catch(() => undefined)
    if (fleet !== undefined && isReady(fleet.replicas[0])) return
    await sleep(200)
  }
  throw new Error('a replica does not start')
}

async function startReplica(name, env) {
  const port = await freePort()
  const child = adopt(
    spawnApp({ port, env: { ...process.env, ...env, REPLICA_NAME: name }, stdio: ['ignore', 'ignore', 'inherit'] }),
  )
  const client = new Client(`http://127.0.0.1:${port}`)
  await untilUp(client, child, () => true)
  await client.get('/') // the database is filled
  if (env.TIDECACHE_DISABLED === undefined)
    await untilUp(client, child, ({ metrics }) => metrics.redis.health.connected)
  await client.signIn(ALL_VISITORS)
  return { name, child, client }
}

/** What a replica has counted so far. */
async function countsOf({ name, client }) {
  const { replicas } = await client.json('/metrics/live')
  return replicas.find((replica) => replica.name === name)
}

async function change(client, mix, wanted) {
  const made = await client.change(wanted)
  if (made !== undefined) mix.made(made)
}

/** Asks for what the mix says next, and notes how long that took since `began`. */
async function request({ client }, mix, notes, began) {
  const wanted = mix.next()
  try {
    if (wanted.change === undefined) await client.get(wanted.path)
    else await change(client, mix, wanted)
    notes.took.push(performance.now() - began)
    if (wanted.change !== undefined) notes.changes++
  } catch (error) {
    if (wanted.change !== undefined && error.status !== undefined) notes.failed.push(error.message)
    // A build may be deleted between the draw and the request: counted, and few.
    else if (error.status === 404) notes.refused.push(error.message)
    else throw error
  }
}

/** Requests one after the other, so many at a time, until `end`. */
async function asFastAsAnswered(replica, mix, notes, { inFlight, end }) {
  const one = async () => {
    while (performance.now() < end) await request(replica, mix, notes, performance.now())
  }
  await Promise.all(Array.from({ length: inFlight }, one))
}

/**
 * Requests at random times (those of a Poisson process), whether or not those before are answered. Each counts from the
 * time that it was due, so one that has to wait for others does not hide it.
 */
async function atRate(replica, mix, notes, { perSecond, seed, end }) {
  const random = seeded(seed)
  const untilNext = () => (-Math.log(1 - random()) * 1_000) / perSecond
  const open = new Set()
  let failure
  for (let due = performance.now(); due < end; due += untilNext()) {
    await sleep(Math.max(0, due - performance.now()))
    if (open.size >= MOST_OPEN) throw new Error(`${MOST_OPEN} requests are open: ${perSecond} a second are too many`)
    const one = request(replica, mix, notes, due)
      .catch((error) => (failure ??= error))
      .finally(() => open.delete(one))
    open.add(one)
    if (failure !== undefined) throw failure
  }
  await Promise.all(open)
  if (failure !== undefined) throw failure
}

/** Both replicas under `drive` for so long: what it noted, and what they counted before and after. */
async function phase({ replicas, mixes, seconds, tell }, drive, how) {
  const notes = { took: [], refused: [], failed: [], changes: 0 }
  const before = await Promise.all(replicas.map(countsOf))
  const began = performance.now()
  const elapsed = () => (performance.now() - began) / 1_000
  const timer = setInterval(() => tell(elapsed(), notes.took.length), 1_000)
  const end = began + 1_000 * seconds
  const drives = replicas.map((replica, i) => drive(replica, mixes[i], notes, { ...how, seed: i, end }))
  await Promise.all(drives).finally(() => clearInterval(timer))
  const took = elapsed()
  const after = await Promise.all(replicas.map(countsOf))
  return { ...notes, seconds: took, before, after }
}

/** Asks each replica for every page once. Without a cache there is nothing to fill: some hundred, for the compiler. */
async function warmUp(replicas, mixes, { inFlight, isShort, tell }) {
  const paths = isShort ? mixes[0].all().slice(0, 300) : mixes[0].all()
  let done = 0
  const timer = setInterval(() => tell(undefined, done, replicas.length * paths.length), 1_000)
  const walk = async ({ client }, own) => {
    for (let path = own.pop(); path !== undefined; path = own.pop()) {
      await client.get(path)
      done++
    }
  }
  const walks = replicas.flatMap((replica) => {
    const own = [...paths].reverse()
    return Array.from({ length: inFlight }, () => walk(replica, own))
  })
  await Promise.all(walks).finally(() => clearInterval(timer))
}

/**
 * @param {{ hasCache: boolean, seconds: number, rate: number, inFlight: number, tell: Function }} options `seconds` of
 *   each phase; `rate` to both replicas together, per second; `inFlight` to each
 * @returns what was counted in each phase, after a warm-up
 */
async function runLoad({ hasCache, seconds, rate, inFlight, tell }) {
  const postgres = await startPostgres({ adopt })
  const redis = await startRedis()
  const env = {
    NODE_ENV: 'production',
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    SESSION_SECRET: 'the same in both',
    TIDECACHE_NAMESPACE: 'load',
    ...(hasCache ? {} : { TIDECACHE_DISABLED: '1' }),
  }
  const replicas = []
  try {
    for (const name of NAMES) replicas.push(await startReplica(name, env))
    const mixes = replicas.map((_, i) => new Mix(7 + i))
    await warmUp(replicas, mixes, { inFlight, tell, isShort: !hasCache })
    const run = { replicas, mixes, seconds, tell }
    const steady = await phase(run, atRate, { perSecond: rate / replicas.length })
    const fast = await phase(run, asFastAsAnswered, { inFlight })
    return { steady, fast }
  } finally {
    for (const { client } of replicas) client.close()
    // Replicas first: they need the other two to the end.
    for (const child of [...running].reverse()) if (child !== postgres.child) await end(child)
    await postgres.stop()
  }
}

module.exports = { runLoad }
