'use strict'
// What a process costs its Redis while nobody reads: two connections to each master, and no command.

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { startCluster } = require('./support/cluster.js')
const { eventually, freshNamespace, long } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { useRedis } = require('./support/redis.js')
const { useSentinels } = require('./support/sentinel.js')

/** Heartbeats go on for as long after the last read. */
const AFTERGLOW = 5
/** Seconds without a command that are waited for. */
const QUIET = long ? 31 : 7

/** Seconds since each connection to a master sent something; without those of the test, of Sentinels and of replicas. */
async function idleTimes(master) {
  const own = await master.command('CLIENT', 'ID')
  const lines = String(await master.command('CLIENT', 'LIST', 'TYPE', 'normal'))
    .trim()
    .split('\n')
  const others = lines.filter((line) => !line.startsWith(`id=${own} `) && !line.includes(' name=sentinel-'))
  return others.map((line) => Number(/ idle=(\d+)/.exec(line)[1]))
}

const TOPOLOGIES = {
  standalone: async (t) => {
    const redis = await useRedis(t)
    return { url: redis.url, masters: [redis] }
  },
  sentinel: async (t) => {
    const { url, servers } = await useSentinels(t)
    return { url, masters: [servers[0]] }
  },
  cluster: async (t) => {
    const cluster = await startCluster({ timeout: 1_000 })
    t.after(() => cluster.stop())
    return { url: cluster.url, masters: (await cluster.masters()).map(({ server }) => server) }
  },
}

describe('an idle process', { concurrency: 3 }, () => {
  for (const [name, start] of Object.entries(TOPOLOGIES)) {
    test(`sends nothing, over two connections to each master: ${name}`, async (t) => {
      const { url, masters } = await start(t)
      const peer = await usePeer(t, { redis: url, namespace: freshNamespace() })
      await peer.ready()
      const keys = Array.from({ length: 20 }, (_, n) => `k${n}`)
      for (let n = 0; n < 20; n++) await peer.readAll(keys, { value: 1 }, { tags: ['red'] })
      await peer.set('k0', 2)
      await peer.invalidate({ key: 'k1', tag: 'red', pattern: 'k*' })
      await peer.readAll(keys, { value: 3 })

      const times = () => Promise.all(masters.map(idleTimes))
      for (const of of await times()) assert.equal(of.length, 2, `${of.length} connections`)
      const isQuiet = async () => (await times()).every((of) => of.every((seconds) => seconds >= QUIET))
      await eventually(isQuiet, (AFTERGLOW + QUIET + 3) * 1_000, `nothing for ${QUIET} s`)

      for (const of of await times()) assert.equal(of.length, 2, `${of.length} connections after it`)
      assert.equal(await peer.getOrSet('k2', { value: 4 }), 3, 'the next read finds what there is')
    })
  }
})
