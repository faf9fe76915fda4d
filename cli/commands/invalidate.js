'use strict'
// `invalidate`: through the public API, so that every process hears of it as of any other invalidation.

const { once } = require('node:events')
const { createInterface } = require('node:readline/promises')
const { Failure, UsageError } = require('../args.js')
const { ask, openAdmin, target } = require('../connection.js')
const { readings, shownName, stored, viewsOf } = require('../names.js')
const { plural, visible } = require('../text.js')
const { toMs } = require('../../lib/duration.js')
const { CacheConfigError, CacheRedisError } = require('../../lib/errors.js')
const { shown } = require('../../lib/options/check.js')
const { MODES, SETTLE } = require('../../lib/options/keys.js')

function check(words, values) {
  const { tag = [], pattern = [], all, mode = 'remove', settle } = values
  if (words.length + tag.length + pattern.length === 0 && all !== true) {
    throw new UsageError('invalidate needs a key, --tag, --pattern or --all', 'invalidate')
  }
  if (!MODES.includes(mode))
    throw new UsageError(`--mode must be ${MODES.join(' or ')}; got ${shown(mode)}`, 'invalidate')
  if (settle !== undefined && mode === 'stale') throw new UsageError('--settle needs --mode remove', 'invalidate')
  return { tags: tag, patterns: pattern, all: all === true, mode, settle: settleOf(settle) }
}

/** As in `cache.invalidate`; checked before anything is asked of Redis. */
function settleOf(text) {
  if (text === undefined) return undefined
  try {
    return toMs(/^\d+$/.test(text) ? Number(text) : text, '--settle', SETTLE)
  } catch (error) {
    throw new UsageError(error.message, 'invalidate')
  }
}

/** Everything at once is asked for twice. */
async function confirm(where, views, values) {
  if (values.all !== true || values.yes === true) return
  const what = views.length === 0 ? `namespace ${where.namespace}` : `view ${views.join('/')} of ${where.namespace}`
  if (process.stdin.isTTY !== true || values.json === true) {
    throw new UsageError(`--all invalidates every entry of ${what}: add --yes to mean it`, 'invalidate')
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  const question = prompt.question(`Invalidate every entry of ${what} at ${where.url}? [y/N] `)
  // Ctrl-C and Ctrl-D close the prompt: no answer is a no.
  const answer = await Promise.race([question, once(prompt, 'close').then(() => '')])
  prompt.close()
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new Failure('nothing was invalidated')
}

/** What a name means: the first reading that has an entry, else the name as it stands. */
async function placeOf(word, views, admin) {
  const places = readings(word, views)
  if (places.length === 1) return places[0]
  const { report } = await admin().entry(places.map(stored))
  const { found, place } = JSON.parse(report)
  return found ? place : places[0]
}

/** Keys by the view they are in: `[views, keys]`. A version goes with its key. */
async function keysByView(words, views, where) {
  let opened
  const admin = () => {
    opened ??= openAdmin(where)
    return opened
  }
  const groups = new Map()
  for (const word of words) {
    const place = await ask(placeOf(word, views, admin).then(JSON.stringify))
    const name = place.view.join('/')
    const group = groups.get(name) ?? { views: place.view, keys: [] }
    group.keys.push(place.key)
    groups.set(name, group)
  }
  return [...groups.values()]
}

/** One target for each call of `invalidate`: keys by view, then the rest in the view that was named. */
function calls(groups, views, { tags, patterns, all }) {
  const [pattern, ...more] = patterns
  const rest = {
    ...(tags.length > 0 ? { tags } : {}),
    ...(pattern === undefined ? {} : { pattern }),
    ...(all ? { all: true } : {}),
  }
  return [
    ...groups.map(({ views: inViews, keys }) => ({ views: inViews, target: { keys } })),
    ...(Object.keys(rest).length > 0 ? [{ views, target: rest }] : []),
    ...more.map((one) => ({ views, target: { pattern: one } })),
  ]
}

async function carryOut(list, { mode, settle }, where) {
  // The operator's switch turns caches off, not this.
  delete process.env.TIDECACHE_DISABLED
  const { createCache } = require('../../lib/cache.js')
  const cache = createCache({ ...where.options, memory: false, logger: { warn() {} } })
  try {
    await cache.ready()
    for (const { views, target: what } of list) {
      const view = views.reduce((at, name) => at.namespace(name), cache)
      await view.invalidate(what, { mode, settle, strict: true })
    }
  } catch (error) {
    if (error instanceof CacheConfigError) throw new UsageError(error.message, 'invalidate')
    if (!(error instanceof CacheRedisError)) throw error
    const why = error.message.replace(/^[^:]*: /, '')
    const next = /NOPERM/.test(why)
      ? 'tidecache doctor tells which right is missing'
      : 'run it again when Redis answers'
    throw new Failure(`Redis did not confirm it: ${why}; ${next}`)
  } finally {
    await cache.close()
  }
}

function told(list, { all, tags, patterns, mode }, where, views) {
  const keys = list.flatMap(({ views: inViews, target: { keys: names = [] } }) =>
    names.map((key) => shownName({ view: inViews, key, version: null })),
  )
  const parts = [
    ...(all ? [views.length === 0 ? 'everything' : `everything in view ${views.join('/')}`] : []),
    ...(keys.length === 1 ? [`key ${keys[0]}`] : keys.length > 0 ? [plural(keys.length, 'key')] : []),
    ...tags.map((tag) => `tag ${visible(tag)}`),
    ...patterns.map((pattern) => `pattern ${visible(pattern)}`),
  ]
  const verb = mode === 'stale' ? 'Marked stale' : 'Invalidated'
  return `${verb} in ${where.namespace}: ${parts.join(', ')}. Redis has applied it.\n`
}

async function run(words, values) {
  const asked = check(words, values)
  const views = viewsOf(values.view)
  const where = target(values)
  await confirm(where, views, values)
  const groups = await keysByView(words, views, where)
  const list = calls(groups, views, asked)
  await carryOut(list, asked, where)
  if (values.json === true) {
    const targets = list.map(({ views: view, target: what }) => ({ view, ...what }))
    process.stdout.write(`${JSON.stringify({ redis: 'applied', mode: asked.mode, targets })}\n`)
  } else {
    process.stdout.write(told(list, asked, where, views))
  }
  return 0
}

module.exports = {
  summary: 'make entries fall, in every process: by key, tag, pattern, or all',
  usage: 'invalidate [key…] [--tag t] [--pattern p] [--all] [options]',
  options: {
    tag: { type: 'string', multiple: true },
    pattern: { type: 'string', multiple: true },
    all: { type: 'boolean' },
    yes: { type: 'boolean', short: 'y' },
    mode: { type: 'string' },
    settle: { type: 'string' },
    view: { type: 'string' },
  },
  help: [
    ['--tag <tag>', 'entries with this tag; may be given again'],
    ['--pattern <glob>', 'entries whose keys match, as ls shows them; may be given again'],
    ['--all, --yes', 'every entry; without asking'],
    ['--mode stale', 'keep serving them inside staleWhileRevalidate, refresh at the next read'],
    ['--settle <300ms>', 'loads begun meanwhile (30s at most) are not stored: for a source that lags'],
    ['--view <a/b>', 'in this view'],
  ],
  notes: [
    'Keys may be given as ls shows them: view/key, key@version (one invalidation removes every version). Exit code 1 when Redis did not confirm it.',
  ],
  run,
}
