'use strict'
// `next dev`: whatever is edited, there is one engine, and Redis has the connections that it had before.

const assert = require('node:assert/strict')
const { readFileSync, writeFileSync } = require('node:fs')
const path = require('node:path')
const { after, before, test } = require('node:test')
const { eventually, freshNamespace } = require('./support/kit.js')
const { NEXT, Replica, installApp, startSource } = require('./support/next.js')
const { startRedis } = require('./support/redis.js')

/** The first and the last make caches of their own: the same at each evaluation. */
const EDITED = ['app/many/page.isr.tsx', 'lib/value.tsx', 'app/own/page.isr.tsx']
const SHOWN = ['/many', '/cold', '/own']
const EDITS = 10

let source
let redis
let app
let server

before(async () => {
  source = await startSource()
  redis = await startRedis()
  app = await installApp()
  const env = { FIXTURE_WAY: 'isr', SOURCE: source.url, REDIS_URL: redis.url, TIDECACHE_NAMESPACE: freshNamespace() }
  server = await new Replica().start(app.folder, [NEXT, 'dev'], env)
})

after(async () => {
  await server?.stop()
  await redis?.stop()
  await source?.stop()
  app?.remove()
})

/** The connections of the application, by number: one that was made anew has another. Those of this test say so by what they ask. */
async function connections() {
  const list = String(await redis.command('CLIENT', 'LIST'))
  const lines = list.split('\n').filter((line) => line.startsWith('id=') && !/cmd=client/.test(line))
  return lines.map((line) => Number(line.match(/^id=(\d+)/)[1])).sort((a, b) => a - b)
}

const htmlOf = async (where) => (await server.request(where)).text()

function edit(number) {
  for (const name of EDITED) {
    const file = path.join(app.folder, name)
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replace(/<output( title="\d+")?>/, `<output title="${number}">`))
  }
}

test(`after ${EDITS} edits there is one engine, with the connections of before`, async () => {
  for (const where of SHOWN) await htmlOf(where)
  const before = await connections()

  for (let number = 1; number <= EDITS; number++) {
    edit(number)
    const shows = async (where) => (await htmlOf(where)).includes(`title="${number}"`)
    for (const where of SHOWN) await eventually(() => shows(where), 30_000, `edit ${number} is seen in ${where}`)
    assert.deepEqual(await connections(), before, `after edit ${number}`)
  }

  // Two for each of the two namespaces.
  const { redis: link } = await server.metrics()
  assert.equal(before.length, 4)
  assert.equal(link.health.connected, true)
  assert.equal(source.queriesOf('own'), 1)
  assert.equal(source.queriesOf('shared'), 1, 'memory outlived the edits')
})

test('an edit that changes the options of a cache replaces its engine, and no other', async () => {
  const before = await connections()
  const file = path.join(app.folder, 'app/own/page.isr.tsx')
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace('8_000_000', '9_000_000').replace('<output', '<output id="other"'),
  )
  await eventually(async () => (await htmlOf('/own')).includes('id="other"'), 30_000, 'the edit is seen')

  const now = await connections()

  const kept = now.filter((id) => before.includes(id))
  assert.equal(now.length - kept.length, 2, `${before} → ${now}`)
  assert.ok(kept.length >= 2 && source.queriesOf('shared') === 1)
})

test('in development too, loaders see no request', async () => {
  const [read] = await server.json('/api/leak?api=headers')

  assert.equal(read.code, 'ERR_CACHE_REQUEST_DATA')
  assert.match(read.message, /'leak:headers' called headers\(\)/)
  assert.match(await htmlOf('/leak?api=headers'), /ERR_CACHE_REQUEST_DATA/)
})

test('in development, a change is seen at the next request', async () => {
  const value = source.change('shared')
  await server.invalidate({ tag: 'shared' })

  assert.ok((await htmlOf('/cold')).includes(value))
})
