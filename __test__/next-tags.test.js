'use strict'
// The tag of a page names the very entries that it was made from.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { GLIMPSE, POLICY, createCache } = require('../lib/cache.js')
const { stateOf, tagOfEntries } = require('../lib/next/tags.js')

/** A cache, and its entries as pages look at them. */
function open(t) {
  const cache = createCache({ redis: false, namespace: 'next-tags' })
  t.after(() => cache.close())
  const policy = cache[POLICY]()
  const glimpse = (key) => cache[GLIMPSE](key, policy, false)
  const tagOf = (version, ...keys) => tagOfEntries({ cache, version, glimpse }, keys, keys.map(glimpse))
  return { cache, tagOf, tag: (...keys) => tagOf(undefined, ...keys) }
}

const isExpired = (tag) => stateOf(tag)?.expired !== undefined

test('an entry that takes the place of another at once is another one', async (t) => {
  const { cache, tag } = open(t)
  for (let round = 0; round < 200; round++) {
    await cache.set('a', `old ${round}`)
    const old = tag('a')
    assert.equal(stateOf(old), undefined)

    if (round % 2 === 0) await cache.set('a', 'new')
    else {
      await cache.invalidate('a')
      await cache.getOrSet('a', () => 'new')
    }

    assert.ok(isExpired(old), `round ${round}`)
    assert.notEqual(tag('a'), old)
  }
})

test('reads of the same entries have one tag; it falls with any of them', async (t) => {
  const { cache, tag } = open(t)
  await cache.set('a', 1)
  await cache.set('b', 2)
  const both = tag('a', 'b')
  const one = tag('a')

  assert.equal(tag('a', 'b'), both)
  await cache.invalidate('b')

  assert.ok(isExpired(both))
  assert.equal(stateOf(one), undefined)
})

test('an entry that is stale lets its pages be served while they are made anew', async (t) => {
  const { cache, tag } = open(t)
  await cache.set('a', 1)
  const named = tag('a')

  await cache.invalidate('a', { mode: 'stale' })

  assert.deepEqual(stateOf(named), { stale: Number.POSITIVE_INFINITY })
})

test('of 20,000 reads those that nobody asked for the longest are forgotten', async (t) => {
  const { cache, tagOf } = open(t)
  await cache.set('a', 1)
  const tags = Array.from({ length: 20_000 }, (_, version) => tagOf(version, 'a'))
  assert.equal(stateOf(tags[0]), undefined)

  tagOf(20_000, 'a')

  assert.equal(stateOf(tags[0]), undefined)
  assert.ok(isExpired(tags[1]))
  assert.equal(stateOf(tags[2]), undefined)
})

test('a tag that nothing is known of names nothing that holds', () => {
  assert.ok(isExpired('tidecache.of-another-process.1'))
})
