'use strict'
// The memory ceiling is hard: in every sample of a burst, by the cache's own figure and by what the process takes.
// The long form (TIDECACHE_LONG=1) puts 50,000 values, 25 times the memory.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { long } = require('./support/kit.js')
const { lastSaid } = require('./support/script.js')

const MIB = 1024 * 1024

/** Puts bursts of values and samples; says the highest figures it saw. */
function burstScript({ memory, puts, size, burst, how }) {
  return `
    const { setFlagsFromString } = require('node:v8')
    setFlagsFromString('--expose-gc')
    const gc = require('node:vm').runInNewContext('gc')
    const cache = tidecache.createCache({ redis: false, memory: ${JSON.stringify(memory)} })
    const size = ${size}
    let seed = 42
    const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648
    const valueOf = (i) => String(i).padEnd(size(random), 'x')
    const put = ${how === 'set' ? '(key, value) => cache.set(key, value)' : '(key, value) => cache.getOrSet(key, () => value)'}
    let bytes = 0, rss = 0, missing = 0, over = 0, i = 0
    while (i < ${puts}) {
      const pending = []
      for (let n = 0; n < ${burst}; n++, i++) pending.push(put('key ' + i, valueOf(i)))
      const seen = await cache.metrics()
      await Promise.all(pending)
      const last = await cache.get('key ' + (i - 1))
      if (last === undefined || !last.startsWith(String(i - 1))) missing++
      for (const sample of [seen, await cache.metrics()]) {
        bytes = Math.max(bytes, sample.memory.bytes)
        if (sample.memory.bytes > sample.memory.maxBytes) over++
      }
      // Without its garbage: what V8 keeps of it differs by 200 MB from run to run, with and without a cache.
      gc()
      rss = Math.max(rss, process.memoryUsage.rss())
    }
    const { memory: { entries, evictions } } = await cache.metrics()
    say({ bytes, rss, missing, over, entries, evictions })
    await cache.close()`
}

async function compare(plan) {
  const run = (memory) => lastSaid(burstScript({ ...plan, memory }), { timeout: 60_000 })
  const [bare, kept] = await Promise.all([run(false), run({ maxBytes: plan.maxBytes })])
  return { bare, ...kept }
}

/** What must hold each time; what the process takes is judged apart, because the heap's garbage is in it. */
function assertBounded({ bytes, missing, over, evictions }, maxBytes) {
  assert.equal(over, 0, `samples over the ceiling: ${bytes} of ${maxBytes} bytes`)
  assert.ok(bytes > maxBytes / 2, `the memory is used: ${bytes} of ${maxBytes} bytes`)
  assert.ok(evictions > 0)
  assert.equal(missing, 0, 'an entry just stored can be read')
}

const bursts = [
  {
    name: 'values of 1 to 64 KB by set into 64 MiB',
    plan: {
      maxBytes: 64 * MIB,
      puts: long ? 50_000 : 12_000,
      size: '(r) => 1024 + Math.floor(r() * 64512)',
      burst: 500,
      how: 'set',
    },
  },
  {
    name: 'loaded values of 1 to 64 KB into 16 MiB',
    plan: {
      maxBytes: 16 * MIB,
      puts: long ? 20_000 : 5_000,
      size: '(r) => 1024 + Math.floor(r() * 64512)',
      burst: 500,
      how: 'load',
    },
  },
  {
    name: 'tiny values into 16 MiB: keys and overhead count',
    plan: { maxBytes: 16 * MIB, puts: 200_000, size: '() => 10', burst: 2_000, how: 'set', tiny: true },
  },
]
for (const { name, plan } of bursts) {
  test(`I8 hard memory ceiling: ${name}`, async (t) => {
    const allowed = 1.25 * plan.maxBytes + 20 * MIB
    const grown = []
    do {
      const result = await compare(plan)
      assertBounded(result, plan.maxBytes)
      if (plan.tiny) assert.ok(result.entries < 150_000, `${result.entries} entries counted without overhead`)
      grown.push(result.rss - result.bare.rss)
    } while (grown.at(-1) > allowed && grown.length < 3)

    const summary = grown.map((bytes) => (bytes / MIB).toFixed(1)).join(', ')
    t.diagnostic(`resident above the same without memory: ${summary} MB of ${allowed / MIB} allowed`)
    assert.ok(grown.at(-1) <= allowed, `resident above the same without memory: ${summary} MB`)
  })
}

test('I8 hard memory ceiling: a value larger than the memory is returned and not kept', async () => {
  const body = `
    const cache = tidecache.createCache({ redis: false, memory: { maxBytes: ${MIB} } })
    const value = 'x'.repeat(${2 * MIB})
    await cache.set('small', 1)
    const returned = (await cache.getOrSet('large', () => value)) === value
    const { memory } = await cache.metrics()
    say({ returned, kept: (await cache.get('large')) !== undefined, small: await cache.get('small'), bytes: memory.bytes })`

  const { returned, kept, small, bytes } = await lastSaid(body)

  assert.deepEqual([returned, kept, small], [true, false, 1])
  assert.ok(bytes <= MIB)
})
