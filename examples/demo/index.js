'use strict'
// `npm run demo`: what the package does, shown on a real Postgres (embedded) and, where there is one, a real Redis.
//
//   npm run demo                         for people
//   npm run --silent demo -- --json      for machines: one JSON object
//
// The exit code is 0 if every count was what the story claims, else 1.

const { randomUUID } = require('node:crypto')
const { parseArgs } = require('node:util')
const { close, metrics } = require('tidecache')
const { version } = require('tidecache/package.json')
const { createBuild, deleteBuild, toggleLike, updateBuild } = require('./changes.js')
const db = require('./db.js')
const { Peer, coherence, oneLoad } = require('./fleet.js')
const { countAlso } = require('./measure.js')
const { openRedis } = require('./redis.js')
const { coldReads, freshHits, staleHits } = require('./story.js')
const { Step } = require('./step.js')
const { bold, dim, green, metricsText, red, stepText, time } = require('./text.js')

const { json: isJson } = parseArgs({ options: { json: { type: 'boolean' } } }).values
const say = isJson ? () => {} : console.log
const cleanUps = []

const LEGEND = 'A line is a call: what came of it, its SQL queries, cache hits and misses.'

/** Says what is going on until it is done, where that can be wiped away. */
async function waitingFor(what, action) {
  const isTold = !isJson && process.stdout.isTTY
  if (isTold) process.stdout.write(dim(`  ${what} …`))
  const began = performance.now()
  const value = await action()
  if (isTold) process.stdout.write('\r\u001b[K')
  return { value, ms: performance.now() - began }
}

async function prepare() {
  say(`\n  ${bold(`tidecache ${version}`)} on Node.js ${process.versions.node}, ${process.platform} ${process.arch}\n`)
  // Read at the first use of the cache, here and in process B. Nobody else's entries are touched.
  process.env.TIDECACHE_NAMESPACE = `demo-${randomUUID()}`

  cleanUps.push(db.stop)
  const started = await waitingFor('starting an embedded Postgres', db.start)
  const rows = Object.entries(started.value).map(([name, count]) => `${count.toLocaleString('en')} ${name}`)
  say(`  Postgres  embedded: ${rows.join(', ')} ${dim(`(${time(started.ms)})`)}`)

  const redis = (await waitingFor('looking for a Redis', openRedis)).value
  cleanUps.push(() => redis.stop(), close)
  process.env.REDIS_URL = redis.url ?? ''
  say(`  Redis     ${redis.about}`)
  say(`\n  ${dim(LEGEND)}`)
  return { sizes: started.value, redis }
}

async function* story(sizes) {
  yield coldReads(sizes)
  yield freshHits()
  yield staleHits()
  yield updateBuild()
  yield createBuild(sizes)
  yield deleteBuild(sizes)
  yield toggleLike()
}

async function* storyOfTwo(peer) {
  yield oneLoad(peer)
  yield coherence(peer)
}

/** The cache's own count of loads, of all processes, is Postgres's count of reads. */
function counters(processes) {
  const step = new Step('counters', 'What metrics() counted')
  const loads = processes.reduce((sum, [, { loads }]) => sum + loads.started, 0)
  step.claim('loads', loads, db.selects())
  step.tell('queries', db.queries())
  return step
}

/** Tells each step as soon as it has happened; returns them all. */
async function tell(steps, told = []) {
  for await (const step of steps) {
    told.push(step)
    say(stepText(step, told.length))
  }
  return told
}

async function run() {
  const { sizes, redis } = await prepare()
  const steps = await tell(story(sizes))
  const processes = []
  if (redis.url !== undefined) {
    const peer = new Peer()
    cleanUps.push(() => peer.stop())
    countAlso(() => peer.call('metrics'))
    await tell(storyOfTwo(peer), steps)
    processes.push(['process B', await peer.call('metrics')])
  }
  processes.unshift([redis.url === undefined ? 'this process' : 'process A', await metrics()])
  const last = counters(processes)
  steps.push(last)
  say(metricsText(last, steps.length, processes))
  return { sizes, redis, steps, processes }
}

function conclude({ sizes, redis, steps, processes }) {
  const failures = steps.flatMap((step) => step.failures)
  const ok = failures.length === 0
  if (isJson) {
    const counts = Object.fromEntries(steps.map((step) => [step.name, step.told]))
    const mode = redis.url === undefined ? 'memory-only' : 'redis'
    const told = { ok, failures, mode, redis: redis.about, database: sizes, steps: counts }
    console.log(JSON.stringify({ ...told, metrics: processes.map(([, figures]) => figures) }))
  }
  const verdict = ok ? green('Every count is what it must be.') : red(failures.join('; '))
  const sums = `${db.queries()} SQL queries, ${time(process.uptime() * 1_000)} in all.`
  say(`\n  ${verdict} ${dim(sums)}\n`)
  if (!ok) process.exitCode = 1
}

async function cleanUp() {
  while (cleanUps.length > 0) await cleanUps.pop()()
}

// What was started ends with this process, however it ends; these ends are no errors.
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))
process.stdout.on('error', () => process.exit(0)) // nobody reads on: `npm run demo | head`

run()
  .then(conclude)
  .catch((error) => {
    if (isJson) console.log(JSON.stringify({ ok: false, failures: [error.message] }))
    console.error(error.code === 'ERR_CACHE_CONFIG' ? `✖ ${error.message}` : error)
    process.exitCode = 1
  })
  .finally(cleanUp)
