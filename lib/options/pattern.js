'use strict'
// Patterns of invalidations: globs, checked here so that a typing error is told where it was made.

const { refuse } = require('./check.js')

const ALLOWED =
  "'*' any run, '?' one character, '[abc]', '[a-z]' or '[^a]' one of a set, '\\' before what is meant as it is"

/** @throws {CacheConfigError} for a pattern that means nothing; its text has been checked as a key's */
function checkPattern(pattern) {
  const why = mistakeIn(pattern)
  if (why !== undefined) refuse('pattern', pattern, `a glob (${why}): ${ALLOWED}`)
}

/** @returns {string | undefined} what is wrong with it, by the rules of the core's matcher */
function mistakeIn(pattern) {
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === '\\') {
      if (++i === pattern.length) return "it ends in '\\'"
    } else if (pattern[i] === '[') {
      const end = endOfSet(pattern, i + 1)
      if (typeof end === 'string') return end
      i = end
    }
  }
}

/** @returns {number | string} where the set closes, or what is wrong with it */
function endOfSet(pattern, start) {
  const first = pattern[start] === '^' || pattern[start] === '!' ? start + 1 : start
  for (let i = first; i < pattern.length; i++) {
    if (pattern[i] === ']') return i === first ? "a '[]' of nothing" : i
    if (pattern[i] === '\\') i++
  }
  return "a '[' that nothing closes"
}

module.exports = { checkPattern }
