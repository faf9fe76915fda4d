'use strict'
// The JS tests, under any Node: files one after another, because some of them measure time.

const { readdirSync } = require('node:fs')
const path = require('node:path')
const { ROOT, run } = require('./run.js')

/** A file that hangs fails after this, so that a run always ends. */
const FILE_TIMEOUT_MS = 300_000

/** What a developer has exported must not change what is tested: the tests start servers of their own. */
function cleanEnvironment(env) {
  const kept = Object.entries(env).filter(
    ([name]) => !/^(REDIS_|TIDECACHE_(?!TEST_)|NODE_OPTIONS$|NODE_TEST_)/.test(name),
  )
  return Object.fromEntries(kept)
}

function testFiles() {
  const names = readdirSync(path.join(ROOT, '__test__'), { recursive: true })
  return names.filter((name) => name.endsWith('.test.js') && !name.includes('node_modules')).sort()
}

/** Runs every test file, or those whose path contains one of `filters`. `node` is first on the PATH of all children. */
async function runJsTests({ node = process.execPath, filters = [] } = {}) {
  const files = testFiles().filter((name) => filters.length === 0 || filters.some((part) => name.includes(part)))
  if (files.length === 0) throw new Error('no test file matches')
  const env = cleanEnvironment(process.env)
  env.PATH = [path.dirname(node), process.env.PATH].join(path.delimiter)
  const flags = ['--test', '--test-reporter=spec', '--test-concurrency=1', `--test-timeout=${FILE_TIMEOUT_MS}`]
  await run(node, [...flags, ...files.map((name) => path.join('__test__', name))], { env })
}

module.exports = { runJsTests }
