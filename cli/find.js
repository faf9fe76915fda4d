'use strict'
// One entry by its name, for `get` and `inspect`.

const { openAdmin, target } = require('./connection.js')
const { Failure, UsageError } = require('./args.js')
const { readings, shownName, stored, viewsOf } = require('./names.js')
const { checkKey } = require('../lib/options/keys.js')
const { oneWord } = require('./words.js')

const FIND_OPTIONS = { view: { type: 'string' } }
const FIND_HELP = [['--view <a/b>', 'the key is in this view']]

function nameOf(command, words) {
  const name = oneWord(command, words, 'key')
  try {
    checkKey(name)
  } catch (error) {
    throw new UsageError(error.message, command)
  }
  return name
}

/** @returns {Promise<{ report: object, payload?: Buffer, where: object, name: string }>} the first reading that is there */
async function find(command, words, values) {
  const name = nameOf(command, words)
  const within = viewsOf(values.view)
  const where = target(values)
  const places = readings(name, within)
  try {
    const { report, payload } = await openAdmin(where).entry(places.map(stored))
    const told = JSON.parse(report)
    return { report: told, payload, where, name: shownName(told.place) }
  } catch (error) {
    throw new Failure(error.message)
  }
}

module.exports = { find, FIND_OPTIONS, FIND_HELP }
