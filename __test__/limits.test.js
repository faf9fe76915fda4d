'use strict'
// What managed services forbid: a cache does without it, or says at connect which command it lacks.

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { freshNamespace } = require('./support/kit.js')
const { usePeer } = require('./support/peer.js')
const { startRedis } = require('./support/redis.js')
const { open } = require('./support/setups.js')

/** What works without a command: how memory is kept coherent, and what is said once. */
const FINE = {
  '-config': ['tracking'],
  '-role': ['tracking'],
  '-@dangerous +info': ['tracking'],
  '-client|tracking': ['none', /^Redis sends no pushes \(NOPERM .*'client\|tracking'/],
  '-client': ['none', /^Redis sends no pushes \(NOPERM .*'client\|tracking'/],
}
/** What does not, and the command that is named. */
const LACKING = { '-info': 'info', '-eval -evalsha': 'evalsha', '-time': 'time' }

describe('a Redis that forbids', () => {
  let redis
  let users = 0
  before(async () => (redis = await startRedis()))
  after(() => redis.stop())

  /** Options of a user without some rights. */
  async function userWithout(rules) {
    const username = `u${++users}`
    await redis.command('ACL', 'SETUSER', username, 'on', '>p', '~*', '&*', '+@all', ...rules.split(' '))
    return { redis: { url: redis.url, username, password: 'p' }, namespace: freshNamespace() }
  }

  function openTelling(t, options) {
    const told = { warn: [], info: [] }
    const logger = { warn: (message) => told.warn.push(message), info: (message) => told.info.push(message) }
    return { cache: open(t, { ...options, logger }), told }
  }

  for (const [rules, [coherence, warning]] of Object.entries(FINE)) {
    test(`${rules}: coherence is '${coherence}', logged once and in metrics, and changes are seen`, async (t) => {
      const options = await userWithout(rules)
      const { cache, told } = openTelling(t, options)
      await cache.ready()
      const peer = await usePeer(t, options)
      assert.equal(await cache.getOrSet('k', () => 'old'), 'old')
      assert.equal(await peer.getOrSet('k', { value: 'another' }), 'old')

      assert.deepEqual(await peer.invalidate('k'), { redis: 'applied' })
      assert.equal(await peer.getOrSet('k', { value: 'new' }), 'new')

      assert.equal((await cache.metrics()).redis.coherence, coherence)
      assert.deepEqual(told.info.length, 1)
      assert.match(told.info[0], new RegExp(`coherence: ${coherence}$`))
      assert.equal(told.warn.length, warning === undefined ? 0 : 1)
      if (warning !== undefined) assert.match(told.warn[0], warning)
    })
  }

  for (const [rules, command] of Object.entries(LACKING)) {
    test(`${rules}: said at connect, by the command's name; values come from loaders`, async (t) => {
      const { cache, told } = openTelling(t, await userWithout(rules))

      await assert.rejects(cache.ready(), {
        code: 'ERR_CACHE_REDIS',
        message: new RegExp(`NOPERM .*'${command}' command`),
      })
      assert.equal(await cache.getOrSet('k', () => 1), 1)
      assert.equal((await cache.metrics()).redis.health.connected, false)
      assert.equal(told.warn.length, 1)
      assert.match(told.warn[0], new RegExp(`'${command}' command`))
    })
  }
})
