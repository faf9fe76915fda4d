// What pattern invalidations cost: those who make them, and those who read other keys meanwhile.
//
//   node scripts/build.js --release && node benchmark/patterns.js
//
// 1. 2,000 keys are read from memory while this process and a peer make 100 patterns/s that match none of them; for 60 s,
//    in turns with seconds without patterns.
// 2. One pattern that matches a million entries against one key, in turns.

const { fork } = require('node:child_process')
const { performance } = require('node:perf_hooks')
const { setTimeout: sleep } = require('node:timers/promises')
const { createCache } = require('..')
const { median, withRedis } = require('./server.js')

const ROUNDS = 20
const ROUND_MS = 3_000
const RATE = 100
const KEYS = 2_000
const ENTRIES = 1_000_000
const INVALIDATIONS = 300

const NAMESPACE = 'patterns'

/** Makes patterns at an even rate until told to stop. */
function issue(cache, perSecond, name) {
  let issued = 0
  const timer = setInterval(() => cache.invalidate({ pattern: `${name}:${issued++}:*` }), 1_000 / perSecond)
  return () => {
    clearInterval(timer)
    return issued
  }
}

/** Runs in the child. */
async function peer(url) {
  const cache = createCache({ redis: url, namespace: NAMESPACE })
  await cache.ready()
  let stop
  process.on('message', (message) => {
    if (message === 'start') stop = issue(cache, RATE / 2, 'peer')
    else process.send(stop())
  })
  process.send('ready')
}

/** @returns {Promise<{ ns: number, reads: number, misses: number }>} */
async function read(cache, ms) {
  let [reads, misses, spent] = [0, 0, 0]
  const loader = () => {
    misses++
    return { id: 1, name: 'abc' }
  }
  const end = performance.now() + ms
  while (performance.now() < end) {
    const start = performance.now()
    for (let n = 0; n < 200; n++) await cache.getOrSet(`build:${(reads + n * 7) % KEYS}`, loader)
    spent += performance.now() - start
    reads += 200
    // Timers and the peer's pushes have their turn.
    await new Promise(setImmediate)
  }
  return { ns: (spent * 1e6) / reads, reads, misses }
}

async function readBesidePatterns(url) {
  const cache = createCache({ redis: url, namespace: NAMESPACE })
  const child = fork(__filename, ['peer', url])
  await new Promise((resolve) => child.once('message', resolve))
  for (let n = 0; n < KEYS; n++) await cache.set(`build:${n}`, { id: n, name: 'abc' })
  await read(cache, ROUND_MS)
  const rounds = { quiet: [], busy: [] }
  let issued = 0
  for (let round = 0; round < ROUNDS; round++) {
    rounds.quiet.push(await read(cache, ROUND_MS))
    child.send('start')
    const stop = issue(cache, RATE / 2, 'own')
    rounds.busy.push(await read(cache, ROUND_MS))
    child.send('stop')
    issued += stop() + (await new Promise((resolve) => child.once('message', resolve)))
    await sleep(100)
  }
  child.kill()
  const { loads, invalidations } = await cache.metrics()
  await cache.close()
  const sum = (list, figure) => list.reduce((total, round) => total + round[figure], 0)
  const hitRate = (list) => 100 * (1 - sum(list, 'misses') / sum(list, 'reads'))
  const ns = (list) => median(list.map((round) => round.ns))
  console.log(`${issued} patterns in ${(ROUNDS * ROUND_MS) / 1e3} s; ${invalidations.received} came from the peer`)
  for (const [name, list] of Object.entries(rounds)) {
    const reads = sum(list, 'reads').toLocaleString('en')
    console.log(
      `  ${name.padEnd(6)} ${reads} reads, hit rate ${hitRate(list).toFixed(4)} %, ${ns(list).toFixed(0)} ns each`,
    )
  }
  console.log(`  ratio ${(ns(rounds.busy) / ns(rounds.quiet)).toFixed(2)}; loads in all: ${loads.started}`)
}

async function oneForAMillion(url) {
  const cache = createCache({ redis: url, namespace: 'million', memory: { maxBytes: 256 * 2 ** 20 } })
  let next = 0
  const lane = async () => {
    while (next < ENTRIES) await cache.set(`user:${next++}:profile`, { id: next })
  }
  await Promise.all(Array.from({ length: 512 }, lane))
  const taken = { pattern: [], key: [] }
  for (let n = 0; n < INVALIDATIONS; n++) {
    for (const [kind, target] of Object.entries({ pattern: { pattern: 'user:*' }, key: `user:${n}:profile` })) {
      const start = performance.now()
      await cache.invalidate(target)
      taken[kind].push(performance.now() - start)
    }
  }
  const { memory } = await cache.metrics()
  await cache.close()
  const [pattern, key] = [median(taken.pattern), median(taken.key)]
  console.log(`\n${ENTRIES.toLocaleString('en')} entries in Redis, ${memory.entries.toLocaleString('en')} in memory`)
  console.log(
    `  one pattern ${pattern.toFixed(3)} ms, one key ${key.toFixed(3)} ms: ratio ${(pattern / key).toFixed(2)}`,
  )
}

const [role, url] = process.argv.slice(2)
if (role === 'peer') peer(url)
else withRedis(readBesidePatterns).then(() => withRedis(oneForAMillion))
