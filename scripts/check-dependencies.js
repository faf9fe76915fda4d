'use strict'
// What the package is built from: licences and origins of the crates (deny.toml), and known vulnerabilities of crates and
// npm packages. Where no list of vulnerabilities can be reached, that is said, and nothing else is claimed.

const { execFile, spawnSync } = require('node:child_process')
const path = require('node:path')
const { NotChecked, ROOT, run } = require('./lib/run.js')

const VERSION = '0.20.2'
const TOOLS = path.join(ROOT, 'target', 'tools')
const DENY = path.join(TOOLS, 'bin', 'cargo-deny')
/** From here on somebody has to act. */
const SEVERE = ['high', 'critical']

/** cargo-deny of the one version, built once; without optimization, for it runs a second. */
async function ensureDeny() {
  const { stdout } = spawnSync(DENY, ['--version'], { encoding: 'utf8' })
  if (stdout?.trim() === `cargo-deny ${VERSION}`) return
  const build = ['--target-dir', path.join(TOOLS, 'build'), '--debug', '--quiet']
  await run('cargo', ['install', 'cargo-deny', '--version', VERSION, '--locked', '--force', '--root', TOOLS, ...build])
}

/** How long a network may take that lets nothing through. */
const PATIENCE = 60_000

const deny = (...args) => run(DENY, ['--log-level', 'error', ...args])

async function checkCrates() {
  await ensureDeny()
  await deny('--all-features', 'check', '--hide-inclusion-graph', 'licenses', 'bans', 'sources')
}

async function checkCrateAdvisories() {
  const { status } = spawnSync(DENY, ['--log-level', 'off', 'fetch', 'db'], { cwd: ROOT, timeout: PATIENCE })
  if (status !== 0) throw new NotChecked('the advisories of crates cannot be reached from here')
  await deny('check', '--disable-fetch', 'advisories')
}

/** npm's answer, whatever it ends with. */
function audit() {
  const command = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  return new Promise((resolve) => {
    const args = ['audit', '--json']
    execFile(command, args, { cwd: ROOT, maxBuffer: 64 << 20, timeout: PATIENCE }, (_, stdout) => resolve(stdout))
  })
}

const parsed = (text) => {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

async function checkPackageAdvisories() {
  const { vulnerabilities } = parsed(await audit())
  if (vulnerabilities === undefined) throw new NotChecked('the registry of npm packages answers no audits')
  const found = Object.values(vulnerabilities).filter(({ severity }) => SEVERE.includes(severity))
  const told = found.map(({ name, severity, range }) => `${name} ${range}: ${severity}`)
  if (told.length > 0) throw new Error(`known vulnerabilities:\n  ${told.join('\n  ')}`)
}

module.exports = { checkCrateAdvisories, checkCrates, checkPackageAdvisories }
