// What an operator writes against the types: events, metrics as text. Compiled, never run.

import { type Cache, type CacheEvents, createCache, type Metrics, metrics } from 'tidecache'

const cache: Cache = createCache({ redis: false, logger: { warn: console.warn, info: console.info } })

cache
  .on('hit', ({ key, tier, age }) => {
    const where: 'memory' | 'redis' = tier
    console.log(key.toUpperCase(), where, age.toFixed())
  })
  .on('miss', ({ key, joined }) => console.log(key, joined ? 1 : 0))
  .on('loadError', ({ error, duration, refresh }) => {
    // @ts-expect-error what a loader throws is unknown
    console.log(error.message, duration, refresh)
  })
  .on('invalidate', ({ target, mode, receipt }) => console.log(target.tags, mode === 'stale', receipt.redis))
  .on('breaker', ({ state }) => {
    // @ts-expect-error there is no such state
    if (state === 'ajar') console.log(state)
  })

const told = (event: CacheEvents['load']): void => console.log(event.duration, event.view)
cache.on('load', told).off('load', told)

// @ts-expect-error an unknown event
cache.on('hits', () => {})
// @ts-expect-error a listener is a function
cache.on('hit', 'listener')

export async function scrape(): Promise<void> {
  const text: string = await cache.metrics({ format: 'prometheus' })
  const same: string = await metrics({ format: 'prometheus', views: ['a', 'a/b'] as const })
  // @ts-expect-error views are told as text only
  await cache.metrics({ views: ['a'] })
  const figures: Metrics = await cache.metrics()
  const also: Metrics = await cache.metrics({})
  // @ts-expect-error an unknown format
  await cache.metrics({ format: 'json' })
  console.log(text, same, figures, also)
}
