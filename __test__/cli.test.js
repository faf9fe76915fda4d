'use strict'
// The command line tool on what caches have stored: every claim is read from its output, as a user would.

const assert = require('node:assert/strict')
const { after, before, test } = require('node:test')
const { jsonLines, runCli } = require('./support/cli.js')
const { eventually, freshNamespace, gated } = require('./support/kit.js')
const { useRedis } = require('./support/redis.js')
const { open, withRedis } = require('./support/setups.js')

/** The tool, asked about one namespace of the server. */
const toolOf = (redis, namespace) => (args, options) =>
  runCli([...args, '--namespace', namespace], { env: { REDIS_URL: redis.url }, ...options })

withRedis('the command line tool', (redis) => {
  let cache
  let tool
  const namespace = freshNamespace()
  const long = { ttl: '1h', staleWhileRevalidate: '10m', staleIfError: '20m' }

  before(async () => {
    const { createCache } = require('..')
    cache = createCache({ redis: redis.url, namespace, logger: { warn() {} } })
    tool = toolOf(redis, namespace)
    await cache.set('builds:all', { name: 'ada', list: [1, 2] }, { ...long, tags: ['builds', 'lists'] })
    await cache.set('builds:1', new Map([['at', new Date(0)]]), { ...long, tags: ['builds'] })
    await cache.set('gone', 'x', { ...long, tags: ['falls'] })
    await cache.set('soft', 'x', { ...long, tags: ['softens'] })
    await cache.set('marked', 'x', long)
    await cache.set('evil\x1b[31m\nkey', 'x', { ...long, tags: ['t\x07'] })
    await cache.invalidate({ tag: 'falls' })
    await cache.invalidate({ tag: 'softens' }, { mode: 'stale' })
    await cache.invalidate('marked', { mode: 'stale' })
  })
  after(() => cache.close())

  test('ls lists every entry with its state, size and tags', async () => {
    const { code, stdout, stderr } = await tool(['ls', '--json'])

    const rows = Object.fromEntries(jsonLines(stdout).map((row) => [row.key, row]))
    assert.equal(code, 0, stderr)
    assert.deepEqual(Object.keys(rows).sort(), [
      'builds:1',
      'builds:all',
      'evil\x1b[31m\nkey',
      'gone',
      'marked',
      'soft',
    ])
    assert.deepEqual(rows['builds:all'].tags, ['builds', 'lists'])
    assert.equal(rows['builds:all'].bytes, JSON.stringify({ name: 'ada', list: [1, 2] }).length)
    assert.ok(rows['builds:all'].ttlLeft > 3_500_000 && rows['builds:all'].ttlLeft <= 3_600_000)
    assert.ok(rows['builds:all'].age < 60_000)
    const states = Object.fromEntries(Object.entries(rows).map(([key, row]) => [key, row.state]))
    assert.equal(states['builds:1'], 'fresh')
    assert.equal(states.gone, 'invalid')
    assert.equal(states.soft, 'stale')
    assert.equal(states.marked, 'stale')
  })

  test('ls lists only what matches, by the rules of patterns', async () => {
    const cases = [
      ['builds:*', ['builds:1', 'builds:all']],
      ['builds:?', ['builds:1']],
      ['[gs]o*', ['gone', 'soft']],
      ['soft', ['soft']],
    ]

    for (const [pattern, expected] of cases) {
      const { stdout } = await tool(['ls', pattern, '--json'])
      assert.deepEqual(
        jsonLines(stdout)
          .map(({ key }) => key)
          .sort(),
        expected,
        pattern,
      )
    }
  })

  test('ls prints a table whose control characters are written out', async () => {
    const { stdout } = await tool(['ls'])

    const [head, ...lines] = stdout.trimEnd().split('\n')
    assert.match(head, /^key +age +left +state +bytes +tags$/)
    assert.equal(lines.length, 6)
    assert.ok(lines.some((line) => line.startsWith('evil\\u{1b}[31m\\u{a}key ') && line.endsWith('t\\u{7}')))
    assert.doesNotMatch(stdout.replaceAll('\n', ''), /\p{Cc}/u)
  })

  test('ls of what is not there says so and ends with 1', async () => {
    const { code, stdout, stderr } = await tool(['ls', 'nothing*'])

    assert.deepEqual([code, stdout], [1, ''])
    assert.equal(stderr, "tidecache: no entry matches 'nothing*'\n")
  })

  test('get prints plain values as JSON, others as Node shows them', async () => {
    const plain = await tool(['get', 'builds:all'])
    const map = await tool(['get', 'builds:1'])
    const json = await tool(['get', 'builds:1', '--json'])

    assert.deepEqual(JSON.parse(plain.stdout), { name: 'ada', list: [1, 2] })
    assert.equal(map.stdout, "Map(1) { 'at' => 1970-01-01T00:00:00.000Z }\n")
    assert.deepEqual(JSON.parse(json.stdout), [['at', '1970-01-01T00:00:00.000Z']])
  })

  test('get --json tells undefined, NaN and an invalid date from null', async () => {
    const value = { n: null, u: [undefined], x: NaN, d: new Date(NaN) }
    await Promise.all([cache.set('odd', value, long), cache.set('nothing', undefined, long)])

    const odd = await tool(['get', 'odd', '--json'])
    const nothing = await tool(['get', 'nothing', '--json'])
    await cache.invalidate({ keys: ['odd', 'nothing'] })

    assert.deepEqual(JSON.parse(odd.stdout), { n: null, u: ['undefined'], x: 'NaN', d: 'Invalid Date' })
    assert.equal(nothing.stdout, '"undefined"\n')
  })

  test('get refuses an invalid entry with the reason, unless it is asked for', async () => {
    const refused = await tool(['get', 'gone'])
    const any = await tool(['get', 'gone', '--any'])
    const missing = await tool(['get', 'nobody'])

    assert.deepEqual([refused.code, refused.stdout], [1, ''])
    assert.match(refused.stderr, /^tidecache: 'gone' is invalid, nobody is given it: tag falls was invalidated .+ ago/)
    assert.deepEqual([any.code, any.stdout], [0, '"x"\n'])
    assert.deepEqual([missing.code, missing.stderr], [1, `tidecache: no entry 'nobody' in namespace ${namespace}\n`])
  })

  test('inspect says whether each tag still stands, and why an entry falls', async () => {
    const fresh = await tool(['inspect', 'builds:all'])
    const gone = JSON.parse((await tool(['inspect', 'gone', '--json'])).stdout)
    const soft = await tool(['inspect', 'soft'])
    const marked = await tool(['inspect', 'marked'])

    assert.match(fresh.stdout, /^builds:all\n/)
    assert.match(fresh.stdout, /state +fresh\n/)
    assert.match(fresh.stdout, /ttl +1h, 59m \d+s left\n/)
    assert.match(fresh.stdout, /while revalidating: 10m; if the loader fails: 20m\n/)
    assert.match(fresh.stdout, /depends on +the whole namespace: not invalidated since\n/)
    assert.match(fresh.stdout, /tag builds: not invalidated since\n +tag lists: not invalidated since\n/)
    assert.match(fresh.stdout, /lease +none/)
    assert.equal(gone.state, 'invalid')
    assert.deepEqual(
      gone.dependencies.map(({ kind, name, matches }) => [kind, name, matches]),
      [
        ['namespace', null, 'same'],
        ['tag', 'falls', 'removed'],
      ],
    )
    assert.match(soft.stdout, /state +stale: served at once.*\n +tag softens was marked stale .+ ago\n/)
    assert.match(marked.stdout, /its key was marked stale\n/)
  })

  test('inspect tells of a load under way', async () => {
    const loader = gated('v')
    const loading = cache.getOrSet('slow', loader)
    await loader.began

    const { code, stderr } = await tool(['inspect', 'slow'])
    loader.release()
    await loading

    assert.equal(code, 1)
    assert.match(stderr, /no entry 'slow' .*; lease: held: a process loads it now/)
  })

  test('inspect and ls tell a damaged entry from a whole one', async () => {
    await cache.set('damaged', 'x', long)
    const { redisKey } = JSON.parse((await tool(['inspect', 'damaged', '--json'])).stdout)
    await redis.server.command('SETRANGE', redisKey, 0, 'XX')

    const inspected = await tool(['inspect', 'damaged'])
    const listed = await tool(['ls', 'builds:all'])
    await redis.server.command('DEL', redisKey)

    assert.equal(inspected.code, 1)
    assert.match(inspected.stderr, /the entry 'damaged' .* cannot be read: not an envelope/)
    assert.match(listed.stderr, /1 name could not be read/)
  })

  test('invalidate is heard by a running cache', async () => {
    const other = freshNamespace()
    const peer = toolOf(redis, other)
    const { createCache } = require('..')
    const reader = createCache({ redis: redis.url, namespace: other })
    await reader.set('a', 1, { ...long, tags: ['x'] })
    await reader.set('b', 1, { ...long, tags: ['y'] })
    await reader.set('c', 1, long)

    const byKey = await peer(['invalidate', 'c', 'absent'])
    await eventually(async () => (await reader.get('c')) === undefined)
    const byTag = await peer(['invalidate', '--tag', 'x'])
    await eventually(async () => (await reader.get('a')) === undefined)
    const kept = await reader.get('b')
    const all = await peer(['invalidate', '--all', '--yes', '--json'])
    await eventually(async () => (await reader.get('b')) === undefined)
    await reader.close()

    assert.equal(byKey.stdout, `Invalidated in ${other}: 2 keys. Redis has applied it.\n`)
    assert.equal(byTag.stdout, `Invalidated in ${other}: tag x. Redis has applied it.\n`)
    assert.equal(kept, 1)
    assert.deepEqual(JSON.parse(all.stdout), { redis: 'applied', mode: 'remove', targets: [{ view: [], all: true }] })
  })

  test('invalidate in mode stale keeps the entry servable', async (t) => {
    const other = freshNamespace()
    const writer = open(t, { redis: redis.url, namespace: other })
    await writer.set('k', 1, { ...long, tags: ['x'] })

    await toolOf(redis, other)(['invalidate', '--tag', 'x', '--mode', 'stale'])

    const { stdout } = await toolOf(redis, other)(['ls', '--json'])
    assert.equal(JSON.parse(stdout).state, 'stale')
  })

  test('invalidate by pattern takes what ls shows, and inspect names the pattern', async (t) => {
    const other = freshNamespace()
    const writer = open(t, { redis: redis.url, namespace: other })
    const peer = toolOf(redis, other)
    await Promise.all(['user:1:a', 'user:1:b', 'user:2:a'].map((key) => writer.set(key, 1, long)))
    const before = jsonLines((await peer(['ls', 'user:1:*', '--json'])).stdout)

    const { code, stdout } = await peer(['invalidate', '--pattern', 'user:1:*', '--pattern', 'nobody*'])

    const states = jsonLines((await peer(['ls', '--json'])).stdout).map(({ key, state }) => [key, state])
    const { why } = JSON.parse((await peer(['inspect', 'user:1:a', '--json'])).stdout)
    assert.equal(code, 0)
    assert.match(stdout, /: pattern user:1:\*, pattern nobody\*\. Redis has applied it\.\n$/)
    assert.deepEqual(before.map(({ key }) => key).sort(), ['user:1:a', 'user:1:b'])
    assert.deepEqual(states.sort(), [
      ['user:1:a', 'invalid'],
      ['user:1:b', 'invalid'],
      ['user:2:a', 'fresh'],
    ])
    assert.match(why[0], /^pattern user:1:\* was invalidated .+ ago$/)
  })

  test('a version is shown as key@version, found by that name, and falls with its key', async (t) => {
    const other = freshNamespace()
    const writer = open(t, { redis: redis.url, namespace: other })
    const peer = toolOf(redis, other)
    await writer.getOrSet('page', () => 'one', { ...long, version: 1 })
    await writer.getOrSet('page', () => 'two', { ...long, version: 'b@2' })
    await writer.set('page@3', 'a key of that name', long)

    const { stdout } = await peer(['ls', 'page*'])
    const values = await Promise.all(['page@1', 'page@b@2', 'page@3'].map((name) => peer(['get', name])))
    const told = await peer(['inspect', 'page@1'])
    const fallen = await peer(['invalidate', 'page@1'])
    const after = await peer(['get', 'page@b@2'])

    const names = stdout.split('\n').map((line) => line.split(' ')[0])
    assert.deepEqual(names.slice(1, -1).sort(), ['page@1', 'page@3', 'page@b@2'])
    assert.deepEqual(
      values.map(({ stdout: value }) => JSON.parse(value)),
      ['one', 'two', 'a key of that name'],
    )
    assert.match(told.stdout, /version +1\n/)
    assert.match(told.stdout, /its key: not invalidated since/)
    assert.match(fallen.stdout, /key page\. /)
    assert.match(after.stderr, /its key was invalidated/)
  })

  test('top measures the server and this namespace', async (t) => {
    const other = freshNamespace()
    const writer = open(t, { redis: redis.url, namespace: other })
    await Promise.all([1, 2, 3].map((n) => writer.set(`k${n}`, n, { ...long, tags: ['x'] })))

    const asking = setInterval(() => redis.server.command('STRLEN', 'nothing'), 20)
    const json = await toolOf(redis, other)(['top', '--once', '--json'])
    clearInterval(asking)
    const text = await toolOf(redis, other)(['top', '--once'])

    const told = JSON.parse(json.stdout)
    assert.equal(told.entries, 3)
    assert.equal(told.tags, 1)
    assert.ok(told.isExact)
    assert.ok(told.bytes > 3 * 96 && told.bytes < 10_000, `${told.bytes} bytes`)
    assert.ok(told.byKind.strlen > 5, JSON.stringify(told.byKind))
    assert.ok(told.commandsPerSecond >= told.byKind.strlen, 'all of them')
    // INFO is in the heartbeats of the caches, too.
    const own = ['dbsize', 'scan', 'memory|usage'].filter((name) => name in told.byKind)
    assert.deepEqual(own, [], 'its own commands are no news')
    assert.match(text.stdout, /namespace +3 entries, 1 tag, 0 loading\n/)
    assert.match(text.stdout, /hit rate +.+ now, [\d.]+ % since the start/)
  })
})

test('what lies in Redis from before a restart is invalid, and inspect says so', async (t) => {
  const redis = await useRedis(t)
  const namespace = freshNamespace()
  const { createCache } = require('..')
  const cache = createCache({ redis: redis.url, namespace })
  await cache.set('before', 'x', { ttl: '1h' })
  await cache.close()
  await redis.command('SAVE')
  await redis.restart()

  const { stdout } = await toolOf(redis, namespace)(['inspect', 'before', '--json'])

  const { state, why } = JSON.parse(stdout)
  assert.equal(state, 'invalid')
  assert.match(why[0], /Redis was restarted or failed over/)
})
