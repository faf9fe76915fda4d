'use strict'
// From what a run saw to its part of the report (plain data, kept in docs/chaos.json), its verdicts, and a table for the terminal.
// page.js makes the page of all parts.

const os = require('node:os')
const { percentile, textTable } = require('../lib/tables.js')

const number = (value) => value.toLocaleString('en')
/** `null`: JSON has no Infinity. */
const ms = (value) => (value !== null && Number.isFinite(value) ? `${number(Math.round(value))} ms` : 'never')
const percent = (share) => `${(100 * share).toFixed(0)} %`

const HEAD = ['fault', 'times', 'recovery p50', 'max']

const summed = (took) => ({ times: took.length, p50: percentile(took, 0.5), max: Math.max(0, ...took) })

/** Everything of a run that is kept. `where`: the machine and how busy it was. */
function partOf({ topology, seed, processes, count, elapsed, history, run, shares, bounds }, where) {
  const { reads, writes, staleReads, broken, tooOld, oldest, failures } = history
  return {
    topology,
    seed,
    processes,
    count,
    elapsed,
    where,
    history: { reads, writes, staleReads, broken, tooOld, oldest, failures },
    shares,
    bounds,
    faults: [...run.faults].map(([name, took]) => ({ name, ...summed(took) })),
    all: summed(run.recoveries),
    rest: Math.max(0, ...run.rests),
    problems: [...run.problems],
    examples: [...history.examples],
  }
}

/** The machine, who else was on it, and what was measured: `commit` is undefined where there is no checkout. */
function whereOf({ loadBefore, isTogether, redis, commit }) {
  return {
    date: new Date().toISOString().slice(0, 10),
    commit,
    cores: os.cpus().length,
    redis,
    node: process.versions.node,
    load: [loadBefore, os.loadavg()[0]],
    isTogether,
  }
}

/** A row for each kind of fault, and one for all. */
function rowsOf({ faults, all }) {
  const row = ({ name, times, p50, max }) => [name, String(times), ms(p50), ms(max)]
  return [...faults, { name: 'all', ...all }].map(row)
}

/** What must hold of a run, and whether it does. */
function verdictsOf({ history, problems, bounds }) {
  const { reads, broken, tooOld, oldest, failures } = history
  const none = (count) => (count === 0 ? 'none' : number(count))
  return [
    [`reads that break read-your-writes: ${none(broken)} of ${number(reads)}`, broken === 0],
    [`reads older than ${number(bounds.read)} ms: ${none(tooOld)}; the oldest was ${ms(oldest)}`, tooOld === 0],
    [`calls that failed: ${none(failures)}`, failures === 0],
    [`recovery, at rest and of leases: ${none(problems.length)} beyond what is allowed`, problems.length === 0],
  ]
}

const isMet = (part) => verdictsOf(part).every(([, holds]) => holds)

/** Everything of one run that a person at a terminal wants to see. */
function textOf(part) {
  const { topology, seed, count, elapsed, history, shares, examples, problems } = part
  const verdicts = verdictsOf(part).map(([text, holds]) => `  ${holds ? '✔' : '✖'} ${text}`)
  return [
    `\n${topology}, seed ${seed}: ${count} faults in ${Math.round(elapsed)} s`,
    textTable(HEAD, rowsOf(part)),
    '',
    `  ${number(history.writes)} writes; ${percent(shares.memory)} of the reads were hits in memory, ${percent(shares.redis)} in Redis`,
    ...verdicts,
    ...[...examples, ...problems].map((text) => `    ${text}`),
  ].join('\n')
}

module.exports = { HEAD, isMet, ms, number, partOf, percent, rowsOf, textOf, verdictsOf, whereOf }
