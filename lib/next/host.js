'use strict'
// What the page-aware calls take from Next.js, each loaded at its first use from the `next` of the application.
//
// `next/cache` and `next/server` are public. Where a call is made from, no public function tells: that is in two
// AsyncLocalStorages, which Next keeps outside its bundles so that every copy of its code shares them. Other libraries
// read them too. Whatever is not there is done without.

const { CacheConfigError } = require('../errors.js')

/** Written out for each module: what traces files into `output: 'standalone'` reads the text of `require`. */
const MODULES = {
  'next/cache': () => require('next/cache'),
  'next/server': () => require('next/server'),
  work: () => require('next/dist/server/app-render/work-async-storage.external').workAsyncStorage,
  unit: () => require('next/dist/server/app-render/work-unit-async-storage.external').workUnitAsyncStorage,
  tags: () => require('next/dist/server/lib/incremental-cache/tags-manifest.external').tagsManifest,
}

const loaded = new Map()

/** @returns {any} undefined: this Next has no such module, or there is no Next at all (a script, say) */
function optional(name) {
  if (!loaded.has(name)) {
    let found
    try {
      found = MODULES[name]()
    } catch (error) {
      if (error?.code !== 'MODULE_NOT_FOUND' && error?.code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw error
    }
    loaded.set(name, found)
  }
  return loaded.get(name)
}

function required(name, member) {
  const found = optional(name)?.[member]
  if (found === undefined) throw new CacheConfigError(`tidecache/next needs ${member} of ${name}: Next.js 16 or later`)
  return found
}

/** Where this code runs: the work (a request or a prerender) and the unit in it. undefined: outside of Next's. */
function whereabouts() {
  const work = optional('work')?.getStore()
  const unit = optional('unit')?.getStore()
  return work === undefined ? undefined : { work, unit }
}

module.exports = { optional, required, whereabouts }
