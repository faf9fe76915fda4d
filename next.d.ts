/**
 * tidecache for Next.js 16: the configuration, and a cache whose reads tell the page around them how long it may be kept.
 *
 * The calls of the package itself tell the page nothing: one that reads nothing else would be static for good.
 */
// @ts-ignore: only those who use this have it
import type { NextConfig } from 'next'
import type {
  Cache,
  CacheOptions,
  EntryOptions,
  InvalidateOptions,
  InvalidateReceipt,
  InvalidateTarget,
  Loader,
  Metrics,
  Wrapped,
  WrapOptions,
} from './index.js'

/** Next's configuration as a function of the phase. */
type ConfigFunction = (phase: string, context: { defaultConfig: NextConfig }) => NextConfig | Promise<NextConfig>

export interface TidecacheOptions {
  /**
   * Whether `next build` may use Redis: what it prerenders is then read from there, and filled into it. Also
   * `TIDECACHE_BUILD_REDIS=1`.
   * @default false: memory alone, whatever `redis` and `REDIS_URL` say
   */
  redisDuringBuild?: boolean | undefined
}

/**
 * The configuration with what the package needs: `serverExternalPackages`, beside your own. Loads no addon.
 *
 * ```ts
 * export default withTidecache({ cacheComponents: true })
 * ```
 */
export function withTidecache<T extends NextConfig | ConfigFunction>(config?: T, options?: TidecacheOptions): T

/**
 * As `createCache` of the package, for pages. Reads (`getOrSet`, `getOrSetMany`, `get`, wrapped functions) tell the page:
 *
 * - with `cacheComponents`, outside of `'use cache'`: it waits for a request (`io`), inside `<Suspense>`;
 * - inside `'use cache'`: `cacheLife` and `cacheTag` of ttl and tags;
 * - a page that Next prerenders without `cacheComponents`: `revalidate` of what is left of the ttl, and the tags;
 * - in requests, server actions, route handlers and scripts: nothing.
 *
 * A page that Next keeps ends with the entries that it was made from, in every process: after an invalidation anywhere the
 * next request makes it anew. With `ttl: 0`, or a value that is not stored, the page is made for each request.
 *
 * Loaders run without the request: `cookies()`, `headers()`, `draftMode()`, `connection()` and `after()` in them reject
 * with a `CacheError` of the code `ERR_CACHE_REQUEST_DATA` that names key and function.
 *
 * @param options `waitUntil` is `after` of `next/server` if it is not given
 */
export function createCache(options?: CacheOptions): Cache

/** {@link Cache.getOrSet} of the default cache for pages, which is `createCache()` at its first use. */
export function getOrSet<T>(key: string, loader: Loader<T>, options?: EntryOptions): Promise<T>
/** {@link Cache.wrap} of the default cache for pages. */
export function wrap<A extends unknown[], T>(
  fn: (...args: A) => T | PromiseLike<T>,
  options: WrapOptions<A>,
): Wrapped<A, T>
/** {@link Cache.invalidate} of the default cache for pages. */
export function invalidate(target: string | InvalidateTarget, options?: InvalidateOptions): Promise<InvalidateReceipt>
/** {@link Cache.metrics} of the default cache for pages. */
export function metrics(options?: { format?: undefined; views?: undefined }): Promise<Metrics>
export function metrics(options: { format: 'prometheus'; views?: readonly string[] | undefined }): Promise<string>
/** {@link Cache.close} of the default cache for pages; without one nothing happens. */
export function close(): Promise<void>
