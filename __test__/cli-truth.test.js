'use strict'
// What the tool says of an entry is what a cache does with it: nothing is shown as served that is not, nothing that is served
// is hidden. Views, versions, tags, patterns and settle, by many small histories and by a table.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { jsonLines, runCli } = require('./support/cli.js')
const { freshNamespace } = require('./support/kit.js')
const { open, withRedis } = require('./support/setups.js')

const HISTORIES = 12
const STEPS = 40
const KEYS = ['a', 'a1', 'a/b', 'b@1']
const VIEWS = [[], ['v'], ['v', 'w'], ['a']]
const VERSIONS = [undefined, 1, 'x']
const TAGS = ['t', 'u']
const PATTERNS = ['a*', '*1', 'b@?', '*']
const SERVED = ['fresh', 'stale']

/** The same numbers for the same seed: a history that fails can be run again. */
function randomOf(seed) {
  let state = seed
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  return { pick: (list) => list[Math.floor(next() * list.length)], chance: (share) => next() < share }
}

const within = (cache, view) => view.reduce((at, name) => at.namespace(name), cache)
const places = KEYS.flatMap((key) => VIEWS.flatMap((view) => VERSIONS.map((version) => ({ key, view, version }))))
const nameOf = ({ key, view, version }) => JSON.stringify([key, view, version == null ? null : String(version)])

/** One thing that an application does. */
async function step(cache, { pick, chance }) {
  const { key, view, version } = pick(places)
  const at = within(cache, view)
  if (chance(0.6)) {
    const tags = TAGS.filter(() => chance(0.4))
    const staleWhileRevalidate = chance(0.8) ? '1h' : 0
    await at.set(key, nameOf({ key, view, version }), { ttl: '1h', staleWhileRevalidate, version, tags })
    return
  }
  const targets = [{ key }, { tag: pick(TAGS) }, { pattern: pick(PATTERNS) }, { all: true }]
  const target = chance(0.1) ? targets[3] : pick(targets.slice(0, 3))
  const how = pick([{}, { mode: 'stale' }, { settle: '30s' }])
  await at.invalidate(target, how)
}

withRedis('what the tool says is what a cache does', (redis) => {
  const toolOf = (namespace) => (args) => runCli([...args, '--namespace', namespace], { env: { REDIS_URL: redis.url } })

  test('ls shows what is served as served, the rest as not, after any history', async (t) => {
    const first = Date.now() % 1_000_000
    for (let seed = first; seed < first + HISTORIES; seed++) {
      const random = randomOf(seed)
      const namespace = freshNamespace()
      const cache = open(t, { redis: redis.url, namespace, memory: false })
      for (let n = 0; n < STEPS; n++) await step(cache, random)

      const { stdout } = await toolOf(namespace)(['ls', '--json'])

      const shown = jsonLines(stdout).filter(({ state }) => SERVED.includes(state))
      const served = []
      for (const place of places) {
        const value = await within(cache, place.view).get(place.key, { version: place.version })
        if (value !== undefined) served.push(value)
      }
      assert.deepEqual(shown.map(nameOf).sort(), served.sort(), `seed ${seed}`)
    }
  })

  test('of two entries that a name may mean, the one that is served is meant', async (t) => {
    const namespace = freshNamespace()
    const cache = open(t, { redis: redis.url, namespace })
    const tool = toolOf(namespace)
    await cache.set('v/page@1', 'falls', { ttl: '1h', tags: ['falls'] })
    await cache.namespace('v').set('page', 'stands', { ttl: '1h', version: 1 })

    const before = await tool(['get', 'v/page@1'])
    await cache.invalidate({ tag: 'falls' })
    const after = await tool(['get', 'v/page@1'])
    const inspected = await tool(['inspect', 'v/page@1'])
    await cache.namespace('v').invalidate({ all: true })
    const fallen = await tool(['get', 'page@1', '--view', 'v'])

    assert.deepEqual([before.stdout, after.stdout], ['"falls"\n', '"stands"\n'])
    assert.match(inspected.stdout, / view +v\n +version +1\n/)
    assert.match(
      inspected.stdout,
      / depends on +the whole namespace.*\n +view v: not invalidated since\n +its key: not/,
    )
    assert.match(fallen.stderr, /'v\/page@1' is invalid, nobody is given it: view v was invalidated .+ ago/)
  })

  test('inspect says that a source settles, by which name, and for how long', async (t) => {
    const options = { ttl: '1h', tags: ['t'], version: 2 }
    const cases = [
      ['its key', (view) => view.invalidate('k', { settle: '30s' })],
      ['pattern k\\*', (view) => view.invalidate({ pattern: 'k*' }, { settle: '30s' })],
      ['view v', (view) => view.invalidate({ all: true }, { settle: '30s' })],
      ['the whole namespace', (_, cache) => cache.invalidate({ all: true }, { settle: '30s' })],
    ]
    for (const [name, settle] of cases) {
      const namespace = freshNamespace()
      const cache = open(t, { redis: redis.url, namespace })
      const view = cache.namespace('v')
      await view.getOrSet('k', () => 1, options)
      await settle(view, cache)
      await view.getOrSet('k', () => 2, options)

      const { code, stdout } = await toolOf(namespace)(['inspect', 'k@2', '--view', 'v'])
      const other = await toolOf(namespace)(['inspect', 'other'])

      // What was loaded meanwhile is not stored: what lies there is from before.
      assert.equal(code, 0)
      assert.match(stdout, /state +invalid/)
      assert.match(stdout, new RegExp(`settling +${name}: loads are not stored for (?:2\\d|30)s more\\n`), stdout)
      assert.equal(other.stderr.includes('settling'), name === 'the whole namespace', other.stderr)
    }
  })

  test('inspect tells of a tag that settles as long as an entry tells its tags, and of a key without an entry', async (t) => {
    const namespace = freshNamespace()
    const cache = open(t, { redis: redis.url, namespace })
    const tool = toolOf(namespace)
    await cache.set('k', 1, { ttl: '1h', tags: ['t'] })
    const before = JSON.parse((await tool(['inspect', 'k', '--json'])).stdout)
    await tool(['invalidate', '--tag', 't', '--settle', '20s'])
    await tool(['invalidate', 'gone', '--settle', '30s'])

    const { settling, state } = JSON.parse((await tool(['inspect', 'k', '--json'])).stdout)
    const gone = await tool(['inspect', 'gone'])

    assert.equal(before.settling, null)
    assert.equal(state, 'invalid')
    assert.deepEqual([settling.kind, settling.name], ['tag', 't'])
    assert.ok(settling.left > 10_000 && settling.left <= 20_000, `${settling.left} ms`)
    assert.match(gone.stderr, /no entry 'gone' .*; settling: its key: loads are not stored for (?:2\d|30)s more\n$/)
  })

  test('invalidate --settle says what is wrong with it, and does nothing then', async () => {
    const tool = toolOf(freshNamespace())
    const cases = [
      [['--settle', '31s'], /--settle must be .* from 0 to 30s; got '31s'/],
      [['--settle', 'soon'], /--settle must be .*; got 'soon'/],
      [['--settle', '1s', '--mode', 'stale'], /--settle needs --mode remove/],
    ]

    for (const [args, says] of cases) {
      const { code, stderr } = await tool(['invalidate', 'k', ...args])

      assert.equal(code, 2)
      assert.match(stderr, says)
    }
  })
})
