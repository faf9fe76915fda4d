'use strict'
// Signals that nobody listens to: the process ends by them as it would without a cache, and its leases go back first.
// An application that listens decides itself.

const assert = require('node:assert/strict')
const { describe, before, after, test } = require('node:test')
const { freshNamespace } = require('./support/kit.js')
const { startRedis } = require('./support/redis.js')
const { ROOT, runScript } = require('./support/script.js')

/** A process with a lease; what it says is the number of listeners that the cache added. */
const HOLD = `
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP']
  const hold = async (tidecache, key) => {
    const cache = tidecache.createCache(options)
    await cache.ready()
    await new Promise((began) => {
      cache.getOrSet(key, () => { began(); return new Promise(() => {}) }).catch(() => {})
    })
  }
  await hold(tidecache, 'k')
  say(signals.map((name) => process.listenerCount(name)))
  setTimeout(() => process.exit(99), 5_000)
`

/** Its JavaScript once more, as a second copy of the package would load it. */
const SECOND_COPY = `
  const root = ${JSON.stringify(ROOT)}
  for (const path of Object.keys(require.cache)) if (!path.endsWith('.node')) delete require.cache[path]
  const copy = require(root)
  if (copy === tidecache) throw new Error('the same copy')
  await hold(copy, 'other')
  say(signals.map((name) => process.listenerCount(name)))
`

describe('signals', { skip: process.platform === 'win32' }, () => {
  let redis
  before(async () => {
    redis = await startRedis()
  })
  after(() => redis.stop())

  /** Runs a process that holds leases until it ends by itself; `left` are the leases it leaves behind. */
  async function holder(body) {
    const namespace = freshNamespace()
    const options = JSON.stringify({ redis: redis.url, namespace })
    const outcome = await runScript(`const options = ${options}\n${HOLD}\n${body}`)
    return { ...outcome, left: await redis.command('KEYS', `${namespace}:l:*`) }
  }

  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
    test(`${name} with nobody listening ends the process by it, and its lease goes back`, async () => {
      const { signal, said, left, stderr } = await holder(`process.kill(process.pid, '${name}')`)

      assert.equal(signal, name, stderr) // 128 + its number, for a shell
      assert.deepEqual(said, [[0, 0, 0]])
      assert.deepEqual(left, [])
    })
  }

  test('two copies of the package end as one does, and listen as little', async () => {
    const { signal, said, left, stderr } = await holder(`${SECOND_COPY}; process.kill(process.pid, 'SIGTERM')`)

    assert.equal(signal, 'SIGTERM', stderr)
    assert.deepEqual(said, Array(2).fill([0, 0, 0]))
    assert.deepEqual(left, [])
  })

  test("an application's listener decides: it was there before the cache, or came later", async () => {
    const listen = `process.on('SIGTERM', () => { say('heard'); setTimeout(() => process.exit(7), 200) })`
    const cases = {
      later: `${listen}; process.kill(process.pid, 'SIGTERM')`,
      before: `${listen}; const fresh = tidecache.createCache({ ...options, namespace: options.namespace + 'x' })
        await fresh.ready(); process.kill(process.pid, 'SIGTERM')`,
    }
    for (const [when, body] of Object.entries(cases)) {
      const { code, signal, said, left, stderr } = await holder(body)

      assert.deepEqual([code, signal, said.at(-1)], [7, null, 'heard'], `${when}: ${stderr}`)
      assert.deepEqual(left, [], when)
    }
  })

  test('a listener that only ends the process when it is alone (signal-exit) ends it', async () => {
    const { signal, stderr } = await holder(`
      const alone = () => {
        if (process.listenerCount('SIGTERM') > 1) return
        process.removeListener('SIGTERM', alone)
        process.kill(process.pid, 'SIGTERM')
      }
      process.on('SIGTERM', alone)
      process.kill(process.pid, 'SIGTERM')`)

    assert.equal(signal, 'SIGTERM', stderr)
  })
})
