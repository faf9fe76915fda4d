// How long pages waited for their cache hits, as the cache tells them: from the call to the decoded value.

import type { Buckets } from './percentile'
import { shared } from './shared'

/** Each bucket's edge is 15 % above the one before: percentiles are that exact. */
const STEP = 1.15
const FIRST = 0.001

const counts = shared('waits', () => new Map<number, number>())

export function recordWait(ms: number) {
  const bucket = Math.max(0, Math.ceil(Math.log(ms / FIRST) / Math.log(STEP)))
  counts.set(bucket, (counts.get(bucket) ?? 0) + 1)
}

/** Of this process since its start. */
export const waits = (): Buckets => [...counts].map(([bucket, count]) => [FIRST * STEP ** bucket, count])
