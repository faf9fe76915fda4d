'use strict'
// withTidecache: what a Next.js configuration needs so that the package works in it.
//
// Runs in every process of Next's command line, also in those that never cache: it loads nothing.

const PACKAGE = 'tidecache'

function extended(config) {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new TypeError('withTidecache: the configuration must be an object, or a function that returns one')
  }
  // The addon is required at run time: a bundler cannot inline it.
  return { ...config, serverExternalPackages: [...new Set([...(config.serverExternalPackages ?? []), PACKAGE])] }
}

/**
 * @param {object | Function} [config] Next's configuration: an object, or a function (perhaps async) that returns it
 * @param {{ redisDuringBuild?: boolean }} [options]
 * @returns {object | Function} of the same kind
 */
function withTidecache(config = {}, { redisDuringBuild = false } = {}) {
  // The processes that `next build` starts inherit it.
  if (redisDuringBuild) process.env.TIDECACHE_BUILD_REDIS = '1'
  if (typeof config !== 'function') return extended(config)
  return (...args) => {
    const made = config(...args)
    return typeof made?.then === 'function' ? made.then(extended) : extended(made)
  }
}

module.exports = { withTidecache }
