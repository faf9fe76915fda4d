'use strict'
// `inspect`: everything that decides about one entry, in plain words.

const { find, FIND_HELP, FIND_OPTIONS } = require('../find.js')
const { Failure } = require('../args.js')
const { write } = require('../out.js')
const { bytes, columnsOf, count, padEnd, paintFor, plural, time, visible, wrap } = require('../text.js')
const { NAMED, reasonOf, reasons } = require('../why.js')

const LEFT = 14
const CODECS = ['JSON', 'JSON with tags (dates, maps …)', 'JSON with tags and raw bytes', "the application's own"]
const COLOURS = { fresh: 'green', stale: 'yellow', 'stale-if-error': 'yellow', invalid: 'red', expired: 'red' }
const MEANING = {
  fresh: 'fresh',
  stale: 'stale: served at once, while one caller refreshes it',
  'stale-if-error': 'stale: served only when the loader fails',
  invalid: 'invalid: nobody is given it',
  expired: 'expired: nobody is given it',
}
const LEASES = {
  none: () => 'none: nobody loads it now',
  held: (left) => `held: a process loads it now (the lease lapses in ${time(left)})`,
  failed: (left) => `a load failed lately (remembered for ${time(left)} more)`,
}

const lease = ({ kind, left }) => LEASES[kind](left)
const settling = (wait) => `${NAMED[wait.kind](wait)}: loads are not stored for ${time(wait.left)} more`
const exactly = (size) => (size < 1_024 ? plural(size, 'byte') : `${bytes(size)} (${count(size)} bytes)`)
const window = (ms) => (ms === 0 ? 'off' : time(ms))

function lifetimes({ now, created, ttl, staleWhileRevalidate, staleIfError }) {
  const left = created + ttl - now
  return [
    ['age', `${time(now - created)} (stored ${new Date(created).toISOString()})`],
    ['ttl', `${time(ttl)}${left > 0 ? `, ${time(left)} left` : `, ended ${time(-left)} ago`}`],
    ['stale', `while revalidating: ${window(staleWhileRevalidate)}; if the loader fails: ${window(staleIfError)}`],
  ]
}

function dependencies({ dependencies: list, now }) {
  return list.map((one) => [
    one.matches === 'same' ? `${NAMED[one.kind](one)}: not invalidated since` : reasonOf(one, now),
    one.matches,
  ])
}

/** Rows of [title, text, colour?]. */
function rowsOf({ report, where }) {
  const { place, entry, size, expires, redisKey } = report
  const view = place.view.length === 0 ? [] : [['view', place.view.join('/')]]
  const version = place.version === null ? [] : [['version', visible(place.version)]]
  const why = reasons(entry)
  return [
    ['namespace', where.namespace],
    ...view,
    ...version,
    ['state', MEANING[entry.state], COLOURS[entry.state]],
    ...why.map((reason) => ['', reason]),
    ...lifetimes(entry),
    ['value', `${exactly(entry.bytes)}, ${CODECS[entry.codec] ?? `codec ${entry.codec}`}`],
    ['in Redis', `${bytes(size)}, ${expires > 0 ? `kept for ${time(expires)} more` : 'no expiry'}`],
    ['', redisKey],
    ['lease', lease(report.lease)],
    ...(report.settling === null ? [] : [['settling', settling(report.settling), 'yellow']]),
    ['id', entry.id],
    ...dependencies(entry).map(([text, matches], n) => [
      n === 0 ? 'depends on' : '',
      text,
      { removed: 'red', missing: 'red', staled: 'yellow' }[matches],
    ]),
  ]
}

function render(found, stream) {
  const paint = paintFor(stream)
  const columns = columnsOf(stream)
  const lines = [paint.bold(found.name), '']
  for (const [title, text, colour] of rowsOf(found)) {
    const parts = wrap(text, columns - LEFT)
    const painted = colour === undefined ? parts : parts.map(paint[colour])
    lines.push(
      `  ${paint.dim(padEnd(title, LEFT - 2))}${painted[0]}`,
      ...painted.slice(1).map((part) => ' '.repeat(LEFT) + part),
    )
  }
  return `${lines.join('\n')}\n`
}

/** For machines: what is there, and no words but the reasons. */
function toJson({ report, where }) {
  const { place, entry, size, expires, lease: held, settling: wait, redisKey, unreadable } = report
  const what = { namespace: where.namespace, key: place.key, view: place.view, version: place.version }
  const inRedis = { redisKey, redisBytes: size, redisTtl: expires, lease: held, settling: wait }
  if (entry === undefined) return { ...what, state: 'unreadable', why: [unreadable], ...inRedis }
  const { state, now, created, ttl, staleWhileRevalidate, staleIfError, tags, id, codec } = entry
  const at = (micros) => (micros === null ? null : new Date(micros / 1_000).toISOString())
  return {
    ...what,
    state,
    why: reasons(entry),
    age: now - created,
    storedAt: new Date(created).toISOString(),
    ttl,
    ttlLeft: Math.max(0, created + ttl - now),
    staleWhileRevalidate,
    staleIfError,
    bytes: entry.bytes,
    tags,
    dependencies: entry.dependencies.map(({ kind, name, matches, at: since }) => ({
      kind,
      name,
      matches,
      at: at(since),
    })),
    id,
    codec,
    ...inRedis,
  }
}

async function run(words, values) {
  const found = await find('inspect', words, values)
  const { report, name, where } = found
  if (!report.found) {
    const wait = report.settling === null ? '' : `; settling: ${settling(report.settling)}`
    throw new Failure(`no entry '${name}' in namespace ${where.namespace}; lease: ${lease(report.lease)}${wait}`)
  }
  if (values.json === true) {
    await write(process.stdout, `${JSON.stringify(toJson(found))}\n`)
    return 0
  }
  if (report.unreadable !== undefined) {
    throw new Failure(`the entry '${name}' (${bytes(report.size)}) cannot be read: ${report.unreadable}`)
  }
  await write(process.stdout, render(found, process.stdout))
  return 0
}

module.exports = {
  summary: 'all that is known of one entry: ages, tags and whether each still stands, lease',
  usage: 'inspect <key> [options]',
  options: FIND_OPTIONS,
  help: FIND_HELP,
  notes: ['Names may be given as ls shows them: view/key, key@version.'],
  run,
}
