'use strict'
// `npm start`: the demonstration tells the truth, with a Redis of its own, with a given one, and without any.

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

/** The counts that one process can tell, with Redis and without. */
function assertStory({ ok, failures, database, steps }) {
  assert.deepEqual([ok, failures], [true, []])
  assert.deepEqual(database, { classes: 12, builds: 2_000 })
  const { coldReads, freshHits, staleHits, mutation } = steps
  assert.deepEqual([coldReads.callers, coldReads.queries, coldReads.answered], [100, 1, 100])
  assert.deepEqual([coldReads.queriesOfClasses, coldReads.queriesOfOneClass], [1, 1])
  assert.deepEqual([freshHits.firstQueries, freshHits.reads, freshHits.queries], [1, 1_000, 0])
  assert.ok(freshHits.microseconds > 0)
  assert.deepEqual(staleHits, { stale: 100, queries: 1, likesAdded: 1 })
  assert.deepEqual([mutation.queriesOfUpdate, mutation.queriesAfter, mutation.queriesOfOthers], [1, 1, 0])
  assert.equal(mutation.isNew, true)
}

/** The counts that take two processes. */
function assertFleet({ mode, steps, metrics }) {
  const { oneLoad, coherence, counters } = steps
  assert.equal(mode, 'redis')
  assert.deepEqual(oneLoad, { processes: 2, callers: 200, queries: 1, loads: 1, answered: 200 })
  assert.deepEqual([coherence.queries, coherence.queriesOfA, coherence.isNew], [2, 0, true])
  assert.ok(coherence.millisecondsFromUpdate > 0)
  assert.deepEqual(counters, { loads: 11, queries: 15 })
  assert.equal(metrics.length, 2)
  assert.notEqual(metrics[0].process.pid, metrics[1].process.pid)
  for (const { redis } of metrics) assert.equal(redis.health.connected, true)
}

test('with a redis-server on the PATH, two processes make one load and see each other’s changes', async () => {
  const told = JSON.parse(await demo(['--json']))

  assertStory(told)
  assertFleet(told)
  assert.match(told.redis, /started for this and stopped after/)
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
  assert.deepEqual(told.steps.counters, { loads: 8, queries: 10 })
  assert.equal(told.metrics.length, 1)
})

test('what people read fits a terminal and, piped, has no colours', async () => {
  const nothing = adoptFolder(mkdtempSync(path.join(os.tmpdir(), 'tidecache-demo-')))

  const text = await demo([], { PATH: nothing })

  const lines = text.split('\n')
  assert.ok(lines.length <= 60, `${lines.length} lines`)
  for (const line of lines) assert.ok(line.length <= 100, line)
  assert.ok(!text.includes('\u001b'))
  assert.match(text, /memory only/)
  assert.match(text, /100 callers at once[\s\S]+1 SQL[\s\S]+Every count is what it must be/)
})
