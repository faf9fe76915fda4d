'use strict'
// One version everywhere (the addon is refused at load when it differs), one list of platforms, no install scripts.

const { readFileSync, readdirSync } = require('node:fs')
const path = require('node:path')
const { PACKAGES } = require('../lib/platform.js')
const { ROOT, fail } = require('./lib/run.js')

const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']

function readJson(...segments) {
  return JSON.parse(readFileSync(path.join(ROOT, ...segments), 'utf8'))
}

function cargoVersion() {
  const manifest = readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8')
  return manifest.match(/^\[workspace\.package\][^[]*?^version = "(.+?)"/ms)?.[1]
}

function versions() {
  const lock = readJson('package-lock.json')
  const platforms = PACKAGES.map((name) => [`npm/${name}`, readJson('npm', name, 'package.json').version])
  return [['Cargo.toml', cargoVersion()], ['package-lock.json', lock.packages[''].version], ...platforms]
}

function platformProblems(name) {
  const manifest = readJson('npm', name, 'package.json')
  const [os, cpu, libc] = name.split('-')
  const expected = {
    name: `@tidecache/${name}`,
    main: `tidecache.${name}.node`,
    os: os,
    cpu: cpu,
    libc: os === 'linux' ? { gnu: 'glibc', musl: 'musl' }[libc] : undefined,
  }
  return Object.entries(expected)
    .filter(([field, value]) => manifest[field]?.toString() !== value)
    .map(([field, value]) => `npm/${name}: ${field} is ${manifest[field]}, expected ${value}`)
}

function checkManifests() {
  const { version, napi, scripts } = readJson('package.json')
  const folders = readdirSync(path.join(ROOT, 'npm')).sort()
  const problems = [
    ...versions()
      .filter(([, found]) => found !== version)
      .map(([where, found]) => `${where} has version ${found}, package.json ${version}`),
    ...PACKAGES.flatMap(platformProblems),
    ...INSTALL_SCRIPTS.filter((name) => scripts[name] !== undefined).map((name) => `package.json has a ${name} script`),
  ]
  if (folders.join() !== [...PACKAGES].sort().join()) problems.push(`npm/ has ${folders.join(', ')}`)
  if (napi.targets.length !== PACKAGES.length) problems.push('napi.targets and lib/platform.js differ')
  if (problems.length > 0) throw new Error(problems.join('\n  '))
  console.log(`${PACKAGES.length} platforms, version ${version}`)
}

module.exports = { checkManifests }
if (require.main === module) {
  try {
    checkManifests()
  } catch (error) {
    fail(error)
  }
}
