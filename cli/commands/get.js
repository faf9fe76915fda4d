'use strict'
// `get`: the value of an entry, as text for people, or as JSON.

const { inspect } = require('node:util')
const { Failure } = require('../args.js')
const { find, FIND_HELP, FIND_OPTIONS } = require('../find.js')
const { write } = require('../out.js')
const { paintFor } = require('../text.js')
const { toJson } = require('../plain.js')
const { reasons } = require('../why.js')
const { createCodec } = require('../../lib/codec.js')

/** Forms of values that are text; the others are bytes. */
const TEXT_FORMS = 2
const PLAIN = 0

function decode({ codec, name }, payload) {
  try {
    return createCodec().decode(codec, codec < TEXT_FORMS ? payload.toString() : payload)
  } catch (error) {
    throw new Failure(
      `the value of '${name}' cannot be shown: ${error.message.replace(/^cannot decode a stored value: /, '')}`,
    )
  }
}

function refuse({ report, name, where }, isAny) {
  if (!report.found) throw new Failure(`no entry '${name}' in namespace ${where.namespace}`)
  if (report.unreadable !== undefined) throw new Failure(`the entry '${name}' cannot be read: ${report.unreadable}`)
  const { state } = report.entry
  if (isAny) return
  if (state === 'invalid' || state === 'expired') {
    throw new Failure(
      `'${name}' is ${state}, nobody is given it: ${reasons(report.entry)[0]} (--any shows it all the same)`,
    )
  }
}

/** What is plain JSON is shown so; the rest as Node shows it. */
function forPeople(value, codec, stream) {
  if (codec === PLAIN) return JSON.stringify(value, null, 2)
  const colors = paintFor(stream).red('') !== ''
  return inspect(value, { depth: null, colors, maxArrayLength: null, maxStringLength: null, breakLength: 80 })
}

async function run(words, values) {
  const found = await find('get', words, values)
  const { report, payload, name } = found
  refuse(found, values.any === true)
  const { codec } = report.entry
  const value = decode({ codec, name }, payload)
  await write(process.stdout, `${values.json === true ? toJson(value) : forPeople(value, codec, process.stdout)}\n`)
  return 0
}

module.exports = {
  summary: 'the value of one entry',
  usage: 'get <key> [options]',
  options: { ...FIND_OPTIONS, any: { type: 'boolean' } },
  help: [['--any', 'also of an entry that is invalid or expired'], ...FIND_HELP],
  notes: [
    'Names may be given as ls shows them: view/key, key@version. --json writes what JSON has no form for as text: dates as in toJSON, maps and sets as lists, bigints as digits, bytes as base64, undefined, NaN and Infinity by name.',
  ],
  run,
}
