'use strict'
// The one door to the checking of options; the checks are in ./options, one file per subject.
//
// Everything a user passes is checked here, before anything is changed, so that what lies below never meets a bad
// value.

const { CACHE_NAMES, cacheOptions, checkView } = require('./options/cache.js')
const { entryOptions, getOptions, inspectOptions, scopeOf, within } = require('./options/entry.js')
const { checkKey, checkKeys, checkTags, invalidateTarget } = require('./options/keys.js')

module.exports = {
  CACHE_NAMES,
  cacheOptions,
  entryOptions,
  getOptions,
  inspectOptions,
  scopeOf,
  within,
  checkKey,
  checkKeys,
  checkTags,
  checkView,
  invalidateTarget,
}
