'use strict'
// `ls`: the entries of a namespace, as they are found. Redis keeps them in no order, so neither does this.

const { UsageError } = require('../args.js')
const { ask, openAdmin, target } = require('../connection.js')
const { pathOfViews, shownName, viewsOf } = require('../names.js')
const { Status, write } = require('../out.js')
const { bytes, columnsOf, count, cut, padEnd, padStart, paintFor, plural, time, visible, width } = require('../text.js')
const { oneWord } = require('../words.js')

const FIXED = [
  ['age', 7],
  ['left', 7],
  ['state', 7],
  ['bytes', 8],
]
const FIXED_WIDTH = FIXED.reduce((sum, [, columns]) => sum + columns + 2, 2)
const KEY_MIN = 12
const KEY_MAX = 60
const COLOURS = { fresh: 'green', stale: 'yellow', 'stale-if-error': 'yellow', invalid: 'red', expired: 'dim' }
const SHORT = { 'stale-if-error': 'error' }

/** Widths by what the first rows need; a terminal gives what it has, a pipe cuts nothing. */
function layoutFor(rows, stream) {
  const longest = (texts, most) => Math.min(most, Math.max(0, ...texts.map(width)))
  const keys = rows.map(shownName)
  const isCut = stream.isTTY === true
  if (!isCut) return { isCut, key: Math.max(KEY_MIN, longest(keys, KEY_MAX)) }
  const room = columnsOf(stream) - FIXED_WIDTH
  const tags = Math.max(4, longest(rows.map(shownTags), Math.floor(room / 2)))
  const key = Math.max(KEY_MIN, Math.min(longest(keys, KEY_MAX), room - tags))
  return { isCut, key, tags: room - key }
}

const shownTags = ({ tags }) => tags.map(visible).join(' ')

function line([key, age, left, state, size, tags], layout) {
  const cells = [age, left, state, size].map((text, n) => {
    const pad = FIXED[n][0] === 'state' ? padEnd : padStart
    return pad(text, FIXED[n][1])
  })
  const name = padEnd(layout.isCut ? cut(key, layout.key) : key, layout.key)
  return { name, cells, tags: layout.isCut ? cut(tags, layout.tags) : tags }
}

function header(layout, paint) {
  const { name, cells, tags } = line(['key', ...FIXED.map(([title]) => title), 'tags'], layout)
  return `${paint.dim([name, ...cells, tags].join('  ').trimEnd())}\n`
}

function rowLine(row, layout, paint) {
  const { age, left, state, bytes: size } = row
  const texts = [
    shownName(row),
    time(age),
    left > 0 ? time(left) : '-',
    SHORT[state] ?? state,
    bytes(size),
    shownTags(row),
  ]
  const { name, cells, tags } = line(texts, layout)
  cells[2] = paint[COLOURS[state]](cells[2])
  return `${[name, ...cells, paint.dim(tags)].join('  ').trimEnd()}\n`
}

function jsonLine(row) {
  const { key, view, version, age, left, state, bytes: size, tags } = row
  return `${JSON.stringify({ key, view, version, age, ttlLeft: left, state, bytes: size, tags })}\n`
}

/** Writes rows as they come: a table, or a line of JSON each. */
class Printer {
  #isJson
  #stream
  #paint
  #layout

  constructor(stream, isJson) {
    this.#stream = stream
    this.#isJson = isJson
    this.#paint = paintFor(stream)
  }

  print(rows) {
    if (this.#isJson) return write(this.#stream, rows.map(jsonLine).join(''))
    const isFirst = this.#layout === undefined
    this.#layout ??= layoutFor(rows, this.#stream)
    const head = isFirst ? header(this.#layout, this.#paint) : ''
    return write(this.#stream, head + rows.map((row) => rowLine(row, this.#layout, this.#paint)).join(''))
  }
}

function told({ shown, unreadable, glob, namespace }) {
  const lines = []
  if (shown === 0)
    lines.push(glob === undefined ? `no entries in namespace ${namespace}` : `no entry matches '${visible(glob)}'`)
  if (unreadable > 0)
    lines.push(`${plural(unreadable, 'name')} could not be read: of another version of tidecache, or damaged`)
  return lines.map((text) => `tidecache: ${text}\n`).join('')
}

function progress({ scanned, total }, shown) {
  const share = total > 0 ? ` of ${count(total)}` : ''
  return `${count(Math.min(scanned, total > 0 ? total : scanned))}${share} keys looked at, ${count(shown)} found`
}

async function begin(admin, glob, views) {
  try {
    await ask(admin.list(glob, views))
  } catch (error) {
    throw error.message.startsWith('the pattern ') ? new UsageError(error.message, 'ls') : error
  }
}

async function run(words, values) {
  const glob = words.length === 0 ? undefined : oneWord('ls', words, 'pattern')
  const views = pathOfViews(viewsOf(values.view))
  const where = target(values)
  const admin = openAdmin(where)
  const printer = new Printer(process.stdout, values.json === true)
  const status = new Status(process.stderr)
  const limit = values.view === undefined ? undefined : views
  await begin(admin, glob, limit)
  let shown = 0
  for (let page; page?.done !== true; ) {
    page = await ask(admin.next())
    if (page.rows.length > 0) {
      status.clear()
      shown += page.rows.length
      await printer.print(page.rows)
    } else if (page.done !== true) status.show(progress(page, shown))
    if (page.done) {
      status.clear()
      process.stderr.write(told({ shown, unreadable: page.unreadable, glob, namespace: where.namespace }))
    }
  }
  return shown > 0 ? 0 : 1
}

module.exports = {
  summary: 'the entries whose keys match: age, ttl left, state, size, tags',
  usage: 'ls [pattern] [options]',
  options: { view: { type: 'string' } },
  help: [['--view <a/b>', 'only the entries of this view; else all, those of views as view/key']],
  notes: [
    'Patterns are those of invalidate({ pattern }): * any run, ? one character, [abc] one of them, \\ escapes. Quote them: the shell knows * too.',
    'States: fresh; stale (served while it is refreshed); error (served only if the loader fails); invalid (of a key, tag or pattern that was invalidated). Entries come in no order, as Redis keeps them; nothing is loaded or changed.',
  ],
  run,
}
