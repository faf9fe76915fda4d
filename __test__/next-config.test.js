'use strict'
// `tidecache/next` without an application: the configuration, what stands for the package in other bundles, builds, and
// calls outside of Next.js.

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const path = require('node:path')
const { test } = require('node:test')
const tidecache = require('..')
const edge = require('../lib/next/edge.js')
const next = require('../next.js')
const { cacheOptions } = require('../lib/options.js')
const { ROOT, cleanEnvironment } = require('./support/script.js')

test('an object keeps what is in it, and its own list of packages', () => {
  const config = { reactStrictMode: true, serverExternalPackages: ['pg', 'tidecache'] }

  assert.deepEqual(next.withTidecache(config), { reactStrictMode: true, serverExternalPackages: ['pg', 'tidecache'] })
  assert.deepEqual(next.withTidecache({ output: 'standalone' }).serverExternalPackages, ['tidecache'])
  assert.deepEqual(next.withTidecache(), { serverExternalPackages: ['tidecache'] })
  assert.deepEqual(config.serverExternalPackages, ['pg', 'tidecache'])
})

test('a function stays one, is called with what Next gives it, and may be async', async () => {
  const plain = next.withTidecache((phase, { defaultConfig }) => ({ phase, defaultConfig }))
  const promised = next.withTidecache(async (phase) => ({ phase, serverExternalPackages: ['pg'] }))

  assert.deepEqual(plain('build', { defaultConfig: 1 }), {
    phase: 'build',
    defaultConfig: 1,
    serverExternalPackages: ['tidecache'],
  })
  assert.deepEqual(await promised('build'), { phase: 'build', serverExternalPackages: ['pg', 'tidecache'] })
})

test('what is no configuration is refused', () => {
  for (const config of [null, 'next', [{}], 1]) assert.throws(() => next.withTidecache(config), /withTidecache/)
  assert.throws(() => next.withTidecache(() => undefined)(), /withTidecache/)
})

test('a configuration file loads no addon', () => {
  const code = `
    const { withTidecache } = require('tidecache/next')
    withTidecache({})
    const loaded = Object.keys(require.cache).filter((file) => file.endsWith('.node') || file.endsWith('binding.js'))
    console.log(JSON.stringify(loaded))`
  const printed = execFileSync(process.execPath, ['-e', code], { cwd: ROOT, env: cleanEnvironment(), encoding: 'utf8' })

  assert.deepEqual(JSON.parse(printed), [])
})

test('next build is without Redis, unless it is asked for', () => {
  const building = { REDIS_URL: 'redis://somewhere:1', NEXT_PHASE: 'phase-production-build' }

  assert.equal(cacheOptions({}, building).redis, null)
  assert.equal(cacheOptions({ redis: 'redis://elsewhere:2' }, building).redis, null)
  assert.equal(cacheOptions({}, { ...building, NEXT_PHASE: 'phase-production-server' }).redis.host, 'somewhere')
  assert.equal(cacheOptions({}, { ...building, TIDECACHE_BUILD_REDIS: '1' }).redis.host, 'somewhere')
})

test('redisDuringBuild asks for it, in the processes of the build too', (t) => {
  t.after(() => delete process.env.TIDECACHE_BUILD_REDIS)

  next.withTidecache({}, {})
  assert.equal(process.env.TIDECACHE_BUILD_REDIS, undefined)
  next.withTidecache({}, { redisDuringBuild: true })
  assert.equal(process.env.TIDECACHE_BUILD_REDIS, '1')
})

test('bundles for the edge runtime and browsers find every name, and are told at the call', async () => {
  for (const name of new Set([...Object.keys(tidecache), ...Object.keys(next)])) {
    assert.equal(typeof edge[name], 'function', name)
    if (name.endsWith('Error')) continue
    const error = await new Promise((resolve) => resolve(edge[name]())).catch((thrown) => thrown)
    assert.equal(error.code, 'ERR_CACHE_RUNTIME', name)
    assert.ok(error.message.startsWith(`${name}() of tidecache was called in a bundle for`), error.message)
  }
})

test('both doors name the same stub for the same conditions', () => {
  const { exports: doors } = require('../package.json')

  for (const door of ['.', './next']) {
    const conditions = Object.keys(doors[door])
    for (const name of ['edge-light', 'workerd', 'browser']) {
      assert.equal(path.join(ROOT, doors[door][name]), require.resolve('../lib/next/edge.js'))
      assert.ok(conditions.indexOf(name) < conditions.indexOf('default'))
    }
  }
})

test('outside of Next.js the calls are those of a cache', async (t) => {
  const cache = next.createCache({ redis: false, namespace: 'next-outside' })
  t.after(() => cache.close())
  let loads = 0
  const double = cache.wrap(async (n) => ++loads && 2 * n, { key: (n) => `double:${n}`, tags: (n) => [`n:${n}`] })

  assert.deepEqual([await double(2), await double(2), loads], [4, 4, 1])
  await double.invalidate(2)
  assert.deepEqual([await double(2), loads], [4, 2])
  await cache.invalidate({ tag: 'n:2' })
  assert.deepEqual([await double(2), loads], [4, 3])

  assert.deepEqual(await cache.getOrSetMany(['a'], () => ({ a: 1 })), new Map([['a', 1]]))
  assert.deepEqual([await cache.get('a'), await cache.namespace('view').get('a')], [1, undefined])
  await assert.rejects(cache.getOrSet('k', 'no function'), { code: 'ERR_CACHE_CONFIG' })
  await assert.rejects(
    cache.getOrSet('', () => 1),
    { code: 'ERR_CACHE_CONFIG' },
  )
  assert.throws(() => cache.wrap(async (n) => n, { key: 'constant' }), { code: 'ERR_CACHE_CONFIG' })
  const error = new Error('of the loader')
  await assert.rejects(
    cache.getOrSet('fails', () => {
      throw error
    }),
    (thrown) => thrown === error,
  )
})

test('a cache for pages has every member of a cache', async (t) => {
  const [bare, paged] = [tidecache, next].map(({ createCache }) =>
    createCache({ redis: false, namespace: 'next-same' }),
  )
  t.after(() => Promise.all([bare.close(), paged.close()]))
  const members = (cache) => Object.getOwnPropertyNames(Object.getPrototypeOf(cache)).sort()

  assert.deepEqual(members(paged), members(bare))
})
