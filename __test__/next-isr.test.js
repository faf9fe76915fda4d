'use strict'
// `tidecache/next` in an application without `cacheComponents`, whose pages Next.js keeps (ISR).

const assert = require('node:assert/strict')
const { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs')
const { once } = require('node:events')
const http = require('node:http')
const path = require('node:path')
const { test } = require('node:test')
const { blocksOf } = require('./support/docs/blocks.js')
const { eventually, sleep } = require('./support/kit.js')
const { run, startReplica } = require('./support/next.js')
const { testApplication, world } = require('./support/next-cases.js')

const PAGE = path.join(__dirname, '..', 'docs', 'nextjs.md')
/** What stands for the reader's database. */
const WORLD = `
interface Table<Row> { find(id: unknown): Promise<Row | null>; update(id: unknown, change: Partial<Row>): Promise<Row> }
declare const db: { products: Table<{ name: string }>; carts: Table<{ items: string[] }> }`

/** A server of one's own that reads before it loads Next.js, and in a request: which of its loaders saw the request. */
const MAIN = `
const { getOrSet } = require('tidecache/next')
async function main() {
  await getOrSet('early', () => 1)
  require('next/dist/server/node-environment-baseline')
  const { workAsyncStorage } = require('next/dist/server/app-render/work-async-storage.external')
  const { workUnitAsyncStorage } = require('next/dist/server/app-render/work-unit-async-storage.external')
  const { tagsManifest } = require('next/dist/server/lib/incremental-cache/tags-manifest.external')
  const sees = () => workAsyncStorage.getStore() !== undefined
  const inRequest = (run) =>
    workAsyncStorage.run({ route: '/' }, () => workUnitAsyncStorage.run({ type: 'request', phase: 'render' }, run))
  const seen = await inRequest(async () => [sees(), await getOrSet('late', sees)])
  console.log(JSON.stringify([...seen, Object.hasOwn(tagsManifest, 'get')]))
}
main()`

/** Over a connection of its own that ends with it: one that is kept alive would keep the server, too. */
async function postAlone(url, body) {
  const request = http.request(url, { method: 'POST', agent: false })
  request.end(JSON.stringify(body))
  const [response] = await once(request, 'response')
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { status: response.statusCode, text }
}

testApplication('isr', () => {
  test('the calls of the package itself tell the page nothing: it stays as it was built', async () => {
    const { value } = await world.b.page('/bare')
    world.source.change('bare')
    await world.a.invalidate({ tag: 'bare' })
    await sleep(200)

    const page = await world.b.page('/bare')

    assert.equal(page.value, value)
    assert.equal(page.seconds, 31_536_000)
  })

  test('mode stale: the page is served once more, and made anew meanwhile', async () => {
    await eventually(async () => (await world.b.page('/forced')).kept === 'HIT', 2_000, 'the page is kept')
    const { value: old } = await world.b.page('/forced')
    const value = world.source.change('forced')
    await world.a.invalidate({ tag: 'forced' }, { mode: 'stale' })

    const next = await world.b.page('/forced')

    assert.deepEqual([next.value, next.kept], [old, 'STALE'])
    await eventually(async () => (await world.b.page('/forced')).value === value, 5_000, 'the new page')
  })

  test('a read is one read: of a page that is made anew one miss is counted, and no hit', async () => {
    await eventually(async () => (await world.b.page('/cold')).kept === 'HIT', 2_000, 'the page is kept')
    const before = await world.b.metrics()
    await world.b.invalidate({ tag: 'shared' })

    await world.b.page('/cold')

    const { hits, misses, loads } = await world.b.metrics()
    assert.deepEqual([hits - before.hits, misses - before.misses, loads.started - before.loads.started], [0, 1, 1])
  })

  test('revalidateTag of Next.js reaches the page by the tags of the entry', async () => {
    await eventually(async () => (await world.a.page('/forced')).kept === 'HIT', 2_000, 'the page is kept')

    await world.a.request('/api/revalidate?tag=forced', { method: 'POST' })

    assert.notEqual((await world.a.page('/forced')).kept, 'HIT')
  })

  test('a page with ttl 0 is made for each request', async () => {
    await world.a.page('/never')
    const value = world.source.change('never')

    assert.equal((await world.a.page('/never')).value, value)
  })

  test('a page with a parameter, made at build or on demand, ends with its own entries and no others', async () => {
    const isKept = async (where) => (await world.b.page(where)).kept === 'HIT'
    for (const where of ['/item/1', '/item/2']) {
      await eventually(() => isKept(where), 2_000, `${where} is kept`)
    }
    for (let round = 0; round < 5; round++) {
      const value = world.source.change('item-2')
      await world.a.invalidate({ tag: 'item-2' })

      assert.equal((await world.b.page('/item/2')).value, value)
      assert.ok(await isKept('/item/1'))
    }
  })

  test('proxy.ts reads the cache: what it answers is new after an invalidation elsewhere', async () => {
    const proxied = () => world.b.text('/proxied')
    assert.equal(await proxied(), 'proxied-0')
    const value = world.source.change('proxied')
    assert.equal(await proxied(), 'proxied-0')

    await world.a.invalidate({ tag: 'proxied' })

    await eventually(async () => (await proxied()) === value, 100, 'the new value')
  })

  test('a refresh that outlives its response is waited for at the end of the server', async () => {
    const leaving = await startReplica(world.app.folder, world.fleetEnv)
    const values = [await leaving.text('/api/refreshed')]
    await sleep(5)
    values.push(await leaving.text('/api/refreshed'))
    const { ms } = await leaving.stop()

    assert.deepEqual(values, ['run 1', 'run 1'])
    assert.ok(ms <= 1_600, `${ms} ms`)
    assert.equal(await world.b.text('/api/refreshed'), 'run 2')
  })

  test('SIGTERM: a request under way ends well, leases are given back, and a queued invalidation reaches the others', async () => {
    const leaving = await startReplica(world.app.folder, world.fleetEnv)
    await leaving.page('/cold')
    await world.b.page('/cold')
    const slow = postAlone(`${leaving.origin}/api/slow`, { ms: 1_500 })
    await eventually(async () => (await leaving.metrics()).loads.started >= 2, 1_000, 'both loads run')
    const value = world.source.change('shared')
    world.redis.pause()
    const { redis: receipt } = await leaving.invalidate({ tag: 'shared' })
    const stopped = leaving.stop()
    world.redis.resume()

    const answer = await slow
    const { how, ms } = await stopped
    const waited = await world.b.json('/api/slow')

    assert.deepEqual(answer, { status: 200, text: 'loaded' }, leaving.output)
    assert.ok([0, 143, 'SIGTERM'].includes(how), `${how}`)
    assert.ok(ms <= 1_500 + 1_000, `${ms} ms`)
    assert.ok(waited <= 500, `a lease was left behind: ${waited} ms`)
    assert.equal(receipt, 'queued')
    await eventually(async () => (await world.b.page('/cold')).value === value, 1_000, 'the invalidation was sent')
  })

  test('in the edge runtime a call says that it cannot work there', async () => {
    const text = await (await world.a.request('/api/edge')).text()

    assert.match(text, /^getOrSet\(\) of tidecache was called in a bundle for the edge runtime/)
  })
})

test('the code of docs/nextjs.md compiles in the application', async () => {
  const folder = path.join(world.app.folder, 'docs')
  for (const { lang, code } of blocksOf(readFileSync(PAGE, 'utf8')).filter(({ lang }) => lang !== 'text')) {
    const [, name] = code.match(/^\/\/ (\S+)$/m)
    assert.equal(lang, 'tsx')
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    writeFileSync(path.join(folder, name), code)
  }
  writeFileSync(path.join(folder, 'world.d.ts'), WORLD)
  const options = { extends: '../tsconfig.json', include: ['**/*', '../next-env.d.ts'], exclude: [] }
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(options))

  await run(world.app.folder, [process.execPath, 'node_modules/typescript/bin/tsc', '-p', 'docs'])
})

test('in a monorepo, above the application and its Next.js, and called before that is loaded', async () => {
  const packages = path.join(world.app.folder, 'node_modules')
  const root = path.join(world.app.folder, 'monorepo')
  const web = path.join(root, 'apps', 'web')
  for (const name of ['tidecache', '@tidecache']) {
    cpSync(path.join(packages, name), path.join(root, 'node_modules', name), { recursive: true })
  }
  // The last test here: from now on the application has none above it.
  mkdirSync(path.join(web, 'node_modules'), { recursive: true })
  renameSync(path.join(packages, 'next'), path.join(web, 'node_modules', 'next'))
  writeFileSync(path.join(web, 'main.js'), MAIN)

  const printed = await run(root, [process.execPath, path.join(web, 'main.js')], { REDIS_URL: '' })

  assert.deepEqual(JSON.parse(printed), [true, false, true])
})
