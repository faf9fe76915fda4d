'use strict'
// `ls` on a namespace of 100,000 entries: the first line comes at once, all of them come, and who has seen enough may leave.

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { after, before, describe, test } = require('node:test')
const { jsonLines, runCli, startCli } = require('./support/cli.js')
const { freshNamespace, timed } = require('./support/kit.js')
const { startRedis } = require('./support/redis.js')

const ENTRIES = 100_000
const FIRST_LINE_MS = 300
/** On a machine so busy that Node itself takes longer: as many times what it takes to start. On a free one that is less. */
const STARTS = 3

/**
 * Copies an entry under other names, inside Redis: stored one by one they take ten seconds and more. All but the checksum is
 * as it would be, and that covers the value, which `ls` does not read. KEYS 1 entry; ARGV 1 copies, 2 the digits in its key.
 */
const COPIES = `
local whole = redis.call('GET', KEYS[1])
local life = redis.call('PTTL', KEYS[1])
local at = string.find(whole, ARGV[2], 1, true)
local head, tail = string.sub(whole, 1, at - 1), string.sub(whole, at + #ARGV[2])
local prefix = string.match(KEYS[1], '^(.-:e:){')
for n = 1, tonumber(ARGV[1]) do
  local digits = string.format('%06d', n)
  redis.call('SET', prefix .. '{' .. redis.sha1hex(digits):sub(1, 32) .. '}', head .. digits .. tail, 'PX', life)
end
return redis.call('DBSIZE')`

describe(`ls of ${ENTRIES.toLocaleString('en')} entries`, () => {
  const namespace = freshNamespace()
  let redis
  let options

  before(async () => {
    redis = await startRedis()
    options = { env: { REDIS_URL: redis.url, TIDECACHE_NAMESPACE: namespace } }
    const { createCache } = require('..')
    const cache = createCache({ redis: redis.url, namespace })
    await cache.set('user:000000:profile', { name: 'ada', about: 'x'.repeat(900) }, { ttl: '1h', tags: ['users'] })
    await cache.close()
    const [entry] = await redis.command('KEYS', `${namespace}:e:*`)
    await redis.command('EVAL', COPIES, 1, entry, ENTRIES - 1, '000000')
  })
  after(() => redis.stop())

  test('streams: its first line is there after 300 ms at most', async (t) => {
    const times = []
    const starts = []
    for (let run = 0; run < 5; run++) {
      starts.push((await timed(() => once(spawn(process.execPath, ['-e', '0']), 'exit'))).ms)
      const { child, ended } = startCli(['ls'], options)
      await new Promise((resolve) => child.stdout.once('data', resolve))
      child.kill('SIGTERM')
      times.push((await ended).firstAfter)
    }

    const figures = `first line after ${times.map(Math.round)} ms, a start of Node alone ${starts.map(Math.round)} ms`
    t.diagnostic(figures)
    assert.ok(Math.min(...times) <= Math.max(FIRST_LINE_MS, STARTS * Math.min(...starts)), figures)
  })

  test('lists every one of them, once', async (t) => {
    const { code, stdout, ms } = await runCli(['ls', '--json'], options)

    const rows = jsonLines(stdout)
    t.diagnostic(`${rows.length} rows in ${Math.round(ms)} ms`)
    assert.equal(code, 0)
    assert.equal(rows.length, ENTRIES)
    assert.equal(new Set(rows.map(({ key }) => key)).size, ENTRIES)
    assert.ok(
      rows.every(({ state, bytes, tags }) => state === 'fresh' && bytes === rows[0].bytes && tags[0] === 'users'),
    )
  })

  test('finds one among them without reading values', async (t) => {
    await redis.command('CONFIG', 'RESETSTAT')
    const { stdout, ms } = await runCli(['ls', 'user:*77777:profile', '--json'], options)

    const stats = await redis.command('INFO', 'stats')
    const sent = Number(/total_net_output_bytes:(\d+)/.exec(stats)[1])
    t.diagnostic(`${Math.round(ms)} ms, ${Math.round(sent / ENTRIES)} bytes an entry`)
    assert.ok(sent / ENTRIES < 600, `${sent / ENTRIES} bytes an entry of more than 1,000`)
    assert.deepEqual(
      jsonLines(stdout).map(({ key }) => key),
      ['user:077777:profile'],
    )
  })

  test('ends well when its reader leaves, and at Ctrl-C', async () => {
    const left = startCli(['ls'], options)
    await new Promise((resolve) => left.child.stdout.once('data', resolve))
    left.child.stdout.destroy()
    const { code, signal, stderr } = await left.ended

    const stopped = startCli(['ls'], options)
    await new Promise((resolve) => stopped.child.stdout.once('data', resolve))
    stopped.child.kill('SIGINT')
    const interrupted = await stopped.ended

    assert.deepEqual([code, signal, stderr], [0, null, ''])
    assert.deepEqual([interrupted.code, interrupted.signal, interrupted.stderr], [130, null, ''])
  })

  test('top estimates how many there are from a share of them', async () => {
    const { stdout } = await runCli(['top', '--once', '--json'], options)

    const { entries, bytes, isExact } = JSON.parse(stdout)
    assert.equal(isExact, false)
    assert.ok(Math.abs(entries - ENTRIES) < ENTRIES * 0.02, `${entries} entries`)
    assert.ok(bytes > ENTRIES * 1_000 && bytes < ENTRIES * 3_000, `${bytes} bytes`)
  })

  test('judges each entry by what holds when it comes to it', async () => {
    const { createCache } = require('..')
    const cache = createCache({ redis: redis.url, namespace })
    const { child, ended } = startCli(['ls', '--json'], options)
    await new Promise((resolve) => child.stdout.once('data', resolve))
    // Nobody reads on: the tool waits, after some pages.
    child.stdout.pause()

    await cache.invalidate({ tag: 'users' })
    const later = Array.from({ length: 50 }, (_, n) => `later:${n}`)
    await Promise.all(later.map((key) => cache.set(key, 1, { ttl: '1h', tags: ['users'] })))
    await cache.close()
    child.stdout.resume()
    const rows = jsonLines((await ended).stdout)

    const stored = rows.filter(({ key }) => key.startsWith('later:'))
    const fallen = rows.slice(ENTRIES / 2).filter(({ key }) => key.startsWith('user:'))
    assert.ok(stored.length > 0)
    assert.deepEqual([...new Set(stored.map(({ state }) => state))], ['fresh'])
    assert.deepEqual([...new Set(fallen.map(({ state }) => state))], ['invalid'])
  })
})
