'use strict'
// The words after a command: how many there may be.

const { UsageError } = require('./args.js')

function noWords(command, words) {
  if (words.length > 0) throw new UsageError(`${command} takes no words; got '${words[0].slice(0, 60)}'`, command)
}

/** Exactly one word, or `otherwise`. */
function oneWord(command, words, what, otherwise) {
  if (words.length > 1) throw new UsageError(`${command} takes one ${what}; got ${words.length}`, command)
  const word = words[0] ?? otherwise
  if (word === undefined || word === '') throw new UsageError(`${command} needs a ${what}`, command)
  return word
}

module.exports = { noWords, oneWord }
