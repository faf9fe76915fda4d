// From the replicas' samples to what the charts draw: what happened per second in each five seconds, in all of them.

import type { Replica } from './fleet'
import type { Sample } from './summary'

export const STEP = 5_000
const STEPS = 60

export interface Point {
  at: number
  /** Per second. */
  memory: number
  redis: number
  misses: number
  queries: number
  /** Per cent, or undefined when nothing was read. */
  hitRate: number | undefined
}

const NAMES = ['memory', 'redis', 'misses', 'queries'] as const
type Counts = Record<(typeof NAMES)[number], number>

const nothing = (): Counts => ({ memory: 0, redis: 0, misses: 0, queries: 0 })

/** Adds what happened between two samples to the steps that it touches, to each its share. */
function add(steps: Map<number, Counts>, before: Sample, after: Sample) {
  const length = after.at - before.at
  if (length <= 0) return
  for (let step = Math.floor(before.at / STEP); step * STEP < after.at; step++) {
    const counts = steps.get(step)
    const shared = Math.min(after.at, (step + 1) * STEP) - Math.max(before.at, step * STEP)
    if (counts === undefined) continue
    for (const name of NAMES) counts[name] += ((after[name] - before[name]) * shared) / length
  }
}

/** The last five minutes up to `now`; the step that has only begun is left out. */
export function seriesOf(replicas: Replica[], now: number): Point[] {
  const last = Math.floor(now / STEP) - 1
  const steps = new Map(Array.from({ length: STEPS }, (_, i) => [last - STEPS + 1 + i, nothing()]))
  for (const { samples } of replicas) {
    samples.forEach((sample, i) => {
      const before = samples[i - 1]
      if (before !== undefined) add(steps, before, sample)
    })
  }
  return [...steps].map(([step, counts]) => pointOf(step, counts))
}

function pointOf(step: number, counts: Counts): Point {
  const reads = counts.memory + counts.redis + counts.misses
  const hitRate = reads < 0.5 ? undefined : (100 * (reads - counts.misses)) / reads
  const perSecond = Object.fromEntries(NAMES.map((name) => [name, (counts[name] * 1_000) / STEP])) as unknown as Counts
  return { at: step * STEP, ...perSecond, hitRate }
}

export interface Sum {
  hits: number
  misses: number
  stale: number
  hitRate: number
  memory: number
  redis: number
  loads: number
  failed: number
  queries: number
  applied: number
  queued: number
  received: number
  entries: number
  bytes: number
}

/** All replicas together. The rate is that of the sums, not the mean of rates. */
export function sumOf(replicas: Replica[]): Sum {
  const total = (of: (replica: Replica) => number) => replicas.reduce((sum, replica) => sum + of(replica), 0)
  const hits = total(({ metrics }) => metrics.hits)
  const misses = total(({ metrics }) => metrics.misses)
  return {
    hits,
    misses,
    stale: total(({ metrics }) => metrics.stale),
    hitRate: hits + misses === 0 ? 0 : (100 * hits) / (hits + misses),
    memory: total(({ metrics }) => metrics.memory.hits),
    redis: total(({ metrics }) => metrics.redis.hits),
    loads: total(({ metrics }) => metrics.loads.started),
    failed: total(({ metrics }) => metrics.loads.failed + metrics.loads.timedOut),
    queries: total(({ queries }) => queries),
    applied: total(({ metrics }) => metrics.invalidations.applied),
    queued: total(({ metrics }) => metrics.invalidations.queued),
    received: total(({ metrics }) => metrics.invalidations.received),
    entries: total(({ metrics }) => metrics.memory.entries),
    bytes: total(({ metrics }) => metrics.memory.bytes),
  }
}
