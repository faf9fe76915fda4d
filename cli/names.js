'use strict'
// The names of entries as they are shown, 'view/view/key@version', and what such a name may mean.
//
// Keys may hold '/' and '@' themselves, so a name that somebody types can be read in more than one way: as it stands
// first, then with views before it, then with a version behind it. Which one is meant, Redis tells: it has the entry.

const { UsageError } = require('./args.js')
const { visible } = require('./text.js')
const { CacheConfigError } = require('../lib/errors.js')
const { isView, viewPrefixes } = require('../lib/options/cache.js')
const { pathOf, prefixOf, storedKey } = require('../lib/path.js')

/** Readings tried at most. */
const READINGS_MAX = 64

/** @param {{ view: string[], key: string, version: string | null }} place */
function shownName({ view, key, version }) {
  return visible(`${view.map((name) => `${name}/`).join('')}${key}${version === null ? '' : `@${version}`}`)
}

/** @returns {string} the path of views, outermost first */
const pathOfViews = (views) => views.reduce(pathOf, '')

/** The name that a key is stored under. */
const stored = ({ view, key, version }) => storedKey(key, prefixOf(pathOfViews(view), version ?? undefined))

/** The views of '--view a/b', outermost first. */
function viewsOf(text) {
  if (text === undefined) return []
  try {
    return viewPrefixes(text, '--view')
  } catch (error) {
    if (!(error instanceof CacheConfigError)) throw error
    throw new UsageError(error.message)
  }
}

/** The ways to split a text at its `mark`s, the whole first. */
function splits(text, mark) {
  const found = [[text, null]]
  for (let at = text.lastIndexOf(mark); at > 0; at = text.lastIndexOf(mark, at - 1)) {
    if (at < text.length - 1) found.push([text.slice(0, at), text.slice(at + 1)])
  }
  return found
}

/**
 * What a name may mean, likeliest first.
 *
 * @param {string} name as typed or copied from `ls`
 * @param {string[]} within the views it is in, from --view
 * @returns {{ view: string[], key: string, version: string | null }[]}
 */
function readings(name, within = []) {
  const inViews = [{ view: within, key: name }]
  const parts = within.length > 0 ? [] : name.split('/')
  for (let depth = 1; depth < parts.length && isView(parts[depth - 1]); depth++) {
    inViews.push({ view: parts.slice(0, depth), key: parts.slice(depth).join('/') })
  }
  const all = inViews
    .filter(({ key }) => key !== '')
    .flatMap(({ view, key }) => splits(key, '@').map(([bare, version]) => ({ view, key: bare, version })))
  return all.slice(0, READINGS_MAX)
}

module.exports = { pathOfViews, readings, shownName, stored, viewsOf }
