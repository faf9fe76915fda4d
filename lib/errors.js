'use strict'
// The errors users meet. Each kind changes what the caller does, so there are few, told apart by class and by `code`.
//
// A message says what failed, with what value, and what is allowed; never JSON, never a password. The `cause` given
// is kept as it is. `redact` is here because every text that may hold a URL goes through it first.

class CacheError extends Error {
  /**
   * @param {string} message
   * @param {{ code?: string, cause?: unknown }} [details]
   */
  constructor(message, details = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.code = details.code ?? 'ERR_CACHE'
  }
}

/** A bad argument, option or environment variable; nothing was changed. */
class CacheConfigError extends CacheError {
  constructor(message, details) {
    super(message, { ...details, code: 'ERR_CACHE_CONFIG' })
  }
}

/** The handle was closed before the call, or while it ran. */
class CacheClosedError extends CacheError {
  constructor(message = 'the cache is closed', details) {
    super(message, { ...details, code: 'ERR_CACHE_CLOSED' })
  }
}

/** Redis could not be reached or refused, and the caller asked to know. */
class CacheRedisError extends CacheError {
  constructor(message, details) {
    super(message, { ...details, code: 'ERR_CACHE_REDIS' })
  }
}

/** A deadline passed. */
class CacheTimeoutError extends CacheError {
  constructor(message, details) {
    super(message, { ...details, code: 'ERR_CACHE_TIMEOUT' })
  }
}

/** As many loads run and wait as may: this one was not begun. */
class CacheOverloadError extends CacheError {
  constructor(message, details) {
    super(message, { ...details, code: 'ERR_CACHE_OVERLOAD' })
  }
}

/** A value cannot be stored without loss; `path` says which part: '.items[3].price', '' for the value itself. */
class CacheEncodeError extends CacheError {
  /**
   * @param {string} message
   * @param {{ path?: string, cause?: unknown }} [details]
   */
  constructor(message, details = {}) {
    super(message, { ...details, code: 'ERR_CACHE_ENCODE' })
    this.path = details.path ?? ''
  }
}

const classes = {
  CacheError,
  CacheConfigError,
  CacheClosedError,
  CacheRedisError,
  CacheTimeoutError,
  CacheOverloadError,
  CacheEncodeError,
}

for (const [name, Class] of Object.entries(classes)) {
  Object.defineProperty(Class.prototype, 'name', { value: name, writable: true, configurable: true })
}

const HOST_AND_PATH = /^(?:\[[^\]]*\]|[^:/]*)(?::\d{0,5})?(?:\/.*)?$/s

/**
 * A Redis URL as it may be shown: credentials, query and fragment hidden. Also for text that is no valid URL, where a
 * password may be anywhere (unescaped `@`, `/`, `?`, a forgotten host): when in doubt, it is hidden.
 *
 * @param {string} url
 * @returns {string}
 */
function redact(url) {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(url)?.[0] ?? ''
  const [body, suffix] = cut(url.slice(scheme.length), /[?#]/)
  if (suffix.includes('@')) return `${scheme}***`
  const at = body.lastIndexOf('@')
  const place = body.slice(at + 1)
  const safe = HOST_AND_PATH.test(place) ? place : `${cut(place, /:/)[0]}:***`
  return `${scheme}${at === -1 ? '' : '***@'}${safe}${suffix === '' ? '' : `${suffix[0]}***`}`
}

/** Text before the first match, and from it on. */
function cut(text, pattern) {
  const at = text.search(pattern)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at)]
}

module.exports = { ...classes, redact }
