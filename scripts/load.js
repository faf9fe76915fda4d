'use strict'
// `npm run load`: the example application in two replicas on one Redis and one Postgres, under a mix of requests by
// Zipf's law with two changes in a hundred; without the cache, then with it. Prints figures and what must hold of them.
//
//   npm run load                          a minute at a steady rate and one at full speed, after every page was asked for once
//   npm run load -- --seconds 20 --rate 20 --in-flight 2
//   npm run load -- --write               keeps the report in docs/load.md and docs/load.svg
//
// The exit code is 0 if all that must hold does, else 1.

const { writeFileSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { preparations } = require('./lib/next-app.js')
const { wholeNumber } = require('./lib/options.js')
const { ROOT, fail, runSteps } = require('./lib/run.js')
const { BUILDS, CHANGES, EXPONENT } = require('./load/mix.js')
const { chartOf, figuresOf, groupsOf, markdownOf, textOf, verdictsOf } = require('./load/report.js')
const { runLoad } = require('./load/run.js')

const OPTIONS = {
  // Of each phase.
  seconds: { type: 'string', default: '60' },
  // To both replicas together, a second.
  rate: { type: 'string', default: '40' },
  // To each of the two replicas: together as many as there are cores.
  'in-flight': { type: 'string', default: String(Math.max(1, Math.floor(os.availableParallelism() / 2))) },
  write: { type: 'boolean', default: false },
}

function readOptions() {
  const { values } = parseArgs({ options: OPTIONS })
  const count = (name) => wholeNumber(values, name)
  return { seconds: count('seconds'), rate: count('rate'), inFlight: count('in-flight'), isKept: values.write }
}

const number = (value) => value.toLocaleString('en')

/** One line that is written over where it can be, else one in ten seconds. */
function progress(title, seconds) {
  const { isTTY } = process.stdout
  let told = 0
  return (at, done, all) => {
    const when =
      at === undefined
        ? `warming up, ${number(done)} of ${number(all)}`
        : `${Math.round(at)} of ${seconds} s, ${number(done)}`
    const text = `  ${title}: ${when} requests`
    if (isTTY) process.stdout.write(`\r\u001b[K${text}`)
    else if (told++ % 10 === 0) console.log(text)
  }
}

async function measure(title, hasCache, { seconds, rate, inFlight }) {
  console.log(`\n▶ ${title}: two replicas, Redis and Postgres are started`)
  const notes = await runLoad({ hasCache, seconds, rate, inFlight, tell: progress(title, seconds) })
  if (process.stdout.isTTY) process.stdout.write('\r\u001b[K')
  return { steady: figuresOf(notes.steady), fast: figuresOf(notes.fast) }
}

/** What else the machine was doing when this began. */
const LOAD_BEFORE = os.loadavg()[0]

function documentOf({ groups, verdicts, withCache: { fast, steady }, seconds, rate, inFlight }) {
  const holds = verdicts.map(([text, isMet]) => `- ${isMet ? '' : 'NOT MET: '}${text}`).join('\n')
  return `# Under load

**TL;DR** The [example application](../examples/next-app/README.md) in two replicas, with the cache and without it, under the same
requests. Written by \`npm run load -- --write\`.

![The table below as bars](load.svg)

${markdownOf(groups)}

${holds}

## How it is measured

- Two processes of \`next start\` on one Redis and one Postgres, all on one machine with the program that asks: ${os.cpus().length} cores
  of a virtual machine, Node.js ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}. The load average
  was ${LOAD_BEFORE.toFixed(1)} when it began: what is above 0 is other programs, at the cost of every latency here. They share the cores, so
  the requests/s are the machine's, and "without the cache" pays for Postgres on the same cores.
- First each replica is asked for every page once. Then two phases of ${seconds} s: ${rate} requests a second at random times (a Poisson process;
  each counts from when it was due; ${number(steady.requests)} with the cache, ${number(steady.changes)} of them changes), which the machine carries without the cache, too; and
  as many as it can, ${inFlight} in flight to each replica, each followed by the next (${number(fast.requests)} with the cache, ${number(fast.changes)} of them changes).
  Latencies are those of the first, where they tell what a visitor waits for; in the second they tell how long the queue for the cores is.
- Pages of ${BUILDS.toLocaleString('en')} builds by Zipf's law (exponent ${EXPONENT}) make up 75 %, lists with filters and pages 22 %, the page of classes 3 %.
  A page makes two to four reads.
- ${100 * CHANGES} % of the requests change something, by the application's own server actions: 75 % like, 20 % update a build, 5 % create or delete
  one. Each invalidates what it must: a new build makes every list new.
- Without the cache means \`TIDECACHE_DISABLED=1\`: each read runs its loader, and callers of one key at one time in one process still share it.
- "As the page waits for it" is what \`onResult\` tells the page, from the call of \`getOrSet\` to its decoded value. For a hit in Redis
  the wait for a busy event loop is in it. "In the cache itself" is what \`metrics()\` tells.
- After a change each replica takes the new value from Redis once. Where such hits are more than one in a hundred, the p99 of all hits
  is one of theirs: a round trip. It is the wait for a core that makes it long when the machine is full.
`
}

async function main() {
  const options = readOptions()
  if (!(await runSteps(preparations()))) return
  const without = await measure('without the cache', false, options)
  const withCache = await measure('with the cache', true, options)
  const groups = groupsOf(without, withCache, options.rate)
  const verdicts = verdictsOf(without, withCache, options.rate)
  console.log(`\n${textOf(groups)}\n`)
  for (const [text, isMet] of verdicts) console.log(`  ${isMet ? '✔' : '✖'} ${text}`)
  if (options.isKept) {
    writeFileSync(path.join(ROOT, 'docs', 'load.md'), documentOf({ groups, verdicts, withCache, ...options }))
    writeFileSync(path.join(ROOT, 'docs', 'load.svg'), chartOf(without, withCache, options.rate))
    console.log('\n  kept in docs/load.md and docs/load.svg')
  }
  if (!verdicts.every(([, isMet]) => isMet)) process.exitCode = 1
}

main().catch(fail)
