'use strict'
// What holds of the application in whatever way it is built (`isr` or `cc`, with `cacheComponents`): two replicas of it,
// one Redis, asked over HTTP.

const assert = require('node:assert/strict')
const net = require('node:net')
const { after, before, describe, test } = require('node:test')
const { clock, eventually, freshNamespace, percentile, sleep } = require('./kit.js')
const { build, installApp, startReplica, startSource } = require('./next.js')
const { startRedis } = require('./redis.js')

const TTL = 600
/** The loader of /brief says 20 s, whatever its caller says. */
const BRIEF = 20
/** `expireTime` of the application. */
const EXPIRE = 3_600

/** Route by route the name of the value that it shows. */
const PAGES = {
  isr: {
    '/cold': 'shared',
    '/warm': 'shared',
    '/forced': 'forced',
    '/many': 'many',
    '/named': 'named',
    '/brief': 'brief',
  },
  cc: { '/cold': 'shared', '/warm': 'shared', '/kept': 'kept' },
}
const KINDS = { isr: { '/cold': '○', '/forced': '○', '/never': 'ƒ' }, cc: { '/cold': '◐', '/kept': '○' } }
const KEPT = { isr: '/forced', cc: '/kept' }

/** What the tests of a way share: filled before the first of them. */
const world = { connectionsOfBuild: 0 }

/** Counts who connects to what the build is told to be Redis. */
async function startTrap() {
  const server = net.createServer((socket) => socket.destroy(world.connectionsOfBuild++))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `redis://127.0.0.1:${server.address().port}`, stop: () => server.close() }
}

async function prepare(way) {
  world.source = await startSource()
  world.app = await installApp()
  world.env = { FIXTURE_WAY: way, SOURCE: world.source.url }
  const trap = await startTrap()
  try {
    world.kinds = await build(world.app.folder, { ...world.env, REDIS_URL: trap.url })
  } finally {
    trap.stop()
  }
  world.redis = await startRedis()
}

async function cleanUp() {
  await world.redis?.stop()
  await world.source?.stop()
  world.app?.remove()
}

/** Two replicas on one Redis. */
async function startTwo(REDIS_URL) {
  const env = { ...world.env, REDIS_URL, TIDECACHE_NAMESPACE: freshNamespace() }
  world.fleetEnv = env
  const [a, b] = await Promise.all([1, 2].map(() => startReplica(world.app.folder, env)))
  Object.assign(world, { a, b })
}

const stopTwo = () => Promise.all([world.a?.stop(), world.b?.stop()])

/** How long after `began` a request was sent that showed the value. */
async function shownAfter(replica, where, value, began) {
  for (;;) {
    const sent = clock() - began
    const page = await replica.page(where)
    if (page.value === value) return sent
    assert.ok(sent < 5_000, `${where} still shows ${page.value}, not ${value}`)
    await sleep(2)
  }
}

function testBuild(way) {
  test('the same page with cold and with warm memory at build is of the same kind', () => {
    assert.equal(world.kinds['/cold'], world.kinds['/warm'])
    for (const [route, kind] of Object.entries(KINDS[way])) assert.equal(world.kinds[route], kind, route)
  })

  test('next build connects to no Redis', () => {
    assert.equal(world.connectionsOfBuild, 0)
  })
}

function testPages(way) {
  for (const [where, name] of Object.entries(PAGES[way])) {
    test(`${where} lives no longer than its entry, and is kept meanwhile`, async () => {
      let page = await world.b.page(where)
      const isKept = async () => {
        page = await world.b.page(where)
        return page.kept === 'HIT'
      }
      if (world.kinds[where] === '○') await eventually(isKept, 2_000, 'the page is kept')
      const before = world.source.queriesOf(name)

      page = await world.b.page(where)

      const ttl = name === 'brief' ? BRIEF : TTL
      assert.ok(page.seconds <= ttl, `${page.seconds} s`)
      if (world.kinds[where] === '○') {
        assert.ok(page.seconds > 0.9 * ttl - 10, `${page.seconds} s`)
        assert.ok(page.stale > 0 && page.seconds + page.stale <= EXPIRE, `${page.seconds} s and ${page.stale} s stale`)
      }
      assert.equal(world.source.queriesOf(name), before)
    })

    for (const target of [{ tag: name }, { key: `value:${name}` }, { pattern: `value:${name[0]}*` }, { all: true }]) {
      test(`${where} on B is new within 100 ms after invalidate(${JSON.stringify(target)}) on A`, async () => {
        await world.b.page(where)
        for (let round = 0; round < 5; round++) {
          const value = world.source.change(name)
          const { redis: receipt } = await world.a.invalidate(target)
          const sent = await shownAfter(world.b, where, value, clock())

          assert.equal(receipt, 'applied')
          assert.ok(sent <= 100, `${sent} ms`)
          assert.equal((await world.a.page(where)).value, value)
        }
      })
    }
  }
}

function testRequestData() {
  for (const api of ['cookies', 'headers', 'draftMode', 'connection', 'after']) {
    test(`${api}() in a loader fails and names key and function`, async () => {
      const [read, wrapped] = await world.a.json(`/api/leak?api=${api}`)
      const html = await (await world.a.request(`/leak?api=${api}`)).text()

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
}

function testHandlers() {
  test('a GET handler that uses nothing of its request is made for each, and new after an invalidation', async () => {
    assert.equal(world.kinds['/api/still'], 'ƒ')
    assert.equal(await world.b.text('/api/still'), 'still-0')
    const value = world.source.change('still')
    await world.a.invalidate({ tag: 'still' })

    await eventually(async () => (await world.b.text('/api/still')) === value, 1_000, 'the new value')
  })
}

function testOneLoad(way) {
  test('20 concurrent cold requests on each replica make one query', async () => {
    const name = `cold-${way}`
    const ask = (replica) => replica.text(`/api/value?name=${name}`)

    const values = await Promise.all(
      [world.a, world.b].flatMap((replica) => Array.from({ length: 20 }, () => ask(replica))),
    )

    assert.deepEqual(new Set(values), new Set([`${name}-0`]))
    assert.equal(world.source.queriesOf(name), 1)
  })
}

function testTrouble(way) {
  const statusesOf = (replica) =>
    Promise.all(
      ['/cold', KEPT[way], '/api/value?name=shared'].map(async (where) => (await replica.request(where)).status),
    )

  async function median(replica, where) {
    const times = []
    for (let n = 0; n < 21; n++) times.push((await replica.page(where)).ms)
    return percentile(times, 0.5)
  }

  let names = 0
  /** How long a value takes that nobody has asked for before, ms. */
  async function coldValue(replica) {
    const began = clock()
    assert.equal(await replica.text(`/api/value?name=cold-${++names}`), `cold-${names}-0`)
    return clock() - began
  }

  /** @returns what the invalidation said */
  async function follows(where, name) {
    const value = world.source.change(name)
    const { redis } = await world.a.invalidate({ tag: name })
    await shownAfter(world.b, where, value, clock())
    return redis
  }

  test('refused at boot: every page answers, and pages follow as soon as it is there', async () => {
    assert.deepEqual(await statusesOf(world.a), [200, 200, 200])
    assert.deepEqual(await statusesOf(world.b), [200, 200, 200])

    await world.redis.restart()
    await eventually(async () => (await world.b.metrics()).redis.health.connected, 5_000, 'B is connected')
    await eventually(async () => (await world.a.metrics()).redis.health.connected, 5_000, 'A is connected')

    assert.equal(await follows('/cold', 'shared'), 'applied')
  })

  test('paused: the first answer takes at most 300 ms more, the others 5 ms, and it recovers', async () => {
    await world.b.page('/cold')
    const usual = await median(world.b, '/cold')
    await coldValue(world.b)
    const cold = await coldValue(world.b)
    const isTrusted = async () => (await world.b.metrics()).redis.breaker === 'closed'

    // The better of two outages counts: other programs of the machine come and go.
    world.redis.pause()
    const firsts = [await coldValue(world.b)]
    world.redis.resume()
    await eventually(isTrusted, 5_000, 'it is trusted again')
    world.redis.pause()
    firsts.push(await coldValue(world.b))
    const others = await median(world.b, '/cold')
    const value = world.source.change('shared')
    const receipt = await world.b.invalidate({ tag: 'shared' })
    const page = await world.b.page('/cold')
    world.redis.resume()

    assert.ok(Math.min(...firsts) <= cold + 300, `${firsts} ms, usually ${cold} ms`)
    assert.ok(others <= usual + 5, `${others} ms, usually ${usual} ms`)
    assert.deepEqual([receipt.redis, page.value], ['queued', value])
    for (const replica of [world.a, world.b]) {
      await eventually(async () => (await replica.metrics()).redis.breaker === 'closed', 5_000, 'it is trusted again')
    }
    await follows('/cold', 'shared')
  })

  test('gone and back: every page answers, and pages follow again', async () => {
    await world.redis.kill()
    for (let n = 0; n < 5; n++) assert.deepEqual(await statusesOf(world.b), [200, 200, 200])
    await world.redis.restart()
    await eventually(async () => (await world.b.metrics()).redis.health.connected, 5_000, 'B is connected')
    await eventually(async () => (await world.a.metrics()).redis.health.connected, 5_000, 'A is connected')

    assert.equal(await follows('/cold', 'shared'), 'applied')
  })

  test('SIGTERM ends a server within a second', async () => {
    for (const replica of [world.a, world.b]) {
      const { how, ms } = await replica.stop()
      assert.ok([0, 143, 'SIGTERM'].includes(how), `${how}`)
      assert.ok(ms <= 1_000, `${ms} ms`)
    }
  })
}

/**
 * @param {'isr' | 'cc'} way
 * @param {() => void} [more] tests of this way alone; they have the same replicas
 */
function testApplication(way, more = () => {}) {
  before(() => prepare(way))
  after(cleanUp)

  testBuild(way)
  describe('pages', () => {
    before(() => startTwo(world.redis.url))
    after(stopTwo)
    testPages(way)
    testHandlers()
    testRequestData()
    testOneLoad(way)
    more()
  })
  describe('when Redis is in trouble', () => {
    before(async () => {
      await world.redis.kill()
      await startTwo(world.redis.url)
    })
    after(stopTwo)
    testTrouble(way)
  })
}

module.exports = { testApplication, world }
