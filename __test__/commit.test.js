'use strict'
// A report names the commit that it was measured at.

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const { mkdirSync, mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { commitOf } = require('../scripts/lib/commit.js')

function hasGit() {
  try {
    execFileSync('git', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const skip = hasGit() ? false : 'there is no git'

test('a checkout has its commit, a changed one says so, and a folder inside of one has none', { skip }, (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'tidecache-commit-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const who = ['-c', 'user.name=n', '-c', 'user.email=e@example.org', '-c', 'commit.gpgsign=false']
  const git = (...args) => execFileSync('git', [...who, ...args], { cwd: folder, encoding: 'utf8' }).trim()
  const file = path.join(folder, 'file')
  const inner = path.join(folder, 'inner')
  mkdirSync(inner)
  assert.equal(commitOf(folder), undefined)
  git('init', '-q')
  writeFileSync(file, 'a')
  mkdirSync(path.join(folder, 'docs'))
  const page = path.join(folder, 'docs', 'page')
  writeFileSync(page, 'a')
  git('add', '.')
  git('commit', '-qm', 'a')

  const hash = git('rev-parse', '--short', 'HEAD')
  assert.equal(commitOf(folder), hash)
  assert.equal(commitOf(inner), undefined)
  writeFileSync(page, 'b')
  assert.equal(commitOf(folder), hash)
  writeFileSync(file, 'b')
  assert.equal(commitOf(folder), `${hash}-dirty`)
})
