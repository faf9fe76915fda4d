'use strict'
// The short form of `npm run endure`: threads that come and go in their work, many operations, and nothing left of them.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { endure, growth, shortcomings } = require('../scripts/endure/run.js')

test('threads that are ended in their work and tens of thousands of operations leave no error and nothing open', async (t) => {
  const seed = 1 + Math.floor(Math.random() * 1_000_000)
  const seen = await endure({ seed, threads: 12, ops: 20_000 })

  // A trend needs more time than this: that is for the long form.
  const found = shortcomings(seen).filter((line) => !line.includes('resident memory'))
  assert.deepEqual(found, [], `seed ${seed}`)
  const { grown } = growth(seen.operations.samples)
  t.diagnostic(`seed ${seed}: ${grown.toFixed(1)} MB, left after ${seen.lingered} ms`)
  assert.ok(grown < 30, `${grown} MB`)
})

test('memory that grows, errors and what is left open are found', () => {
  const samples = (perStep) => Array.from({ length: 50 }, (_, n) => [n, 100 + n * perStep + (n % 3)])
  const part = (perStep) => ({ failed: 0, errors: [], samples: samples(perStep) })
  const open = { files: 20, threads: 9, resources: [] }
  const well = {
    code: 0,
    operations: part(0),
    connections: 0,
    leases: 0,
    end: { before: open, after: open, running: 0 },
  }

  assert.deepEqual(shortcomings(well), [])
  assert.deepEqual(shortcomings({ ...well, operations: part(-1) }), [])
  for (const ill of [
    { operations: part(0.1) },
    { operations: { ...part(0), failed: 1, errors: ['no'] } },
    { connections: 1 },
    { leases: 1 },
    { code: 'SIGKILL' },
    { end: { ...well.end, running: 1 } },
    { end: { ...well.end, after: { ...open, files: 21 } } },
    { end: { ...well.end, after: { ...open, threads: 10 } } },
    { end: { ...well.end, after: { ...open, resources: ['Timeout'] } } },
  ]) {
    assert.equal(shortcomings({ ...well, ...ill }).length, 1, JSON.stringify(ill).slice(0, 100))
  }
})

test('memory after the warm-up and at the end are medians: one sample says nothing', () => {
  const samples = Array.from({ length: 50 }, (_, n) => [n, n < 15 ? 500 : 100 + (n % 3)])
  samples[15][1] = 900
  samples[49][1] = 10

  const { first, last, grown, error, isTold } = growth(samples)

  assert.deepEqual([first, last, isTold], [101, 101, false], `${grown} ± ${error}`)
  assert.ok(growth(samples.map(([n]) => [n, 100 + n])).isTold)
})
