'use strict'
// A failover to a replica that lags loses invalidations, and who issued them is dead: twenty processes start cold, serve
// nothing of before, and the database sees one load of each key.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { startCluster } = require('./support/cluster.js')
const { clock, eventually, freshNamespace } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useSentinels } = require('./support/sentinel.js')
const { open } = require('./support/setups.js')

const ENGINES = 20
const KEYS = Array.from({ length: 20 }, (_, n) => `k${n}`)

/** A user for each: caches of different users have engines, connections and leases of their own, as processes have. */
const userOf = (n) => ({ username: `u${n}`, password: 'p' })

async function addUsers(servers) {
  for (const server of servers) {
    for (let n = 0; n < ENGINES; n++) await server.command('ACL', 'SETUSER', `u${n}`, 'on', '>p', '~*', '&*', '+@all')
  }
}

/** What lies on a server of the versions of a namespace. */
async function versionsOn(server, namespace) {
  const names = await server.command('KEYS', `${namespace}:t:*`)
  return Promise.all(names.sort().map(async (name) => [name, await server.command('GET', name)]))
}

/** A new master has what there was before, and not what was changed since. */
async function hasLost(master, namespace, before) {
  // Sentinels end the connections of a server whose role they change: ours is made anew.
  let now
  await eventually(async () => (now = await versionsOn(master, namespace).catch(() => undefined)), 5_000)
  assert.deepEqual(now, before, 'the change is lost')
}

/** Holds up a replica; what its master is told from then on it never hears of. */
async function holdUp(replica, master) {
  replica.pause()
  // What is sent to a process that stands still waits in its socket: without a connection it is truly lost.
  await master.command('CLIENT', 'KILL', 'TYPE', 'replica')
}

/** `lose(change, namespace)`: what is changed within it the replica never hears of, and the replica takes the master's place. */
const TOPOLOGIES = {
  sentinel: async (t) => {
    const { url, servers, masterPort } = await useSentinels(t)
    const [master, replica] = servers
    const lose = async (change, namespace) => {
      await eventually(async () => (await replica.command('DBSIZE')) === (await master.command('DBSIZE')))
      const before = await versionsOn(master, namespace)
      await holdUp(replica, master)
      await change()
      await master.kill()
      replica.resume()
      await eventually(async () => (await masterPort()) !== master.port, 15_000, 'another master')
      await hasLost(replica, namespace, before)
    }
    return { url, servers, lose }
  },
  cluster: async (t) => {
    const cluster = await startCluster({ timeout: 1_000 })
    t.after(() => cluster.stop())
    const lose = async (change, namespace) => {
      const masters = await cluster.masters()
      const versions = await Promise.all(masters.map(({ server }) => server.command('KEYS', `${namespace}:t:*`)))
      const home = masters[versions.findIndex((keys) => keys.length > 0)]
      const replica = await cluster.replicaOf(home)
      await eventually(async () => (await replica.command('DBSIZE')) === (await home.server.command('DBSIZE')))
      const before = await versionsOn(home.server, namespace)
      await holdUp(replica, home.server)
      await change()
      await home.server.kill()
      replica.resume()
      const isMaster = async () => String((await replica.command('ROLE'))[0]) === 'master'
      await eventually(isMaster, 15_000, 'the replica is master')
      await hasLost(replica, namespace, before)
    }
    return { url: cluster.url, servers: cluster.running, lose }
  },
}

describe('a failover to a replica that lags', { concurrency: 2 }, () => {
  for (const [name, start] of Object.entries(TOPOLOGIES)) {
    test(`I4 one load, I7 metadata may vanish: twenty cold processes load each key once, and read nothing old: ${name}`, async (t) => {
      const { url, servers, lose } = await start(t)
      await addUsers(servers)
      const namespace = freshNamespace()
      const issuer = await usePeer(t, { redis: url, namespace })
      await issuer.ready()
      const fleet = Array.from({ length: ENGINES }, (_, n) => open(t, { redis: { url, ...userOf(n) }, namespace }))
      await Promise.all(fleet.map((cache) => cache.ready()))
      const loads = new Map()
      const readAll = (cache, value) =>
        KEYS.map((key) => {
          const load = async () => {
            loads.set(key, (loads.get(key) ?? 0) + 1)
            await new Promise((resolve) => setTimeout(resolve, 20))
            return value
          }
          return cache.getOrSet(key, load, { ttl: '1h' })
        })
      for (const cache of fleet) await Promise.all(readAll(cache, 'old'))
      assert.deepEqual(
        [...loads.values()],
        KEYS.map(() => 1),
        'they share what is loaded',
      )

      await lose(async () => {
        assert.deepEqual(await issuer.invalidate({ all: true }), { redis: 'applied' })
        await issuer.kill()
      }, namespace)
      const began = clock()
      const isUp = async (cache) => (await cache.health()).status === 'ok'
      await Promise.all(fleet.map((cache) => eventually(() => isUp(cache), 10_000, 'connected')))
      const recovery = clock() - began
      loads.clear()
      const values = await Promise.all(fleet.flatMap((cache) => readAll(cache, 'new')))

      const most = Math.max(...loads.values())
      t.diagnostic(
        `${values.length} reads, ${loads.size} keys loaded, ${most} times at most; connected after ${recovery.toFixed(0)} ms`,
      )
      assert.equal(values.filter((value) => value === 'old').length, 0)
      assert.deepEqual([loads.size, most], [KEYS.length, 1])
    })
  }
})
