'use strict'
// What the user may do: commands, keys, scripts, pushes; and the ACL rule that mends it.

const { latency } = require('../text.js')
const { ok, warn, problem } = require('./check.js')

/** The tool's own; an application does without. */
const OF_THE_TOOL = ['scan', 'dbsize', 'memory|usage']
/** Asked for when it is there, of no consequence when not. */
const OPTIONAL = ['config|get']

const isKeyError = (error) => /access (?:one of the keys|a key)/.test(error)
const isUnknown = (error) => /unknown (?:sub)?command/i.test(error)
const isDenied = (error) => /^NOPERM/.test(error) && !isKeyError(error)
const isRefusal = ({ error }) => error !== null && (isDenied(error) || isUnknown(error))

function sort(commands) {
  const of = (names) => commands.filter(({ name }) => names.includes(name))
  const beside = [...OF_THE_TOOL, ...OPTIONAL]
  const needed = commands.filter(({ name }) => !beside.includes(name))
  return { needed, tool: of(OF_THE_TOOL) }
}

const rule = (user, names) => `ACL SETUSER ${user} ${names.map((name) => `+${name}`).join(' ')}`

/** What to do about commands that are refused: by the ACL, or because the server does not know them. */
function mending(user, refused) {
  const denied = refused.filter(({ error }) => !isUnknown(error)).map(({ name }) => name)
  const unknown = refused.filter(({ error }) => isUnknown(error)).map(({ name }) => name)
  return [
    ...(denied.length > 0 ? [rule(user, denied)] : []),
    ...(unknown.length > 0 ? [`remove rename-command or the proxy that hides ${unknown.join(', ')}`] : []),
  ]
}

function commandsCheck({ commands, endpoint }) {
  const { needed } = sort(commands)
  const refused = needed.filter(isRefusal)
  if (refused.length === 0) return ok('commands', `all ${needed.length} that tidecache needs are allowed`)
  const names = refused.map(({ name }) => name)
  const says = `refused: ${names.join(', ')}`
  const mend = mending(endpoint.user, refused)
  return problem('commands', says, { consequence: 'Redis cannot be used by tidecache as this user.', mend })
}

function keysCheck({ commands, endpoint, namespace }) {
  const refused = commands.some(({ error }) => error !== null && isKeyError(error))
  if (!refused) return ok('keys', `${namespace}:* may be read and written`)
  return problem('keys', `${namespace}:* may not be used`, {
    consequence: 'Nothing can be stored or invalidated.',
    mend: [`ACL SETUSER ${endpoint.user} ~${namespace}:*`],
  })
}

/** Allowed, and refused all the same: the state that the server is in. */
const STATES = [
  [
    /^OOM/,
    warn,
    'Redis is full',
    'Nothing new is stored until entries expire. Invalidations still pass.',
    'CONFIG SET maxmemory-policy allkeys-lru',
  ],
  [
    /^MISCONF/,
    problem,
    'writes are refused since a snapshot failed',
    undefined,
    'mend the disk, or CONFIG SET stop-writes-on-bgsave-error no',
  ],
  [
    /^NOREPLICAS/,
    problem,
    'writes are refused: too few replicas',
    undefined,
    'bring replicas back, or lower min-replicas-to-write',
  ],
  [/^LOADING/, problem, 'it loads its data', undefined, 'wait: applications work from memory until it is ready'],
]

const stateOf = ({ error }) => STATES.find(([pattern]) => pattern.test(error ?? ''))

function writesCheck({ commands, scripts }) {
  const state = [...commands, ...(scripts?.failed ?? [])].map(stateOf).find(Boolean)
  if (state === undefined) return undefined
  const [, status, says, consequence, mend] = state
  return status('writes', says, { consequence, mend: [mend] })
}

function scriptsCheck(facts) {
  const { scripts, commands } = facts
  if (scripts === null || writesCheck(facts) !== undefined) return undefined
  const failed = scripts.failed.map(({ name }) => name)
  if (failed.length === 0) return ok('scripts', `${scripts.count} steps run on names of their own, and removed`)
  const isOfTheTool = ({ name }) => [...OF_THE_TOOL, ...OPTIONAL].includes(name)
  const isExplained = commands.some((command) => command.error !== null && !isOfTheTool(command))
  const first = scripts.failed.find(({ error }) => error !== undefined)
  const says = `${failed.length} of ${scripts.count} failed: ${[...new Set(failed)].join(', ')}`
  const consequence = isExplained
    ? 'Because of what is refused above.'
    : (first?.error ?? 'They ran, and answered what they should not: tell us, please.')
  return problem('scripts', says, { consequence })
}

function trackingCheck({ tracking, endpoint, timeouts }) {
  if (tracking === null) return undefined
  const { bcast, optin, caching, push } = tracking
  const mend = (names, error) =>
    mending(
      endpoint.user,
      names.map((name) => ({ name, error })),
    )
  if (bcast !== null || optin !== null) {
    return warn('pushes', 'CLIENT TRACKING is refused', {
      consequence: 'No process hears of the invalidations of others: memory is believed for maxUnverified (1 s) only.',
      mend: mend(['client|tracking', 'client|caching'], bcast ?? optin),
    })
  }
  // No script, no push: said above.
  if (push.error !== undefined && push.error !== 'none arrived') return undefined
  if (push.error !== undefined) {
    return warn('pushes', `CLIENT TRACKING is allowed, and no push came within ${latency(timeouts.connect / 2)}`, {
      consequence: 'Memory is believed for maxUnverified (1 s) only. A proxy between may swallow pushes.',
    })
  }
  const says = `CLIENT TRACKING works: a push came back in ${latency(push.ms)}`
  if (caching === null) return ok('pushes', says)
  return warn('pushes', 'CLIENT CACHING is refused', {
    consequence: 'Who waits for a load of another process asks again and again, instead of being woken.',
    mend: mend(['client|caching'], caching),
  })
}

function toolCheck({ commands, endpoint }) {
  const refused = sort(commands).tool.filter(isRefusal)
  if (refused.length === 0) return ok('this tool', 'may list and measure (ls, top)')
  const names = refused.map(({ name }) => name)
  return warn('this tool', `refused: ${names.join(', ')}`, {
    consequence: `Applications do without; ls and top need ${names.length === 1 ? 'it' : 'them'}.`,
    mend: mending(endpoint.user, refused),
  })
}

/** @returns {object[]} checks of the user's rights, and of what keeps them from being used */
function rights(facts) {
  if (facts.commands === null) return []
  return [commandsCheck, keysCheck, writesCheck, scriptsCheck, trackingCheck, toolCheck]
    .map((check) => check(facts))
    .filter(Boolean)
}

module.exports = { rights }
