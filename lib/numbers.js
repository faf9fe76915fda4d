'use strict'
// What the numbers between this side and the core mean: one array of doubles, the answer to `probe` first, then eight
// for each fetched answer. The same layout is written in src/fast.rs and src/outbox.rs.

const HEAD = 8
const STRIDE = 8
/** Answers per fetch. */
const MOST = 1_024

/** Where `fetch` says whether there are notices. */
const NOTICES = 5

/** What `probe` found: numbers[0]. */
const PROBE = { MISS: 0, FRESH: 1, STALE: 2, JOIN: 3, LEAD: 4 }
/** Bits of `flags`. */
const FLAG = { FORCE: 1, NEVER: 2, NO_LOAD: 4, BYPASS: 8, TELL: 16, NESTED: 32 }
/** How a load ends without a value. */
const END = { SKIPPED: 0, FAILED: 1, TIMED_OUT: 2, ABANDONED: 3 }
/** What an answer is. */
const ANSWER = {
  HIT: 1,
  LEAD: 2,
  DENIED: 3,
  RETRY: 4,
  MISS: 5,
  FILLED: 6,
  RECEIPT: 7,
  DONE: 8,
  HEALTH: 9,
  READY: 10,
  INSPECTED: 11,
  HELD: 12,
  OVERLOAD: 13,
}

/** The stale value beside a load. */
function previousAt(numbers, at, data) {
  if (numbers[at + 2] === 0) return undefined
  return { data, onError: numbers[at + 3] === 1, age: numbers[at + 4], codec: numbers[at + 6] }
}

/** One answer as an object: what it is made of depends on its kind. */
function answerAt(numbers, at, value) {
  const kind = numbers[at]
  switch (kind) {
    case ANSWER.HIT:
      return {
        kind,
        codec: numbers[at + 6],
        data: value,
        outcome: numbers[at + 7] === 1 ? 'joined' : numbers[at + 2] === 1 ? 'stale' : 'fresh',
        tier: numbers[at + 3] === 1 ? 'redis' : 'memory',
        age: numbers[at + 4],
        refresh: numbers[at + 5],
      }
    case ANSWER.LEAD:
      return { kind, previous: previousAt(numbers, at, value), isPressed: numbers[at + 7] === 1 }
    case ANSWER.OVERLOAD:
      return { kind, previous: previousAt(numbers, at, value), hasWaited: numbers[at + 7] === 1 }
    case ANSWER.RECEIPT:
      return { state: ['applied', 'queued', 'off'][numbers[at + 2]], why: value }
    case ANSWER.HEALTH:
      return {
        status: ['ok', 'degraded', 'memory-only'][numbers[at + 2]],
        latency: numbers[at + 3],
        isTracking: numbers[at + 4] === 1,
        why: value,
      }
    case ANSWER.INSPECTED:
      return {
        kind,
        isStale: numbers[at + 2] === 1,
        tier: numbers[at + 3] === 1 ? 'redis' : 'memory',
        age: numbers[at + 4],
        bytes: numbers[at + 5],
        tags: JSON.parse(value),
      }
    case ANSWER.READY:
      return { isReady: numbers[at + 2] === 1, why: value }
    default:
      return { kind }
  }
}

module.exports = { HEAD, STRIDE, MOST, NOTICES, PROBE, FLAG, END, ANSWER, answerAt }
