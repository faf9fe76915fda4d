// How many machine instructions a memory hit takes, under valgrind: on a machine whose clock is noisy, and without access
// to its counters, what a change costs can be seen all the same, to about ten instructions.
//
//   node benchmark/instructions.js [folder ...]      other checkouts, built, to compare with; needs valgrind (Linux)
//
// Two runs that differ in nothing but the number of hits; their difference, divided.

const { spawnSync } = require('node:child_process')
const path = require('node:path')

const WARM_UP = 60_000
const FEW = 20_000
const MANY = 320_000
const ROUNDS = 3

/** Runs in the child: hits of one small entry, awaited one after the other. */
async function hit(root, count) {
  const { createCache } = require(root)
  const cache = createCache({ redis: false, namespace: 'instructions' })
  const loader = () => 1
  await cache.getOrSet('user:4711', loader)
  for (let i = 0; i < WARM_UP + count; i++) await cache.getOrSet('user:4711', loader)
}

function instructions(root, count) {
  // Compiled code is written while it runs; one thread, so that compiling does not come at other times each run.
  const valgrind = ['--tool=callgrind', '--callgrind-out-file=/dev/null', '--smc-check=all-non-file']
  const { stderr } = spawnSync(
    'valgrind',
    [...valgrind, process.execPath, '--single-threaded', __filename, root, count],
    {
      encoding: 'utf8',
    },
  )
  const collected = /Collected : (\d+)/.exec(stderr)?.[1]
  if (collected === undefined) throw new Error(`valgrind did not count:\n${stderr}`)
  return Number(collected)
}

function perHit(root) {
  return (instructions(root, String(MANY)) - instructions(root, String(FEW))) / (MANY - FEW)
}

function main(folders) {
  const roots = [path.resolve(__dirname, '..'), ...folders.map((folder) => path.resolve(folder))]
  for (let round = 0; round < ROUNDS; round++) {
    for (const root of roots) console.log(`${perHit(root).toFixed(0).padStart(6)} instructions per hit  ${root}`)
  }
}

const [root, count] = process.argv.slice(2)
if (/^\d+$/.test(count)) hit(root, Number(count))
else main(process.argv.slice(2))
