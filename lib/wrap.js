'use strict'
// wrap: a function that keeps what it returns, under a key made of its arguments.
//
// Options are checked once, when it is wrapped; key and tags at each call, because they come from the arguments.

const { CacheConfigError } = require('./errors.js')
const { checkKey, checkTags, entryOptions } = require('./options.js')
const { checkFunction, isObject, refuse } = require('./options/check.js')

/**
 * What a function of the user's returns; when it throws, an error that says which. It is given no `this`: `wrapped.key`
 * and `wrapped.invalidate` have none that it could agree with.
 */
function ask(name, option, args) {
  try {
    return Reflect.apply(option, undefined, args)
  } catch (error) {
    throw new CacheConfigError(`${name} of wrap threw: ${error?.message ?? error}`, { cause: error })
  }
}

/** A constant key on a function of arguments would give everybody the first caller's value. */
function refuseConstant(key) {
  refuse('key', key, 'a function of the arguments, (...args) => string, where there are any')
}

/** @returns {(args: unknown[]) => string} */
function keyFrom(key, fn) {
  if (typeof key === 'function') {
    return (args) => {
      const made = ask('key', key, args)
      checkKey(made, 'what key of wrap returns')
      return made
    }
  }
  if (typeof key !== 'string') refuse('key', key, 'a function of the arguments, or a string when there are none')
  checkKey(key)
  if (fn.length > 0) refuseConstant(key)
  return (args) => {
    // Defaults and rest parameters do not show in `length`.
    if (args.length > 0) refuseConstant(key)
    return key
  }
}

/** @returns {(args: unknown[]) => object} the policy of a call */
function policyFrom(options, defaults) {
  const { key, tags, ...others } = options
  if (typeof tags !== 'function') {
    const policy = entryOptions(tags === undefined ? others : { ...others, tags }, defaults)
    return () => policy
  }
  const policy = entryOptions(others, defaults)
  const { path } = policy.scope
  return (args) => ({
    ...policy,
    tags: checkTags(ask('tags', tags, args), 'what tags of wrap returns', path),
  })
}

/**
 * @param {Function} fn
 * @param {object} options EntryOptions, `key`, and `tags` as a list or a function of the arguments
 * @param {object} defaults the policy of the cache
 * @param {{ read(key: string, loader: Function, policy: object): Promise<unknown>,
 *   invalidate(key: string): Promise<object> }} cache
 * @throws {CacheConfigError}
 */
function wrap(fn, options, defaults, cache) {
  checkFunction(fn, 'fn')
  if (!isObject(options)) refuse('options of wrap', options, 'an object with key')
  const keyOf = keyFrom(options.key, fn)
  const policyOf = policyFrom(options, defaults)

  function wrapped(...args) {
    try {
      return cache.read(keyOf(args), () => Reflect.apply(fn, this, args), policyOf(args))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  Object.defineProperty(wrapped, 'name', { value: fn.name, configurable: true })
  wrapped.key = (...args) => keyOf(args)
  wrapped.invalidate = async (...args) => cache.invalidate(keyOf(args))
  return wrapped
}

module.exports = { wrap }
