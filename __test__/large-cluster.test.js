'use strict'
// Large entries on a real cluster: each piece goes to the master that has the slot at that moment.

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { startCluster } = require('./support/cluster.js')
const { eventually, failing, freshNamespace } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { open } = require('./support/setups.js')

const MB = 1024 * 1024
/** The envelope has its place in 8 MB, too. */
const LARGE = 8 * MB - 1_024
const TTL = { ttl: '10m' }
const never = failing(new Error('this must be a hit'))

describe('large entries on a cluster', () => {
  let cluster
  before(async () => {
    cluster = await startCluster({ replicas: false })
  })
  after(() => cluster.stop())

  async function setUp(t) {
    const options = {
      redis: { url: cluster.url, commandTimeout: '2s' },
      namespace: freshNamespace(),
      memory: false,
    }
    const cache = open(t, options)
    const peer = await usePeer(t, options)
    await Promise.all([cache.ready(), peer.ready()])
    return { cache, peer, namespace: options.namespace }
  }

  /** Entries on all masters. */
  async function entriesOf(namespace) {
    const lists = await Promise.all(cluster.running.map((server) => server.command('KEYS', `${namespace}:e:*`)))
    return lists.flat()
  }

  test('entries of 8 MB are written to every master and read by another process', async (t) => {
    const { cache, peer } = await setUp(t)
    const areAllUsed = async () =>
      (await Promise.all(cluster.running.map((server) => server.command('DBSIZE')))).every((count) => count > 0)
    const keys = []

    while (keys.length < 9 || !(await areAllUsed())) {
      keys.push(`k${keys.length}`)
      await cache.set(keys.at(-1), Buffer.alloc(LARGE, keys.length), TTL)
    }

    for (const [n, key] of keys.entries()) {
      assert.ok(
        (await peer.getOrSet(key, { error: 'no' })).every((byte) => byte === n + 1),
        key,
      )
    }
    assert.equal((await cache.metrics()).redis.errors, 0)
  })

  test('I1 read-your-writes: an entry of 8 MB is read, and written anew, while its slot moves', async (t) => {
    const { cache, peer, namespace } = await setUp(t)
    await cache.set('k', Buffer.alloc(LARGE, 1), TTL)
    const [name] = await entriesOf(namespace)
    const slot = await cluster.slotOf(name)
    const owner = await cluster.owner(slot)
    const to = (await cluster.masters()).find(({ id }) => id !== owner.id)

    await cluster.moveSlot(slot, to, async () => {
      assert.equal((await cache.getOrSet('k', never))[0], 1, 'it still lies where it moves from')
      assert.equal((await peer.getOrSet('k', { error: 'no' }))[0], 1)
      await cache.set('k', Buffer.alloc(LARGE, 2), TTL)
      // Refused while some of its names are here and some there: then it is a miss here, and peers hear of it later.
      assert.notEqual((await cache.get('k'))?.[0], 1, 'what was replaced comes no more')
    })

    await eventually(async () => (await cluster.owner(slot)).id === to.id)
    assert.notEqual((await cache.get('k'))?.[0], 1)
    await eventually(async () => (await peer.get('k'))?.[0] !== 1, 5_000)
    // In its new place it is written and read as ever, as soon as both have learnt of that.
    await eventually(async () => {
      await cache.set('k', Buffer.alloc(LARGE, 3), TTL)
      return (await peer.get('k'))?.[0] === 3
    }, 5_000)
    assert.equal((await cache.getOrSet('k', never)).length, LARGE)
  })
})
