'use strict'
// examples/next-app in two replicas on one Redis and one Postgres, asked over HTTP.

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { eventually, freshNamespace, sleep } = require('./support/kit.js')
const { createCache } = require('..')
const { Client } = require('../scripts/load/client.js')
const { Replica, TOKEN, sessionOf, sql, startFleet } = require('./support/next-app.js')

const PAGES = [
  '/',
  '/?class=Druid&sort=liked',
  '/?q=tide&sort=title&page=2',
  '/builds/44',
  '/users/1',
  '/classes',
  '/metrics',
  '/sign-in',
]

let fleet

before(async () => {
  fleet = await startFleet()
})

after(() => fleet?.stop())

const askAll = (times, action) => Promise.all(Array.from({ length: times }, action))
const queriesOfBoth = async () => (await fleet.a.queries()) + (await fleet.b.queries())

test('every page answers in both replicas, and what is not there is 404', async () => {
  for (const replica of [fleet.a, fleet.b]) {
    for (const where of PAGES) await replica.page(where)
    for (const where of ['/builds/999999', '/builds/0', '/builds/x', '/users/999999', '/nothing']) {
      const { status } = await replica.request(where)
      assert.equal(status, 404, where)
    }
  }
})

test('the list shows what its filters ask for', async () => {
  const { html } = await fleet.a.page('/?class=Warden&sort=liked')

  const classes = [...html.matchAll(/<span class="badge">(\w+)<\/span>/g)].map(([, name]) => name)
  const likes = [...html.matchAll(/<\/svg> <!-- -->(\d+)<!-- -->/g)].map(([, count]) => Number(count))
  assert.deepEqual([...new Set(classes)], ['Warden'])
  assert.equal(classes.length, 24)
  assert.deepEqual(
    likes,
    [...likes].sort((a, b) => b - a),
  )
  assert.equal(likes.length, 24)
})

test('20 cold requests on each replica at once make 1 database query', async () => {
  await Promise.all([fleet.a.page('/'), fleet.b.page('/')]) // the classes, for the form of the filters
  const before = await queriesOfBoth()

  const where = '/?sort=title&page=9'
  await Promise.all([askAll(20, () => fleet.a.page(where)), askAll(20, () => fleet.b.page(where))])

  assert.equal((await queriesOfBoth()) - before, 1)
})

test('each replica shows itself, the other one, and that changes are pushed to both', async () => {
  const isPushed = ({ metrics: { redis } }) => redis.health.connected && redis.coherence === 'tracking'
  for (const replica of [fleet.a, fleet.b]) {
    const isWhole = async () => {
      const { replicas } = await replica.fleet()
      return replicas.length === 2 && replicas.every(isPushed)
    }
    await eventually(isWhole, 15_000, `${replica.name} shows both`)
    const { name, replicas } = await replica.fleet()
    assert.equal(name, replica.name)
    assert.deepEqual(
      replicas.map((summary) => summary.name),
      ['replica-a', 'replica-b'],
    )
  }
})

test('the figures need the token, and tell rate and speed from 100 reads on', async () => {
  const ask = async (authorization) => {
    const response = await fleet.a.request('/api/v1/cache', { headers: authorization && { authorization } })
    return [response.status, await response.json()]
  }
  assert.equal((await ask())[0], 401)
  assert.equal((await ask('Bearer wrong'))[0], 403)
  assert.equal((await ask(`Bearer ${TOKEN}x`))[0], 403)
  for (let round = 0; round < 150; round++) await fleet.a.page('/builds/44')

  const [status, { success, data }] = await ask(`Bearer ${TOKEN}`)

  assert.deepEqual([status, success], [200, true])
  assert.deepEqual(Object.keys(data.redis), ['hits', 'misses', 'hitRate', 'health'])
  assert.equal(data.redis.health.connected, true)
  assert.ok(data.redis.hitRate >= 90, String(data.redis.hitRate))
  assert.deepEqual(data.performance, { hitRateAchieved: true, subMillisecondReads: true })
})

const AUTHOR = 1
const ADMIN = 5
const FORM = {
  title: 'Vigil of the Ebb',
  class: 'Warden',
  summary: 'Hold the gate until the ebb.',
  skills: 'Undertow, Iron Vow',
  ...{ Might: '12', Guard: '17', Haste: '6', Wits: '9', Spirit: '11' },
}

/** Sends the form of a new build, as the author. */
const create = (fields) =>
  new Client(fleet.a.origin).act('/builds/new', 'createBuild', fields, [{ errors: {} }], { cookie: sessionOf(AUTHOR) })

/** The ids of the builds that a list shows, and how many it says that there are. */
async function listOf(replica, where) {
  const { html } = await replica.page(where)
  const ids = [...html.matchAll(/class="card-title"><a href="\/builds\/(\d+)"/g)].map(([, id]) => Number(id))
  const total = Number(html.match(/([\d,]+) ways?(?:<!-- -->)? to play/)[1].replace(',', ''))
  return { ids, total }
}

test('an address may say anything: what is no sort, class or role is ignored, and makes no query', async () => {
  for (const sort of ['toString', 'constructor', '__proto__', '%00']) await fleet.a.page(`/?sort=${sort}`)
  for (const search of ['%00', 'tide%00', '%ED%A0%80', '%']) await fleet.a.page(`/?q=${search}`)
  const before = await fleet.a.queries()
  for (const where of ['/?class=Nobody', '/?tag=nothing', '/?class=constructor', '/?tag=%00', '/?class=warden']) {
    assert.equal((await listOf(fleet.a, where)).total, 2400, where)
  }
  assert.equal((await fleet.a.queries()) - before, 0)

  const { status, headers } = await fleet.a.request('/?page=400', { redirect: 'manual' })
  assert.deepEqual([status, headers.get('location')], [307, '/'], 'there is no such page of the list')
})

test('a form may hold anything: what is missing is no 0, and NUL is left out', async () => {
  const { Might: _, ...without } = FORM
  for (const fields of [without, { ...FORM, Might: '' }, { ...FORM, Might: '1e1' }, { ...FORM, Might: '21' }]) {
    const { headers, body } = await create(fields)
    assert.equal(headers['x-action-redirect'], undefined)
    assert.match(body, /A whole number from 0 to 20\./)
  }

  const { headers } = await create({ ...FORM, title: 'Vigil\0 of Salt', skills: 'Under\0tow' })
  const { html } = await fleet.b.page(headers['x-action-redirect'].split(';')[0])
  assert.match(html, /<h1>Vigil of Salt<\/h1>.*<li>Undertow<\/li>/s)
})

test('a build that changes its class leaves the old lists and enters the new ones, on all their pages', async () => {
  const lists = ['/?class=Alchemist', '/?class=Alchemist&page=2', '/?class=Warden', '/?tag=tank', '/?tag=support']
  const all = (replica) => Promise.all(lists.map((where) => listOf(replica, where)))
  const [before] = await Promise.all([all(fleet.a), all(fleet.b)])
  const moved = before[0].ids[0]
  const client = new Client(fleet.a.origin)
  await client.signIn([ADMIN])

  await client.change({ change: 'updateBuild', visitor: ADMIN, id: moved })

  const isNew = async (replica) => {
    const now = await all(replica)
    const shown = now.map(({ ids }) => ids.includes(moved))
    const totals = now.map(({ total }, i) => total - before[i].total)
    return (
      String([shown, totals]) ===
      String([
        [false, false, true, true, false],
        [-1, -1, 1, 1, -1],
      ])
    )
  }
  assert.ok(await isNew(fleet.a), 'at once where it was changed')
  await eventually(() => isNew(fleet.b), 1_000, 'and in the other replica')
})

test('a like brings a build into the list by likes within a moment', async () => {
  const ask = (text, ...parameters) => sql(fleet.postgres.url, text, parameters)
  const order = `SELECT id, likes FROM builds WHERE class = 'Rogue' ORDER BY likes DESC, id DESC`
  const [last, next] = (await ask(order)).slice(23, 25)
  const outsider = Math.min(last.id, next.id)
  await ask('UPDATE builds SET likes = $1 WHERE id = ANY ($2)', last.likes, [last.id, next.id])
  await ask('DELETE FROM likes WHERE build_id = $1', outsider)
  const where = '/?class=Rogue&sort=liked'
  const isShown = async (replica) => (await listOf(replica, where)).ids.includes(outsider)
  assert.deepEqual([await isShown(fleet.a), await isShown(fleet.b)], [false, false])
  const client = new Client(fleet.a.origin)
  await client.signIn([2])

  await client.change({ change: 'toggleLike', visitor: 2, id: outsider })

  for (const replica of [fleet.a, fleet.b]) await eventually(() => isShown(replica), 2_000, replica.name)
})

test('likes of one user at the same moment are one, or none, and the count is right', async () => {
  const clients = [fleet.a, fleet.b].map(({ origin }) => new Client(origin))
  for (const client of clients) await client.signIn([2])
  const count = `
    SELECT likes, (SELECT count(*)::integer FROM likes WHERE build_id = b.id) AS rows FROM builds b WHERE id = 1234`
  for (let round = 0; round < 3; round++) {
    const toggles = Array.from({ length: 20 }, (_, i) => clients[i % 2])
    await Promise.all(toggles.map((client) => client.change({ change: 'toggleLike', visitor: 2, id: 1234 })))

    const [{ likes, rows }] = await sql(fleet.postgres.url, count)
    assert.equal(likes, rows)
  }
})

test('a page lists every read of the cache that it made, also those of its header and its metadata', async () => {
  const readsOf = async () => {
    const { own } = await fleet.a.fleet()
    return own.metrics.hits + own.metrics.misses
  }
  const before = await readsOf()
  const { html } = await fleet.a.page('/builds/1000', { headers: { cookie: sessionOf(AUTHOR) } })

  const keys = [...html.matchAll(/<th scope="row"><code>(.+?)<\/code>/g)].map(([, key]) => key)
  assert.deepEqual(keys.map((key) => key.replace(/\d+:builds|class:.*/, '…')).sort(), [
    'build:1000',
    'user:1',
    'user:1:likes',
    'user:…',
    '…',
  ])
  assert.equal((await readsOf()) - before, keys.length)
})

test('who is not an administrator learns no machine and no process, and starts no visitors', async () => {
  const { replicas } = await fleet.a.fleet()
  const { html } = await fleet.a.page('/metrics')
  const { own } = await fleet.a.fleet(sessionOf(ADMIN))
  assert.equal(typeof own.metrics.process.pid, 'number')
  assert.ok(replicas.every(({ metrics }) => metrics.process === undefined))
  for (const word of ['pid', 'host', own.metrics.process.host]) assert.ok(!html.includes(`"${word}`), word)
  for (const cookie of ['', sessionOf(AUTHOR), sessionOf(ADMIN, 'forged')]) {
    assert.equal((await fleet.a.fleet(cookie)).own.metrics.process, undefined)
  }

  const before = (await fleet.a.fleet()).own.metrics
  await new Client(fleet.a.origin).act('/metrics', 'simulate', {}, [])
  await sleep(300)
  const after = (await fleet.a.fleet()).own.metrics
  assert.deepEqual([after.hits, after.misses], [before.hits, before.misses])
})

test('however many look at the metrics, Redis is read once a second', async () => {
  const commands = async () =>
    Number((await fleet.redis.command('INFO', 'stats')).match(/total_commands_processed:(\d+)/)[1])
  const before = await commands()

  await askAll(100, () => fleet.a.fleet())

  // Those of beats, of a look or two, and of counting: each look that read for itself would make a dozen.
  const made = (await commands()) - before
  assert.ok(made < 200, `${made} commands`)
})

test('a session is for the browser that signed in: by https alone if it came by https, and not to be forged', async () => {
  const client = new Client(fleet.a.origin)
  const cookieBy = async (protocol) => {
    const { headers } = await client.act('/sign-in', 'signIn', { id: '1' }, [], { 'x-forwarded-proto': protocol })
    return headers['set-cookie'][0]
  }
  assert.match(await cookieBy('https'), /; Secure/)
  assert.doesNotMatch(await cookieBy('http'), /; Secure/)

  const update = (cookie) => client.act('/builds/7', 'updateBuild', { ...FORM, id: '7' }, [{ errors: {} }], { cookie })
  for (const cookie of ['', sessionOf(AUTHOR), sessionOf(ADMIN, 'forged'), 'session=5.9999999999999.', 'session=5..']) {
    assert.match((await update(cookie)).body, /Only its author or an administrator/, cookie)
  }
})

// Each waits for the most part: at once.
describe('replicas of other kinds', { concurrency: true }, () => {
  test('more replicas than a few are all shown and summed up, whatever their clocks say; the list mends itself', async (t) => {
    const peers = createCache({
      redis: fleet.redis.url,
      namespace: `${fleet.env.TIDECACHE_NAMESPACE}-fleet`,
      memory: false,
    })
    t.after(() => peers.close())
    const { own } = await fleet.b.fleet(sessionOf(ADMIN))
    const ids = Array.from({ length: 20 }, (_, i) => `replica-of-the-test-${i}`)
    const clockOf = (i) => 1e9 * (i - 10)
    const summaryOf = (id, i) => {
      const samples = own.samples.slice(-2).map((sample, n) => ({ ...sample, at: clockOf(i) + 5_000 * n }))
      return { ...own, id, name: id, at: clockOf(i) + 5_000, samples }
    }
    await Promise.all(ids.map((id, i) => peers.set(`replica:${id}`, summaryOf(id, i))))
    await peers.set('replicas', ids) // as one of them would that has not heard of A and B

    const isWhole = async () => (await fleet.a.fleet()).replicas.length === 22
    await eventually(isWhole, 5_000, 'A shows all')
    const sumOf = ({ replicas }) => replicas.reduce((sum, { metrics }) => sum + metrics.hits + metrics.misses, 0)
    const before = await fleet.a.fleet()
    const { html } = await fleet.a.page('/metrics')
    const after = await fleet.a.fleet()
    const said = Number(html.match(/of ([\d,]+) reads/)[1].replaceAll(',', ''))
    assert.ok(said >= sumOf(before) && said <= sumOf(after), `${sumOf(before)} ≤ ${said} ≤ ${sumOf(after)}`)
    const { now, replicas } = after
    for (const { name, samples } of replicas.filter(({ id }) => ids.includes(id))) {
      for (const { at } of samples) assert.ok(at <= now && at > now - 20_000, `${name}: ${at} is not near ${now}`)
    }
    await eventually(async () => (await peers.get('replicas'))?.length === 22, 8_000, 'A and B are in the list')
  })

  test('an embedded database never shows what others cached in Redis', async (t) => {
    const { headers } = await create(FORM)
    const where = headers['x-action-redirect'].split(';')[0]
    await fleet.a.page(where)
    const alone = await new Replica('alone').start({ ...fleet.env, DATABASE_URL: '' })
    t.after(() => alone.stop())

    const { status } = await alone.request(where)

    assert.equal(status, 404)
    assert.equal((await alone.fleet()).own.metrics.redis.health.connected, true)
  })

  test('a database that cannot be filled is asked again, and no connection stays behind', async (t) => {
    const { url } = fleet.postgres
    await sql(url, 'CREATE DATABASE forbidden')
    await sql(url, 'CREATE ROLE stranger LOGIN')
    const forbidden = new URL('/forbidden', url).href
    await sql(forbidden, 'REVOKE CREATE ON SCHEMA public FROM PUBLIC')
    const address = Object.assign(new URL(forbidden), { username: 'stranger' }).href
    const replica = await new Replica('forbidden').start({
      ...fleet.env,
      DATABASE_URL: address,
      TIDECACHE_NAMESPACE: freshNamespace(),
    })
    t.after(() => replica.stop())

    for (let attempt = 0; attempt < 5; attempt++) assert.equal((await replica.request('/')).status, 500)

    const open = `SELECT count(*)::integer AS count FROM pg_stat_activity WHERE usename = 'stranger'`
    await eventually(async () => (await sql(url, open))[0].count === 0, 2_000, 'no connection is open')
    await sql(forbidden, 'GRANT CREATE ON SCHEMA public TO stranger')
    await replica.page('/')
  })
})

test('who is not the author changes nothing, by whatever action and whatever the page shows', async () => {
  const [{ id, title }] = await sql(
    fleet.postgres.url,
    `SELECT id, title FROM builds WHERE user_id <> ${AUTHOR} LIMIT 1`,
  )
  const client = new Client(fleet.a.origin)
  const cookie = sessionOf(AUTHOR)

  const { body } = await client.act(`/builds/${id}`, 'updateBuild', { ...FORM, id: String(id) }, [{ errors: {} }], {
    cookie,
  })
  await client.act(`/builds/${id}`, 'deleteBuild', { id: String(id) }, [], { cookie })

  const found = await sql(fleet.postgres.url, `SELECT title FROM builds WHERE id = ${id}`)
  assert.match(body, /Only its author or an administrator/)
  assert.deepEqual(found, [{ title }])
  assert.ok((await fleet.b.page(`/builds/${id}`)).html.includes(title))
})
