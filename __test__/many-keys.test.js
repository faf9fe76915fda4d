'use strict'
// An invalidation of very many keys costs what its keys cost: not that times the loads that are under way.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { deferred, sleep, timed } = require('./support/kit.js')
const { inBothSetups } = require('./support/setups.js')

const KEYS = Array.from({ length: 10_000 }, (_, i) => `x${i}`)
const LOADS = 1_000

inBothSetups((open) => {
  test('invalidating 10,000 keys with 1,000 loads running costs about what it costs without', async (t) => {
    const cache = open(t)
    await cache.invalidate({ keys: KEYS })
    const alone = (await timed(() => cache.invalidate({ keys: KEYS }))).ms

    const gate = deferred()
    const loads = Array.from({ length: LOADS }, (_, i) =>
      cache.getOrSet(`load ${i}`, () => gate.promise, { tags: ['a', 'b', 'c'] }),
    )
    await sleep(500)
    const invalidated = timed(() => cache.invalidate({ keys: KEYS }))
    await sleep(5)
    const beside = (await timed(() => cache.health())).ms
    const { ms } = await invalidated
    gate.resolve('loaded')
    await Promise.all(loads)

    t.diagnostic(
      `alone ${alone.toFixed(0)} ms, with loads ${ms.toFixed(0)} ms, health() beside ${beside.toFixed(0)} ms`,
    )
    const allowed = 4 * alone + 200
    assert.ok(ms <= allowed, `${ms} ms with loads, ${alone} ms alone`)
    assert.ok(beside <= allowed, `health() waited ${beside} ms`)
  })
})
