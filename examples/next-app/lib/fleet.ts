// The replicas of this application: each writes a summary of its cache to Redis every five seconds, and shows those of
// all. Summaries lie in a cache of their own, so that they count for nothing in the figures they tell of.

import { hostname } from 'node:os'
import { createCache, type Metrics } from 'tidecache'
import { metrics } from 'tidecache/next'
import { queryCount } from './database'
import type { Buckets } from './percentile'
import { shared } from './shared'
import { waits } from './waits'

const EVERY = 5_000
/** A replica that has not been heard of for so long is gone. */
const LIFE = '16s'
/** Ten minutes of samples. */
const SAMPLES = 120
/** A replica writes in one of so many places: there is no list of them that two could write at once. */
const PLACES = 16

/** Counters at a moment. What happened between two samples is their difference. */
export interface Sample {
  at: number
  memory: number
  redis: number
  misses: number
  queries: number
}

export interface Summary {
  name: string
  at: number
  queries: number
  metrics: Metrics
  /** How long pages waited for hits. */
  waits: Buckets
  samples: Sample[]
}

export interface Fleet {
  /** Who answered. */
  name: string
  replicas: Summary[]
}

const me = shared('replica', () => ({
  name: process.env.REPLICA_NAME || `${hostname()}:${process.env.PORT || 3000}`,
  samples: [] as Sample[],
  place: undefined as number | undefined,
  timer: undefined as NodeJS.Timeout | undefined,
}))

const open = () => {
  const namespace = `${process.env.TIDECACHE_NAMESPACE || 'next-app'}-fleet`.slice(-64)
  return createCache({ namespace, memory: false, logger: { warn() {} } })
}
const summaries = () => shared('summaries', open)

const keyOf = (place: number) => `replica:${place}`
const hasRedis = () => Boolean(process.env.REDIS_URL)

const sampleOf = ({ memory, redis, misses }: Metrics, queries: number): Sample => ({
  at: Date.now(),
  memory: memory.hits,
  redis: redis.hits,
  misses,
  queries,
})

/** This replica, now. */
async function summarize(): Promise<Summary> {
  const figures = await metrics()
  const now = sampleOf(figures, queryCount())
  return {
    name: me.name,
    at: now.at,
    queries: now.queries,
    metrics: figures,
    waits: waits(),
    samples: [...me.samples, now],
  }
}

/** All replicas, this one as it is now. */
export async function readFleet(): Promise<Fleet> {
  const own = await summarize()
  const others = hasRedis() ? await readOthers(own.metrics.process.id) : []
  const replicas = [own, ...others].sort((a, b) => a.name.localeCompare(b.name))
  return { name: own.name, replicas }
}

async function readOthers(id: string): Promise<Summary[]> {
  const found = await readPlaces()
  return found.filter((summary) => summary !== undefined && summary.metrics.process.id !== id) as Summary[]
}

function readPlaces() {
  const places = Array.from({ length: PLACES }, (_, place) => place)
  return Promise.all(places.map((place) => summaries().get<Summary>(keyOf(place))))
}

/** The place of this replica: the one it had, unless another took it at the same moment; else a free one. */
async function findPlace(id: string): Promise<number> {
  const found = await readPlaces()
  const own = found.findIndex((summary) => summary?.metrics.process.id === id)
  if (own !== -1) return own
  const free = found.flatMap((summary, place) => (summary === undefined ? [place] : []))
  return free[Math.floor(Math.random() * free.length)] ?? Math.floor(Math.random() * PLACES)
}

async function beat() {
  const summary = await summarize()
  me.samples = summary.samples.slice(-SAMPLES)
  if (!hasRedis()) return
  me.place = await findPlace(summary.metrics.process.id)
  await summaries().set(keyOf(me.place), summary, { ttl: LIFE, staleWhileRevalidate: 0 })
}

/** Begins to sample and to tell the others. */
export function joinFleet() {
  if (me.timer !== undefined) return
  const tell = () => beat().catch((error) => console.error('Fleet:', error.message))
  me.timer = setInterval(tell, EVERY)
  me.timer.unref()
  tell()
}
