'use strict'
// One engine per process and (Redis, namespace), however many handles, module copies and worker threads there are.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { counted, freshNamespace, gated, sleep, timed } = require('./support/kit.js')
const { inBothSetups, open, rejectsWith, withRedis } = require('./support/setups.js')
const { ROOT, lastSaid } = require('./support/script.js')

/** A thread with the same cache that runs what it is told: ['get', key], ['load', key, value, ms], ['invalidate', key]. */
const THREAD = `
const { parentPort, workerData } = require('node:worker_threads')
const cache = require(workerData.root).createCache(workerData.options)
let loads = 0
const load = (value, ms) => async () => {
  loads++
  parentPort.postMessage({ began: true })
  await new Promise((resolve) => setTimeout(resolve, ms))
  return value
}
const ops = {
  get: (key) => cache.get(key),
  load: (key, value, ms = 0) => cache.getOrSet(key, load(value, ms)),
  set: (key, value) => cache.set(key, value),
  invalidate: (key) => cache.invalidate(key),
  loads: () => loads,
  close: () => cache.close().then(() => parentPort.close()),
}
parentPort.on('message', async ({ id, op, args }) => parentPort.postMessage({ id, value: await ops[op](...args) }))
`

async function useThread(t, options) {
  const worker = new Worker(THREAD, { eval: true, workerData: { root: ROOT, options } })
  t.after(() => worker.terminate())
  await once(worker, 'online')
  let last = 0
  const call = (op, ...args) => {
    const id = ++last
    worker.postMessage({ id, op, args })
    return new Promise((resolve) => {
      worker.on('message', function answered(message) {
        if (message.id !== id) return
        worker.off('message', answered)
        resolve(message.value)
      })
    })
  }
  const began = () =>
    new Promise((resolve) => {
      worker.on('message', function heard(message) {
        if (!message.began) return
        worker.off('message', heard)
        resolve()
      })
    })
  return { worker, call, began }
}

inBothSetups((openCache, { receipt }) => {
  test('two handles with the same options share memory and loads', async (t) => {
    const namespace = freshNamespace()
    const [a, b] = [openCache(t, { namespace }), openCache(t, { namespace })]
    const loader = counted('value', 30)

    const [first, second] = await Promise.all([a.getOrSet('k', loader), b.getOrSet('k', loader)])

    assert.deepEqual([first, second, loader.calls], ['value', 'value', 1])
    assert.equal(await b.get('k'), 'value')
    assert.deepEqual(await b.invalidate('k'), { redis: receipt })
    assert.equal(await a.get('k'), undefined)
  })

  test('defaults, logger and types belong to the handle', async (t) => {
    const namespace = freshNamespace()
    const brief = openCache(t, { namespace, defaults: { ttl: '100ms', staleWhileRevalidate: 0 } })
    const long = openCache(t, { namespace, defaults: { ttl: '1h' }, logger: { warn() {} } })
    await brief.set('brief', 1)
    await long.set('long', 2)

    await sleep(150)

    assert.equal(await long.get('brief'), undefined)
    assert.equal(await long.get('long'), 2)
  })
})

const differing = [
  [
    'memory.maxBytes',
    { memory: { maxBytes: 8_000_000 } },
    { memory: { maxBytes: 9_000_000 } },
    [/8.?000.?000/, /9.?000.?000/],
  ],
  ['memory off', { memory: { maxBytes: 8_000_000 } }, { memory: false }, [/memory/i]],
]
for (const [name, one, other, texts] of differing) {
  test(`a later handle that differs in ${name} is a CacheConfigError naming both values`, async (t) => {
    const namespace = freshNamespace()
    open(t, { redis: false, namespace, ...one })

    const attempt = Promise.resolve().then(() => open(t, { redis: false, namespace, ...other }))

    await rejectsWith(attempt, 'CacheConfigError', 'ERR_CACHE_CONFIG', ...texts)
  })
}

test('in development a later handle that differs replaces the engine; its elder still answers', async () => {
  const body = `
    const make = (maxBytes) => tidecache.createCache({ redis: false, memory: { maxBytes } })
    const elder = make(8_000_000)
    await elder.set('k', 1)
    const younger = make(9_000_000)
    await younger.set('k', 2)
    say({
      maxBytes: (await younger.metrics()).memory.maxBytes,
      value: await younger.get('k'),
      elder: await elder.getOrSet('other', () => 'answered').catch((error) => error.code),
    })`

  const said = await lastSaid(body, { env: { NODE_ENV: 'development' } })

  assert.deepEqual([said.maxBytes, said.value], [9_000_000, 2])
  assert.ok(['answered', 'ERR_CACHE_CLOSED'].includes(said.elder), said.elder)
})

test('a module that is loaded twice (hot reload) finds the same engine', async (t) => {
  const namespace = freshNamespace()
  const first = open(t, { redis: false, namespace })
  await first.set('k', 1)
  const kept = Object.keys(require.cache).filter((file) => file.startsWith(ROOT) && !file.includes('__test__'))
  const saved = kept.map((file) => [file, require.cache[file]])
  for (const file of kept) if (!file.endsWith('.node')) delete require.cache[file]
  t.after(() => Object.assign(require.cache, Object.fromEntries(saved)))

  const again = require('..').createCache({ redis: false, namespace })
  t.after(() => again.close())

  assert.equal(await again.get('k'), 1)
  await again.invalidate('k')
  assert.equal(await first.get('k'), undefined)
})

withRedis('worker threads', (redis) => {
  for (const mode of ['Redis', 'memory only']) {
    const withThread = async (t) => {
      const options = { redis: mode === 'Redis' ? redis.url : false, namespace: freshNamespace() }
      const cache = open(t, options)
      await cache.ready()
      return { cache, ...(await useThread(t, options)) }
    }

    test(`a thread shares memory: ${mode}`, async (t) => {
      const { cache, call } = await withThread(t)
      await cache.set('k', { n: 1 })

      assert.deepEqual(await call('get', 'k'), { n: 1 })
      await call('set', 'j', [2])
      assert.deepEqual(await cache.get('j'), [2])
      assert.ok((await cache.metrics()).memory.hits >= 2)
    })

    test(`I4 one load: threads of one process share a load: ${mode}`, async (t) => {
      const { cache, call, began } = await withThread(t)
      const running = began()
      const loaded = call('load', 'k', 'from the thread', 150)
      await running

      const loader = counted('from main')
      const value = await cache.getOrSet('k', loader)

      assert.equal(value, 'from the thread')
      assert.equal(await loaded, 'from the thread')
      assert.equal(loader.calls, 0)
    })

    test(`I1 read-your-writes: across threads: ${mode}`, async (t) => {
      const { cache, call } = await withThread(t)
      for (let i = 0; i < 50; i++) {
        assert.equal(await call('load', 'k', i), i)
        await cache.invalidate('k')
        assert.equal(await call('load', 'k', `again ${i}`), `again ${i}`)
        await call('invalidate', 'k')
        assert.equal(await cache.getOrSet('k', () => `main ${i}`), `main ${i}`)
        await cache.invalidate('k')
      }
    })

    test(`I3 no resurrection: a load of a thread overtaken by another thread: ${mode}`, async (t) => {
      const { cache, call, began } = await withThread(t)
      const running = began()
      const old = call('load', 'k', 'old', 100)
      await running

      await cache.invalidate('k')

      assert.equal(await cache.getOrSet('k', () => 'new'), 'new')
      assert.equal(await old, 'old')
      await sleep(20)
      assert.equal(await cache.get('k'), 'new')
      assert.equal(await call('get', 'k'), 'new')
    })

    test(`I4 one load: a thread that is terminated in its load gives the key free: ${mode}`, async (t) => {
      const { cache, call, began, worker } = await withThread(t)
      const running = began()
      call('load', 'k', 'never', 60_000)
      await running
      const loader = gated('taken over')
      loader.release()
      const waiting = cache.getOrSet('k', loader)
      await sleep(50)

      const { value, ms } = await timed(async () => {
        await worker.terminate()
        return waiting
      })

      assert.equal(value, 'taken over')
      assert.ok(ms <= 500, `took ${ms} ms`)
    })
  }

  test('a thread that ends leaves the engine of the others open', async (t) => {
    const options = { redis: redis.url, namespace: freshNamespace() }
    const cache = open(t, options)
    const { call, worker } = await useThread(t, options)
    await call('set', 'k', 1)

    await worker.terminate()

    assert.equal(await cache.get('k'), 1)
    assert.equal(await cache.getOrSet('j', () => 2), 2)
    assert.deepEqual(await cache.invalidate('k'), { redis: 'applied' })
  })
})
