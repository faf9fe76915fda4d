'use strict'
// `npm run endure`: 200 worker threads that are created and ended in the middle of their work, then a million operations, in one
// process on a real Redis. No error, no growth of memory, nothing left open.
//
//   npm run endure
//   npm run endure -- --seed 7                 the same operations again
//   npm run endure -- --threads 0 --ops 5000000
//   npm run endure -- --write                  keeps the report: docs/endurance.md
//
// The exit code is 0 if all of that holds, else 1.

const os = require('node:os')
const path = require('node:path')
const { writeFileSync } = require('node:fs')
const { parseArgs } = require('node:util')
const { build } = require('./build.js')
const { endure, growth, shortcomings } = require('./endure/run.js')
const { ensureInstalled } = require('./lib/install.js')
const { wholeNumber } = require('./lib/options.js')
const { ROOT, fail, runSteps } = require('./lib/run.js')
const { markdownTable, textTable } = require('./lib/tables.js')
const { ensureRedisServer } = require('./redis-server.js')

const OPTIONS = {
  threads: { type: 'string', default: '200' },
  ops: { type: 'string', default: '1000000' },
  seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1_000_000)) },
  write: { type: 'boolean', default: false },
}
const HEAD = ['', 'errors', 'RSS after warm-up', 'at the end', 'trend']

function readPlan() {
  const { values } = parseArgs({ options: OPTIONS })
  const count = (name) => wholeNumber(values, name, 0)
  return { threads: count('threads'), ops: count('ops'), seed: count('seed'), isKept: values.write }
}

const number = (value) => value.toLocaleString('en-US')
const mb = (value) => `${value.toFixed(1)} MB`

function rows({ threads, operations }, plan) {
  const row = (name, { failed, samples }) => {
    const { first, last, grown, error, isTold } = growth(samples)
    const trend = `${grown.toFixed(1)} ± ${error.toFixed(1)} MB${isTold ? '' : ', not told apart from 0'}`
    return [name, number(failed), mb(first), mb(last), trend]
  }
  const all = []
  if (threads)
    all.push(
      row(`${plan.threads} threads: ${threads.ways.terminated} ended from outside, ${threads.ways.left} left`, threads),
    )
  if (operations) all.push(row(`${number(plan.ops)} operations in ${operations.seconds.toFixed(0)} s`, operations))
  return all
}

function facts({ end, connections, leases, lingered }) {
  const { before, after, running, evictions, coherence } = end
  return [
    `After \`close\`: ${after.resources.length} active handles, ${after.files} open files (${before.files} before), ${after.threads} threads (${before.threads} before).`,
    `Left in Redis: ${connections} connections, ${leases} leases. Loads that have not ended: ${running}. The process left by itself after ${lingered} ms.`,
    `${number(evictions)} evictions from memory; ${coherence.checked} memory hits held against Redis, ${coherence.violations} violations.`,
  ]
}

function page(seen, plan, found) {
  const date = new Date().toISOString().slice(0, 10)
  const cores = os.availableParallelism()
  return `# Endurance

**TL;DR** Worker threads that come and go in the middle of their work, then very many operations, in one process on a real Redis: no
error, no growth of memory, nothing left open. Written by \`npm run endure -- --write\`.

${markdownTable(HEAD, rows(seen, plan))}

${facts(seen).join('\n')}

Each thread runs 16 callers at once on the engine of the process, with loaders that take up to 20 ms; it is ended from outside, or leaves, while they
wait. The operations are of 64 callers: 84 % \`getOrSet\`, the rest \`get\`, \`getOrSetMany\`, \`set\` and invalidations by key, tag and pattern,
over 5,000 keys of 4 KB on average, with a memory tier of 16 MB. Every value is held against its key. Resident memory is taken after a garbage collection, 50 times;
the first 30 % are warm-up. "After warm-up" and "at the end" are the medians of the first and the last fifth of the rest; the trend is a line through
all of the rest, with its standard error. Within twice that it is not told apart from 0; beyond it counts as growth.

${found.length === 0 ? 'All of it holds.' : found.map((line) => `- NOT MET: ${line}`).join('\n')}

${date}, seed ${plan.seed}, Node.js ${process.versions.node}, ${cores} cores (load average ${os.loadavg()[0].toFixed(1)} at the end). \`npm test\` has a short form.
`
}

async function main() {
  const { isKept, ...plan } = readPlan()
  const preparations = [
    ['find a Redis server', () => ensureRedisServer()],
    ['install the packages of the lock file', () => ensureInstalled()],
    ['build the addon', () => build()],
  ]
  if (!(await runSteps(preparations))) return
  console.log(`\nseed ${plan.seed}`)
  const seen = await endure(plan)
  const found = shortcomings(seen)
  if (seen.end !== undefined) {
    console.log(textTable(HEAD, rows(seen, plan)))
    for (const line of facts(seen)) console.log(`  ${line}`)
    if (isKept) writeFileSync(path.join(ROOT, 'docs', 'endurance.md'), page(seen, plan, found))
  }
  for (const line of found) console.log(`  NOT MET: ${line}`)
  if (found.length > 0) process.exitCode = 1
}

main().catch(fail)
