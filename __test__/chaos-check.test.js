'use strict'
// `npm run chaos` itself: it finds what is wrong when something is, and the same seed brings the same faults.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { History, KEPT_MS } = require('../scripts/chaos/history.js')
const { runChaos } = require('../scripts/chaos/run.js')
const { schedule } = require('../scripts/chaos/schedule.js')

const notes = (more) => ({ reads: [], writes: [], failures: [], stale: 0, ...more })

test('processes that tell writes as done which were not are found out', async () => {
  const { history, run } = await runChaos({
    topology: 'standalone',
    seed: 7,
    processes: 2,
    faults: 3,
    seconds: 30,
    sabotage: true,
  })

  assert.ok(history.broken > 0, 'no read breaks read-your-writes')
  assert.ok(history.reads > 100, `${history.reads} reads`)
  assert.equal(run.recoveries.length, 3)
})

test('a read beyond the bound is a violation, one within it is not; a failed call is one', () => {
  const history = new History(1_000)
  history.add('A', notes({ writes: [['k', 2, 5_000, 'applied']] }))
  const reads = [5_900, 6_000, 6_001].map((started) => ['k', started, 1])
  history.add('B', notes({ reads, failures: ['k: no'] }))

  history.judge(7_000, ['A', 'B'])

  assert.deepEqual([history.reads, history.broken, history.tooOld, history.failures], [3, 0, 1, 1])
  assert.equal(history.oldest, 1_001)
  assert.equal(history.violations, 2)
})

test('a read waits for its verdict until all have told what they wrote before it', () => {
  const history = new History(1_000)
  history.add('A', notes({ reads: [['k', 200, 1]] }))

  history.judge(100, ['A'])
  assert.equal(history.reads, 0)
  history.add('A', notes({ writes: [['k', 2, 150, 'applied']] }))
  history.judge(300, ['A'])

  assert.deepEqual([history.reads, history.broken], [1, 1])
})

test('a write of long ago is still broken by a read of today, by its own process and by others', () => {
  const history = new History(1_000)
  history.add('A', notes({ writes: [1, 2, 3].map((version) => ['k', version, version, 'applied']) }))
  history.judge(KEPT_MS + 100, ['A', 'B'])
  history.judge(KEPT_MS + 200, ['A', 'B'])

  history.add('A', notes({ reads: [['k', KEPT_MS + 300, 2]] }))
  history.add('B', notes({ reads: [['k', KEPT_MS + 300, 2]] }))
  history.judge(KEPT_MS + 400, ['A', 'B'])

  assert.deepEqual([history.broken, history.tooOld], [1, 1])
})

test('the same seed brings the same faults for as long; another brings others', () => {
  const faults = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, least: 10, most: 1_000 }))
  const first = (seed) => {
    const all = schedule(faults, seed)
    return Array.from({ length: 20 }, () => all.next().value).map(({ name, ms, random }) => [name, ms, random()])
  }

  assert.deepEqual(first(1), first(1))
  assert.notDeepEqual(first(1), first(2))
  assert.deepEqual(
    new Set(
      first(1)
        .slice(0, 5)
        .map(([name]) => name),
    ),
    new Set(['a', 'b', 'c', 'd', 'e']),
  )
})
