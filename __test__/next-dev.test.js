'use strict'
// `next dev`: whatever is edited, there is one engine, and Redis has the connections that it had before.

const assert = require('node:assert/strict')
const { readFileSync, writeFileSync } = require('node:fs')
const path = require('node:path')
const { after, before, test } = require('node:test')
const { eventually, freshNamespace } = require('./support/kit.js')
const { NEXT, Replica, installApp, startSource } = require('./support/next.js')
const { startRedis } = require('./support/redis.js')

const EDITED = ['app/many/page.isr.tsx', 'lib/value.tsx']
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

/** Connections of the application: those of this test say so by what they ask. */
async function connections() {
  const list = String(await redis.command('CLIENT', 'LIST'))
  return list.split('\n').filter((line) => line.includes('id=') && !/cmd=client/.test(line)).length
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
  await htmlOf('/many')
  await htmlOf('/cold')
  const before = await connections()
  const { process: engine } = await server.metrics()

  for (let number = 1; number <= EDITS; number++) {
    edit(number)
    const shows = async (where) => (await htmlOf(where)).includes(`title="${number}"`)
    await eventually(async () => (await shows('/many')) && (await shows('/cold')), 30_000, `edit ${number} is seen`)
    assert.equal(await connections(), before, `after edit ${number}`)
  }

  const { process: now, redis: link } = await server.metrics()
  assert.ok(before > 0)
  assert.equal(now.id, engine.id)
  assert.equal(link.health.connected, true)
  assert.equal(source.queriesOf('shared'), 1, 'memory outlived the edits')
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
