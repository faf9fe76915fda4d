'use strict'
// Lock files say what is installed and its checksum, never from which address: they work with every mirror.

const { readFileSync, readdirSync } = require('node:fs')
const path = require('node:path')
const { ROOT, fail } = require('./lib/run.js')

const SKIPPED = new Set(['node_modules', 'target', 'dist', '.git', '.next'])
const ADDRESS = /^(https?|git[+:@]|ssh:)/

function* lockFiles(folder = ROOT) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory() && !SKIPPED.has(entry.name)) yield* lockFiles(file)
    if (entry.name === 'package-lock.json' || entry.name === 'Cargo.lock') yield file
  }
}

/** Entries with an address, and entries from a registry without a checksum. */
function npmProblems(lock) {
  return Object.entries(lock.packages).flatMap(([name, { resolved = '', integrity, link }]) => {
    if (ADDRESS.test(resolved)) return [`${name} records ${resolved}`]
    const local = name === '' || !name.includes('node_modules/') || link || resolved.startsWith('file:')
    return local || integrity !== undefined ? [] : [`${name} has no checksum`]
  })
}

/** Cargo calls its public registry by one fixed name, whatever mirror is used; anything else is an address. */
function cargoProblems(text) {
  const sources = [...text.matchAll(/^source = "(.+)"$/gm)].map((match) => match[1])
  const other = sources.filter((source) => !(source.startsWith('registry+') && source.endsWith('/crates.io-index')))
  return [...new Set(other)].map((source) => `a crate comes from ${source}`)
}

function problemsOf(file) {
  const text = readFileSync(file, 'utf8')
  const problems = file.endsWith('.json') ? npmProblems(JSON.parse(text)) : cargoProblems(text)
  return problems.map((problem) => `${path.relative(ROOT, file)}: ${problem}`)
}

function checkLocks() {
  const files = [...lockFiles()]
  const problems = files.flatMap(problemsOf)
  if (problems.length > 0) throw new Error(problems.join('\n  '))
  console.log(files.map((file) => path.relative(ROOT, file)).join(', '))
}

module.exports = { checkLocks }
if (require.main === module) {
  try {
    checkLocks()
  } catch (error) {
    fail(error)
  }
}
