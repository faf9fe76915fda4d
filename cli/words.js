'use strict'
// The words after a command: how many there may be.

const { UsageError, hintFor } = require('./args.js')
const { shown } = require('../lib/options/check.js')

function noWords(command, words) {
  if (words.length === 0) return
  const [word] = words
  throw new UsageError(`${command} takes no words; got ${shown(word)}${hintFor(word)}`, command)
}

/** Exactly one word, or `otherwise`. */
function oneWord(command, words, what, otherwise) {
  if (words.length > 1) throw new UsageError(`${command} takes one ${what}; got ${words.length}`, command)
  const word = words[0] ?? otherwise
  if (word === undefined || word === '') throw new UsageError(`${command} needs a ${what}`, command)
  return word
}

module.exports = { noWords, oneWord }
