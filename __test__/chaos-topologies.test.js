'use strict'
// The short form of `npm run chaos` where servers change places and where the network itself loses packets: a few faults that the
// other tests do not have, and all that was read is held against its bound.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { runChaos } = require('../scripts/chaos/run.js')
const { whyNot } = require('../scripts/chaos/topologies.js')

const PLAN = { processes: 2, seconds: 25 }

const SHORT = [
  ['cluster', /slots move|master killed|frozen, and back|link black-holed/, 4],
  ['sentinel', /master killed|frozen, and back/, 2],
  ['namespaces', /^network: (half-open|black hole|link down)$/, 3],
]

for (const [topology, only, faults] of SHORT) {
  test(`I1 read-your-writes, I2 bounded elsewhere, I6 nothing lost: chaos on ${topology}`, async (t) => {
    const why = await whyNot(topology)
    if (why !== undefined) return t.skip(why)

    const { history, run } = await runChaos({ ...PLAN, topology, only, faults, seed: 3 })

    const { reads, writes, examples, broken, tooOld, failures } = history
    t.diagnostic(`${reads} reads, ${writes} writes; recovery ${run.recoveries.map((ms) => ms.toFixed(0))} ms`)
    assert.deepEqual([broken, tooOld, failures], [0, 0, 0], examples.join('\n'))
    // How soon all is well is a matter of the machine: that it is so at all must hold anywhere.
    assert.ok(run.recoveries.every(Number.isFinite), run.problems.join('\n'))
    assert.ok(reads > 1_000 && writes > 10, `${reads} reads and ${writes} writes prove little`)
    assert.equal(run.recoveries.length, faults)
  })
}
