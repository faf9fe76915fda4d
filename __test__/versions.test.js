'use strict'
// version and validate: values of another shape are misses, and nobody's values make another one's load.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, eventually, freshNamespace, gated, sleep } = require('./support/kit.js')
const { usePeers } = require('./support/peer.js')
const { inBothSetups, open, rejectsWith, withRedis } = require('./support/setups.js')

const isNumber = (value) => typeof value === 'number'

inBothSetups((openCache) => {
  test('versions live beside each other and beside none; 2 and "2" are the same', async (t) => {
    const cache = openCache(t)
    const versions = [undefined, 1, 2, -1.5, 'v1', '\u{1f511}', '0']
    for (const version of versions) await cache.set('k', version ?? 'none', { version })

    for (const version of versions) assert.equal(await cache.get('k', { version }), version ?? 'none')
    assert.equal(await cache.get('k', { version: '2' }), 2)
    assert.equal(await cache.get('k', { version: 0 }), '0')
    assert.equal(await cache.get('k', { version: 3 }), undefined)
  })

  test('one invalidation of the key removes every version, by any way of naming it', async (t) => {
    const cache = openCache(t)
    const versions = [undefined, 1, 'two']
    for (const target of ['k', { key: 'k' }, { keys: ['k'] }, { tag: 't' }, { pattern: 'k*' }, { all: true }]) {
      for (const version of versions) await cache.set('k', 1, { version, tags: ['t'] })
      await cache.set('l', 1, { version: 1 })

      await cache.invalidate(target)

      for (const version of versions) assert.equal(await cache.get('k', { version }), undefined, JSON.stringify(target))
      if (target.all !== true) assert.equal(await cache.get('l', { version: 1 }), 1)
    }
  })

  test('mode stale reaches every version', async (t) => {
    const cache = openCache(t)
    for (const version of [1, 2]) await cache.set('k', 'old', { version, staleWhileRevalidate: '1h' })
    await cache.invalidate('k', { mode: 'stale' })

    for (const version of [1, 2]) {
      assert.equal((await cache.inspect('k', { version })).state, 'stale')
      const loader = counted('new')
      assert.equal(await cache.getOrSet('k', loader, { version }), 'old')
      await eventually(async () => (await cache.get('k', { version })) === 'new')
    }
  })

  test('I3 no resurrection: a version that loads while its key is invalidated is not kept', async (t) => {
    const cache = openCache(t)
    const loader = gated('old')
    const load = cache.getOrSet('k', loader, { version: 1 })
    await loader.began
    await cache.invalidate('k')
    const after = cache.getOrSet('k', () => 'new', { version: 1 })
    loader.release()

    assert.deepEqual([await load, await after], ['old', 'new'])
    assert.equal(await cache.get('k', { version: 1 }), 'new')
  })

  test('set, force and a load of one version leave the others', async (t) => {
    const cache = openCache(t)
    await cache.set('k', 'one', { version: 1 })
    await cache.set('k', 'two', { version: 2 })
    await cache.getOrSet('k', () => 'three', { version: 3, refresh: 'force' })
    await cache.getOrSet('k', () => 'none')

    for (const [version, value] of [
      [1, 'one'],
      [2, 'two'],
      [3, 'three'],
      [undefined, 'none'],
    ]) {
      assert.equal(await cache.get('k', { version }), value)
    }
  })

  test('a default version holds for every call that does not give its own', async (t) => {
    const cache = openCache(t, { defaults: { version: 'r7' } })
    await cache.set('k', 'mine')

    assert.equal(await cache.get('k', { version: 'r7' }), 'mine')
    assert.equal(await cache.get('k', { version: 'r8' }), undefined)
    assert.equal(await cache.namespace('v').get('k'), undefined)
    assert.deepEqual((await cache.getOrSetMany(['k'], () => assert.fail('it is there'))).get('k'), 'mine')
    await cache.invalidate('k')
    assert.equal(await cache.get('k'), undefined)
  })

  test('validate: what it refuses is a miss and loaded anew, once for all; what was just loaded is not asked about', async (t) => {
    const cache = openCache(t)
    await cache.set('k', 'text')
    const loader = counted(7)
    const asked = []
    const validate = (value) => asked.push(value) && isNumber(value)

    const outcomes = []
    const onResult = ({ outcome }) => outcomes.push(outcome)
    const values = await Promise.all(
      Array.from({ length: 5 }, () => cache.getOrSet('k', loader, { validate, onResult })),
    )

    assert.deepEqual(values, [7, 7, 7, 7, 7])
    assert.equal(loader.calls, 1)
    assert.deepEqual([outcomes.includes('miss'), outcomes.includes('fresh')], [true, false])
    assert.deepEqual([...new Set(asked)], ['text'])
    assert.equal(await cache.getOrSet('k', () => assert.fail('it is there'), { validate }), 7)
    // What it would refuse is returned all the same when it comes from the loader.
    assert.equal(await cache.getOrSet('l', () => 'text', { validate: isNumber }), 'text')
  })

  test('validate: callers who share what is refused are counted once each, as misses', async (t) => {
    const cache = openCache(t)
    const view = cache.namespace('v')
    await view.set('k', 'text')
    const before = await cache.metrics()
    await Promise.all(Array.from({ length: 5 }, () => view.getOrSet('k', () => 7, { validate: isNumber })))
    const [whole, own] = [await cache.metrics(), await view.metrics()]

    assert.equal(whole.hits - before.hits, 0)
    assert.deepEqual([own.hits, own.memory.hits, own.redis.hits], [0, 0, 0])
    assert.ok(own.misses >= 5 && own.misses <= 10, `${own.misses} misses`)
    assert.ok(whole.misses - before.misses <= 10, `${whole.misses} misses`)
  })

  test('validate: who leaves while a refused value is given up is told, and nothing is left unhandled', async (t) => {
    const cache = openCache(t)
    await cache.set('k', 'text')
    const controller = new AbortController()
    const reason = new Error('enough')
    const unhandled = []
    const onUnhandled = (error) => unhandled.push(error)
    process.on('unhandledRejection', onUnhandled)
    t.after(() => process.off('unhandledRejection', onUnhandled))
    const validate = () => {
      controller.abort(reason)
      return false
    }

    const call = cache.getOrSet('k', () => 1, { validate, signal: controller.signal })

    assert.equal(await call.catch((error) => error), reason)
    await sleep(20)
    assert.deepEqual(unhandled, [])
  })

  test('validate: a value that is refused each time costs a load each time, and no more', async (t) => {
    const cache = openCache(t)
    const loader = counted('never good')

    for (let n = 0; n < 3; n++) await cache.getOrSet('k', loader, { validate: () => false })

    assert.equal(loader.calls, 3)
  })

  test('validate of get and getOrSetMany: a miss, counted as such', async (t) => {
    const cache = openCache(t)
    await cache.set('bad', 'text')
    await cache.set('good', 1)
    const before = await cache.metrics()

    assert.equal(await cache.get('bad', { validate: isNumber }), undefined)
    assert.equal(await cache.get('good', { validate: isNumber }), 1)
    const asked = []
    const many = await cache.getOrSetMany(
      ['bad', 'good', 'absent'],
      (keys) => {
        asked.push(...keys)
        return { bad: 2 }
      },
      { validate: isNumber },
    )

    assert.deepEqual(
      [...many],
      [
        ['bad', 2],
        ['good', 1],
      ],
    ) // prettier-ignore
    assert.deepEqual(asked.sort(), ['absent', 'bad'])
    const { hits, misses } = await cache.metrics()
    assert.deepEqual([hits - before.hits, misses - before.misses], [2, 3])
  })

  test('a stale value that validate refuses is served to nobody, not in an error either', async (t) => {
    const cache = openCache(t)
    await cache.set('k', 'text', { ttl: '1ms', staleWhileRevalidate: '1m', staleIfError: '1m' })
    await sleep(5)
    const error = new Error('down')
    const policy = { validate: isNumber, staleAfter: 0 }

    assert.equal(await cache.getOrSet('k', () => Promise.reject(error), policy).catch((it) => it), error)
    let previous = 'not asked'
    await cache.getOrSet('k', (ctx) => (previous = ctx.previous), policy)
    assert.equal(previous, undefined)
  })

  test('validate that throws says no and is told once; an answer that is none rejects', async (t) => {
    const warnings = []
    const cache = openCache(t, { logger: { warn: (message) => warnings.push(message) } })
    const broken = () => {
      throw new Error('of undefined')
    }
    for (let n = 0; n < 3; n++) {
      await cache.set('k', n)
      assert.equal(await cache.getOrSet('k', () => 'loaded', { validate: broken }), 'loaded')
    }

    assert.deepEqual(
      warnings.filter((message) => message.includes('validate')),
      ['validate threw, which counts as false: of undefined'],
    )
    for (const answer of [undefined, 1, 'yes', null]) {
      await cache.set('l', 1)
      const call = cache.getOrSet('l', () => 2, { validate: () => answer })
      await rejectsWith(call, 'CacheConfigError', 'ERR_CACHE_CONFIG', 'what validate returns must be true or false')
    }
    assert.equal(await cache.get('l'), 1)
  })
})

withRedis('versions between processes', (redis) => {
  const options = () => ({ redis: redis.url, namespace: freshNamespace() })

  test('two releases that read one key in turns load once each, and one invalidation clears both', async (t) => {
    const [one, two] = await usePeers(t, 2, options())
    const read = (peer, version) => peer.read('k', { value: `of version ${version}` }, { version })

    for (let turn = 0; turn < 50; turn++) {
      const [first, second] = await Promise.all([read(one, 1), read(two, 2)])
      assert.deepEqual([first.value, second.value], ['of version 1', 'of version 2'])
    }
    assert.deepEqual([await one.loads('k'), await two.loads('k')], [1, 1])

    await one.invalidate('k')
    await eventually(async () => (await two.get('k', { version: 2 })) === undefined)
    assert.equal(await one.get('k', { version: 1 }), undefined)
    await Promise.all([read(one, 1), read(two, 2)])
    assert.deepEqual([await one.loads('k'), await two.loads('k')], [2, 2])
  })

  test('one invalidation by a process that knows no version clears all, in memory and in Redis', async (t) => {
    const same = options()
    const [one, two] = await usePeers(t, 2, same)
    const third = open(t, same)
    await one.set('k', 1, { version: 1 })
    await two.set('k', 2, { version: 2 })
    assert.equal(await two.get('k', { version: 1 }), 1)

    assert.deepEqual(await third.invalidate('k'), { redis: 'applied' })

    await eventually(async () => (await one.get('k', { version: 1 })) === undefined)
    await eventually(async () => (await two.get('k', { version: 2 })) === undefined)
    await eventually(async () => (await two.get('k', { version: 1 })) === undefined)
    const [late] = await usePeers(t, 1, { ...same, memory: false })
    assert.deepEqual([await late.get('k', { version: 1 }), await late.get('k', { version: 2 })], [undefined, undefined])
  })

  test('callers who share a read of Redis, and refuse what it finds, count no hit', async (t) => {
    const same = options()
    const [peer] = await usePeers(t, 1, same)
    const cache = open(t, same)
    await cache.ready()
    await peer.set('k', 'text')
    const read = () => cache.getOrSet('k', () => 7, { validate: isNumber })

    assert.deepEqual(await Promise.all([read(), read(), read(), read()]), [7, 7, 7, 7])
    const { hits, redis: tier, memory } = await cache.metrics()
    assert.deepEqual([hits, tier.hits, memory.hits], [0, 0, 0])
  })

  test('two processes that find each other’s values invalid do not take turns for ever', async (t) => {
    const same = options()
    const [peer] = await usePeers(t, 1, same)
    const cache = open(t, same)
    const loader = counted(1)
    await peer.set('k', 'text')

    assert.equal(await cache.getOrSet('k', loader, { validate: isNumber }), 1)
    await eventually(async () => (await peer.get('k')) === 1)
    assert.equal(loader.calls, 1)
  })
})
