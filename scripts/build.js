'use strict'
// Builds the addon for this platform, with its generated loader `binding.js`.
//
//   node scripts/build.js                      profile dev-release: optimised, quick to build
//   node scripts/build.js --profile dev        unoptimised, with debug assertions
//   node scripts/build.js --release            as published: whole-program optimised, loads from glibc 2.17 on
//   node scripts/build.js --release --target aarch64-unknown-linux-gnu

const { execFileSync } = require('node:child_process')
const { existsSync, readFileSync, readdirSync, statSync, writeFileSync } = require('node:fs')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { triple } = require('../lib/platform.js')
const { checkGlibc } = require('./check-glibc.js')
const { ensureInstalled } = require('./lib/install.js')
const { ROOT, fail, run, tool } = require('./lib/run.js')

const SOURCES = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src', 'crates', 'package.json']
const OLDEST_GLIBC = '2.17'

/** The addon's file, as `napi build --platform` calls it. */
function addonFile(platform = triple()) {
  return path.join(ROOT, `tidecache.${platform}.node`)
}

function newest(file) {
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat === undefined) return 0
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(0, ...readdirSync(file).map((name) => newest(path.join(file, name))))
}

/** Whether there is no addon yet, or a source is younger than it. */
function isBuildNeeded() {
  const outputs = [addonFile(), path.join(ROOT, 'binding.js')]
  if (!outputs.every(existsSync)) return true
  const built = Math.min(...outputs.map(newest))
  return SOURCES.some((name) => newest(path.join(ROOT, name)) > built)
}

/** The Rust target of this machine: 'x86_64-unknown-linux-gnu'. */
function hostTarget() {
  const line = execFileSync('rustc', ['-vV'], { encoding: 'utf8' }).match(/^host: (.+)$/m)
  return line[1]
}

function requireRust() {
  try {
    execFileSync('cargo', ['--version'], { stdio: 'ignore' })
  } catch {
    throw new Error('Rust is missing: install it with rustup, then run this command again')
  }
}

/** napi names platform packages `<name>-<platform>`; ours are `@tidecache/<platform>`. */
function nameOurPackages() {
  const { napi } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
  const loader = path.join(ROOT, 'binding.js')
  const scope = napi.packageName.split('/')[0]
  writeFileSync(loader, readFileSync(loader, 'utf8').replaceAll(`${napi.packageName}-`, `${scope}/`))
}

/**
 * Builds what changed; cargo decides.
 *
 * `target` names a Rust target. One of Linux with glibc is built with a toolchain of 2014 (`--use-napi-cross`, which
 * downloads it at first use: 50 MB), so that the addon loads on every distribution in use, and is checked for it.
 */
async function build({ profile = 'dev-release', target, stdout } = {}) {
  requireRust()
  await ensureInstalled({ stdout })
  const args = ['build', '--platform', '--js', 'binding.js', '--dts', 'binding.d.ts', '--profile', profile]
  const portable = target?.endsWith('-linux-gnu')
  if (target !== undefined) args.push('--target', target)
  if (portable) args.push('--use-napi-cross')
  await run(process.execPath, [tool('@napi-rs/cli', 'napi'), ...args], { stdout })
  nameOurPackages()
  if (portable) checkGlibc(addonFile(`linux-${target.startsWith('aarch64') ? 'arm64' : 'x64'}-gnu`), OLDEST_GLIBC)
}

async function main() {
  const { values } = parseArgs({
    options: { profile: { type: 'string' }, release: { type: 'boolean' }, target: { type: 'string' } },
  })
  const profile = values.release ? 'release' : values.profile
  await build({ profile, target: values.target ?? (values.release ? hostTarget() : undefined) })
}

module.exports = { addonFile, build, hostTarget, isBuildNeeded }
if (require.main === module) main().catch(fail)
