'use strict'
// Durations as users write them: what each text means, and that nothing doubtful is guessed.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { test } = require('node:test')
const { setImmediate: turn } = require('node:timers/promises')
const { duration, toMs, ttlMs, TIMEOUT } = require('../lib/duration.js')

const DAY = 86_400_000

const refusal = (run) => {
  try {
    run()
  } catch (error) {
    assert.equal(error.name, 'CacheConfigError')
    assert.equal(error.code, 'ERR_CACHE_CONFIG')
    return error.message
  }
  return assert.fail('must be refused')
}

test('digits and a unit are integer milliseconds; a number is milliseconds', () => {
  const cases = [
    ['0ms', 0],
    ['300ms', 300],
    ['5s', 5_000],
    ['5m', 300_000],
    ['12h', 43_200_000],
    ['30d', 30 * DAY],
    ['365d', 365 * DAY],
    ['007s', 7_000],
    [0, 0],
    [-0, 0],
    [1_500, 1_500],
    [365 * DAY, 365 * DAY],
  ]

  for (const [text, ms] of cases) assert.ok(Object.is(duration(text), ms), String(text))
})

test('anything else is refused, naming the value and what is allowed', () => {
  const cases = [
    '-5m',
    '+5m',
    '1e3ms',
    '1.5h',
    '',
    ' 5m',
    '5m ',
    '5 m',
    '5',
    '5M',
    '5min',
    '5m5s',
    '٥m',
    '0x5s',
    'Infinity',
    'forever',
    '366d',
    '9999999999999999d',
    `${'9'.repeat(400)}ms`,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    0.5,
    365 * DAY + 1,
    5n,
    true,
    null,
    undefined,
    {},
    [5],
    new Date(5),
    Symbol('5m'),
  ]

  for (const value of cases) {
    const message = refusal(() => duration(value))
    assert.match(message, /^duration must be an integer number of milliseconds, or digits and a unit/)
    assert.match(message, /from 0 to 365d; got /)
    assert.ok(message.length < 260, message)
  }
  assert.match(
    refusal(() => duration('1.5h')),
    /got '1\.5h'$/,
  )
  assert.match(
    refusal(() => duration('300')),
    /write '300ms'/,
  )
})

test('a refused text stays refused, an accepted one accepted, whatever was parsed between', () => {
  for (let i = 0; i < 3_000; i++) assert.equal(duration(`${i}ms`), i)

  assert.equal(duration('7ms'), 7)
  refusal(() => duration('7.0ms'))
  assert.equal(toMs('1ms', 'loadTimeout', TIMEOUT), 1)
})

test('limits are inclusive, and named in the message with the option', () => {
  assert.equal(toMs('24d', 'loadTimeout', TIMEOUT), 24 * DAY)
  assert.match(
    refusal(() => toMs('25d', 'loadTimeout', TIMEOUT)),
    /^loadTimeout must .* from 1ms to 24d; got '25d'$/,
  )
  assert.match(
    refusal(() => toMs(0, 'loadTimeout', TIMEOUT)),
    /from 1ms to 24d; got 0$/,
  )
})

test("'forever' is 365 d, for a ttl only", () => {
  assert.equal(ttlMs('forever'), 365 * DAY)
  assert.match(
    refusal(() => ttlMs('always')),
    /^ttl must .* or 'forever' \(365d\); got 'always'$/,
  )
  refusal(() => toMs('forever', 'staleIfError'))
})

test('a bare ttl under 1,000 warns once per process; a text, 0 and 1,000 never', async (t) => {
  const warnings = []
  const listen = (warning) => warnings.push(warning)
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))

  for (const quiet of ['300ms', 0, 1_000, '1s']) ttlMs(quiet)
  await turn()
  assert.deepEqual(warnings, [])

  const first = once(process, 'warning')
  assert.equal(ttlMs(300), 300)
  assert.equal(ttlMs(60), 60)
  await first
  await turn()
  assert.equal(warnings.length, 1)
  assert.equal(warnings[0].code, 'TIDECACHE_BARE_TTL')
  assert.match(warnings[0].message, /write '300ms'/)
})
