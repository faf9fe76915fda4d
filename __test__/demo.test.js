'use strict'
// `npm run demo`: the demonstration tells the truth, with a Redis of its own, with a given one, and without any.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { mkdtempSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')
const { adopt, adoptFolder } = require('./support/reaper.js')
const { useRedis } = require('./support/redis.js')
const { ROOT, cleanEnvironment } = require('./support/script.js')

const exec = promisify(execFile)
const DEMO = path.join(ROOT, 'examples', 'demo', 'index.js')

/** Runs the demonstration; rejects if it ends with another code than 0. */
async function demo(args, env) {
  const running = exec(process.execPath, [DEMO, ...args], { cwd: ROOT, env: cleanEnvironment(env), timeout: 60_000 })
  adopt(running.child)
  const { stdout, stderr } = await running
  assert.equal(stderr, '')
  return stdout
}

/** What each call of a step cost: SQL queries, hits, misses. */
const costs = (step) => step.calls.map(({ queries, hits, misses }) => [queries, hits, misses])

const COLD = [1, 0, 100]
const HIT = [0, 1, 0]
const MISS = [1, 0, 1]
const WRITE = [1, 0, 0]

/** The counts that one process can tell, with Redis and without. */
function assertStory({ ok, failures, database, steps }) {
  assert.deepEqual([ok, failures], [true, []])
  assert.deepEqual(database, { classes: 12, users: 200, builds: 2_000, likes: 5_043 })
  assertReads(steps)
  assertChanges(steps)
}

function assertReads({ coldReads, freshHits, staleHits }) {
  assert.deepEqual(costs(coldReads), [COLD, COLD, COLD, COLD])
  assert.deepEqual([coldReads.callers, coldReads.answered], [100, 100])
  assert.deepEqual(costs(freshHits).slice(0, 2), [MISS, [0, 1_000, 0]])
  assert.deepEqual([freshHits.firstQueries, freshHits.reads, freshHits.queries], [1, 1_000, 0])
  assert.ok(freshHits.microseconds > 0)
  const { calls, ...claims } = staleHits
  assert.deepEqual(claims, { stale: 100, queries: 1, isOld: true, isNew: true })
  assert.deepEqual(costs(staleHits), [WRITE, [undefined, 100, 0], [1, 1, 0]])
}

/** A change makes new what it must, which is then loaded once, and leaves the rest cached. */
function assertChanges({ updateBuild, createBuild, deleteBuild, toggleLike }) {
  assert.deepEqual(costs(updateBuild), [WRITE, MISS, MISS, MISS, MISS, HIT])
  assert.equal(updateBuild.isNewIn, 4)
  assert.deepEqual(costs(createBuild), [WRITE, MISS, MISS, MISS, HIT])
  assert.deepEqual([createBuild.id, createBuild.wasNull, createBuild.addedToUser], [2_001, true, 1])
  assert.deepEqual(costs(deleteBuild), [WRITE, MISS, MISS, MISS])
  assert.deepEqual([deleteBuild.isNull, deleteBuild.isListed, deleteBuild.all], [true, false, 2_000])
  assert.deepEqual(costs(toggleLike), [WRITE, MISS, MISS, [undefined, 1, 0], [1, 1, 0]])
  assert.deepEqual([toggleLike.likesAdded, toggleLike.likedAdded], [1, 1])
  assert.equal(toggleLike.likesInFreshList - toggleLike.likesInStaleList, 1)
}

/** The counts that take two processes. */
function assertFleet({ mode, steps, metrics }) {
  const { oneLoad, coherence, counters } = steps
  assert.equal(mode, 'redis')
  const { calls, ...claims } = oneLoad
  assert.deepEqual(claims, { processes: 2, callers: 200, queries: 1, loads: 1, answered: 200 })
  assert.deepEqual([coherence.queries, coherence.queriesOfA, coherence.isNew], [2, 0, true])
  assert.ok(coherence.millisecondsFromUpdate > 0)
  assert.deepEqual(counters, { loads: 30, queries: 37, calls: [] })
  assert.equal(metrics.length, 2)
  assert.notEqual(metrics[0].process.pid, metrics[1].process.pid)
  for (const { redis } of metrics) assert.equal(redis.health.connected, true)
}

test('with a redis-server on the PATH, two processes make one load and see each other’s changes', async () => {
  const told = JSON.parse(await demo(['--json']))

  assertStory(told)
  assertFleet(told)
  assert.match(told.redis, /started for this, stopped after/)
})

test('the server that REDIS_URL names is used', async (t) => {
  const redis = await useRedis(t)

  const told = JSON.parse(await demo(['--json'], { REDIS_URL: redis.url }))

  assertStory(told)
  assertFleet(told)
  assert.equal(told.redis, `127.0.0.1:${redis.port}, from REDIS_URL`)
  assert.match(await redis.command('INFO', 'commandstats'), /cmdstat_(evalsha|eval|fcall)/)
})

test('without a Redis one process tells its part, and says so', async () => {
  const nothing = adoptFolder(mkdtempSync(path.join(os.tmpdir(), 'tidecache-demo-')))

  const told = JSON.parse(await demo(['--json'], { PATH: nothing }))

  assertStory(told)
  assert.equal(told.mode, 'memory-only')
  assert.deepEqual(told.steps.counters, { loads: 27, queries: 32, calls: [] })
  assert.equal(told.metrics.length, 1)
})

test('what people read fits a terminal of 80 columns and, piped, has no colours', async () => {
  const text = await demo([])

  const lines = text.split('\n')
  assert.ok(lines.length <= 76, `${lines.length} lines`)
  for (const line of lines) assert.ok(line.length < 80, line)
  assert.ok(!text.includes('\u001b'))
  assert.match(text, /100 callers at once, .+ SQL {2}hits misses/)
  assert.match(text, /toggleLike\(.+\n.+6 likes[\s\S]+5 likes: stale[\s\S]+Every count is what it must be/)
})

test('without a Redis people are told so, and what would add one', async () => {
  const nothing = adoptFolder(mkdtempSync(path.join(os.tmpdir(), 'tidecache-demo-')))

  const text = await demo([], { PATH: nothing })

  assert.match(text, /Redis {5}none \(no REDIS_URL, no redis-server on the PATH\): memory only/)
  for (const line of text.split('\n')) assert.ok(line.length < 80, line)
})
