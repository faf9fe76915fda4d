'use strict'
// Blocks that a test runner runs: in a folder where the packed package and the runners are installed, as in an
// application. Installed once, at the first such block.

const { mkdtempSync, writeFileSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { triple } = require('../../../lib/platform.js')
const { pack } = require('../../../scripts/pack.js')
const { adoptFolder } = require('../reaper.js')
const { ROOT, cleanEnvironment } = require('../script.js')

const RUNNERS = { jest: ['jest', 'bin', 'jest.js'], vitest: ['vitest', 'vitest.mjs'] }
const ARGUMENTS = { jest: [], vitest: ['run'] }
const FIXTURES = path.join(ROOT, '__test__', 'fixtures', 'runners')

let installed

async function install(run) {
  const folder = adoptFolder(mkdtempSync(path.join(os.tmpdir(), 'tidecache-docs-')))
  const { devDependencies } = require(path.join(FIXTURES, 'package.json'))
  const { main, platforms } = pack({ out: path.join(folder, 'tarballs') })
  const manifest = { private: true, dependencies: { ...devDependencies, tidecache: `file:${main}` } }
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest))
  const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', platforms[triple()]]
  const { code, stdout, stderr } = await run('npm', args, { cwd: folder, env: cleanEnvironment(), timeout: 120_000 })
  if (code !== 0) throw new Error(`npm install failed:\n${stdout}${stderr}`)
  return folder
}

/** @param {Function} run see run.js */
async function runByRunner({ code, before = '', line, runner }, run) {
  installed ??= install(run)
  const folder = await installed
  const isCommonJs = /\brequire\(/.test(code)
  const name = `line-${line}.test.${isCommonJs ? 'cjs' : 'mjs'}`
  writeFileSync(path.join(folder, name), `${before}\n${code}`)
  if (runner === 'jest')
    writeFileSync(path.join(folder, 'jest.config.json'), JSON.stringify({ testMatch: [`**/${name}`] }))
  const program = path.join(folder, 'node_modules', ...RUNNERS[runner])
  const ended = await run(process.execPath, [program, ...ARGUMENTS[runner], name], {
    cwd: folder,
    env: cleanEnvironment(),
  })
  return { ...ended, stderr: ended.code === 0 ? '' : ended.stderr } // Jest reports there
}

module.exports = { runByRunner }
