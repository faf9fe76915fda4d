'use strict'
// `tidecache/next` in a real application: built in two ways (with `cacheComponents`, and as ISR), two replicas of it, one
// Redis, asked over HTTP.

const assert = require('node:assert/strict')
const net = require('node:net')
const { after, before, describe, test } = require('node:test')
const { clock, freshNamespace, sleep } = require('./support/kit.js')
const { build, installApp, startReplica, startSource } = require('./support/next.js')
const { startRedis } = require('./support/redis.js')

const TTL = 600

let source
let app
let redis
const builds = {}
let connectionsOfBuild = 0

before(async () => {
  source = await startSource()
  app = await installApp()
  const server = net.createServer((socket) => socket.destroy(connectionsOfBuild++))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const REDIS_URL = `redis://127.0.0.1:${server.address().port}`
  for (const way of ['isr', 'cc']) {
    const env = { FIXTURE_WAY: way, FIXTURE_DIST: `.next-${way}`, SOURCE: source.url }
    builds[way] = { env, kinds: await build(app.folder, { ...env, REDIS_URL }) }
  }
  server.close()
  redis = await startRedis()
})

after(async () => {
  await redis?.stop()
  await source?.stop()
  app?.remove()
})

/** Two replicas of a build on one Redis, both asked once. */
async function startTwo(way, REDIS_URL = redis.url) {
  const env = { ...builds[way].env, REDIS_URL, TIDECACHE_NAMESPACE: freshNamespace() }
  return Promise.all([startReplica(app.folder, env), startReplica(app.folder, env)])
}

/** How long after `began` a request was sent that showed the value; every request before it is counted. */
async function shownAfter(replica, where, value, began) {
  for (let outdated = 0; ; outdated++) {
    const sent = clock() - began
    const page = await replica.page(where)
    if (page.value === value) return { sent, outdated, page }
    assert.ok(sent < 5_000, `${where} still shows ${page.value}, not ${value}`)
    await sleep(2)
  }
}

test('next build connects to no Redis', () => {
  assert.equal(connectionsOfBuild, 0)
})

const PAGES = {
  isr: { '/cold': 'shared', '/warm': 'shared', '/forced': 'forced', '/many': 'many', '/named': 'named' },
  cc: { '/cold': 'shared', '/warm': 'shared', '/kept': 'kept' },
}
const KINDS = { isr: { '/cold': '○', '/forced': '○', '/never': 'ƒ' }, cc: { '/cold': '◐', '/kept': '○' } }

for (const way of ['isr', 'cc']) {
  describe(way === 'cc' ? 'with cacheComponents' : 'without cacheComponents', () => {
    let a
    let b

    before(async () => {
      ;[a, b] = await startTwo(way)
    })

    after(async () => {
      await Promise.all([a?.stop(), b?.stop()])
    })

    test('the same page with cold and with warm memory at build is of the same kind', () => {
      const { kinds } = builds[way]

      assert.equal(kinds['/cold'], kinds['/warm'])
      for (const [route, kind] of Object.entries(KINDS[way])) assert.equal(kinds[route], kind, route)
    })

    for (const [where, name] of Object.entries(PAGES[way])) {
      test(`${where} lives no longer than its entry, and is kept meanwhile`, async () => {
        await b.page(where)
        await b.page(where)
        const before = source.queriesOf(name)

        const page = await b.page(where)

        assert.ok(page.seconds <= TTL, `${page.seconds} s`)
        if (builds[way].kinds[where] === '○') {
          assert.equal(page.kept, 'HIT')
          assert.ok(page.seconds > TTL - 60, `${page.seconds} s`)
        }
        assert.equal(source.queriesOf(name), before)
      })

      for (const target of [{ tag: name }, { key: `value:${name}` }, { pattern: `value:${name[0]}*` }, { all: true }]) {
        test(`${where} on B is new within 100 ms after invalidate(${JSON.stringify(target)}) on A`, async () => {
          await b.page(where)
          for (let round = 0; round < 5; round++) {
            const value = source.change(name)
            const { redis: receipt } = await a.invalidate(target)
            const { sent } = await shownAfter(b, where, value, clock())

            assert.equal(receipt, 'applied')
            assert.ok(sent <= 100, `${sent} ms`)
            assert.equal((await a.page(where)).value, value)
          }
        })
      }
    }

    for (const api of ['cookies', 'headers', 'draftMode', 'connection', 'after']) {
      test(`${api}() in a loader fails and names key and function`, async () => {
        const [read, wrapped] = await a.json(`/api/leak?api=${api}`)
        const html = await (await a.request(`/leak?api=${api}`)).text()

        for (const [refusal, key] of [
          [read, `leak:${api}`],
          [wrapped, `wrapped:${api}`],
        ]) {
          assert.equal(refusal.name, 'CacheError')
          assert.equal(refusal.code, 'ERR_CACHE_REQUEST_DATA')
          assert.ok(refusal.message.startsWith(`the loader of '${key}' called ${api}()`), refusal.message)
        }
        assert.equal(html.split(`called ${api}()`).length, html.split('Call ').length)
        assert.match(html, /ERR_CACHE_REQUEST_DATA/)
      })
    }

    test('20 concurrent cold requests on each replica make one query', async () => {
      const name = `cold-${way}`
      const ask = (replica) => replica.request(`/api/value?name=${name}`).then((response) => response.text())

      const values = await Promise.all([a, b].flatMap((replica) => Array.from({ length: 20 }, () => ask(replica))))

      assert.deepEqual(new Set(values), new Set([`${name}-0`]))
      assert.equal(source.queriesOf(name), 1)
    })
  })
}
