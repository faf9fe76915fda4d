'use strict'
// The process that endures: threads that come and go, then very many operations, then the end. Says what it sees as lines of
// JSON. Started with --expose-gc: what the heap has not given back yet is no leak.

const { readdirSync, readFileSync, writeSync } = require('node:fs')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { createCache } = require('../..')
const { seeded } = require('../lib/seeded.js')
const { Work, sleep } = require('./work.js')

const AT_ONCE = 6
const SAMPLES = 50
const MB = 1 << 20

const [plan] = process.argv.slice(2).map((text) => JSON.parse(text))
const random = seeded(plan.seed)
const options = { redis: plan.redis, namespace: plan.namespace, memory: { maxBytes: 16 * MB } }

const say = (what, value) => writeSync(1, `${JSON.stringify([what, value])}\n`)

/** What the process has open, as the kernel sees it (Linux), and as Node does. */
function open() {
  const isLinux = process.platform === 'linux'
  const threads = isLinux ? Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) : 0
  // Of the three standard ones nobody here is the owner.
  const resources = process.getActiveResourcesInfo().filter((name) => !/^(TTYWrap|PipeWrap|FSReqCallback)$/.test(name))
  return { files: isLinux ? readdirSync('/proc/self/fd').length : 0, threads, resources }
}

function sample(at) {
  globalThis.gc()
  return [at, process.memoryUsage.rss() / MB]
}

/** One thread: ended from outside in its work, or leaving in it. */
async function thread(ways, errors) {
  const leaves = random() < 0.5 ? Math.floor(random() * 200) : undefined
  const workerData = { options, seed: Math.floor(random() * 2 ** 32), leaves }
  const worker = new Worker(path.join(__dirname, 'thread.js'), { workerData })
  const ended = new Promise((resolve) => worker.once('exit', resolve))
  const working = new Promise((resolve) => {
    worker.on('message', (message) => {
      if (message.errors !== undefined) errors.push(...message.errors)
      if (message.isWorking) resolve()
    })
  })
  worker.on('error', (error) => errors.push(String(error.stack)))
  await Promise.race([working, ended])
  if (leaves === undefined) {
    await sleep(random() * 60)
    await worker.terminate()
  }
  await ended
  ways[leaves === undefined ? 'terminated' : 'left']++
}

async function threads(count) {
  const [errors, samples, ways] = [[], [], { terminated: 0, left: 0 }]
  let [left, done] = [count, 0]
  const every = Math.max(1, Math.floor(count / SAMPLES))
  const line = async () => {
    while (left-- > 0) {
      await thread(ways, errors)
      if (++done % every === 0) samples.push(sample(done))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, line))
  return { errors, failed: errors.length, samples, ways }
}

async function operations(cache, count) {
  const work = new Work(cache, random)
  // Memory is full before anything is measured.
  await work.fill()
  const samples = []
  const every = Math.max(1, Math.floor(count / SAMPLES))
  const began = performance.now()
  await work.run(count, { tick: (done) => done % every === 0 && samples.push(sample(done)) })
  return { errors: work.errors, failed: work.failed, samples, seconds: (performance.now() - began) / 1_000 }
}

/** What was open before: with the runtime, which is made at first use and stays, and what Node keeps after a first thread. */
async function openBefore() {
  const empty = new Worker('', { eval: true })
  await new Promise((resolve) => empty.once('exit', resolve))
  const first = createCache({ ...options, namespace: 'first', logger: { warn() {} } })
  await first.ready()
  await first.close()
  await sleep(200)
  return open()
}

/** Loads that have begun and not ended. */
async function running(cache) {
  const { started, succeeded, failed, timedOut, abandoned } = (await cache.metrics()).loads
  return started - succeeded - failed - timedOut - abandoned
}

async function main() {
  const before = await openBefore()
  // Its engine outlives the threads: they share it.
  const cache = createCache({ ...options, logger: { warn() {} } })
  await cache.ready()
  await cache.getOrSet('k0', () => ({ key: 'k0' }))
  if (plan.threads > 0) say('threads', await threads(plan.threads))
  if (plan.ops > 0) say('operations', await operations(cache, plan.ops))
  // A refresh may still be under way in the background.
  for (let n = 0; n < 100 && (await running(cache)) > 0; n++) await sleep(20)
  const left = await running(cache)
  const { memory, coherence } = await cache.metrics()
  await cache.close()
  await sleep(200)
  say('end', { before, after: open(), running: left, evictions: memory.evictions, coherence })
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exitCode = 1
})
