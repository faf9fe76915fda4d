'use strict'
// `doctor`: what this Redis allows, how far it is, and which mode will be used.

const { openAdmin, ask, target } = require('../connection.js')
const { problem } = require('../doctor/check.js')
const { rights } = require('../doctor/rights.js')
const { server } = require('../doctor/server.js')
const { verdict } = require('../doctor/verdict.js')
const { way } = require('../doctor/way.js')
const { Status } = require('../out.js')
const { columnsOf, padEnd, paintFor, wrap } = require('../text.js')
const { noWords } = require('../words.js')

const SIGNS = { ok: ['✔', 'green'], warning: ['!', 'yellow'], problem: ['✖', 'red'] }
const LEFT = 17

function checkLines({ id, status, says, consequence, mend = [] }, paint, columns) {
  const room = columns - LEFT
  const [sign, colour] = SIGNS[status]
  const [first, ...more] = wrap(says, room)
  const indent = (line) => ' '.repeat(LEFT) + line
  return [
    `  ${paint[colour](sign)} ${padEnd(id, LEFT - 4)}${first}`,
    ...more.map(indent),
    ...(consequence === undefined ? [] : wrap(consequence, room).map((line) => indent(paint.dim(line)))),
    // Never wrapped: it is to be copied.
    ...mend.map((line) => indent(`${paint.cyan('→')} ${line}`)),
  ]
}

function verdictLines({ mode, because, meaning }, paint, columns) {
  const colour = { tracking: 'green', none: 'yellow', 'memory-only': 'red' }[mode]
  const told = because === undefined ? [] : wrap(`Why: ${because}.`, columns - 2)
  return [
    `${paint.bold('Mode:')} ${paint.bold(paint[colour](mode))}`,
    ...[...told, ...wrap(meaning, columns - 2)].map((line) => `  ${line}`),
  ]
}

function render({ groups, conclusion, title }, stream) {
  const paint = paintFor(stream)
  const columns = columnsOf(stream)
  const lines = [paint.bold(title)]
  for (const [name, checks] of groups) {
    if (checks.length === 0) continue
    lines.push('', paint.bold(name), ...checks.flatMap((check) => checkLines(check, paint, columns)))
  }
  return `${[...lines, '', ...verdictLines(conclusion, paint, columns)].join('\n')}\n`
}

async function run(words, values) {
  noWords('doctor', words)
  const where = target(values)
  if (values.acl === true) {
    process.stdout.write(`${openAdmin(where).setUser(values['read-only'] === true)}\n`)
    process.stderr.write('tidecache: add a password to it, as >password\n')
    return 0
  }
  const status = new Status(process.stderr, 300)
  const timer = setInterval(() => status.show('asking …'), 100)
  const facts = await ask(openAdmin(where).probe()).finally(() => {
    clearInterval(timer)
    status.clear()
  })
  const lost = facts.lost === undefined ? [] : [problem('link', `lost meanwhile: ${facts.lost}`)]
  const ofServer = server(facts)
  // Of a server that is none for tidecache nobody asks for rights: what it refuses, it refuses to everybody.
  const isServer = ofServer.every(({ status: found }) => found !== 'problem')
  const groups = [
    ['The way there', [...way(facts), ...lost]],
    ['The server', ofServer],
    [`What user ${facts.endpoint.user} may do`, isServer ? rights(facts) : []],
  ]
  const checks = groups.flatMap(([, list]) => list)
  const conclusion = verdict(facts, checks)
  const isWell = conclusion.mode !== 'memory-only'
  const title = `tidecache doctor  ${where.url}  namespace ${where.namespace}`
  if (values.json === true) {
    const { pings, tracking, clock } = facts
    const measured = { roundTrip: pings, push: tracking?.push ?? null, clock }
    const value = { redis: where.url, namespace: where.namespace, ok: isWell, ...conclusion, checks, measured }
    process.stdout.write(`${JSON.stringify(value)}\n`)
  } else {
    process.stdout.write(render({ groups, conclusion, title }, process.stdout))
  }
  return isWell ? 0 : 1
}

module.exports = {
  summary: 'what this Redis allows, how far it is, which mode will be used, and why',
  usage: 'doctor [options]',
  options: { acl: { type: 'boolean' }, 'read-only': { type: 'boolean' } },
  help: [
    ['--acl', 'instead: the ACL rule of a user with the rights an application needs, and no more'],
    ['--acl --read-only', 'the rule of a user for ls, get, inspect and top, who can change nothing'],
  ],
  notes: [
    'Writes only names of its own inside the namespace, for a moment, and removes them. Exit code 1 when Redis cannot be used.',
  ],
  run,
}
