'use strict'
// examples/next-app while Redis is silent, and while it refuses connections: every page is answered, pages that nobody has
// asked for before and the metrics too, which have a cache of their own. Each outage costs a replica one wait.

const assert = require('node:assert/strict')
const { after, before, test } = require('node:test')
const { clock, eventually, percentile, sleep } = require('./support/kit.js')
const { sessionOf, startFleet } = require('./support/next-app.js')

const ADDED_FIRST = 300
const ADDED_LATER = 5
/** Whoever waits for Redis waits 250 ms: none of the later ones has. */
const A_WAIT = 200
/** `isolated`: past it, memory is not served without Redis either. */
const ISOLATED = 5_000

let fleet
let names = 0

before(async () => {
  fleet = await startFleet()
})

after(() => fleet?.stop())

/** Pages, by how they read. A signed-in visitor's page reads several keys, one after the other. */
const KINDS = {
  'a build that nobody has asked for': () => `/builds/${1_000 + ++names}`,
  'a list that nobody has asked for': () => `/?q=nobody-${++names}&sort=title`,
  'a list that everybody asks for': () => '/?sort=liked',
  'the metrics': () => '/metrics',
}
const ALL = Object.keys(KINDS)

async function ask(replica, kind) {
  const { ms } = await replica.page(KINDS[kind](), { headers: { cookie: sessionOf(1) } })
  return ms
}

/** Asks both replicas for pages of all kinds in turn, for so long. @returns the milliseconds, by kind */
async function askInTurn(ms) {
  const taken = Object.fromEntries(ALL.map((kind) => [kind, []]))
  const end = clock() + ms
  for (let n = 0; clock() < end || n < 2; n++) {
    for (const kind of ALL) taken[kind].push(await ask(n % 2 === 0 ? fleet.a : fleet.b, kind))
    await sleep(10)
  }
  return taken
}

const median = (values) => percentile(values, 0.5)

async function recovered() {
  for (const replica of [fleet.a, fleet.b]) {
    const isTrusted = async () => {
      const { health, breaker } = (await replica.fleet()).own.metrics.redis
      return health.connected && breaker === 'closed'
    }
    await eventually(isTrusted, 20_000, `${replica.name} trusts Redis again`)
  }
}

/** One outage: what the first page of each replica took, and those after it. */
async function survive({ begin, end }, kinds, ms) {
  await begin()
  const first = []
  for (const [n, replica] of [fleet.a, fleet.b].entries()) first.push([kinds[n], await ask(replica, kinds[n])])
  const later = await askInTurn(ms)
  await end()
  await recovered()
  return { first, later }
}

/**
 * Every kind is the first one twice, once on each replica; the better one counts, because other programs of the machine come
 * and go. So what is usual is measured before, between and after, as often as what comes later in an outage.
 */
async function assertSurvived(outage, longest) {
  await askInTurn(600)
  const usual = [await askInTurn(2_000)]
  const rounds = []
  for (const [n, kind] of ALL.entries()) {
    const kinds = [kind, ALL[(n + 1) % ALL.length]]
    rounds.push(await survive(outage, kinds, n === 0 ? longest : 300))
    usual.push(await askInTurn(800))
  }
  for (const kind of ALL) {
    const healthy = usual.flatMap((taken) => taken[kind])
    const later = rounds.flatMap((round) => round.later[kind])
    const firsts = rounds.flatMap(({ first }) => first.filter(([of]) => of === kind).map(([, ms]) => ms))
    const added = (values) => values.map((ms) => ms - median(healthy))
    const waiting = (values) => added(values).filter((ms) => ms >= A_WAIT).length / values.length
    const figures = {
      kind,
      usual: median(healthy),
      first: added(firsts),
      later: median(added(later)),
      waiting: [waiting(healthy), waiting(later)],
    }
    const shown = JSON.stringify(figures)

    assert.equal(firsts.length, 2)
    assert.ok(Math.min(...figures.first) <= ADDED_FIRST, `at first: ${shown}`)
    assert.ok(figures.later <= ADDED_LATER, `later: ${shown}`)
    assert.ok(waiting(later) <= waiting(healthy) + 0.1, `nobody waits for Redis again: ${shown}`)
  }
}

test('while Redis is silent every page is answered: ≤ 300 ms added on the first, ≤ 5 ms after', async () => {
  await assertSurvived({ begin: () => fleet.redis.pause(), end: () => fleet.redis.resume() }, ISOLATED + 1_000)
})

test('while Redis refuses connections every page is answered: ≤ 300 ms added on the first, ≤ 5 ms after', async () => {
  await assertSurvived({ begin: () => fleet.redis.kill(), end: () => fleet.redis.start() }, 1_500)
})
