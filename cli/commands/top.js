'use strict'
// `top`: what the server does now, and how much of it is this namespace. A bounded look each time, whatever its size.

const { UsageError } = require('../args.js')
const { ask, openAdmin, target } = require('../connection.js')
const { write } = require('../out.js')
const { bytes, columnsOf, count, padEnd, padStart, paintFor, plural, time } = require('../text.js')
const { noWords } = require('../words.js')
const { toMs } = require('../../lib/duration.js')

const INTERVAL = 2_000
const LIMITS = { min: 200, max: 3_600_000 }
/** Between the two looks of `--once`: rates need two. */
const GLANCE = 500
const KINDS = 6
const LEFT = 14

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Counters of two looks as rates a second, without what the first of them asked itself; null when the server was restarted
 * in between.
 */
function rates(before, now) {
  const seconds = (now.time - before.time) / 1e6
  if (seconds <= 0 || now.commandCount < before.commandCount) return null
  const rate = (from, to) => Math.max(0, (to ?? 0) - (from ?? 0)) / seconds
  const of = (name) => rate(before[name], now[name])
  const own = (name) => before.own[name] ?? 0
  const asked = Object.values(before.own).reduce((sum, calls) => sum + calls, 0)
  const kinds = Object.entries(now.commands)
    .map(([name, calls]) => ({ name, rate: rate((before.commands[name] ?? 0) + own(name), calls) }))
    .filter(({ rate: each }) => each > 0)
    .sort((a, b) => b.rate - a.rate)
  return {
    commands: rate(before.commandCount + asked, now.commandCount),
    kinds,
    hits: of('hits'),
    misses: of('misses'),
    evicted: of('evicted'),
    expired: of('expired'),
  }
}

const share = (hits, misses) => (hits + misses > 0 ? hits / (hits + misses) : null)

/** What is ours, from the share of the keys that were met. */
function oursOf({ namespace: met, keys }) {
  const factor = met.isWhole || met.keys === 0 ? 1 : keys / met.keys
  const scaled = (part) => Math.round(part * factor)
  const total = (met.entries + met.leases + met.versions) * factor
  return {
    entries: scaled(met.entries),
    leases: scaled(met.leases),
    tags: scaled(met.versions),
    bytes: met.meanSize === null ? null : Math.round(total * met.meanSize),
    isExact: met.isWhole,
  }
}

function measure(before, now) {
  const flow = rates(before, now)
  return {
    at: new Date(now.time / 1_000).toISOString(),
    flow,
    hitRate: flow === null ? null : share(flow.hits, flow.misses),
    hitRateSinceStart: share(now.hits, now.misses),
    ours: oursOf(now),
    server: now,
  }
}

function toJson({ at, flow, hitRate, hitRateSinceStart, ours, server }, where) {
  const round = (value) => (value === null ? null : Math.round(value * 1_000) / 1_000)
  return `${JSON.stringify({
    at,
    namespace: where.namespace,
    commandsPerSecond: flow === null ? null : round(flow.commands),
    byKind: flow === null ? null : Object.fromEntries(flow.kinds.map(({ name, rate }) => [name, round(rate)])),
    hitRate: round(hitRate),
    hitRateSinceStart: round(hitRateSinceStart),
    evictedPerSecond: flow === null ? null : round(flow.evicted),
    expiredPerSecond: flow === null ? null : round(flow.expired),
    ...ours,
    server: {
      version: server.version,
      uptime: server.uptime,
      keys: server.keys,
      memoryUsed: server.memoryUsed,
      memoryMax: server.memoryMax,
      clients: server.clients,
      trackingClients: server.tracking,
    },
  })}\n`
}

const percent = (value) => (value === null ? '-' : `${(value * 100).toFixed(1)} %`)
const perSecond = (value) => (value >= 10 ? count(value) : value.toFixed(1).replace('.0', ''))

function kindLines({ kinds }, paint, columns) {
  const most = Math.max(1, ...kinds.map(({ rate }) => rate))
  const room = Math.max(8, columns - LEFT - 30)
  return kinds.slice(0, KINDS).map(({ name, rate }) => {
    const bar = '▇'.repeat(Math.max(1, Math.round((rate / most) * room)))
    return `  ${padEnd('', LEFT - 2)}${padStart(`${perSecond(rate)}/s`, 11)}  ${padEnd(name, 16)}${paint.cyan(bar)}`
  })
}

function frame({ flow, hitRate, hitRateSinceStart, ours, server }, where, stream) {
  const paint = paintFor(stream)
  const row = (title, text) => `  ${paint.dim(padEnd(title, LEFT - 2))}${text}`
  const about = ours.isExact ? '' : 'about '
  const size =
    ours.bytes === null ? 'size not known (MEMORY USAGE is refused)' : `about ${bytes(ours.bytes)} in Redis (sampled)`
  const used =
    server.memoryMax > 0 ? `${bytes(server.memoryUsed)} of ${bytes(server.memoryMax)}` : bytes(server.memoryUsed)
  return [
    `${paint.bold(`tidecache top  ${where.url}  namespace ${where.namespace}`)}`,
    '',
    row('commands', flow === null ? 'the server was restarted' : padStart(`${perSecond(flow.commands)}/s`, 11)),
    ...(flow === null ? [] : kindLines(flow, paint, columnsOf(stream))),
    row('hit rate', `${percent(hitRate)} now, ${percent(hitRateSinceStart)} since the start (of the server)`),
    '',
    row(
      'namespace',
      `${about}${count(ours.entries)} ${ours.entries === 1 ? 'entry' : 'entries'}, ${plural(ours.tags, 'tag')}, ${count(ours.leases)} loading`,
    ),
    row('', size),
    row(
      'server',
      `${used} used, ${count(server.keys)} keys, ${plural(server.clients, 'client')} (${server.tracking ?? '?'} tracking)`,
    ),
    row('', flow === null ? '' : `${perSecond(flow.evicted)}/s evicted, ${perSecond(flow.expired)}/s expired`),
    row('', `Redis ${server.version}, up ${time(server.uptime * 1_000)}`),
  ]
}

/** Frames over each other on a terminal; the last one stays. */
class Screen {
  #stream
  #height = 0

  constructor(stream) {
    this.#stream = stream
    if (stream.isTTY !== true) return
    stream.write('\x1b[?25l')
    process.once('exit', () => stream.write('\x1b[?25h'))
  }

  draw(lines) {
    const isTty = this.#stream.isTTY === true
    const back = isTty && this.#height > 0 ? `\x1b[${this.#height}A` : ''
    const clear = isTty ? '\x1b[K' : ''
    const below = isTty ? '\x1b[J' : ''
    this.#height = lines.length
    return write(this.#stream, `${back}${lines.map((line) => `${line}${clear}\n`).join('')}${below}`)
  }
}

function intervalOf({ interval }) {
  if (interval === undefined) return INTERVAL
  try {
    return toMs(/^\d+$/.test(interval) ? Number(interval) : interval, '--interval', LIMITS)
  } catch (error) {
    throw new UsageError(error.message, 'top')
  }
}

async function run(words, values) {
  noWords('top', words)
  const interval = intervalOf(values)
  const where = target(values)
  const admin = openAdmin(where)
  let before = await ask(admin.sample())
  const screen = values.json === true ? undefined : new Screen(process.stdout)
  for (let isFirst = true; ; isFirst = false) {
    await sleep(isFirst ? Math.min(GLANCE, interval) : interval)
    const now = await ask(admin.sample())
    const seen = measure(before, now)
    before = now
    await (screen === undefined
      ? write(process.stdout, toJson(seen, where))
      : screen.draw(frame(seen, where, process.stdout)))
    if (values.once === true) return 0
  }
}

module.exports = {
  summary: 'what the server does now, and how much of it is this namespace',
  usage: 'top [options]',
  options: { once: { type: 'boolean' }, interval: { type: 'string' } },
  help: [
    ['--once', 'one look, then end'],
    ['--interval <2s>', 'between looks, from 200ms to 1h'],
  ],
  notes: [
    'Tags: names that entries depend on, so also views, and keys with versions or a settle.',
    'Each look costs Redis a few ms at most: INFO, and up to 10 pages of SCAN, by which entries are counted or, in large databases, estimated. It is not counted among the commands.',
  ],
  interrupted: 0,
  run,
}
