'use strict'
// The command line as a command, its words and its options. Every misuse is one sentence and exit code 2.

const { parseArgs } = require('node:util')
const { redact } = require('../lib/errors.js')
const { refuseName, shown } = require('../lib/options/check.js')

const GLOBAL = {
  redis: { type: 'string' },
  namespace: { type: 'string' },
  'tls-ca': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
}

/** Without a command. With one it would be taken for the version of an entry. */
const ALONE = { version: { type: 'boolean' } }

/** The command line is wrong: nothing was done. */
class UsageError extends Error {
  /** @param {string} [command] whose help the message names */
  constructor(message, command) {
    super(message)
    this.command = command
  }
}

/** What may be the place of a Redis, and tell a password: `shown` hides that. */
const isPlace = (word) => /:\/\/|@/.test(word)
/** Behind a word that is not expected. */
const hintFor = (word) => (isPlace(word) ? '; a Redis is named by --redis <url>' : '')

/** Something was asked for and is not there, or could not be done: one sentence, exit code 1. */
class Failure extends Error {}

/**
 * The first word that is no option, and no value of one: the command. It stands first as a rule; else all commands must
 * be asked which options have values.
 */
function findCommand(argv, commands) {
  if (Object.hasOwn(commands, argv[0] ?? '')) return { value: argv[0], index: 0 }
  if (argv[0] === '--version') return undefined
  const options = Object.assign({}, ...Object.values(commands).map((command) => command.options), GLOBAL)
  const { tokens } = parseArgs({ args: argv, options, strict: false, allowPositionals: true, tokens: true })
  return tokens.find((token) => token.kind === 'positional')
}

/** What stands for an option that there is not, where it is known what was meant. */
const MEANT = {
  key: 'keys are given without an option',
  keys: 'keys are given without an option',
  version: "a version is written with its key, 'key@2'; the tool's own is told by tidecache --version alone",
}
/** Never suggested: it is no slip of the finger. */
const DELIBERATE = ['--yes']

function refuseUnknown({ name, rawName }, options, command) {
  if (Object.hasOwn(MEANT, name))
    throw new UsageError(`${command ?? 'tidecache'} has no option '--${name}': ${MEANT[name]}`, command)
  const allowed = Object.keys(options).map((option) => `--${option}`)
  try {
    refuseName(isPlace(rawName) ? redact(rawName) : rawName, allowed, { unsaid: DELIBERATE })
  } catch (error) {
    throw new UsageError(error.message, command)
  }
}

function refuseToken(token, options, command) {
  const known = options[token.name]
  if (known === undefined) return refuseUnknown(token, options, command)
  if (known.type === 'boolean' && token.value !== undefined) {
    throw new UsageError(`option '--${token.name}' takes no value; got ${shown(token.value)}`, command)
  }
  if (known.type === 'string' && (token.value === undefined || token.value === '')) {
    throw new UsageError(`option '--${token.name}' needs a value`, command)
  }
}

/** Values by name; options with `multiple` are lists. */
function readOptions(tokens, options, command) {
  const values = {}
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    refuseToken(token, options, command)
    const value = token.value ?? true
    if (options[token.name].multiple) values[token.name] = [...(values[token.name] ?? []), value]
    else values[token.name] = value
  }
  return values
}

/**
 * @param {string[]} argv without node and script
 * @param {Record<string, { options: object }>} commands
 * @returns {{ name?: string, values: Record<string, any>, words: string[] }}
 * @throws {UsageError}
 */
function parse(argv, commands) {
  const first = findCommand(argv, commands)
  const name = first?.value
  if (name !== undefined && !Object.hasOwn(commands, name)) {
    const names = Object.keys(commands).join(', ')
    throw new UsageError(`${shown(name)} is no command; there are: ${names}${hintFor(name)}`)
  }
  const options = name === undefined ? { ...GLOBAL, ...ALONE } : { ...commands[name].options, ...GLOBAL }
  const rest = first === undefined ? argv : argv.toSpliced(first.index, 1)
  const { tokens } = parseArgs({ args: rest, options, strict: false, allowPositionals: true, tokens: true })
  const words = tokens.filter((token) => token.kind === 'positional').map((token) => token.value)
  return { name, values: readOptions(tokens, options, name), words }
}

module.exports = { parse, hintFor, UsageError, Failure }
