'use strict'
// The tests of an application, with the packed package, under the runners that applications use: node:test, Vitest
// and Jest, from CommonJS and from modules, with fake timers of each, also faked before the package is loaded.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { cpSync, mkdtempSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, before, test } = require('node:test')
const { promisify } = require('node:util')
const { triple } = require('../lib/platform.js')
const { pack } = require('../scripts/pack.js')
const { adopt, adoptFolder, discardFolder } = require('./support/reaper.js')
const { cleanEnvironment } = require('./support/script.js')

const exec = promisify(execFile)
const FIXTURE = path.join(__dirname, 'fixtures', 'runners')
const { cases } = require('./fixtures/runners/cases.js')

/** Each runner runs them from a CommonJS file and from a module. */
const TESTS = 2 * cases({}).length
const VITEST = path.join('node_modules', 'vitest', 'vitest.mjs')
const JEST = ['--experimental-vm-modules', path.join('node_modules', 'jest', 'bin', 'jest.js'), '--json']

let folder

/** Resolves to what it printed; what a failing command printed is in the error. */
async function run(command, ...args) {
  const shell = process.platform === 'win32' && command === 'npm'
  const env = cleanEnvironment({ NO_COLOR: '1' })
  const running = exec(command, args, { cwd: folder, env, shell, timeout: 120_000 })
  adopt(running.child)
  return running.catch(({ message, stdout, stderr }) => assert.fail(`${message}\n${stdout}\n${stderr}`))
}

before(async () => {
  folder = adoptFolder(mkdtempSync(path.join(os.tmpdir(), 'tidecache-runners-')))
  cpSync(FIXTURE, folder, { recursive: true, filter: (source) => path.basename(source) !== 'node_modules' })
  const { main, platforms } = pack({ out: path.join(folder, 'tarballs') })
  await run('npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', main, platforms[triple()])
})

after(() => discardFolder(folder))

test('node:test', async () => {
  const files = ['commonjs.spec.cjs', 'module.spec.mjs'].map((name) => path.join('node', name))

  const { stdout } = await run(process.execPath, '--test', '--test-reporter=tap', ...files)

  assert.match(stdout, new RegExp(`^# pass ${TESTS}$`, 'm'))
})

for (const config of ['plain', 'faked-first']) {
  test(`Vitest, ${config}`, async () => {
    const args = ['run', '--reporter=json', '--config', path.join('vitest', `${config}.config.mjs`)]

    const { stdout } = await run(process.execPath, VITEST, ...args)

    const { numPassedTests, numTotalTests } = JSON.parse(stdout)
    assert.deepEqual([numPassedTests, numTotalTests], [TESTS, TESTS])
  })

  test(`Jest, ${config}`, async () => {
    const { stdout, stderr } = await run(
      process.execPath,
      ...JEST,
      '--config',
      path.join('jest', `${config}.config.json`),
    )

    const { numPassedTests, numTotalTests } = JSON.parse(stdout)
    assert.deepEqual([numPassedTests, numTotalTests], [TESTS, TESTS])
    assert.doesNotMatch(stderr, /did not exit/, 'no cache keeps Jest from ending')
  })
}
