// What a test suite writes against the types of tidecache/testing. Compiled, never run.

import { type Cache, type Duration, getOrSet } from 'tidecache'
import { createTestCache, type TestCache, type TestCacheOptions } from 'tidecache/testing'

const options: TestCacheOptions = { redis: false, defaults: { ttl: '1m', jitter: 0.5 }, random: () => 1 }

/** An application takes a cache, and is given the one for tests. */
function application(cache: Cache): Promise<number> {
  return cache.getOrSet('count', () => 12)
}

export async function use(): Promise<void> {
  const cache: TestCache = createTestCache(options)
  const step: Duration = '5m'

  const count: number = await application(cache)
  await cache.advance(step)
  await cache.advance(300)
  await cache.idle()
  const one: number = cache.loads('count')
  const all: number = cache.loads()
  await cache.reset()
  await cache.close()

  // @ts-expect-error a duration in words is refused
  await cache.advance('5 minutes')
  // @ts-expect-error there is no Redis in a cache for tests
  createTestCache({ redis: 'redis://127.0.0.1' })
  // @ts-expect-error the hands of a test are on its own cache only
  await getOrSet.advance(step)

  console.log(count, one, all)
}
