#!/usr/bin/env node
'use strict'
// Stands in for the programs that bash blocks call. What is asked must make sense here: a script that exists, a
// package that is meant. `npx tidecache` and the Redis clients do what they are asked, on the test's own server.

const { spawnSync } = require('node:child_process')
const { readFileSync } = require('node:fs')
const path = require('node:path')

const ROOT = path.join(__dirname, '..', '..', '..')
const manifest = require(path.join(ROOT, 'package.json'))
const [program, args] = [path.basename(process.argv[1]), process.argv.slice(2)]

function refuse(why) {
  console.error(`${program} ${args.join(' ')}: ${why}`)
  process.exit(1)
}

function isScript(name) {
  const { scripts } = manifest
  if (scripts[name] === undefined) refuse(`package.json has no script "${name}"`)
}

/** Packages that pages install. */
const PACKAGES = new Set(['tidecache', ...Object.keys({ ...manifest.peerDependencies, ...manifest.devDependencies })])

function arePackages(names) {
  for (const name of names.filter((text) => !text.startsWith('-'))) {
    if (!PACKAGES.has(name) && !/^(<checkout>|\.)?.*tidecache-.*\.tgz$/.test(name)) refuse(`what is ${name}?`)
  }
}

function packageManager([command, ...rest]) {
  if (['i', 'install', 'add'].includes(command)) return arePackages(rest)
  if (['start', 'test', 'ci'].includes(command)) return command === 'ci' || isScript(command)
  if (command === 'run') return isScript(rest[0])
  return refuse('not known here')
}

function npx([command, ...rest]) {
  if (command !== 'tidecache') return refuse('not known here')
  const { bin } = manifest
  if (bin === undefined) return refuse('package.json has no bin')
  const file = path.join(ROOT, typeof bin === 'string' ? bin : bin.tidecache)
  process.exitCode = spawnSync(process.execPath, [file, ...rest], { stdio: 'inherit' }).status
}

/** The crate and, for the model, its flags: compiling them is the business of the Rust tests. */
function cargo([command, ...rest]) {
  if (!['run', 'test'].includes(command)) refuse('not known here')
  const crate = rest[rest.indexOf('-p') + 1]?.replace('tidecache-', '')
  const main = readFileSync(path.join(ROOT, 'crates', crate, 'Cargo.toml'), 'utf8')
  if (!main.includes(`name = "tidecache-${crate}"`)) refuse('no such crate')
}

async function redisClient(words) {
  const { connect } = require('../resp.js')
  const client = await connect(Number(new URL(process.env.REDIS_URL).port))
  const show = (reply) => [reply].flat(9).map((line) => console.log(String(line)))
  show(await client.command(...words).catch((error) => refuse(error.message)))
  client.close()
}

const PROGRAMS = {
  npx,
  bunx: npx,
  cargo,
  'redis-cli': redisClient,
  'valkey-cli': redisClient,
  curl: () => {},
}

;(PROGRAMS[program] ?? packageManager)(args)
