'use strict'
// Text for people: colours, widths, durations, sizes, tables.
//
// Keys and tags are the users' own: a control character in one must not reach the terminal.

const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uff01-\uff60]/u
const NONE = /\p{M}|[\u200b-\u200d]|\ufe0f/u
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
const COLOURS = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], cyan: [36, 39] }

const DEFAULT_COLUMNS = 80
const NARROWEST = 40

/**
 * Functions that colour a text, or leave it as it is where nobody sees colours.
 *
 * @param {{ isTTY?: boolean }} stream
 * @returns {Record<'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan', (text: string) => string>}
 */
function paintFor(stream, env = process.env) {
  const isOn = stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  const painter = ([on, off]) => (isOn ? (text) => `\x1b[${on}m${text}\x1b[${off}m` : (text) => text)
  return Object.fromEntries(Object.entries(COLOURS).map(([name, codes]) => [name, painter(codes)]))
}

/** Columns of a terminal; 80 where there is none. */
function columnsOf(stream) {
  return Math.max(NARROWEST, stream.columns ?? DEFAULT_COLUMNS)
}

/** A user's text with what a terminal would act on, or not show, written out: '\x1b' as `\u{1b}`. */
function visible(text) {
  return text.replace(HIDDEN, (char) => `\\u{${char.codePointAt(0).toString(16)}}`)
}

function charWidth(char) {
  if (char < '\x7f') return 1
  return NONE.test(char) ? 0 : WIDE.test(char) ? 2 : 1
}

/** Columns that a text takes, without colours. */
function width(text) {
  let sum = 0
  for (const char of text) sum += charWidth(char)
  return sum
}

/** The text in at most `most` columns, its end cut with '…'. */
function cut(text, most) {
  if (text.length <= most && width(text) <= most) return text
  let kept = ''
  let room = most - 1
  for (const char of text) {
    room -= charWidth(char)
    if (room < 0) break
    kept += char
  }
  return `${kept}…`
}

const padEnd = (text, columns) => text + ' '.repeat(Math.max(0, columns - width(text)))
const padStart = (text, columns) => ' '.repeat(Math.max(0, columns - width(text))) + text

/** Words in lines of at most `columns`; a word is never broken. */
function wrap(text, columns) {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line === '') lines[lines.length - 1] = word
    else if (width(line) + 1 + width(word) <= columns) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}

const UNITS = [
  ['d', 86_400_000, 'h', 3_600_000],
  ['h', 3_600_000, 'm', 60_000],
  ['m', 60_000, 's', 1_000],
]

/** A time in two units: '3m 58s', '12s', '0.4s'. */
function time(ms) {
  if (ms < 0) return `-${time(-ms)}`
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1).replace('.0', '')}s`
  const rounded = Math.round(ms / 1_000) * 1_000
  for (const [big, bigMs, small, smallMs] of UNITS) {
    if (rounded < bigMs) continue
    const whole = Math.floor(rounded / bigMs)
    const rest = Math.floor((rounded % bigMs) / smallMs)
    return rest === 0 || whole >= 100 ? `${whole}${big}` : `${whole}${big} ${rest}${small}`
  }
  return `${rounded / 1_000}s`
}

/** A latency: '0.05 ms', '12 ms', '1.2 s'. */
function latency(ms) {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`
  return `${ms >= 10 ? Math.round(ms) : ms >= 1 ? ms.toFixed(1) : ms.toFixed(2)} ms`
}

/** A size: '312 B', '1.2 KB', '64 MB'. */
function bytes(count) {
  let value = count
  for (const unit of ['B', 'KB', 'MB', 'GB', 'TB']) {
    const text = unit === 'B' || value >= 99.95 ? value.toFixed(0) : value.toFixed(1).replace('.0', '')
    if (Number(text) < 1_024 || unit === 'TB') return `${text} ${unit}`
    value /= 1_024
  }
}

/** A count with thin groups: '1,234,567'. */
const count = (value) => Math.round(value).toLocaleString('en-US')

/** '1 key', '2 keys'. */
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? '' : 's'}`

module.exports = {
  paintFor,
  columnsOf,
  visible,
  width,
  cut,
  padEnd,
  padStart,
  wrap,
  time,
  latency,
  bytes,
  count,
  plural,
}
