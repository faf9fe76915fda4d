// What entries of 8 MB cost those who read small ones beside them, from the same Redis and in the same process.
//
//   node scripts/build.js --release && node benchmark/large.js [--rounds 5] [--json]
//
// Small: one read after the other of 1,000 keys of 500 B, memory off, each timed. Beside it, in a worker thread (the engine and
// its connections are the process's; the event loop is not, or one would time the decoding of 8 MB): nothing; 8 MB copied every
// 10 ms, without Redis, which is what a second busy thread costs; 8 MB read ten times a second; again and again; four at a time; 8 MB
// written ten times a second; again and again. Rounds alternate; the median round counts.

const { performance } = require('node:perf_hooks')
const { parseArgs } = require('node:util')
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads')
const { createCache } = require('..')
const { percentile, textTable } = require('../scripts/lib/tables.js')
const { median, withRedis } = require('./server.js')

const KEYS = 1_000
const SMALL = 'x'.repeat(500)
/** The envelope has its place in 8 MB, too. */
const LARGE = 8 * 1024 * 1024 - 1_024
const LARGE_KEYS = 4
const ROUND_MS = 1_500

const ACTS = {
  nothing: [],
  'one copies 8 MB': [copyLarge],
  'one reads 8 MB, 10/s': [paced(readLarge)],
  'one reads 8 MB': [readLarge],
  'four read 8 MB': [readLarge, readLarge, readLarge, readLarge],
  'one writes 8 MB, 10/s': [paced(writeLarge)],
  'one writes 8 MB': [writeLarge],
}

/** Ten times a second. */
function paced(act) {
  return async (...args) => {
    await act(...args)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

const cacheAt = (url) => createCache({ redis: { url, commandTimeout: '2s' }, namespace: 'large', memory: false })

const never = () => {
  throw new Error('this must be a hit')
}

async function readLarge(cache, who) {
  const value = await cache.getOrSet(`large:${who % LARGE_KEYS}`, never, { ttl: '1h' })
  if (value.length !== LARGE) throw new Error(`${value.length} bytes came`)
}

/** What it costs to have another thread that is as busy: the machine may have no core to spare. */
async function copyLarge(_cache, _who, value) {
  Buffer.from(value)
  await new Promise((resolve) => setTimeout(resolve, 10))
}

function writeLarge(cache, who, value) {
  return cache.set(`large:${who % LARGE_KEYS}`, value, { ttl: '1h' })
}

/** In the worker: does what it is told until it is told otherwise, and counts. */
async function beside() {
  const cache = cacheAt(workerData)
  const value = Buffer.alloc(LARGE, 7)
  for (let n = 0; n < LARGE_KEYS; n++) await writeLarge(cache, n, value)
  parentPort.postMessage('ready')
  let acting = Promise.resolve()
  let isOn = false
  let count = 0
  parentPort.on('message', async (name) => {
    isOn = false
    await acting
    parentPort.postMessage(count)
    count = 0
    isOn = true
    const act = async (one, who) => {
      while (isOn) {
        await one(cache, who, value)
        count++
      }
    }
    acting = Promise.all((ACTS[name] ?? []).map(act))
    if (name === 'end') {
      await cache.close()
      parentPort.close()
    }
  })
}

async function timeSmall(cache) {
  const times = []
  const until = performance.now() + ROUND_MS
  for (let n = 0; performance.now() < until; n++) {
    const began = performance.now()
    await cache.getOrSet(`small:${n % KEYS}`, never, { ttl: '1h' })
    times.push(performance.now() - began)
  }
  return times
}

async function measure(url, rounds) {
  const cache = cacheAt(url)
  await Promise.all(Array.from({ length: KEYS }, (_, n) => cache.set(`small:${n}`, SMALL, { ttl: '1h' })))
  const worker = new Worker(__filename, { workerData: url })
  worker.on('error', (error) => {
    throw error
  })
  const heard = () => new Promise((resolve) => worker.once('message', resolve))
  const tell = (name) => {
    const told = heard()
    worker.postMessage(name)
    return told
  }
  await heard()
  const figures = Object.fromEntries(Object.keys(ACTS).map((name) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const name of Object.keys(ACTS)) {
      await tell(name)
      const times = await timeSmall(cache)
      const large = await tell('nothing')
      // The first round warms up.
      if (round === 0) continue
      const at = (share) => percentile(times, share) * 1_000
      figures[name].push({ p50: at(0.5), p99: at(0.99), max: at(1), reads: times.length, large })
    }
  }
  await tell('end')
  await cache.close()
  const middle = (list, figure) => Math.round(median(list.map((one) => one[figure])))
  const names = ['p50', 'p99', 'max', 'reads', 'large']
  return Object.entries(figures).map(([name, list]) => [name, ...names.map((figure) => middle(list, figure))])
}

async function main() {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' }, json: { type: 'boolean' } } })
  const rows = await withRedis((url) => measure(url, Number(values.rounds)))
  if (values.json) return console.log(JSON.stringify(rows))
  const head = ['beside it', 'p50 µs', 'p99 µs', 'max µs', 'small reads', 'of 8 MB']
  console.log(
    textTable(
      head,
      rows.map((row) => row.map(String)),
    ),
  )
  const [[, , without], ...others] = rows
  console.log('\np99, in times that without:')
  for (const [name, , p99] of others) console.log(`  ${name}: ${(p99 / without).toFixed(1)} ×`)
}

if (isMainThread) main()
else beside()
