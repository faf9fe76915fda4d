import type { Metrics } from 'tidecache'
import { metrics } from 'tidecache/next'
import { refusal } from '../../../../lib/admin'
import { FEW_READS } from '../../../../lib/percentile'

const REASONS = {
  401: 'an administrator’s token is required',
  403: 'the token is not valid',
  503: 'ADMIN_TOKEN is not set',
}

const NO_STORE = { 'Cache-Control': 'no-store' }

/** p99 of the hits. Those in Redis decide with the others once they are more than one in a hundred. */
function areHitsFast({ hits, redis, latency }: Metrics) {
  const isRedisFast = redis.hits <= hits / 100 || latency.redis.p99 < 1
  return hits > 0 && isRedisFast && latency.memory.p99 < 1
}

/** The whole cache's figures: a hit in memory is one that Redis was spared. */
function report(figures: Metrics) {
  const { hits, misses, hitRate, redis } = figures
  const isTold = hits + misses >= FEW_READS
  return {
    redis: { hits, misses, hitRate, health: redis.health },
    performance: {
      hitRateAchieved: isTold && hitRate >= 90,
      subMillisecondReads: isTold && areHitsFast(figures),
    },
  }
}

export async function GET(request: Request) {
  const status = refusal(request)
  if (status === undefined) {
    return Response.json({ success: true, data: report(await metrics()) }, { headers: NO_STORE })
  }
  const headers = status === 401 ? { ...NO_STORE, 'WWW-Authenticate': 'Bearer' } : NO_STORE
  return Response.json({ success: false, error: REASONS[status] }, { status, headers })
}
