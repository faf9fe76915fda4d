'use strict'
// A load that began before an invalidation is never served to a read that came after it: not by joining it, not when
// its fill arrives late, not in another process, whatever named the entry.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { eventually, freshNamespace, gated, sleep, within } = require('./support/kit.js')
const { usePeers } = require('./support/peer.js')
const { useRedis } = require('./support/redis.js')
const { inBothSetups, open, withRedis } = require('./support/setups.js')

/** What invalidates the key while a load of it is under way; `late` is a tag its loader names at its end. */
const LATE = 'a tag its loader names later'
const OVERTAKERS = {
  key: (cache) => cache.invalidate('k'),
  keys: (cache) => cache.invalidate({ keys: ['other', 'k'] }),
  tag: (cache) => cache.invalidate({ tag: 'red' }),
  [LATE]: (cache) => cache.invalidate({ tag: 'late' }),
  all: (cache) => cache.invalidate({ all: true }),
  'a pattern': (cache) => cache.invalidate({ pattern: '[jk]*' }),
}
const OPTIONS = { tags: ['red'], loadTimeout: '8s' }
/** A read that came after an invalidation does not wait for the load before it. (Of LATE nobody can know yet.) */
const AT_ONCE = 500

/** The value, which must be there at once. */
async function promptly(promise) {
  const value = await within(promise, AT_ONCE, 'still waiting')
  assert.notEqual(value, 'still waiting')
  return value
}

/** A load of an old value that names its last tag only after it was let go. */
function oldLoad() {
  const loader = gated('old')
  const naming = async (ctx) => {
    const value = await loader(ctx)
    ctx.tag('late')
    return value
  }
  return Object.assign(naming, { began: loader.began, release: loader.release })
}

inBothSetups((open) => {
  for (const [name, overtake] of Object.entries(OVERTAKERS)) {
    test(`I3 no resurrection: a fill overtaken by an invalidation of ${name} is not kept`, async (t) => {
      const cache = open(t)
      const loader = oldLoad()
      const old = cache.getOrSet('k', loader, OPTIONS)
      await loader.began

      await overtake(cache)
      loader.release()

      assert.equal(await old, 'old')
      assert.equal(await cache.get('k'), undefined)
      await sleep(30)
      assert.equal(await cache.getOrSet('k', () => 'new', OPTIONS), 'new')
    })

    test(`I1 read-your-writes: a read after an invalidation of ${name} does not join the load before it`, async (t) => {
      const cache = open(t)
      const loader = oldLoad()
      const old = cache.getOrSet('k', loader, OPTIONS)
      await loader.began

      await overtake(cache)
      const fresh = cache.getOrSet('k', () => 'new', OPTIONS)

      if (name !== LATE) assert.equal(await promptly(fresh), 'new')
      loader.release()
      assert.equal(await fresh, 'new')
      assert.equal(await old, 'old')
      await sleep(30)
      assert.equal(await cache.getOrSet('k', () => 'newer', OPTIONS), 'new')
    })

    test(`I3 no resurrection: an old load that ends before the new one of ${name} changes nothing`, async (t) => {
      const cache = open(t)
      const [before, after] = [oldLoad(), gated('new')]
      const old = cache.getOrSet('k', before, OPTIONS)
      await before.began
      await overtake(cache)
      const fresh = cache.getOrSet('k', after, OPTIONS)
      if (name !== LATE) await promptly(after.began)

      before.release()
      await old
      await promptly(after.began)
      const joined = cache.getOrSet('k', () => 'third', OPTIONS)
      after.release()

      assert.equal(await fresh, 'new')
      assert.equal(await joined, 'new')
      assert.equal(await cache.get('k'), 'new')
    })
  }

  test('I3 no resurrection: set voids a running fill', async (t) => {
    const cache = open(t)
    const loader = oldLoad()
    const old = cache.getOrSet('k', loader)
    await loader.began

    await cache.set('k', 'set')
    assert.equal(await cache.getOrSet('k', () => 'loaded'), 'set')
    loader.release()

    assert.equal(await old, 'old')
    await sleep(30)
    assert.equal(await cache.get('k'), 'set')
  })

  test('I3 no resurrection: a background refresh overtaken by an invalidation is not kept', async (t) => {
    const cache = open(t)
    await cache.set('k', 'older', { ttl: '100ms', staleWhileRevalidate: '1m' })
    await sleep(150)
    const loader = oldLoad()
    assert.equal(await cache.getOrSet('k', loader), 'older')
    await loader.began

    await cache.invalidate('k')
    loader.release()
    await sleep(30)

    assert.equal(await cache.getOrSet('k', () => 'new'), 'new')
  })

  test('I3 no resurrection: a load that begins again after an invalidation has no stale value from before it', async (t) => {
    const cache = open(t)
    const policy = { ttl: '1ms', staleWhileRevalidate: '1m', staleIfError: '1m' }
    await cache.set('k', 'old', policy)
    await sleep(5)
    const loader = gated('new')
    // The refresh is asked for before the invalidation, and answered after it; or not at all, where Redis was faster.
    const served = cache.getOrSet('k', loader, policy)
    await cache.invalidate('k')
    await within(loader.began, 200)

    const after = cache.getOrSet('k', () => 'loaded', policy)
    await sleep(5)
    const error = new Error('down')
    if (loader.calls > 0) loader.fail(error)

    assert.equal(await served, 'old')
    assert.ok(['loaded', error].includes(await after.catch((reason) => reason)))
  })

  test('I1 read-your-writes: an invalidation and a read in one tick', async (t) => {
    const cache = open(t)
    await cache.set('k', 'old')

    for (let i = 0; i < 20; i++) {
      const write = cache.invalidate('k')
      const meanwhile = cache.getOrSet('k', () => `meanwhile ${i}`)
      await write
      const value = await cache.getOrSet('k', () => `after ${i}`)
      assert.ok([`meanwhile ${i}`, `after ${i}`].includes(value), `${value} in round ${i}`)
      await meanwhile
    }
  })
})

withRedis('between processes', (redis) => {
  for (const [name, overtake] of Object.entries(OVERTAKERS)) {
    test(`I3 no resurrection: a load overtaken by another process's invalidation of ${name}`, async (t) => {
      const peers = await usePeers(t, 3, { redis: redis.url, namespace: freshNamespace() })
      const [a, b, c] = peers
      await Promise.all(peers.map((peer) => peer.ready()))
      const old = a.getOrSet('k', { value: 'old', gate: 'g', tags: ['late'] }, OPTIONS)
      await a.began('g')

      assert.deepEqual(await overtake(b), { redis: 'applied' })
      const fresh = c.getOrSet('k', { value: 'new', ms: 20 }, OPTIONS)
      if (name !== LATE) assert.equal(await promptly(fresh), 'new')
      await a.release('g')

      assert.equal(await old, 'old')
      assert.equal(await fresh, 'new')
      assert.equal(await b.getOrSet('k', { value: 'new' }, OPTIONS), 'new')
      await sleep(50)
      for (const peer of peers) assert.equal(await peer.getOrSet('k', { value: 'new' }, OPTIONS), 'new')
    })

    test(`I3 no resurrection: a fill overtaken by ${name} of another process leaves nothing in Redis`, async (t) => {
      const [a, b] = await usePeers(t, 2, { redis: redis.url, namespace: freshNamespace() })
      await Promise.all([a.ready(), b.ready()])
      const old = a.getOrSet('k', { value: 'old', gate: 'g', tags: ['late'] }, OPTIONS)
      await a.began('g')

      await overtake(b)
      await a.release('g')
      await old
      await sleep(50)

      assert.equal(await b.get('k'), undefined)
      assert.equal(await b.getOrSet('k', { value: 'new' }, OPTIONS), 'new')
      assert.equal(await a.getOrSet('k', { value: 'newer' }, OPTIONS), 'new')
    })
  }
})

test('I1 read-your-writes: after a queued invalidation, who waited for a lease does not bring the old entry back', async (t) => {
  const redis = await useRedis(t)
  const namespace = freshNamespace()
  const [old] = await usePeers(t, 1, { redis: redis.url, namespace })
  await old.set('k', 'old')
  const [entry] = await redis.command('KEYS', `${namespace}:e:*`)
  const lease = entry.replace(':e:', ':l:')
  await redis.command('COPY', entry, 'saved')
  await redis.command('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '&*', '+@all')
  const cache = open(t, { redis: { url: redis.url, username: 'app', password: 'pw' }, namespace })
  await cache.ready()

  // Another process holds the lease: it loaded before the invalidation and fills after it, which Redis does not know of.
  await redis.command('DEL', entry)
  await redis.command('SET', lease, '0123456789abcdef', 'PX', '60000')
  const waiting = cache.getOrSet('k', () => 'loaded by the waiter')
  await sleep(100)
  await redis.command('ACL', 'SETUSER', 'app', '-unlink', '-set', '-del')
  assert.deepEqual(await cache.invalidate('k'), { redis: 'queued' })
  await redis.command('COPY', 'saved', entry)
  await redis.command('DEL', lease)

  await within(waiting, 2_000)
  assert.notEqual(await cache.getOrSet('k', () => 'new'), 'old')
  assert.notEqual(await cache.get('k'), 'old')

  await redis.command('ACL', 'SETUSER', 'app', '+unlink', '+set', '+del')
  await eventually(async () => (await old.get('k')) !== 'old', 2_000, 'the queue is drained')
  assert.notEqual(await cache.getOrSet('k', () => 'new'), 'old')
})
