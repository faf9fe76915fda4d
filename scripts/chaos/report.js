'use strict'
// From what runs saw to verdicts, a table for the terminal, and the page that is kept.

const os = require('node:os')
const { markdownTable, percentile, textTable } = require('../lib/tables.js')

const number = (value) => value.toLocaleString('en')
const ms = (value) => (Number.isFinite(value) ? `${number(Math.round(value))} ms` : 'never')
const percent = (share) => `${(100 * share).toFixed(0)} %`

const HEAD = ['fault', 'times', 'recovery p50', 'max']

/** A row for each kind of fault, and one for all. */
function rowsOf({ run }) {
  const row = (name, took) => [name, String(took.length), ms(percentile(took, 0.5)), ms(Math.max(0, ...took))]
  return [...[...run.faults].map(([name, took]) => row(name, took)), row('all', run.recoveries)]
}

/** What must hold of a run, and whether it does. */
function verdictsOf({ history, run, bounds }) {
  const { reads, broken, tooOld, oldest, failures } = history
  const none = (count) => (count === 0 ? 'none' : number(count))
  return [
    [`reads that break read-your-writes: ${none(broken)} of ${number(reads)}`, broken === 0],
    [`reads older than ${number(bounds.read)} ms: ${none(tooOld)}; the oldest was ${ms(oldest)}`, tooOld === 0],
    [`calls that failed: ${none(failures)}`, failures === 0],
    [`recovery, at rest and of leases: ${none(run.problems.length)} beyond what is allowed`, run.problems.length === 0],
  ]
}

const isMet = (result) => verdictsOf(result).every(([, holds]) => holds)

/** Everything of one run that a person at a terminal wants to see. */
function textOf(result) {
  const { topology, seed, count, elapsed, history, run, shares } = result
  const verdicts = verdictsOf(result).map(([text, holds]) => `  ${holds ? '✔' : '✖'} ${text}`)
  const examples = [...history.examples, ...run.problems].map((text) => `    ${text}`)
  return [
    `\n${topology}, seed ${seed}: ${count} faults in ${Math.round(elapsed)} s`,
    textTable(HEAD, rowsOf(result)),
    '',
    `  ${number(history.writes)} writes; ${percent(shares.memory)} of the reads were hits in memory, ${percent(shares.redis)} in Redis`,
    ...verdicts,
    ...examples,
  ].join('\n')
}

const SUMMARY = [
  'topology',
  'seed',
  'faults (kinds)',
  'checked reads',
  'writes',
  'read-your-writes violations',
  'reads older than the bound',
  'oldest / bound',
  'recovery p50 / max',
]

function summaryOf({ topology, seed, count, history, run, bounds }) {
  return [
    topology,
    String(seed),
    `${count} (${run.faults.size})`,
    number(history.reads),
    number(history.writes),
    number(history.broken),
    number(history.tooOld),
    `${ms(history.oldest)} / ${ms(bounds.read)}`,
    `${ms(percentile(run.recoveries, 0.5))} / ${ms(Math.max(0, ...run.recoveries))}`,
  ]
}

function sectionOf(result) {
  const { topology, elapsed, history, run, shares } = result
  const bad = verdictsOf(result).filter(([, holds]) => !holds)
  const notMet = bad
    .map(([text]) => `- NOT MET: ${text}`)
    .concat([...history.examples, ...run.problems].map((text) => `- ${text}`))
  return `## ${topology}

${Math.round(elapsed)} s. Of the reads ${percent(shares.memory)} were hits in memory, ${percent(shares.redis)} in Redis. ${number(history.staleReads)} more reads were of keys
in mode \`stale\`, which serve what is old by intent. With no writes, all processes read the newest of all keys after at most ${ms(Math.max(0, ...run.rests))}.
${notMet.length === 0 ? '' : `\n${notMet.join('\n')}\n`}
${markdownTable(HEAD, rowsOf(result))}
`
}

/** The page docs/chaos.md. */
function documentOf(results, { loadBefore, isTogether, redis }) {
  const [{ processes }] = results
  return `# Chaos

**TL;DR** ${processes} processes read and write through the cache while real Redis servers, the links to them and the processes
themselves fail in every way we could think of. Written by \`npm run chaos -- --write\`.

${markdownTable(SUMMARY, results.map(summaryOf))}

${results.map(sectionOf).join('\n')}
## How it is measured

- A source of truth, another Redis that no fault touches, holds a version of each key that only rises. A write raises it and then
  invalidates, or sets, the key; a load reads it. Each process notes what it wrote, when it was told that this is done, and what it read.
- **Read-your-writes**: a read that began after its own process was told must not return less. **The bound**: nor must one in another
  process that began \`max(maxUnverified, isolated)\` after an \`applied\`, both 1 s here; with Sentinel, 1 s more in which each process asks for the master.
- Keys with tags that are told, or named by the loader; many at a time; in a view; always stale; \`set\` by one process. Forgotten by key, tag,
  pattern and \`all\`. \`set\` tells no receipt, so only its own process's reads are held against it.
- **Recovery** is counted from when a fault has healed (with a failover: from the election) until every process's \`health()\` is \`ok\`, an
  invalidation is \`applied\`, and all read the new value that one of them loaded, through Redis. More than 2 s is a violation.
- A process that is killed leaves a list of what it was about to invalidate, as an application's outbox does; its successor does that.
- The keys whose leases a killed process held are read by others within 5.5 s.
- The seed decides which fault comes when and for how long (\`--seed\`); what it meets is up to the machine.
- \`__test__/chaos-check.test.js\` runs the same with processes that tell one write in five as done that was not: it must be found.

All on one machine of ${os.cpus().length} cores with other programs on it, at low priority (load average ${loadBefore.toFixed(1)} at the start, ${os.loadavg()[0].toFixed(1)} at the end)${
    isTogether ? ', the topologies side by side' : ''
  }:
recovery is that of a busy machine. ${redis}, Node.js ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}. There is no cluster here yet, and no black hole by network namespaces.
`
}

module.exports = { documentOf, isMet, number, textOf }
