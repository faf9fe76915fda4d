'use strict'
// `--help`: each command describes itself by `summary`, `usage`, `help` (option → text) and perhaps `notes`.

const { columnsOf, padEnd, wrap } = require('./text.js')

const GLOBAL_HELP = [
  ['--redis <url>', 'redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// (REDIS_URL)'],
  ['--namespace <name>', "(TIDECACHE_NAMESPACE, else 'tidecache')"],
  ['--tls-ca <file>', 'a certificate to trust, PEM; --tls-cert and --tls-key: of the client'],
  ['--json', 'one JSON value, or one a line, for machines'],
  ['--help', ''],
]

/** Two columns; the second one wraps. */
function rows(pairs, columns) {
  const left = Math.max(...pairs.map(([name]) => name.length)) + 4
  return pairs
    .flatMap(([name, text]) => {
      const [first, ...more] = wrap(text, columns - left)
      return [`${padEnd(`  ${name}`, left)}${first}`, ...more.map((line) => `${' '.repeat(left)}${line}`)]
    })
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

function generalHelp(commands, columns = columnsOf(process.stdout)) {
  const list = Object.entries(commands).map(([name, { summary }]) => [name, summary])
  return (
    `Usage: tidecache <command> [options]\n\n${rows(list, columns)}\n` +
    `${rows([...GLOBAL_HELP, ['--version', 'of this tool']], columns)}\n` +
    'Exit codes: 0 well, 1 not found or a problem found, 2 wrong usage.\n' +
    'tidecache <command> --help tells more.\n'
  )
}

function commandHelp(_name, { usage, summary, help = [], notes = [] }, columns = columnsOf(process.stdout)) {
  const about = notes.map((note) => `${wrap(note, columns).join('\n')}\n`).join('\n')
  return `Usage: tidecache ${usage}\n\n${summary}\n\n${rows([...help, ...GLOBAL_HELP], columns)}${about && `\n${about}`}`
}

module.exports = { generalHelp, commandHelp }
