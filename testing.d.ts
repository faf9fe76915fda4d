/**
 * A cache for tests: memory only, each on an engine of its own, with a clock that stands still until the test moves it.
 *
 * ```js
 * const cache = createTestCache()
 * await cache.getOrSet('k', load, { ttl: '5m', staleWhileRevalidate: '1m' })
 * await cache.advance('5m') // stale from here on
 * ```
 */

import type { Cache, CacheOptions, Duration } from './index.js'

export interface TestCacheOptions extends Omit<CacheOptions, 'redis'> {
  /** A cache for tests is memory only: `false`, as in the options of an application, or absent. */
  redis?: false | undefined
  /**
   * What `jitter` asks instead of `Math.random`: numbers from 0 (no entry gets less than its `ttl`) to 1 (each is
   * shortened by its whole share).
   * @default () => 0
   */
  random?: (() => number) | undefined
}

/**
 * The public cache, with hands for a test. Its clock decides over `ttl`, `staleWhileRevalidate`, `staleIfError`,
 * `staleAfter`, `loadTimeout`, the pause before a failed refresh is tried again, and what `onResult` tells of `age` and
 * `waited`. `waitTimeout` is of the real clock: it is about other processes, of which a cache for tests has none, and
 * about a place where more loads are asked for than `maxLoads`.
 *
 * It keeps no process alive: a test that waits for a loader that never ends fails, and does not hang.
 *
 * No timer of the test runner is used, so fake timers may be on or off. The environment is not read.
 */
export interface TestCache extends Cache {
  /**
   * Moves the clock. What is due on the way happens at its own time and in order: a loader times out, a caller with
   * `staleAfter` gets the stale value.
   *
   * Before it moves, calls that were just made get where they would get without time passing: their loaders have been
   * called, and loaders that wait for nothing outside of the test have ended. So have refreshes in the background; for
   * a loader that really waits (a database, a timer) there is {@link TestCache.idle}. `advance(0)` moves nothing and
   * does the same.
   *
   * Moves follow each other. Await it: until then the clock may stand where it stood.
   *
   * @throws {CacheConfigError}, {@link CacheClosedError}
   */
  advance(duration: Duration): Promise<void>
  /**
   * Resolves when no loader runs any more, those of background refreshes included. A loader that waits for this clock
   * (one that is to time out) needs {@link TestCache.advance} instead.
   *
   * @throws {CacheClosedError}
   */
  idle(): Promise<void>
  /**
   * How often a loader ran for the key, as `ctx.key` names it, also when it failed; without a key: all of them.
   *
   * @throws {CacheConfigError} synchronously
   */
  loads(key?: string): number
  /**
   * For one cache in many tests: no entries, no pauses after failures, `loads` counts from 0. What is loading goes on for
   * its callers and is not stored. The clock stands where it stands, `metrics()` counts on.
   *
   * @throws {CacheClosedError}
   */
  reset(): Promise<void>
}

/**
 * Makes a cache for tests. Nobody else is ever given its engine, not even for the same options; `close` it or drop it.
 *
 * @throws {CacheConfigError} naming option, value and what is allowed
 */
export function createTestCache(options?: TestCacheOptions): TestCache
