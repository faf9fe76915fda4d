'use strict'
// Names as users write them, and as they are stored.
//
// A view's keys and tags stand behind its path; a versioned key names its version behind that. What has neither is
// stored as it is, so a root key costs nothing. The core reads these names: it makes an entry depend on every view
// above it, and a versioned one on its bare key.
//
//   path         '\0v' and the name of each view, outermost first
//   stored key   path, '\0@' and the version if there is one, '\0=', key
//   stored tag   path, '\0=', tag; the path alone means all of the view

const VIEW = '\0v'
const VERSION = '\0@'
const NAME = '\0='

/** @returns {string} the path of a view below another ('' is the root) */
function pathOf(parent, view) {
  return parent + VIEW + view
}

/** @returns {string} the view of a path as people read it: 'users/admins' */
function nameOf(path) {
  return path.split(VIEW).slice(1).join('/')
}

/** @returns {string} what stands before a stored key; '' where it is stored as it is */
function prefixOf(path, version) {
  if (version === undefined) return path === '' ? '' : path + NAME
  return path + VERSION + version + NAME
}

/** A key behind its prefix. One that begins like a path is told apart by an empty one. */
function storedKey(key, prefix) {
  return prefix === '' && key.charCodeAt(0) !== 0 ? key : behind(prefix, key)
}

function behind(prefix, name) {
  return prefix === '' ? NAME + name : prefix + name
}

/** The user's key: no view and no version holds what separates it from them. */
function keyOf(stored) {
  return stored.charCodeAt(0) === 0 ? stored.slice(stored.indexOf(NAME) + NAME.length) : stored
}

/** A key in a message. */
function shortKey(stored) {
  const key = keyOf(stored)
  return key.length > 60 ? `${key.slice(0, 57)}...` : key
}

/** A tag or a pattern behind the path of its view. */
function storedTag(tag, path) {
  if (path === '') return tag.charCodeAt(0) === 0 ? NAME + tag : tag
  return path + NAME + tag
}

/** @returns {string | undefined} the user's tag; undefined: of another view, or of the core's own making */
function tagOf(stored, path) {
  const prefix = path + NAME
  if (stored.startsWith(prefix)) return stored.slice(prefix.length)
  return path === '' && stored.charCodeAt(0) !== 0 ? stored : undefined
}

module.exports = { pathOf, nameOf, prefixOf, storedKey, keyOf, shortKey, storedTag, tagOf }
