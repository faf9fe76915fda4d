'use strict'
// The name of this platform's addon package: `@tidecache/<platform>-<arch>[-<libc>]`.
//
// Asked only when the addon cannot be loaded and when packages are made, never on the way to a working cache.

const PACKAGES = Object.freeze([
  'linux-x64-gnu',
  'linux-arm64-gnu',
  'linux-x64-musl',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64-msvc',
])

/** @returns {{ family: 'glibc' | 'musl', version: string } | undefined} the C library; undefined outside Linux */
function libc() {
  if (process.platform !== 'linux') return undefined
  // The report opens a socket to name the machine unless it is told not to.
  const excluded = process.report.excludeNetwork
  process.report.excludeNetwork = true
  const { header } = process.report.getReport()
  process.report.excludeNetwork = excluded
  const version = header.glibcVersionRuntime
  return version === undefined ? { family: 'musl', version: '' } : { family: 'glibc', version }
}

/** This platform as its package is called, whether or not there is one: 'linux-x64-gnu', 'freebsd-x64'. */
function triple() {
  const base = `${process.platform}-${process.arch}`
  if (process.platform === 'linux') return `${base}-${libc().family === 'musl' ? 'musl' : 'gnu'}`
  return process.platform === 'win32' ? `${base}-msvc` : base
}

/** For people: 'linux x64 (glibc 2.36), Node v22.1.0'. */
function describe() {
  const c = libc()
  const suffix = c === undefined ? '' : ` (${c.family} ${c.version}`.trimEnd().concat(')')
  return `${process.platform} ${process.arch}${suffix}, Node ${process.version}`
}

module.exports = { PACKAGES, describe, triple }
