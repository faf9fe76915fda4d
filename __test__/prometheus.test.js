'use strict'
// metrics({ format: 'prometheus' }): line by line what the format asks for, nothing left out, nothing that grows.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const dashboard = require('../docs/grafana-dashboard.json')
const { prometheus } = require('../lib/prometheus.js')
const { counted, eventually, failing, freshNamespace, sleep } = require('./support/kit.js')
const { parsePrometheus, sampleOf } = require('./support/prometheus.js')
const { useProxy } = require('./support/proxy.js')
const { useRedis } = require('./support/redis.js')
const { open, withRedis } = require('./support/setups.js')

/** Every expression that a panel asks for. */
const targets = ({ panels }) => panels.flatMap((panel) => (panel.targets ?? []).map(({ expr }) => expr))

const scrape = async (cache) => parsePrometheus(await cache.metrics({ format: 'prometheus' }))

test('the reader used here refuses what the format does not allow', () => {
  const family = '# HELP a_total Help.\n# TYPE a_total counter\n'
  const buckets = '# HELP h Help.\n# TYPE h histogram\n'
  assert.equal(parsePrometheus(`${family}a_total{x="\\\\ \\" \\n"} 1\n`).get('a_total').samples[0].labels.x, '\\ " \n')
  const refused = [
    'a_total 1\n', // no HELP, no TYPE
    `${family}a_total 1`, // no line feed at the end
    `${family}a_total{x="1",x="2"} 1\n`, // a label twice
    `${family}a_total{x="1",} 1\n`,
    `${family}a_total{x="a"b"} 1\n`,
    `${family}a_total{x="\\t"} 1\n`, // no such escape
    `${family}a_total{1x="a"} 1\n`,
    `${family}a_total 1\na_total 2\n`, // a series twice
    `${family}a_total one\n`,
    `${family}a_total -1\n`,
    `${family}b_total 1\n`,
    `${family}a_total 1\n${family}a_total{x="1"} 1\n`, // two groups
    `${family}\n`,
    `${buckets}h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`, // not cumulative
    `${buckets}h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n`, // no +Inf
    `${buckets}h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n`,
    `${buckets}h_bucket{le="+Inf"} 1\nh_count 1\n`, // no sum
  ]
  for (const text of refused) assert.throws(() => parsePrometheus(text), text)
})

test('labels are escaped', async (t) => {
  const cache = open(t, { redis: false })
  const report = await cache.metrics()
  const histogram = { buckets: [[1, 0]], count: 0, sum: 0 }
  const evil = 'back\\slash "quoted"\nline'

  const families = parsePrometheus(
    prometheus([{ report, place: { namespace: evil } }], { memory: histogram, load: histogram }),
  )

  assert.equal(families.get('tidecache_misses_total').samples[0].labels.namespace, evil)
})

test('bad options are refused', async (t) => {
  const cache = open(t, { redis: false })
  for (const options of [{ format: 'json' }, { format: null }, { formats: 'prometheus' }, null, 'prometheus', []]) {
    await assert.rejects(cache.metrics(options), { code: 'ERR_CACHE_CONFIG' }, JSON.stringify(options))
  }
  assert.equal(typeof (await cache.metrics({})), 'object')
  assert.equal(typeof (await cache.metrics({ format: undefined })), 'object')
})

test('memory only: what is not there is not told', async (t) => {
  const families = await scrape(open(t, { redis: false }))

  assert.deepEqual(
    [...families.keys()].filter((name) => name.includes('redis')),
    [],
  )
  const tiers = families.get('tidecache_hits_total').samples.map(({ labels }) => labels.tier)
  assert.deepEqual(tiers, ['memory'])
})

withRedis('prometheus', (redis) => {
  const options = (more) => ({ redis: redis.url, namespace: freshNamespace(), ...more })

  test('every number of metrics() is in the text: reads, loads, invalidations, memory', async (t) => {
    const cache = open(t, options())
    const report = await cache.metrics()
    report.redis.health.latency = 1
    const histogram = { buckets: [[1, 0]], count: 0, sum: 0 }
    const text = (of) =>
      prometheus([{ report: of, place: {} }], { memory: histogram, redis: histogram, load: histogram })
    // Sums and rates of others, and percentiles, which Prometheus makes from the histograms.
    const derived = /^(process|hits|errors)$|hitRate$|^latency\.|enabled$/
    const missing = []

    const visit = (node, path) => {
      for (const [name, value] of Object.entries(node)) {
        const at = path === '' ? name : `${path}.${name}`
        if (derived.test(at)) continue
        if (typeof value === 'object') {
          visit(value, at)
          continue
        }
        const before = text(report)
        node[name] = { number: value + 1, boolean: !value, string: 'other' }[typeof value]
        if (text(report) === before) missing.push(at)
        node[name] = value
      }
    }
    visit(report, '')

    assert.deepEqual(missing, [])
  })

  test('the counts are those of what was done', async (t) => {
    const cache = open(t, options())
    await cache.ready()
    await Promise.all([cache.getOrSet('a', counted(1, 12)), cache.getOrSet('a', counted(1))])
    await eventually(async () => (await cache.get('a')) === 1)
    const before = await scrape(cache)
    for (let i = 0; i < 200; i++) await cache.getOrSet('a', counted(1))
    await cache.getOrSet('b', failing(new Error('down'))).catch(() => {})
    await cache.set('c', 1, { ttl: 5 })
    await sleep(10)
    await cache.getOrSet('c', counted(2))
    await eventually(async () => (await cache.metrics()).loads.refreshed === 1)
    await cache.invalidate('a')

    const families = await scrape(cache)
    const value = (name, labels) => sampleOf(families, `tidecache_${name}`, labels)

    const since = value('hits_total', { tier: 'memory' }) - sampleOf(before, 'tidecache_hits_total', { tier: 'memory' })
    assert.equal(since, 201)
    assert.equal(value('stale_hits_total'), 1)
    assert.equal(value('misses_total'), 3)
    assert.equal(value('tier_misses_total', { tier: 'redis' }) >= 2, true)
    assert.deepEqual(
      ['succeeded', 'failed', 'timed_out'].map((outcome) => value('loads_total', { outcome })),
      [2, 1, 0],
    )
    assert.equal(value('loads_joined_total'), 1)
    assert.equal(value('refreshes_total'), 1)
    assert.equal(value('invalidations_total', { outcome: 'applied' }), 1)
    assert.equal(value('redis_up'), 1)
    assert.equal(value('redis_coherence', { state: 'tracking' }), 1)
    assert.deepEqual(
      ['closed', 'open', 'half-open'].map((state) => value('redis_breaker', { state })),
      [1, 0, 0],
    )
    assert.equal(value('info', { topology: 'standalone' }), 1)
    // Loads: one of 12 ms, one refresh and one failure of next to nothing.
    assert.equal(value('load_duration_seconds_count'), 3)
    assert.ok(value('load_duration_seconds_bucket', { le: '0.01' }) <= 2)
    assert.ok(value('load_duration_seconds_sum') >= 0.012)
    assert.ok(value('redis_duration_seconds_count') >= 2)
    assert.ok(value('redis_duration_seconds_bucket', { le: '1' }) >= 2)
    assert.ok(value('memory_read_duration_seconds_count') >= 3)
  })

  test('views that are named are told in the same families, with their own counts', async (t) => {
    const cache = open(t, options())
    const [billing, cart] = [cache.namespace('billing'), cache.namespace('shop').namespace('cart')]
    await cache.getOrSet('k', counted(1))
    await billing.getOrSet('k', counted(1))
    await cart.getOrSet('k', failing(new Error('down'))).catch(() => {})

    const views = ['billing', 'shop/cart', 'billing', 'idle']
    const families = parsePrometheus(await cache.metrics({ format: 'prometheus', views }))
    const alone = parsePrometheus(await cache.namespace('shop').metrics({ format: 'prometheus', views: ['cart'] }))

    const started = ({ samples }) => samples.map(({ labels: { view }, value }) => [view, value])
    const [name, failed] = ['tidecache_loads_started_total', { outcome: 'failed', view: 'shop/cart' }]
    const expected = [
      [undefined, 3],
      ['billing', 1],
      ['shop/cart', 1],
      ['idle', 0],
    ]
    assert.deepEqual(started(families.get(name)), expected)
    assert.deepEqual(started(alone.get(name)), [
      ['shop', 0],
      ['shop/cart', 1],
    ])
    assert.equal(sampleOf(families, 'tidecache_loads_total', failed), 1)
    // What is the engine's is told once.
    assert.equal(families.get('tidecache_info').samples.length, 1)
    assert.equal(sampleOf(families, 'tidecache_load_duration_seconds_count'), 3)
    assert.deepEqual([...(await scrape(cache)).keys()], [...families.keys()])
  })

  test('counters and buckets never fall, whatever happens between two scrapes', async (t) => {
    const proxy = await useProxy(t, redis.server.port)
    const cache = open(t, { ...options(), redis: proxy.url })
    const rounds = [
      () => cache.getOrSet('a', counted(1)),
      () => cache.invalidate({ all: true }),
      () => cache.getOrSet('a', failing(new Error('down'))).catch(() => {}),
      () => proxy.cut(),
      () => cache.getOrSet('b', counted(1)),
      () => cache.invalidate('b'),
      () => proxy.heal(),
      () => cache.getOrSet('b', counted(1), { refresh: 'force' }),
    ]
    let before = new Map()

    for (const act of [...rounds, ...rounds]) {
      await act()
      const families = await scrape(cache)
      for (const { type, samples } of families.values()) {
        if (type === 'gauge') continue
        for (const { name, labels, value } of samples) {
          const series = name + JSON.stringify(labels)
          assert.ok(value >= (before.get(series) ?? 0), series)
          before.set(series, value)
        }
      }
    }

    before = [...before.keys()]
    assert.ok(before.length > 40)
  })

  test('the number of series does not depend on keys, tags or what went wrong', async (t) => {
    const cache = open(t, options())
    await cache.ready()
    const series = async () => (await cache.metrics({ format: 'prometheus' })).replace(/ \S+$/gm, '')
    await cache.getOrSet('first', counted(1))
    const before = await series()

    for (let i = 0; i < 50; i++) {
      const failed = cache.getOrSet(`customer-4711-${i}`, failing(new Error(`error-4711-${i}`)), {
        tags: [`tag-4711-${i}`],
      })
      await failed.catch(() => {})
      await cache.invalidate({ tag: `tag-4711-${i}` })
    }

    assert.equal(await series(), before)
    assert.doesNotMatch(before, /4711|first/)
  })
})

test('the dashboard asks for nothing but metrics and labels that exist', async (t) => {
  const server = await useRedis(t)
  const cache = open(t, { redis: server.url })
  await cache.ready()
  const samples = [...(await scrape(cache)).values()].flatMap((family) => family.samples)
  const labelsOf = new Map()
  for (const one of samples) labelsOf.set(one.name, [...(labelsOf.get(one.name) ?? []), one])
  const expressions = [...targets(dashboard), ...dashboard.templating.list.map((one) => one.definition ?? '')]

  for (const expression of expressions) {
    for (const [, name, matchers = ''] of expression.matchAll(/(tidecache_\w+)(?:\{([^}]*)\})?/g)) {
      assert.ok(labelsOf.has(name), `${name} of the dashboard is told`)
      const [{ labels }] = labelsOf.get(name)
      for (const [, label] of matchers.matchAll(/(\w+)(?:=~|!=|=)"/g)) {
        // The scraper's own; and none is what tells a cache from its views.
        if (label !== 'instance' && label !== 'view')
          assert.ok(Object.hasOwn(labels, label), `${name} has the label ${label}`)
      }
      for (const [, label, value] of matchers.matchAll(/(\w+)!?="(\w+)"/g)) {
        const values = labelsOf.get(name).map((sample) => sample.labels[label])
        assert.ok(values.includes(value), `${name} has ${label}="${value}"`)
      }
    }
  }
  assert.ok(expressions.length > 30)
})

test('the dashboard shows every metric but the parts of histograms', async (t) => {
  const server = await useRedis(t)
  const cache = open(t, { redis: server.url })
  await cache.ready()
  const shown = targets(dashboard).join('\n')

  const unused = [...(await scrape(cache)).keys()].filter((name) => !shown.includes(name))

  assert.deepEqual(unused, [])
})

test('the dashboard is one that Grafana 10 reads: panels of their own ids, in a grid of 24', () => {
  const { panels, schemaVersion, templating } = dashboard
  const variables = templating.list.map(({ name }) => name)

  assert.ok(schemaVersion >= 38)
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  assert.deepEqual(variables, ['datasource', 'namespace', 'instance'])
  for (const { gridPos, title, type, targets: list = [], datasource } of panels) {
    assert.ok(gridPos.x >= 0 && gridPos.x + gridPos.w <= 24, title)
    if (type === 'row') continue
    assert.equal(datasource.uid, '$' + '{datasource}', title)
    assert.ok(list.length > 0, title)
    assert.equal(new Set(list.map(({ refId }) => refId)).size, list.length, title)
  }
})
