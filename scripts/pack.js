'use strict'
// Makes the tarballs as they are published: the main package, and one package for each platform whose addon is
// in the repository (after `npm run build`: this platform's).
//
//   node scripts/pack.js [--out dist] [--json]
//
// The repository's own package.json has no optionalDependencies, or nobody could install it before the platform
// packages of its version are published. They are set here, each to the exact version.

const { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { execFileSync } = require('node:child_process')
const os = require('node:os')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { PACKAGES } = require('../lib/platform.js')
const { addonFile } = require('./build.js')
const { ROOT, fail } = require('./lib/run.js')

const ALWAYS = ['README.md', 'LICENSE']
/** Of no use, or none of the business, of those who install the package. */
const NOT_PUBLISHED = ['scripts', 'devDependencies', 'overrides', 'napi']

function readManifest(...segments) {
  return JSON.parse(readFileSync(path.join(ROOT, ...segments, 'package.json'), 'utf8'))
}

function mainManifest() {
  const manifest = readManifest()
  for (const field of NOT_PUBLISHED) delete manifest[field]
  const names = PACKAGES.map((platform) => `@tidecache/${platform}`)
  manifest.optionalDependencies = Object.fromEntries(names.map((name) => [name, manifest.version]))
  return manifest
}

/** Copies `files` ([from, name] pairs) and the manifest into a folder of their own and packs it. */
function packFolder(manifest, files, out) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tidecache-pack-'))
  try {
    for (const [from, name] of files) cpSync(from, path.join(folder, name), { recursive: true })
    writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
    const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', out]
    const name = execFileSync('npm', args, { cwd: folder, encoding: 'utf8', shell: process.platform === 'win32' })
    return path.join(out, name.trim().split('\n').at(-1))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function packMain(out) {
  const manifest = mainManifest()
  const names = [...manifest.files, ...ALWAYS].filter((name) => existsSync(path.join(ROOT, name)))
  if (!names.includes('binding.js')) throw new Error('the addon is not built: run npm run build')
  return packFolder(
    manifest,
    names.map((name) => [path.join(ROOT, name), name]),
    out,
  )
}

function packPlatform(platform, out) {
  const manifest = readManifest('npm', platform)
  const files = [
    [addonFile(platform), manifest.main],
    [path.join(ROOT, 'npm', platform, 'README.md'), 'README.md'],
    [path.join(ROOT, 'LICENSE'), 'LICENSE'],
  ]
  return packFolder(manifest, files, out)
}

/**
 * Packs what is built into `out`.
 *
 * @returns {{ main: string, platforms: Record<string, string> }} the tarballs' paths
 */
function pack({ out = path.join(ROOT, 'dist') } = {}) {
  const folder = path.resolve(ROOT, out)
  mkdirSync(folder, { recursive: true })
  const built = PACKAGES.filter((platform) => existsSync(addonFile(platform)))
  if (built.length === 0) throw new Error('the addon is not built: run npm run build')
  const platforms = Object.fromEntries(built.map((platform) => [platform, packPlatform(platform, folder)]))
  return { main: packMain(folder), platforms }
}

function main() {
  const { values } = parseArgs({ options: { out: { type: 'string' }, json: { type: 'boolean' } } })
  const packed = pack({ out: values.out && path.resolve(values.out) })
  if (values.json) console.log(JSON.stringify(packed))
  else for (const file of [...Object.values(packed.platforms), packed.main]) console.log(path.relative('.', file))
}

module.exports = { pack }
if (require.main === module) {
  try {
    main()
  } catch (error) {
    fail(error)
  }
}
