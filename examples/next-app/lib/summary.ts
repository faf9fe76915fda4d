// What this replica tells of itself: the figures of its cache, and samples of them over the last ten minutes.

import type { Metrics } from 'tidecache'
import { metrics } from 'tidecache/next'
import { queryCount } from './database'
import type { Buckets } from './percentile'
import { shared } from './shared'
import { waits } from './waits'

/** Ten minutes of them. */
const SAMPLES = 120

/** Counters at a moment. What happened between two samples is their difference. */
export interface Sample {
  /** By the clock of the process, ms: it never jumps, and means nothing to another process. */
  at: number
  memory: number
  redis: number
  misses: number
  queries: number
}

export interface Summary {
  id: string
  name: string
  /** As in `Sample`. */
  at: number
  queries: number
  metrics: Metrics
  /** How long pages waited for hits. */
  waits: Buckets
  samples: Sample[]
}

const kept = shared('samples', () => ({ samples: [] as Sample[] }))

export const now = () => performance.now()

/** This replica, now. */
export async function summarize(): Promise<Summary> {
  const figures = await metrics()
  const { memory, redis, misses, process: self } = figures
  const sample = { at: now(), memory: memory.hits, redis: redis.hits, misses, queries: queryCount() }
  return {
    id: self.id,
    name: process.env.REPLICA_NAME || `replica ${self.id.slice(0, 4)}`,
    at: sample.at,
    queries: sample.queries,
    metrics: figures,
    waits: waits(),
    samples: [...kept.samples, sample],
  }
}

/** `summarize`, whose sample stays. */
export async function takeSample(): Promise<Summary> {
  const summary = await summarize()
  kept.samples = summary.samples.slice(-SAMPLES)
  return summary
}
