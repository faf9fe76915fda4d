// What a service writes against the types. Compiled, never run; the package's test compiles it against the tarball.

import {
  type Cache,
  type CacheOptions,
  CacheError,
  close,
  createCache,
  type Duration,
  duration,
  type EntryOptions,
  getOrSet,
  type InvalidateReceipt,
  invalidate,
  type Metrics,
  metrics,
} from 'tidecache'

interface Build {
  id: number
  name: string
}

const options: CacheOptions = { redis: false, namespace: 'types', memory: { maxBytes: 1_000_000 } }
const entry: EntryOptions = { ttl: '5m', staleWhileRevalidate: '1m', tags: ['builds'], jitter: 0.1 }
const loadBuild = async (): Promise<Build> => ({ id: 1, name: 'a' })

export async function use(): Promise<void> {
  const cache: Cache = createCache(options)

  // The value's type is the loader's, promised or not.
  const build: Build = await cache.getOrSet('build:1', loadBuild, entry)
  const count: number = await cache.getOrSet('count', () => 12)
  const same: Build = await getOrSet('build:1', ({ key, signal, previous, ttl, tag, skip }) => {
    const text: string = key
    const aborted: boolean = signal.aborted
    const before: unknown = previous
    if (text === '' || aborted || before === undefined) skip()
    ttl('1m')
    tag('builds', 'classes')
    return { id: 1, name: 'a' }
  })

  // A read without a loader may miss.
  const read: Build | undefined = await cache.get<Build>('build:1')
  await cache.set('build:1', { id: build.id, name: same.name })
  // @ts-expect-error a miss is undefined
  const wrong: Build = await cache.get<Build>('build:1')

  const receipt: InvalidateReceipt = await invalidate({ tags: ['builds'], key: 'build:1' }, { mode: 'stale' })
  const where: 'applied' | 'queued' | 'off' = receipt.redis
  await cache.invalidate('build:1')
  await cache.invalidate({ all: true }, { strict: true })
  // @ts-expect-error `all` is true or absent
  await cache.invalidate({ all: false })

  const figures: Metrics = await metrics()
  const rate: number = figures.hitRate + figures.redis.hitRate + figures.memory.hitRate
  const latency: number | null = figures.redis.health.latency
  const { status } = await cache.health()
  const known: 'ok' | 'degraded' | 'memory-only' = status
  await cache.ready()
  await cache.close()
  await close()

  console.log(count, read, wrong, where, rate, latency, known)
}

const durations: Duration[] = ['300ms', '5s', '1m', '2h', '1d', 1500]
const milliseconds: number = duration(String(durations[0]))
// @ts-expect-error a duration in words is refused
const words: Duration = '5 minutes'
// @ts-expect-error an unknown option name is refused
const typo: EntryOptions = { tll: '5m' }

export function isOurs(error: unknown): error is CacheError {
  return error instanceof CacheError && error.code.startsWith('ERR_CACHE_')
}

export const all = { milliseconds, words, typo }
