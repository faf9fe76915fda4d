'use strict'
// What goes into a container: the application installed by pnpm (nothing hoisted), built by webpack with
// `output: 'standalone'`, copied to an empty folder and run there, without what it was built from.

const assert = require('node:assert/strict')
const { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, writeFileSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, before, test } = require('node:test')
const { clock, eventually, freshNamespace } = require('./support/kit.js')
const { Replica, build, copyApp, installTools, run, startSource } = require('./support/next.js')
const { adoptFolder, discardFolder } = require('./support/reaper.js')
const { startRedis } = require('./support/redis.js')
const { triple } = require('../lib/platform.js')

const PNPM = 'pnpm@10.34.9'

let source
let redis
let folder
let kinds
const replicas = []

/** pnpm takes tarballs from the manifest, those of other packages' dependencies as overrides. */
function nameTarballs(app, { main, platforms }) {
  const file = path.join(app, 'package.json')
  const manifest = JSON.parse(readFileSync(file, 'utf8'))
  manifest.dependencies.tidecache = `file:${main}`
  manifest.pnpm = { overrides: { [`@tidecache/${triple()}`]: `file:${platforms[triple()]}` } }
  writeFileSync(file, JSON.stringify(manifest))
}

before(async () => {
  const { folder: app, tarballs, remove } = copyApp()
  const tools = await installTools(PNPM)
  try {
    nameTarballs(app, tarballs)
    const pnpm = [process.execPath, path.join(tools.folder, 'node_modules/pnpm/bin/pnpm.cjs')]
    await run(app, [...pnpm, 'install', '--no-frozen-lockfile', '--store-dir', path.join(tools.folder, 'store')])
    assert.equal(existsSync(path.join(app, 'node_modules/@tidecache')), false, 'nothing is hoisted')
    // With webpack, Next looks for the route of an edge function under its plain name alone.
    renameSync(path.join(app, 'app/api/edge/route.isr.ts'), path.join(app, 'app/api/edge/route.ts'))
    source = await startSource()
    const env = { FIXTURE_WAY: 'isr', FIXTURE_OUTPUT: 'standalone', SOURCE: source.url }
    kinds = await build(app, env, '--webpack')
    folder = adoptFolder(mkdtempSync(path.join(os.tmpdir(), 'tidecache-standalone-')))
    cpSync(path.join(app, '.next/standalone'), folder, { recursive: true, verbatimSymlinks: true })
  } finally {
    tools.remove()
    remove()
  }
  redis = await startRedis()
  const env = { SOURCE: source.url, REDIS_URL: redis.url, TIDECACHE_NAMESPACE: freshNamespace() }
  for (let n = 0; n < 2; n++) replicas.push(await new Replica().start(folder, ['server.js'], env))
})

after(async () => {
  await Promise.all(replicas.map((replica) => replica.stop()))
  await redis?.stop()
  await source?.stop()
  if (folder !== undefined) discardFolder(folder)
})

test('webpack builds the pages as Turbopack does', () => {
  const expected = { '/cold': '○', '/warm': '○', '/forced': '○', '/bare': '○', '/never': 'ƒ', '/leak': 'ƒ' }

  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((route) => [route, kinds[route]])), expected)
})

test('an invalidation on one replica makes the page of the other new', async () => {
  const [a, b] = replicas
  await a.page('/cold')
  await b.page('/cold')
  await eventually(async () => (await b.page('/cold')).kept === 'HIT', 2_000, 'the page is kept')
  for (let round = 0; round < 5; round++) {
    const value = source.change('shared')
    await a.invalidate({ tag: 'shared' })
    const began = clock()
    while ((await b.page('/cold')).value !== value) assert.ok(clock() - began <= 100, 'later than 100 ms')
  }
})

test('a page that an earlier process kept on disk is made anew by the next one', async () => {
  const env = { SOURCE: source.url, REDIS_URL: redis.url, TIDECACHE_NAMESPACE: freshNamespace() }
  const [first] = replicas
  await first.page('/forced')
  const value = source.change('forced')

  const later = await new Replica().start(folder, ['server.js'], env)
  replicas.push(later)

  assert.equal((await later.page('/forced')).value, value)
})

test('loaders see no request, and the edge runtime is told', async () => {
  const [a] = replicas
  const [read] = await a.json('/api/leak?api=cookies')
  const edge = await (await a.request('/api/edge')).text()

  assert.equal(read.code, 'ERR_CACHE_REQUEST_DATA')
  assert.match(edge, /^getOrSet\(\) of tidecache was called in a bundle for the edge runtime/)
})

test('SIGTERM ends it within a second', async () => {
  const { ms } = await replicas.pop().stop()

  assert.ok(ms <= 1_000, `${ms} ms`)
})
