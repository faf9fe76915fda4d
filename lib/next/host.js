'use strict'
// What the page-aware calls take from Next.js, each at its first use, from the `next` of the application.
//
// `next/cache` and `next/server` are public. Where a call is made from, no public function tells: that is in two
// AsyncLocalStorages, which Next shares between its bundles as globals. Other libraries read them too. A process in which
// Next runs, but which has none of them, is refused: its loaders would see request data, and its pages be kept for good.

const { createRequire } = require('node:module')
const { CacheConfigError } = require('../errors.js')

/** Written out for each module: what traces files into `output: 'standalone'` reads the text of `require`. */
const MODULES = {
  'next/cache': () => require('next/cache'),
  'next/server': () => require('next/server'),
  'next/dist/server/app-render/work-async-storage.external': () =>
    require('next/dist/server/app-render/work-async-storage.external'),
  'next/dist/server/app-render/work-unit-async-storage.external': () =>
    require('next/dist/server/app-render/work-unit-async-storage.external'),
  'next/dist/server/lib/incremental-cache/tags-manifest.external': () =>
    require('next/dist/server/lib/incremental-cache/tags-manifest.external'),
}
const STORAGES = { work: 'workAsyncStorage', unit: 'workUnitAsyncStorage' }
const ABSENT = ['MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED']

const loaded = new Map()
const storages = {}

function attempt(load) {
  try {
    return load()
  } catch (error) {
    if (!ABSENT.includes(error?.code)) throw error
    return undefined
  }
}

/** As the program that runs finds it: in a monorepo this package may lie above the application, and `next` within it. */
function fromProgram(name) {
  const program = process.argv[1]
  return program && attempt(() => createRequire(program)(name))
}

/** @returns {any} undefined: this Next has no such module, or there is no Next at all (a script, say) */
function optional(name) {
  if (!loaded.has(name)) loaded.set(name, fromProgram(name) ?? attempt(MODULES[name]))
  return loaded.get(name)
}

function required(name, member) {
  const found = optional(name)?.[member]
  if (found === undefined) throw new CacheConfigError(`tidecache/next needs ${member} of ${name}: Next.js 16`)
  return found
}

function storageOf(kind) {
  const name = STORAGES[kind]
  const file = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  const symbols = Object.getOwnPropertySymbols(globalThis)
  const shared = symbols.find(({ description }) => description?.startsWith(`@next/${file}@`))
  return shared === undefined ? optional(`next/dist/server/app-render/${file}.external`)?.[name] : globalThis[shared]
}

/** Finds the storages. @returns {boolean} whether Next runs here */
function findStorages() {
  // Next makes this global first of all. Before that its storages must not be loaded: they would stay without it.
  if (typeof globalThis.AsyncLocalStorage !== 'function') return false
  const [work, unit] = Object.keys(STORAGES).map(storageOf)
  if (work !== undefined && unit !== undefined) {
    Object.assign(storages, { work, unit })
    return true
  }
  if (process.env.NEXT_RUNTIME === undefined) return false
  throw new CacheConfigError('tidecache/next cannot tell where in Next.js it is called: it needs Next.js 16')
}

/**
 * Where this code runs: the work (a request or a prerender) and the unit in it. undefined: outside of Next's.
 *
 * @throws {CacheConfigError} Next runs here, and does not have what this needs
 */
function whereabouts() {
  if (storages.work === undefined && !findStorages()) return undefined
  const work = storages.work.getStore()
  return work === undefined ? undefined : { work, unit: storages.unit.getStore() }
}

/** Runs outside of the request. */
function outside(fn) {
  return storages.work.exit(() => storages.unit.exit(fn))
}

module.exports = { optional, outside, required, whereabouts }
