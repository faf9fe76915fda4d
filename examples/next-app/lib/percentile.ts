// Latencies in buckets, of one process or of several together.

/** The upper edge in ms, and how many were below it and above the one before. */
export type Buckets = [edge: number, count: number][]

/** Below this many reads a rate or a percentile says nothing. */
export const FEW_READS = 100

/** Buckets of several processes can be put together; percentiles cannot. */
export function percentileOf(buckets: Buckets, share: number): number | undefined {
  const sorted = [...buckets].sort(([a], [b]) => a - b)
  const rank = Math.ceil(share * sorted.reduce((sum, [, count]) => sum + count, 0))
  let seen = 0
  for (const [edge, count] of sorted) {
    seen += count
    if (seen >= rank) return edge
  }
  return undefined
}
