'use strict'
// The page docs/chaos.md, made of the parts in docs/chaos.json: a run of one topology replaces its own part and leaves the others.

const { existsSync, readFileSync, writeFileSync } = require('node:fs')
const path = require('node:path')
const { ROOT } = require('../lib/run.js')
const { markdownTable } = require('../lib/tables.js')
const { HEAD, ms, number, percent, rowsOf, verdictsOf } = require('./report.js')

const DATA = path.join(ROOT, 'docs', 'chaos.json')
const PAGE = path.join(ROOT, 'docs', 'chaos.md')

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
  'allowed',
]

function summaryOf({ topology, seed, count, faults, all, history, bounds }) {
  return [
    topology,
    String(seed),
    `${count} (${faults.length})`,
    number(history.reads),
    number(history.writes),
    number(history.broken),
    number(history.tooOld),
    `${ms(history.oldest)} / ${ms(bounds.read)}`,
    `${ms(all.p50)} / ${ms(all.max)}`,
    ms(bounds.recovery),
  ]
}

const skippedRow = ({ topology, skipped }) => [topology, '', `not run: ${skipped}`, ...SUMMARY.slice(3).map(() => '')]

function sectionOf(part) {
  const { topology, elapsed, history, shares, rest, where, examples, problems, processes } = part
  if (part.skipped !== undefined) return `## ${topology}\n\nNot run: ${part.skipped}.\n`
  const bad = verdictsOf(part).filter(([, holds]) => !holds)
  const notMet = bad.map(([text]) => `- NOT MET: ${text}`).concat([...examples, ...problems].map((text) => `- ${text}`))
  const commit = where.commit === undefined ? '' : `commit \`${where.commit}\`, `
  const [before, after] = where.load.map((load) => load.toFixed(1))
  return `## ${topology}

${processes} processes, ${Math.round(elapsed)} s. Of the reads ${percent(shares.memory)} were hits in memory, ${percent(shares.redis)} in Redis. ${number(history.staleReads)} more reads were of keys
in mode \`stale\`, which serve what is old by intent. With no writes, all processes read the newest of all keys after at most ${ms(rest)}.
${where.date}, ${commit}${where.redis}, Node.js ${where.node}, ${where.cores} cores with other programs on them (load average ${before} at the start, ${after} at the end${where.isTogether ? ', other topologies beside it' : ''}).
${notMet.length === 0 ? '' : `\n${notMet.join('\n')}\n`}
${markdownTable(HEAD, rowsOf(part))}
`
}

/** @param parts in the order of the page */
function documentOf(parts) {
  return `# Chaos

**TL;DR** Several processes read and write through the cache while real Redis servers, the links to them and the processes
themselves fail in every way we could think of. Written by \`npm run chaos -- --write\`.

${markdownTable(
  SUMMARY,
  parts.map((part) => (part.skipped === undefined ? summaryOf(part) : skippedRow(part))),
)}

${parts.map(sectionOf).join('\n')}
## How it is measured

- A source of truth, another Redis that no fault touches, holds a version of each key that only rises. A write raises it and then
  invalidates, or sets, the key; a load reads it. Each process notes what it wrote, when it was told that this is done, and what it read.
- **Read-your-writes**: a read that began after its own process was told must not return less. **The bound**: nor must one in another
  process that began \`max(maxUnverified, isolated)\` after an \`applied\`, both 1 s here; and the time in which a failover is found out:
  with Sentinel 1 s (each process asks that often), in a cluster 200 ms (it is looked at that often while a master is lost).
- Keys with tags that are told, or named by the loader; many at a time; in a view; always stale; \`set\` by one process. Invalidated by key, tag,
  pattern and \`all\`. \`set\` tells no receipt, so only its own process's reads are held against it.
- **Recovery** is counted from when a fault has healed until every process's \`health()\` is \`ok\`, an invalidation is \`applied\`, and
  all read the new value that one of them loaded, through Redis. With Sentinel a master that was killed has healed when another is
  elected; in a cluster it counts from its end, the election among it, and six keys are looked at. More than what is allowed (2 s; in a
  cluster the node timeout, 1 s here, and 2.5 s) is a violation.
- In a cluster the nodes announce proxies in front of them: the links of one master break, and those of its replica to it.
- A process that is killed leaves a list of what it was about to invalidate, as an application's outbox does; its successor does that.
- The keys whose leases a killed process held are read by others within 5.5 s: a lease lapses 5 s after its holder's last sign of life.
- **With no writes**, now and then and at the end, all processes must read the newest of all keys within 5.5 s, too: a lease whose end was lost with
  a connection holds others up as long. What they read then is new. How long it took at most is told of each topology.
- The seed decides which fault comes when and for how long (\`--seed\`); what it meets is up to the machine.
- \`__test__/chaos-check.test.js\` runs the same with processes that tell one write in five as done that was not: it must be found.
`
}

/** The parts that are kept, by topology. */
function keptParts() {
  return existsSync(DATA) ? JSON.parse(readFileSync(DATA, 'utf8')) : {}
}

/**
 * Puts these parts in the place of those of before, and writes the page anew; what could not be run leaves what was measured
 * elsewhere. `order`: the names of all topologies.
 */
function keep(parts, order) {
  const byName = (list) => Object.fromEntries(list.map((part) => [part.topology, part]))
  const isSkipped = ({ skipped }) => skipped !== undefined
  const all = {
    ...byName(parts.filter(isSkipped)),
    ...keptParts(),
    ...byName(parts.filter((part) => !isSkipped(part))),
  }
  writeFileSync(DATA, `${JSON.stringify(all, null, 2)}\n`)
  const sorted = order.map((name) => all[name] ?? { topology: name, skipped: 'it has not been run yet' })
  writeFileSync(PAGE, documentOf(sorted))
}

module.exports = { keep }
