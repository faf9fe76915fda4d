'use strict'
// A cache that nobody has any more takes no memory: processes that make many, tests above all, do not grow.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { setFlagsFromString } = require('node:v8')
const { runInNewContext } = require('node:vm')
const { createCache } = require('..')
const { eventually, freshNamespace, sleep } = require('./support/kit.js')

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

const MANY = 40
/** Bytes that V8 knows of: the numbers between a cache and the core, which both of them hold. */
const NUMBERS = 60_000

const arrayBytes = () => process.memoryUsage().arrayBuffers

/** Makes caches one after the other; nothing but what `use` keeps refers to them afterwards. */
async function makeMany(use) {
  for (let n = 0; n < MANY; n++) await use(createCache({ redis: false, namespace: freshNamespace() }))
}

async function assertCollected(use) {
  collect()
  const before = arrayBytes()

  await makeMany(use)

  await eventually(() => {
    collect()
    return arrayBytes() - before < (MANY / 4) * NUMBERS
  }, 5_000)
}

test('caches that are closed are collected', () =>
  assertCollected(async (cache) => {
    await cache.getOrSet('k', () => 'v')
    await cache.close()
  }))

test('caches without Redis that are dropped are collected', () =>
  assertCollected((cache) => cache.getOrSet('k', () => 'v')))

test('caches that somebody has are not: the measure tells them', async () => {
  const kept = []
  collect()
  const before = arrayBytes()

  await makeMany((cache) => kept.push(cache))

  await sleep(50)
  collect()
  assert.ok(arrayBytes() - before > MANY * NUMBERS)
  await Promise.all(kept.map((cache) => cache.close()))
})

test('a call on a cache that nobody else has is answered', async () => {
  const call = () =>
    createCache({ redis: false, namespace: freshNamespace() }).getOrSet('k', async () => {
      collect()
      await sleep(10)
      collect()
      return 'v'
    })
  const get = () => createCache({ redis: false, namespace: freshNamespace() }).get('k')

  const values = Promise.all([call(), get(), get()])
  collect()

  assert.deepEqual(await values, ['v', undefined, undefined])
})
