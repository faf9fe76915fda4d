'use strict'
// Loads the native addon: no work beyond that. Engines, connections and threads start with the first cache.
//
// When there is no addon, or one of another release, the error says what was expected here and what usually went
// wrong, because the loader below only knows which files it did not find.

const { CacheError } = require('./errors.js')
const { PACKAGES, describe, triple } = require('./platform.js')
const { version } = require('../package.json')

const CODE = 'ERR_CACHE_NATIVE'

const USUAL_CAUSES = `Usual causes:
  - optional dependencies were left out of the installation (--omit=optional, --no-optional): install with them
  - the lock file was written on another platform and names only that one's package: write it again here
  - node_modules was copied from another machine or image (macOS to Linux, glibc to Alpine's musl): install where it runs
  - a bundler inlined tidecache: keep it external (Next.js: serverExternalPackages: ['tidecache'])`

/** The errors the loader met, first to last: it chains them by `cause`. */
function chain(error) {
  const errors = []
  for (let at = error; at instanceof Error && !errors.includes(at); at = at.cause) errors.push(at)
  return errors
}

/**
 * What the system said of an addon that is there and cannot be loaded (a libc too old, another architecture).
 * The loader keeps of each error nothing but its message: those of files it did not find are left out.
 */
function refusal(error) {
  return chain(error).find((at) => !at.message.startsWith('Cannot find '))?.message
}

function missing(cause) {
  const name = triple()
  const where = `tidecache ${version} cannot load its native addon on ${describe()}.`
  if (!PACKAGES.includes(name)) {
    const message = `${where}\nThere is no package @tidecache/${name}; there are: ${PACKAGES.join(', ')}.`
    return new CacheError(message, { code: CODE, cause })
  }
  const expected = `The package expected here is @tidecache/${name}, version ${version}`
  const refused = refusal(cause)
  const found = refused === undefined ? `${expected}: it was not found.` : `${expected}. Loading it failed: ${refused}`
  return new CacheError(`${where}\n${found}\n${USUAL_CAUSES}`, { code: CODE, cause })
}

function mismatch(found) {
  const message =
    `tidecache ${version} found a native addon of version ${found}: both must be of the same release.\n` +
    `Install tidecache and @tidecache/${triple()} at ${version}, or remove the lock file's older entry.`
  return new CacheError(message, { code: CODE })
}

function load() {
  let binding
  try {
    binding = require('../binding.js')
  } catch (error) {
    throw missing(error)
  }
  const found = binding.version?.() ?? 'unknown'
  if (found !== version) throw mismatch(found)
  return binding
}

module.exports = load()
