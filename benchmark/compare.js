// Memory hit and Redis hit beside the peers, in one run: machines differ and are noisy, so only the ratios count.
//
//   node scripts/build.js --release && cd benchmark && npm ci && node compare.js [--json]
//
// Memory hit: `await getOrSet(key, loader)` of 20 B and 1 KB against an lru-cache of strings with JSON.parse, which also
// gives every caller a copy. Redis hit: 1,000 distinct keys of 20 B, 512 in flight, memory off, against ioredis with
// auto-pipelining (GET + JSON.parse). Rounds alternate; the median round counts.

const { readFileSync } = require('node:fs')
const { performance } = require('node:perf_hooks')
const { parseArgs } = require('node:util')
const Redis = require('ioredis')
const { LRUCache } = require('lru-cache')
const { createCache } = require('..')
const { median, withRedis } = require('./server.js')

const ROUNDS = 9
const KEYS = 1_000
const IN_FLIGHT = 512

const never = () => {
  throw new Error('this must be a hit')
}

/** Runs contestants in turns. @returns {Promise<Record<string, object>>} the median of each figure */
async function compare(contestants, run) {
  const rounds = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, contestant] of Object.entries(contestants)) {
      const figures = await run(contestant)
      // The first round warms up.
      if (round > 0) rounds[name].push(figures)
    }
  }
  const figureOf = (list, figure) => median(list.map((figures) => figures[figure]))
  return Object.fromEntries(
    Object.entries(rounds).map(([name, list]) => [
      name,
      Object.fromEntries(Object.keys(list[0]).map((figure) => [figure, figureOf(list, figure)])),
    ]),
  )
}

async function memoryHit(value) {
  const cache = createCache({ redis: false, namespace: 'benchmark' })
  const lru = new LRUCache({ max: 1_000 })
  await cache.set('key', value)
  lru.set('key', JSON.stringify(value))
  const calls = 100_000
  const contestants = {
    tidecache: (key) => cache.getOrSet(key, never),
    'lru-cache + JSON.parse': async (key) => {
      const text = lru.get(key)
      return text === undefined ? never() : JSON.parse(text)
    },
  }
  const results = await compare(contestants, async (read) => {
    const start = performance.now()
    for (let n = 0; n < calls; n++) await read('key')
    return { ns: ((performance.now() - start) * 1e6) / calls }
  })
  await cache.close()
  return results
}

/** Keeps `IN_FLIGHT` reads going until `total` are done. */
async function storm(read, total) {
  let next = 0
  const lane = async () => {
    while (next < total) {
      const key = `key:${next++ % KEYS}`
      await read(key)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
}

/**
 * What this thread has run so far, ns: the first figure of Linux's schedstat. The loop's utilisation would count the
 * time in which it waits for a core; elsewhere that is all there is.
 */
function mainThreadTime() {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0])
  } catch {
    return performance.eventLoopUtilization().active * 1e6
  }
}

async function redisHit(url) {
  const value = 'x'.repeat(18)
  const cache = createCache({ redis: url, namespace: 'benchmark', memory: false })
  const redis = new Redis(url, { enableAutoPipelining: true })
  for (let n = 0; n < KEYS; n++) {
    await cache.set(`key:${n}`, value)
    await redis.set(`key:${n}`, JSON.stringify(value))
  }
  const contestants = {
    tidecache: (key) => cache.getOrSet(key, never),
    'ioredis, auto-pipelining': async (key) => JSON.parse(await redis.get(key)),
  }
  const total = 40_000
  const results = await compare(contestants, async (read) => {
    const busy = mainThreadTime()
    const start = performance.now()
    await storm(read, total)
    const taken = performance.now() - start
    return { us: (taken * 1e3) / total, 'main thread us': (mainThreadTime() - busy) / 1e3 / total }
  })
  await cache.close()
  redis.disconnect()
  return results
}

function print(title, results) {
  console.log(`\n${title}`)
  const [ours] = Object.values(results)
  for (const [name, figures] of Object.entries(results)) {
    const columns = Object.entries(figures).map(([figure, value]) => {
      const ratio = (ours[figure] / value).toFixed(2)
      return `${value.toFixed(figure === 'ns' ? 0 : 2).padStart(8)} ${figure} (ours is ${ratio} of it)`
    })
    console.log(`  ${name.padEnd(26)}${columns.join('  ')}`)
  }
}

async function main() {
  const { values } = parseArgs({ options: { json: { type: 'boolean' } } })
  const results = {
    'memory hit, 20 B string': await memoryHit('x'.repeat(18)),
    'memory hit, 20 B object': await memoryHit({ id: 1234, n: 'abcd' }),
    'memory hit, 1 KB': await memoryHit({
      list: Array.from({ length: 25 }, (_, n) => ({ id: n, name: `name of ${n}` })),
    }),
    'redis hit, 20 B, 512 in flight': await withRedis(redisHit),
  }
  if (values.json) return console.log(JSON.stringify(results))
  for (const [title, figures] of Object.entries(results)) print(title, figures)
}

main()
