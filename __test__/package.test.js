'use strict'
// The package as users get it: packed, installed into an empty folder without a registry, imported and compiled.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, before, test } = require('node:test')
const { promisify } = require('node:util')
const { triple } = require('../lib/platform.js')
const { pack } = require('../scripts/pack.js')

const exec = promisify(execFile)
const ROOT = path.join(__dirname, '..')
const CONSUMERS = ['consumer.mts', 'members.mts', 'testing.mts']
const PLATFORM = `@tidecache/${triple()}`

let folder

const inFolder = (...segments) => path.join(folder, ...segments)
const writeJson = (file, value) => writeFileSync(file, JSON.stringify(value))
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'))

/** Runs `code` in the folder as a script of the given kind; resolves to what it printed, rejects with its stderr. */
async function run(code, extension = 'cjs') {
  const file = inFolder(`script.${extension}`)
  writeFileSync(file, code)
  const { stdout } = await exec(process.execPath, [file], { cwd: folder })
  return stdout.trim()
}

/** The error that `require('tidecache')` throws, as an object. */
async function requireError() {
  const printed = await run(`
    try { require('tidecache'); console.log('{}') } catch (error) {
      const { name, code, message, cause } = error
      console.log(JSON.stringify({ name, code, message, hasCause: cause !== undefined }))
    }`)
  return JSON.parse(printed)
}

/** Runs `act` while `target`, inside the folder, is a changed copy of itself. */
async function withChanged(target, change, act) {
  const kept = inFolder('kept')
  cpSync(target, kept, { recursive: true })
  try {
    change(target)
    await act()
  } finally {
    rmSync(target, { recursive: true, force: true })
    cpSync(kept, target, { recursive: true })
    rmSync(kept, { recursive: true })
  }
}

async function compile(compilerOptions) {
  const config = inFolder('tsconfig.json')
  writeJson(config, {
    compilerOptions: { strict: true, noEmit: true, target: 'es2022', types: [], ...compilerOptions },
    files: CONSUMERS,
  })
  const { bin } = readJson(path.join(ROOT, 'node_modules/typescript/package.json'))
  const tsc = path.join(ROOT, 'node_modules/typescript', bin.tsc)
  try {
    await exec(process.execPath, [tsc, '-p', config], { cwd: folder })
  } catch (error) {
    assert.fail(error.stdout)
  }
}

before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'tidecache-package-'))
  const { main, platforms } = pack({ out: inFolder('tarballs') })
  writeJson(inFolder('package.json'), { private: true })
  const tarballs = [main, platforms[triple()]]
  const options = { cwd: folder, shell: process.platform === 'win32' }
  await exec('npm', ['install', '--offline', '--no-audit', '--no-fund', ...tarballs], options)
  for (const name of CONSUMERS) cpSync(path.join(__dirname, 'types', name), inFolder(name))
})

after(() => rmSync(folder, { recursive: true, force: true }))

test('the packed package names every platform at its own exact version and brings no install script', () => {
  const { version, optionalDependencies, scripts } = readJson(inFolder('node_modules/tidecache/package.json'))
  const platform = readJson(inFolder('node_modules', PLATFORM, 'package.json'))

  assert.equal(Object.keys(optionalDependencies).length, 7)
  assert.deepEqual([...new Set(Object.values(optionalDependencies))], [version])
  assert.equal(platform.version, version)
  assert.equal(scripts ?? platform.scripts, undefined)
})

test('require and import give the same functions', async () => {
  const printed = await run(
    `
    import * as esm from 'tidecache'
    import { createRequire } from 'node:module'
    const cjs = createRequire(import.meta.url)('tidecache')
    const names = Object.keys(cjs).sort()
    console.log(JSON.stringify({ names, different: names.filter((name) => esm[name] !== cjs[name]) }))`,
    'mjs',
  )

  const { names, different } = JSON.parse(printed)
  assert.deepEqual(different, [])
  for (const name of ['createCache', 'getOrSet', 'invalidate', 'metrics', 'close', 'duration', 'CacheError']) {
    assert.ok(names.includes(name), `${name} is exported`)
  }
})

test('the installed package caches', async () => {
  const printed = await run(`
    const { createCache } = require('tidecache')
    const cache = createCache({ redis: false })
    let loads = 0
    const read = () => cache.getOrSet('k', () => ({ load: ++loads }))
    read().then(read).then((value) => console.log(JSON.stringify({ value, loads })))`)

  assert.deepEqual(JSON.parse(printed), { value: { load: 1 }, loads: 1 })
})

test('tidecache/testing is there for require and import, with the errors and the engine of the package', async () => {
  const printed = await run(
    `
    import { CacheTimeoutError } from 'tidecache'
    import { createTestCache } from 'tidecache/testing'
    import { createRequire } from 'node:module'
    const same = createRequire(import.meta.url)('tidecache/testing').createTestCache === createTestCache
    const cache = createTestCache()
    const call = cache.getOrSet('k', () => new Promise(() => {}), { loadTimeout: '5m' }).catch((error) => error)
    await cache.advance('5m')
    console.log(JSON.stringify({ same, isOurs: (await call) instanceof CacheTimeoutError, loads: cache.loads('k') }))`,
    'mjs',
  )

  assert.deepEqual(JSON.parse(printed), { same: true, isOurs: true, loads: 1 })
})

test('npx tidecache runs from the installed package', async () => {
  const bin = inFolder('node_modules/.bin', process.platform === 'win32' ? 'tidecache.cmd' : 'tidecache')
  const { version } = readJson(inFolder('node_modules/tidecache/package.json'))
  const options = { cwd: folder, shell: process.platform === 'win32' }

  const { stdout } = await exec(bin, ['--version'], options)
  const refused = await exec(bin, ['ls', '--redis', 'redis://127.0.0.1:1'], options).catch((error) => error)

  assert.equal(stdout, `${version}\n`)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /^tidecache: cannot use Redis at 127\.0\.0\.1:1/)
})

test('the types compile under strict with node16 resolution', async () => {
  const typeRoots = [path.join(ROOT, 'node_modules/@types')]

  await compile({ module: 'node16', moduleResolution: 'node16', lib: ['es2022'], types: ['node'], typeRoots })
})

test('the types compile under strict with bundler resolution', async () => {
  await compile({ module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom'] })
})

test('a missing platform package is our own error that says what is expected here and why it may be missing', async () => {
  await withChanged(
    inFolder('node_modules', PLATFORM),
    (target) => rmSync(target, { recursive: true }),
    async () => {
      const error = await requireError()

      assert.equal(error.name, 'CacheError')
      assert.equal(error.code, 'ERR_CACHE_NATIVE')
      assert.ok(error.hasCause)
      for (const part of [PLATFORM, process.platform, process.arch, process.version, 'not found']) {
        assert.ok(error.message.includes(part), `${part} in: ${error.message}`)
      }
      assert.match(error.message, /--omit=optional[\s\S]+lock file[\s\S]+serverExternalPackages/)
    },
  )
})

test('an addon that the system refuses is our own error with what the system said', async () => {
  const addon = inFolder('node_modules', PLATFORM, `tidecache.${triple()}.node`)

  await withChanged(
    addon,
    (target) => writeFileSync(target, 'not an addon'),
    async () => {
      const error = await requireError()

      assert.equal(error.code, 'ERR_CACHE_NATIVE')
      assert.match(error.message, /Loading it failed: .+/)
    },
  )
})

test('an addon of another release is our own error that names both versions', async () => {
  const manifest = inFolder('node_modules/tidecache/package.json')
  const { version } = readJson(manifest)

  await withChanged(
    manifest,
    (target) => writeJson(target, { ...readJson(target), version: '99.0.0' }),
    async () => {
      const error = await requireError()

      assert.equal(error.name, 'CacheError')
      assert.equal(error.code, 'ERR_CACHE_NATIVE')
      assert.match(error.message, /99\.0\.0/)
      assert.ok(error.message.includes(version))
    },
  )
})
