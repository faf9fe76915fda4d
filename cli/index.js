#!/usr/bin/env node
'use strict'
// `npx tidecache`: what lies in Redis, what this Redis allows, and invalidations by hand.
//
// Exit codes: 0 well, 1 not found or a problem found, 2 the command line is wrong. Answers go to stdout, everything
// else to stderr.

const { parse, UsageError, Failure } = require('./args.js')
const { endWithReader } = require('./out.js')
const { CacheError } = require('../lib/errors.js')

const NAMES = ['ls', 'get', 'inspect', 'invalidate', 'top', 'doctor']
/** Loaded when they are looked at: `ls` does not wait for `top`. */
const COMMANDS = {}
for (const name of NAMES) {
  Object.defineProperty(COMMANDS, name, { enumerable: true, get: () => require(`./commands/${name}.js`) })
}

/** Ctrl-C: no trace on the terminal, and the exit code of an end by SIGINT where the answer is cut short by it. */
function endAtInterrupt(code) {
  process.once('SIGINT', () => {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
    process.exit(code)
  })
}

/** @returns {Promise<number>} the exit code */
async function main(argv) {
  const { name, values, words } = parse(argv, COMMANDS)
  if (values.version === true) {
    process.stdout.write(`${require('../package.json').version}\n`)
    return 0
  }
  if (values.help === true || name === undefined) {
    const { commandHelp, generalHelp } = require('./help.js')
    const asked = values.help === true
    const text = name === undefined ? generalHelp(COMMANDS) : commandHelp(name, COMMANDS[name])
    ;(asked ? process.stdout : process.stderr).write(text)
    return asked ? 0 : 2
  }
  endAtInterrupt(COMMANDS[name].interrupted ?? 130)
  return COMMANDS[name].run(words, values)
}

function report(error) {
  if (error instanceof UsageError) {
    const help = error.command === undefined ? 'tidecache --help' : `tidecache ${error.command} --help`
    process.stderr.write(`tidecache: ${error.message}\n           (${help})\n`)
    return 2
  }
  const isOurs = error instanceof Failure || error instanceof CacheError
  process.stderr.write(`tidecache: ${isOurs ? error.message : error.stack}\n`)
  return error.code === 'ERR_CACHE_CONFIG' ? 2 : 1
}

endWithReader(process.stdout)
endWithReader(process.stderr)
main(process.argv.slice(2))
  .catch(report)
  .then((code) => {
    process.exitCode = code
  })
