'use strict'
// More loads than a process should run: they wait for a place, in the order in which they came, and past the queue they
// are turned away at once.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const net = require('node:net')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const {
  clock,
  counted,
  deferred,
  eventually,
  failing,
  freshNamespace,
  gated,
  sleep,
  within,
} = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { lastSaid } = require('./support/script.js')
const { inBothSetups, open, rejectsWith, withRedis } = require('./support/setups.js')

const MB = 1024 * 1024
const never = failing(new Error('this must not be loaded'))

/** A server that answers each connection with a line, a while after it was made, and knows how many there were at once. */
async function useSource(t, ms) {
  const source = { now: 0, most: 0, total: 0 }
  const server = net.createServer((socket) => {
    source.total++
    source.most = Math.max(source.most, ++source.now)
    socket.on('error', () => {})
    socket.on('close', () => source.now--)
    setTimeout(() => socket.end('value'), ms)
  })
  server.listen(0, '127.0.0.1', 4_096)
  await once(server, 'listening')
  t.after(() => server.close())
  source.load = async () => {
    const socket = net.connect(server.address().port, '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8').on('data', (part) => (text += part))
    await once(socket, 'close')
    return text
  }
  return source
}

/** A cache with one place, and that taken until `release`. */
async function taken(openIt, t, options) {
  const cache = openIt(t, { maxLoads: 1, ...options })
  const loader = gated('first')
  const first = cache.getOrSet('first', loader)
  await loader.began
  return { cache, first, release: loader.release }
}

inBothSetups((openIt) => {
  test('10,000 cold keys at once: all are loaded, 256 at a time, and memory stays bounded', async (t) => {
    const source = await useSource(t, 2)
    const cache = openIt(t, { memory: { maxBytes: 16 * MB } })
    const before = process.memoryUsage.rss()
    let highest = before
    const watch = setInterval(() => (highest = Math.max(highest, process.memoryUsage.rss())), 20)

    const values = await Promise.all(Array.from({ length: 10_000 }, (_, n) => cache.getOrSet(`k${n}`, source.load)))
    clearInterval(watch)

    assert.ok(values.every((value) => value === 'value'))
    assert.equal(source.total, 10_000)
    assert.ok(source.most <= 256, `${source.most} at once`)
    assert.ok(highest - before < 256 * MB, `${Math.round((highest - before) / MB)} MB more`)
    await eventually(async () => (await cache.metrics()).loads.succeeded === 10_000)
    const { loads } = await cache.metrics()
    assert.deepEqual([loads.started, loads.queued, loads.rejected, loads.failed], [10_000, 0, 0, 0])
  })

  test('past the queue a call is turned away at once; nothing else is lost, and later calls work', async (t) => {
    const cache = openIt(t, { maxLoads: 2, maxQueuedLoads: 3 })
    const gate = deferred()
    const loader = counted(() => gate.promise.then(() => 'value'))

    const calls = Array.from({ length: 10 }, (_, n) => cache.getOrSet(`k${n}`, loader))
    const settled = Promise.allSettled(calls)
    await eventually(async () => (await cache.metrics()).loads.rejected === 5)
    // The core counts before its answers are fetched.
    await eventually(() => loader.calls === 2)
    assert.equal((await cache.metrics()).loads.queued, 3)
    gate.resolve()

    const statuses = (await settled).map(({ status }) => status)
    assert.deepEqual(statuses.filter((status) => status === 'fulfilled').length, 5)
    const turnedAway = calls[statuses.indexOf('rejected')]
    await rejectsWith(
      turnedAway,
      'CacheOverloadError',
      'ERR_CACHE_OVERLOAD',
      /'k\d' was not loaded: 2 loads run at once \(maxLoads\), and 3 wait \(maxQueuedLoads\)/,
    )
    assert.deepEqual(
      await Promise.all(calls.map((_, n) => cache.getOrSet(`k${n}`, loader).catch((error) => error.code))).then(
        (all) => new Set(all),
      ),
      new Set(['value']),
    )
  })

  test('one call after the other finds a place, with one place and no queue: what is on its way to Redis takes none', async (t) => {
    const cache = openIt(t, { maxLoads: 1, maxQueuedLoads: 0 })

    for (let n = 0; n < 200; n++) assert.equal(await cache.getOrSet(`k${n}`, () => n), n)

    assert.equal((await cache.metrics()).loads.rejected, 0)
  })

  for (const ttl of ['5m', 0]) {
    test(`a loader that asks for other keys is never in its own way, with one place, ttl ${ttl}`, async (t) => {
      const cache = openIt(t, { maxLoads: 1, maxQueuedLoads: 4 })
      const nest = (depth) => async () => {
        await sleep(1)
        if (depth === 0) return 'end'
        const many = await cache.getOrSetMany(
          [`a${depth}`, `b${depth}`],
          (keys) => new Map(keys.map((key) => [key, key])),
          { ttl },
        )
        return `${many.size} ${await cache.getOrSet(`k${depth - 1}`, nest(depth - 1), { ttl })}`
      }

      const both = await Promise.all([
        cache.getOrSet('k4', nest(4), { ttl }),
        cache.getOrSet('other', nest(0), { ttl }),
      ])

      assert.deepEqual(both, ['2 2 2 2 end', 'end'])
    })
  }

  test('what a loader asks for goes on at once, also when somebody else has asked before and waits', async (t) => {
    const cache = openIt(t, { maxLoads: 1 })
    const began = deferred()
    const asked = deferred()
    const outer = cache.getOrSet('outer', async () => {
      began.resolve()
      await asked.promise
      return cache.getOrSet('shared', never)
    })
    await began.promise
    const shared = cache.getOrSet('shared', counted('shared'))
    await eventually(async () => (await cache.metrics()).loads.queued === 1)

    asked.resolve()

    assert.deepEqual(await Promise.all([outer, shared]), ['shared', 'shared'])
  })

  test('one key does not fill the queue: a load that waits for a place is joined, whatever was invalidated meanwhile', async (t) => {
    const { cache, first, release } = await taken(openIt, t, { maxQueuedLoads: 2 })
    const loader = counted('value')
    const calls = []

    for (let n = 0; n < 20; n++) {
      calls.push(cache.getOrSet('k', loader))
      await eventually(async () => (await cache.metrics()).loads.queued > 0)
      await cache.invalidate({ tag: `of others ${n}` })
    }
    assert.equal((await cache.metrics()).loads.queued, 1)
    release()

    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['value']))
    assert.deepEqual([await first, loader.calls], ['first', 1])
  })

  test('I1 read-your-writes: who joins a load that waits for a place gets what is loaded after that', async (t) => {
    const { cache, first, release } = await taken(openIt, t)
    let truth = 'at first'
    const loader = counted(() => truth)
    const calls = [cache.getOrSet('k', loader, { tags: ['group'] })]
    await eventually(async () => (await cache.metrics()).loads.queued === 1)

    for (const target of ['k', { tag: 'group' }, { pattern: 'k*' }, { all: true }]) {
      truth = `after ${JSON.stringify(target)}`
      await cache.invalidate(target)
      calls.push(cache.getOrSet('k', loader, { tags: ['group'] }))
    }
    release()

    assert.deepEqual(new Set(await Promise.all(calls)), new Set([truth]))
    assert.deepEqual([await first, loader.calls], ['first', 1])
    assert.equal(await cache.getOrSet('k', never), truth)
  })

  test('I1 read-your-writes: once a load that has waited for a place runs, it is as any other', async (t) => {
    for (const target of ['k', { tag: 'group' }]) {
      const { cache, first, release } = await taken(openIt, t, { maxLoads: 1 })
      const loader = gated('old')
      const waiting = cache.getOrSet('k', loader, { tags: ['group'] })
      await eventually(async () => (await cache.metrics()).loads.queued === 1)
      release()
      await loader.began

      await cache.invalidate(target)
      const later = cache.getOrSet('k', () => 'new', { tags: ['group'] })
      loader.release()

      assert.deepEqual(await Promise.all([first, waiting, later]), ['first', 'old', 'new'])
    }
  })

  test('what a loader leaves behind waits like anybody', async (t) => {
    const cache = openIt(t, { maxLoads: 1 })
    const goOn = deferred()
    let leftBehind
    await cache.getOrSet('first', () => {
      leftBehind = goOn.promise.then(() => cache.getOrSet('left behind', () => 'loaded'))
      return 'first'
    })
    const second = gated('second')
    const running = cache.getOrSet('second', second)
    await second.began

    goOn.resolve()
    await eventually(async () => (await cache.metrics()).loads.queued === 1)

    second.release()
    assert.deepEqual(await Promise.all([running, leftBehind]), ['second', 'loaded'])
  })

  test('getOrSetMany is one load, however many its keys', async (t) => {
    const { cache, first, release } = await taken(openIt, t)
    const keys = Array.from({ length: 1_000 }, (_, n) => `k${n}`)
    const loadMissing = counted(0)
    const many = cache.getOrSetMany(keys, async (missing) => {
      await loadMissing()
      return new Map(missing.map((key) => [key, key]))
    })
    await eventually(async () => (await cache.metrics()).loads.queued === 1)
    assert.equal(loadMissing.calls, 0)

    release()
    await first

    assert.equal((await many).size, 1_000)
    assert.equal(loadMissing.calls, 1)
  })

  test('a load that nobody waits for any more leaves the queue', async (t) => {
    const { cache, first, release } = await taken(openIt, t)
    const controller = new AbortController()
    const left = cache.getOrSet('k', never, { signal: controller.signal })
    await eventually(async () => (await cache.metrics()).loads.queued === 1)

    controller.abort(new Error('gone'))
    await assert.rejects(left, /gone/)

    await eventually(async () => (await cache.metrics()).loads.queued === 0)
    release()
    await first
    assert.equal(await cache.getOrSet('k', () => 'later'), 'later')
  })

  test('waiting for a place ends with waitTimeout, and says so', async (t) => {
    const { cache, first, release } = await taken(openIt, t)
    const began = clock()

    const late = cache.getOrSet('k', never, { waitTimeout: 60 })

    await rejectsWith(
      late,
      'CacheOverloadError',
      'ERR_CACHE_OVERLOAD',
      /none has ended for it within 60 ms \(waitTimeout\)/,
    )
    assert.ok(clock() - began < 1_000)
    release()
    await first
    assert.equal(await cache.getOrSet('k', () => 'later'), 'later')
  })

  test('ttl 0 waits for a place, too', async (t) => {
    const { cache, first, release } = await taken(openIt, t)
    const loader = counted('unstored')
    const waiting = cache.getOrSet('k', loader, { ttl: 0 })
    await eventually(async () => (await cache.metrics()).loads.queued === 1)
    assert.equal(loader.calls, 0)

    release()

    assert.deepEqual([await first, await waiting, loader.calls], ['first', 'unstored', 1])
  })

  test('a stale value is served while there is no place; its refresh does not wait, and is tried again', async (t) => {
    const cache = openIt(t, { maxLoads: 1, maxQueuedLoads: 1 })
    const loader = counted((n) => n)
    assert.equal(await cache.getOrSet('k', loader), 1)
    await cache.invalidate('k', { mode: 'stale' })
    const other = gated('other')
    const running = cache.getOrSet('other', other)
    await other.began

    assert.equal(await cache.getOrSet('k', loader), 1)
    await sleep(30)
    assert.deepEqual([loader.calls, (await cache.metrics()).loads.queued], [1, 0])

    other.release()
    await running
    await eventually(async () => (await cache.getOrSet('k', loader)) === 2)
  })

  test('staleIfError serves the stale value where there is no place', async (t) => {
    const cache = openIt(t, { maxLoads: 1, maxQueuedLoads: 0 })
    const options = { ttl: 40, staleWhileRevalidate: 0, staleIfError: '1h' }
    assert.equal(await cache.getOrSet('k', () => 'old', options), 'old')
    await sleep(60)
    const other = gated('other')
    const running = cache.getOrSet('other', other)
    await other.began

    assert.equal(await cache.getOrSet('k', never, options), 'old')

    other.release()
    await running
  })

  test('I3 no resurrection: what is invalidated while its load waits is loaded afterwards, and kept', async (t) => {
    const { cache, first, release } = await taken(openIt, t)
    let truth = 'old'
    const loader = counted(() => truth)
    const waiting = cache.getOrSet('k', loader, { tags: ['group'] })
    await eventually(async () => (await cache.metrics()).loads.queued === 1)

    truth = 'new'
    await cache.invalidate({ tag: 'group' })
    release()

    assert.deepEqual([await first, await waiting], ['first', 'new'])
    assert.equal(await cache.getOrSet('k', never), 'new')
    assert.equal((await cache.metrics()).loads.fenced, 0)
  })

  test('what waits when its cache is closed is told so, and is not loaded', async (t) => {
    const { cache, first, release } = await taken(openIt, t)
    const waiting = cache.getOrSet('k', never)
    waiting.catch(() => {})
    await eventually(async () => (await cache.metrics()).loads.queued === 1)

    await cache.close()
    release()

    assert.equal(await first, 'first')
    await rejectsWith(waiting, 'CacheClosedError', 'ERR_CACHE_CLOSED')
  })
})

withRedis('the gate and Redis', (redis) => {
  const openIt = (t, options) => open(t, { redis: redis.url, ...options })

  test('hits in Redis do not wait behind loads', async (t) => {
    const { cache, first, release } = await taken(openIt, t, { memory: false, maxQueuedLoads: 1 })
    await cache.set('there', 'value')
    const queued = cache.getOrSet('queued', () => 'queued')
    await eventually(async () => (await cache.metrics()).loads.queued === 1)

    assert.equal(await cache.getOrSet('there', never), 'value')
    assert.equal((await cache.getOrSetMany(['there'], never)).get('there'), 'value')

    release()
    await Promise.all([first, queued])
  })

  test('who waits for a place holds no lease, so another process loads; its value is taken', async (t) => {
    const namespace = freshNamespace()
    const { cache, first, release } = await taken(openIt, t, { namespace })
    const peer = await usePeer(t, { redis: redis.url, namespace })
    const waiting = cache.getOrSet('k', never)
    await eventually(async () => (await cache.metrics()).loads.queued === 1)
    assert.equal((await redis.server.command('KEYS', `${namespace}:l:*`)).length, 1, 'that of the load that runs')

    assert.equal(await peer.getOrSet('k', { value: 'of the peer' }), 'of the peer')
    release()

    assert.deepEqual([await first, await waiting], ['first', 'of the peer'])
  })

  /** Through a slow link: a loader has the one place, and asks for `key` when told; others may ask in front of it. */
  async function nested(t, key) {
    const proxy = await useProxy(t, redis.server.port)
    const cache = open(t, { redis: { url: proxy.url, commandTimeout: '5s' }, maxLoads: 1 })
    await cache.ready()
    const [began, asked] = [deferred(), deferred()]
    const outer = cache.getOrSet('outer', async () => {
      began.resolve()
      await asked.promise
      return cache.getOrSet(key, () => 'loaded')
    })
    await began.promise
    proxy.delay(100)
    return { cache, outer, ask: asked.resolve }
  }

  test('what a loader asks for does not wait behind an older load of its key that waits for a place', async (t) => {
    const { cache, outer, ask } = await nested(t, 'k')
    const older = cache.getOrSet('k', () => 'loaded')
    await sleep(20)
    // From here on the older one, which looks into Redis, may not be joined, but may turn out to be good.
    const invalidated = cache.invalidate({ tag: 'of others' })
    await sleep(20)

    ask()

    assert.deepEqual(await within(Promise.all([outer, older]), 3_000), ['loaded', 'loaded'])
    await invalidated
  })

  test('what a loader asks for of many does not wait until the others of them have a place', async (t) => {
    const { cache, outer, ask } = await nested(t, 'a')
    const many = cache.getOrSetMany(['a', 'b'], (keys) => new Map(keys.map((key) => [key, key])))
    await sleep(20)

    ask()

    const [value, values] = (await within(Promise.all([outer, many]), 3_000)) ?? []
    assert.deepEqual(
      [value, [...values]],
      [
        'a',
        [
          ['a', 'a'],
          ['b', 'b'],
        ],
      ],
    )
  })

  test('who waits for another process takes no place', async (t) => {
    const namespace = freshNamespace()
    const peer = await usePeer(t, { redis: redis.url, namespace })
    const held = peer.getOrSet('k', { value: 'of the peer', gate: 'g' })
    await peer.began('g')
    const cache = openIt(t, { namespace, maxLoads: 1 })
    const waiting = cache.getOrSet('k', never)
    await eventually(async () => (await redis.server.command('KEYS', `${namespace}:l:*`)).length === 1)

    assert.equal(await cache.getOrSet('other', () => 'other'), 'other')

    await peer.release('g')
    assert.deepEqual([await held, await waiting], ['of the peer', 'of the peer'])
  })

  test('10,000 cold keys take two connections to Redis, and leave no lease', async (t) => {
    const server = await useRedis(t)
    const namespace = freshNamespace()
    const cache = open(t, { redis: { url: server.url, commandTimeout: '2s' }, namespace })
    let most = 0
    const look = async () => {
      const clients = await server.command('CLIENT', 'LIST')
      most = Math.max(most, clients.trim().split('\n').length)
    }
    const loads = Promise.all(
      Array.from({ length: 10_000 }, (_, n) => cache.getOrSet(`k${n}`, () => sleep(1).then(() => n))),
    )
    for (let n = 0; n < 10; n++) await look()
    await cache.ready()
    await look()

    assert.deepEqual(
      await loads,
      Array.from({ length: 10_000 }, (_, n) => n),
    )
    assert.equal(most, 3, 'and who asks')
    await eventually(async () => (await server.command('KEYS', `${namespace}:l:*`)).length === 0)
    assert.equal((await cache.metrics()).redis.errors, 0)
  })

  test('threads of a process share its places, and what one leaves is free', async (t) => {
    const namespace = freshNamespace()
    const options = { redis: redis.url, namespace, maxLoads: 1 }
    const cache = open(t, options)
    await cache.ready()
    const code = `
      const { parentPort, workerData: { index, options } } = require('node:worker_threads')
      const cache = require(index).createCache(options)
      cache.getOrSet('of the thread', () => (parentPort.postMessage('began'), new Promise(() => {})))
      setInterval(() => {}, 1_000)`
    const worker = new Worker(code, { eval: true, workerData: { index: require.resolve('..'), options } })
    await once(worker, 'message')
    const waiting = cache.getOrSet('k', () => 'value')
    await eventually(async () => (await cache.metrics()).loads.queued === 1)

    await worker.terminate()

    assert.equal(await waiting, 'value')
  })

  test('a second cache of the engine with other limits is refused', async (t) => {
    const namespace = freshNamespace()
    openIt(t, { namespace, maxLoads: 7 })

    await rejectsWith(
      (async () => openIt(t, { namespace }))(),
      'CacheConfigError',
      'ERR_CACHE_CONFIG',
      'maxLoads is 7',
      'and 256 here',
    )
  })
})

test('a call that is turned away costs little, however many wait', async (t) => {
  const { cache, first, release } = await taken(open, t, { maxQueuedLoads: 16_384 })
  const waiting = Array.from({ length: 16_384 }, (_, n) => cache.getOrSet(`k${n}`, () => n))
  await eventually(async () => (await cache.metrics()).loads.queued === 16_384)
  const codeOf = (error) => error.code

  const began = clock()
  const codes = await Promise.all(
    Array.from({ length: 5_000 }, (_, n) => cache.getOrSet(`late ${n}`, never).catch(codeOf)),
  )
  const ms = clock() - began

  assert.deepEqual(new Set(codes), new Set(['ERR_CACHE_OVERLOAD']))
  t.diagnostic(`${((ms / 5_000) * 1_000).toFixed(1)} µs each`)
  // Some 0.1 s; it was 5 s when each looked through the queue.
  assert.ok(ms < 2_000, `${ms} ms`)
  release()
  await Promise.all([first, ...waiting])
})

test('TIDECACHE_DISABLED bounds loads all the same', async () => {
  const most = await lastSaid(
    `const cache = tidecache.createCache({ maxLoads: 3 })
     let now = 0
     let most = 0
     const loader = async () => {
       most = Math.max(most, ++now)
       await sleep(5)
       now--
     }
     await Promise.all(Array.from({ length: 30 }, (_, n) => cache.getOrSet('k' + n, loader)))
     say(most)`,
    { env: { TIDECACHE_DISABLED: '1' } },
  )

  assert.equal(most, 3)
})
