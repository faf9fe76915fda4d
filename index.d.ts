/**
 * A memory tier in front of Redis: single-flight loads, leases, stale-while-revalidate, coherent invalidation.
 *
 * Every function that returns a promise reports bad arguments by rejecting with {@link CacheConfigError}; the others
 * throw it.
 */

/**
 * A length of time: an integer number of milliseconds ≥ 0, or digits and a unit. At most 365 days.
 * A bare number is never seconds: a bare `ttl` under 1,000 warns once per process.
 */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/**
 * Milliseconds of a duration, for values from the environment: `duration(process.env.CACHE_TTL ?? '5m')`.
 *
 * @throws {CacheConfigError} for anything that is not a {@link Duration}: '-5m', '1e3ms', '1.5h', ''
 */
export function duration(text: string | number): number

// --- the default cache ------------------------------------------------------------------------------------------

/** {@link Cache.getOrSet} of the default cache, which is `createCache()` at its first use. */
export function getOrSet<T>(key: string, loader: Loader<T>, options?: EntryOptions): Promise<T>
/** {@link Cache.invalidate} of the default cache. */
export function invalidate(target: string | InvalidateTarget, options?: InvalidateOptions): Promise<InvalidateReceipt>
/** {@link Cache.metrics} of the default cache. */
export function metrics(options?: { format?: undefined; views?: undefined }): Promise<Metrics>
export function metrics(options: { format: 'prometheus'; views?: readonly string[] | undefined }): Promise<string>
/** {@link Cache.close} of the default cache; without one nothing happens. */
export function close(): Promise<void>

/**
 * Makes a cache. Synchronous, never waits for Redis: a cache works before, during and without a connection, and the
 * first connection is made by the first operation that needs it.
 *
 * One engine serves all caches of a process with the same namespace, endpoint, database and user: memory, running
 * loads and connections are shared, also with worker threads. Environment read here: `REDIS_URL`,
 * `REDIS_TLS_ENABLED`, `TIDECACHE_NAMESPACE`, `TIDECACHE_MEMORY_BYTES`, `TIDECACHE_DISABLED` (loads only, still
 * single-flight).
 *
 * @throws {CacheConfigError} naming option, value and what is allowed; also when the engine already runs with other
 *   memory or Redis options (with `NODE_ENV=development` the new ones replace it)
 */
export function createCache(options?: CacheOptions): Cache

export interface Cache {
  /**
   * The cached value of `key`, or what `loader` returns, cached for the next callers.
   *
   * Callers of one key share one load, in this process and across the fleet. What is returned is a copy, of the same
   * types on a miss and on a hit. A stale value is returned at once while one caller in the fleet refreshes it.
   *
   * @throws the loader's own error (the same object for all who joined), {@link CacheTimeoutError},
   *   {@link CacheEncodeError}, {@link CacheOverloadError}, {@link CacheConfigError}, {@link CacheClosedError} or the
   *   signal's reason. Never because of Redis.
   */
  getOrSet<T>(key: string, loader: Loader<T>, options?: EntryOptions): Promise<T>
  /**
   * The cached values of many keys in the order of `keys`, with one read of Redis for all, and one call of `loadMissing`
   * for all that are missing.
   *
   * Each key is a read like that of {@link Cache.getOrSet}: calls that overlap share loads, with each other and with
   * plain reads, in this process and across the fleet. `loadMissing` is called with the keys that are to be loaded here;
   * those that somebody else is loading are awaited beside it, and loaded in a further call if they do not come. Stale
   * values are served at once, and one call in the background brings new ones. Keys that what it returns does not hold
   * are absent from the Map, and nothing is cached of them.
   *
   * `ctx.ttl`, `ctx.tag` and `ctx.skip` hold for every value of the call; `ctx.key` is its first key, and `ctx.previous`
   * a Map of the stale values by key, or `undefined`. `ctx.signal` aborts when nobody wants any of the values any more.
   *
   * @param keys each like a key of `getOrSet`; one given twice is one
   * @param loadMissing returns a Map or a plain object of values by key; what nobody asked for is ignored
   * @throws as {@link Cache.getOrSet}; one key that fails rejects the call, the others are stored
   */
  getOrSetMany<K extends string, T>(
    keys: readonly K[],
    loadMissing: (keys: K[], context: LoadContext) => ReadonlyMap<K, T> | PromiseLike<ReadonlyMap<K, T>>,
    options?: EntryOptions,
  ): Promise<Map<K, T>>
  getOrSetMany<K extends string, T>(
    keys: readonly K[],
    loadMissing: ManyLoader<K, T>,
    options?: EntryOptions,
  ): Promise<Map<K, T>>
  /**
   * A function that keeps what `fn` returns, under a key made of its arguments. `fn` is called with them, and with the
   * `this` of its caller, key and tags without it; the options are checked now, what key and tags return at each call.
   *
   * ```ts
   * const getUser = cache.wrap(findUser, { key: (id) => `user:${id}`, tags: (id) => ['users'], ttl: '5m' })
   * await getUser(7)
   * await getUser.invalidate(7)
   * ```
   *
   * @throws {CacheConfigError} also for a constant key on a function that has parameters, or is called with arguments:
   *   everybody would get the first caller's value
   */
  wrap<A extends unknown[], T>(fn: (...args: A) => T | PromiseLike<T>, options: WrapOptions<A>): Wrapped<A, T>
  /**
   * A view: the same memory, Redis and options, with keys and tags of its own. `invalidate({ all: true })` means all of
   * the view, with the views in it; a `pattern` its own keys. It counts its own reads and loads in `metrics()`, not those
   * of the views in it; what concerns the engine (sizes, the link, invalidations, latencies of the tiers) is told there
   * as of the engine. Listeners hear what happens in the view and in the views in it.
   *
   * It costs little, and may be made where it is used: all views of one name of one cache share counters and listeners.
   * Of more than 1,000 names, those asked for least recently are forgotten. `close` ends this object alone.
   *
   * @param prefix 1 to 64 of `A-Z a-z 0-9 _ . -`. Views nest: `cache.namespace('a').namespace('b')`
   * @throws {CacheConfigError}, {@link CacheClosedError}
   */
  namespace(prefix: string): Cache
  /** The cached value, fresh or stale, or `undefined`. Never loads, never refreshes. */
  get<T>(key: string, options?: GetOptions): Promise<T | undefined>
  /**
   * Stores a value. Loads of the key that run now, anywhere, are not stored over it. Without Redis it is kept in this
   * process and the key is invalidated in Redis as soon as it is back.
   *
   * @throws {CacheEncodeError} when the value cannot be stored without loss
   */
  set<T>(key: string, value: T, options?: EntryOptions): Promise<void>
  /**
   * Makes entries unservable (or stale). When it has resolved, no read that starts later in this process returns a
   * value loaded before it, whatever was in flight in whichever process. In other processes the same holds within the
   * latency of a push, and always within `max(maxUnverified, isolated)`. Call it after COMMIT.
   *
   * @returns after at most 2 × `commandTimeout`
   * @throws {CacheRedisError} only with `strict`
   */
  invalidate(target: string | InvalidateTarget, options?: InvalidateOptions): Promise<InvalidateReceipt>
  /**
   * Counters of this process since its start.
   *
   * `format: 'prometheus'`: as text, to be served as `text/plain; version=0.0.4; charset=utf-8`. Its labels are bounded:
   * namespace, view, tier, outcome, state, version, topology. `views`: names of views ('a', or 'a/b' for one in another) whose own counts are
   * told too, in the same text: texts of a cache and its views must not be joined, as each metric may be told once only.
   *
   * @throws {CacheConfigError}, {@link CacheClosedError}
   */
  metrics(options?: { format?: undefined; views?: undefined }): Promise<Metrics>
  metrics(options: { format: 'prometheus'; views?: readonly string[] | undefined }): Promise<string>
  /**
   * What is cached of a key, or `undefined` when there is nothing that would be served. For people and tests: nothing is
   * counted, told or refreshed.
   */
  inspect(key: string, options?: InspectOptions): Promise<Inspection | undefined>
  /** Asks Redis now, within `commandTimeout`. */
  health(): Promise<Health>
  /**
   * Calls `listener` at every such event, during the call that it is about; a listener is added once. Hits cost nothing
   * while nobody listens to them. What a listener throws is reported as a process warning, never to a caller.
   *
   * The same payloads, with the `namespace`, are published to `node:diagnostics_channel` under `tidecache:<event>`, for
   * all caches of the process.
   *
   * @throws {CacheConfigError} for an unknown event
   */
  on<E extends keyof CacheEvents>(event: E, listener: (payload: CacheEvents[E]) => void): this
  /** Takes a listener away. */
  off<E extends keyof CacheEvents>(event: E, listener: (payload: CacheEvents[E]) => void): this
  /**
   * For boot checks; nobody has to call it.
   *
   * @throws {CacheRedisError} when Redis has not answered once by `connectTimeout`
   */
  ready(): Promise<void>
  /**
   * Ends this handle. The engine ends with its last handle; queued invalidations are sent first, within a second.
   * Idempotent. Calls after it reject with {@link CacheClosedError}, and so do reads under way that would have to ask Redis once
   * more; loaders that run go on, and their callers get what they return.
   */
  close(): Promise<void>
}

export interface CacheOptions {
  /**
   * Where Redis is: `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`, or options. `false`: memory only.
   * @default the environment's `REDIS_URL`; empty or unset: memory only
   */
  redis?: string | RedisOptions | false | undefined
  /**
   * Separates applications on one Redis: 1 to 64 of `A-Z a-z 0-9 _ . -`.
   * @default 'tidecache' (with Redis and `NODE_ENV=production` the default warns once)
   */
  namespace?: string | undefined
  /** The memory tier. `maxBytes` is a hard ceiling over keys, values and overhead, from 64 KiB. @default 64 MiB */
  memory?: { maxBytes?: number | undefined } | false | undefined
  /**
   * How many loads run at once in the process, all caches and threads of the engine together. Others wait, after memory and Redis
   * had nothing and before they take a lease: hits never wait. What a loader itself asks for goes on at once and is not
   * counted; refreshes in the background do not wait, they are tried again later; `getOrSetMany` is one load. An integer from
   * 1 to 65,536. It belongs to the engine.
   * @default 256
   */
  maxLoads?: number | undefined
  /**
   * How many loads may wait for that, in the order in which they came. What is over it is rejected at once with
   * `CacheOverloadError`, and what has waited for `waitTimeout` too; with `staleIfError` the stale value is served instead. An
   * integer from 0 to 1,048,576. It belongs to the engine.
   * @default 16384
   */
  maxQueuedLoads?: number | undefined
  /** Options of every call that does not give its own. */
  defaults?: EntryOptions | undefined
  /** Classes that the codec should handle, by name. */
  types?: readonly TypeCodec[] | undefined
  /** Replaces the codec as a whole. */
  codec?: CustomCodec | undefined
  /** @default one `process.emitWarning` per change of Redis's state */
  logger?: Logger | undefined
  /** For serverless platforms: is given every background refresh, fill and invalidation. */
  waitUntil?: ((promise: Promise<unknown>) => void) | undefined
}

export interface TypeCodec {
  /** Stored with the value: 1 to 255 bytes. */
  name: string
  is(value: unknown): boolean
  /** To plain data, which is then encoded itself. */
  encode(value: unknown): unknown
  decode(plain: unknown): unknown
}

export interface CustomCodec {
  /** Stored with the value; data of another name is a miss. */
  name: string
  encode(value: unknown): Uint8Array
  decode(bytes: Uint8Array): unknown
}

export interface Logger {
  /** Redis is lost; tracking is refused; a callback of yours threw. */
  warn(message: string, detail?: unknown): void
  /** Once per engine what Redis was found to be and to allow; and that it is back. Left out: `warn` is told of the latter. */
  info?(message: string, detail?: unknown): void
}

export interface RedisOptions {
  /** @default the environment's `REDIS_URL` */
  url?: string | undefined
  /** @default the URL's */
  username?: string | undefined
  /** @default the URL's. Never shown. */
  password?: string | undefined
  /** 0 to 2,147,483,647; a cluster has 0 alone. @default the URL's, or 0 */
  db?: number | undefined
  /** `rediss:` and `REDIS_TLS_ENABLED` switch it on, too; nothing downgrades `rediss:`. */
  tls?: boolean | TlsOptions | undefined
  /** For a connection from the socket to its first answer; 1 ms to 24 d. @default '2s' */
  connectTimeout?: Duration | undefined
  /**
   * What Redis may cost one whole `getOrSet` up to its loader's start, counted without progress: arriving bytes renew
   * it, up to 10 ×. 1 ms to 24 d.
   * @default '250ms'
   */
  commandTimeout?: Duration | undefined
  /** How long memory is served without proof that no invalidation was missed, while the link seems up. @default '1s' */
  maxUnverified?: Duration | undefined
  /**
   * How long memory entries live while Redis cannot be reached: each is reloaded at most that often per process.
   * 'ttl': availability first; peers' invalidations are then missed until the link is back.
   * @default '5s'
   */
  isolated?: Duration | 'ttl' | undefined
  /**
   * How peers' invalidations reach memory: by key tracking where Redis allows it. 'none' (or a Redis that refuses):
   * memory is served at most `maxUnverified` from the start of the read.
   * @default 'auto'
   */
  coherence?: 'auto' | 'tracking' | 'none' | undefined
  /**
   * In place of `url`: with `sentinel` the Sentinels as 'host' or 'host:port' (26379), in a URL
   * `redis+sentinel://host:port,host:port/db?master=name`; without it nodes of a cluster (6379), any of which leads to the others,
   * in a URL `redis+cluster://host:port,host:port`. Credentials before the hosts are those of Redis itself. At least one.
   */
  nodes?: readonly string[] | undefined
  /** Of the Sentinels that watch over the master. `username` and `password` of {@link RedisOptions} are the master's. */
  sentinel?: SentinelOptions | undefined
  /**
   * A secret of 16 bytes or more, the same in all processes. Entries are sealed with it (HMAC-SHA-256, RFC 2104, bound to
   * namespace and key), and what is not sealed so counts as missing, with one warning: another writer to Redis cannot make
   * up values. It hides nothing, and is no protection against the return of an older entry. Never shown.
   * @default none: whoever can write to Redis is trusted
   */
  integrityKey?: string | Uint8Array | undefined
  /**
   * The longest entry in Redis, in bytes: value, header, key and the names of the tags. A longer value is returned to all who
   * wait for it and kept in the memory of its process alone; one that lies in Redis is never read whole, and counts as missing.
   * Neither is an error: both are counted (`redis.oversized` of `metrics()`), and the first is told as a 'warning'. An
   * integer from 1,024 to 536,870,912. It belongs to the engine.
   * @default 8388608 (8 MiB)
   */
  maxEntryBytes?: number | undefined
}

export interface SentinelOptions {
  /** What the Sentinels call the master. @default the `master` of the URL's query */
  master?: string | undefined
  /** For the Sentinels themselves. @default none */
  username?: string | undefined
  /** For the Sentinels themselves. Never shown. @default none */
  password?: string | undefined
}

/** PEM contents, not paths. */
export interface TlsOptions {
  /** Trusted certificates. @default the public authorities */
  ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined
  /** With `key`: the client certificate. */
  cert?: string | Uint8Array | undefined
  key?: string | Uint8Array | undefined
  /** The name the server's certificate must carry. @default the host, of each node its own */
  servername?: string | undefined
  /** @default true */
  rejectUnauthorized?: boolean | undefined
}

/** Lifetimes and tags are stored by the caller whose loader ran; a reader's `ttl` only shortens freshness. */
export interface EntryOptions {
  /** Fresh for. `0`: not stored, still single-flight. 'forever': 365 d, also the maximum. @default '5m' */
  ttl?: Duration | 'forever' | undefined
  /**
   * How long after `ttl` a stale value is served at once while one caller in the fleet refreshes it (RFC 5861).
   * `0`: callers wait for the loader instead. A failed refresh is retried after 1 s, 2 s … 30 s.
   * @default '1m'
   */
  staleWhileRevalidate?: Duration | undefined
  /** How long after `ttl` a stale value is served when the loader fails (RFC 5861). @default 0 */
  staleIfError?: Duration | undefined
  /** A caller for whom a stale value exists gets it once the loader takes longer; the load goes on. @default off */
  staleAfter?: Duration | undefined
  /** Names by which groups of entries are invalidated; at most 1,000, each like a key. */
  tags?: readonly string[] | undefined
  /** 0 to 1: shortens `ttl` by up to this share, at random, so that entries do not expire together. @default 0 */
  jitter?: number | undefined
  /**
   * Hard limit of the loader: `ctx.signal` aborts, callers get {@link CacheTimeoutError}, the lease ends.
   * 1 ms to 24 d.
   * @default '30s'
   */
  loadTimeout?: Duration | undefined
  /**
   * How long to wait for another process's load before loading oneself, uncached; and for a place, where as many loads
   * run as `maxLoads` allows. 0 to 24 d.
   * @default loadTimeout
   */
  waitTimeout?: Duration | undefined
  /** 'force': load now and replace. 'never': this call starts no background refresh. @default 'auto' */
  refresh?: 'auto' | 'force' | 'never' | undefined
  /** 'bypass': a value that cannot be stored is returned, uncached. @default 'reject' */
  onEncodeError?: 'reject' | 'bypass' | undefined
  /** This caller stops waiting; the load goes on while others want it. */
  signal?: AbortSignal | undefined
  /**
   * Is told how the call was answered, before it resolves; {@link Cache.getOrSetMany} tells of each key. When it throws,
   * the call rejects with that.
   */
  onResult?: ((result: Result, key: string) => void) | undefined
  /**
   * The shape of the value: entries of other versions are misses, and live beside it, so that two releases of an
   * application do not take turns. Invalidating the key removes every version. A finite number, or a non-empty string of
   * at most 256 bytes without NUL; `2` and `'2'` are the same.
   * @default none, a version of its own
   */
  version?: string | number | undefined
  /**
   * Whether a cached value, fresh or stale, is what this caller expects. `false` is a miss, counted as such, and the value
   * is loaded anew. What was just loaded is not asked about. One that throws says `false`, and is told once as a warning;
   * any other answer than true or false is a {@link CacheConfigError}.
   */
  validate?: ((value: unknown) => boolean) | undefined
}

export type GetOptions = Pick<EntryOptions, 'signal' | 'version' | 'validate'>
export type InspectOptions = Pick<EntryOptions, 'version'>

export interface Inspection {
  /** Where it would be served from. */
  tier: 'memory' | 'redis'
  /** Since it was stored, ms. */
  age: number
  state: 'fresh' | 'stale'
  tags: string[]
  /** Of the value as it is stored. */
  bytes: number
}

export interface Result {
  /** 'joined': somebody else's load was waited for, here or in another process. */
  outcome: 'fresh' | 'stale' | 'miss' | 'joined'
  /** Where the value was; `null`: nowhere, it was loaded. */
  tier: 'memory' | 'redis' | null
  /** Since the value was stored, ms. */
  age: number
  /** What the caller waited, ms. */
  waited: number
}

/** Makes the value. Runs in the async context of the caller that leads the load. */
export type Loader<T> = (context: LoadContext) => T | PromiseLike<T>

/** Makes the values of many keys, those that there are. */
export type ManyLoader<K extends string, T> = (
  keys: K[],
  context: LoadContext,
) => ManyResult<K, T> | PromiseLike<ManyResult<K, T>>
/** Values by key. */
export type ManyResult<K extends string, T> = ReadonlyMap<K, T> | { readonly [P in K]?: T | undefined }

/** Parameters as the wrapped function declares them; those of `key` and `tags`, which may be fewer, say nothing of them. */
type Given<A extends unknown[]> = A extends infer P extends unknown[] ? P : never

/** What {@link Cache.wrap} takes: the options of each call, its key, and its tags. */
export interface WrapOptions<A extends unknown[]> extends Omit<EntryOptions, 'tags'> {
  /** Everything that the value depends on has to be in it. Constant only for a function without parameters. */
  key: [A] extends [[]] ? string | (() => string) : (...args: Given<A>) => string
  /** As of {@link EntryOptions}, or made of the arguments. */
  tags?: readonly string[] | ((...args: Given<A>) => readonly string[]) | undefined
}

export interface Wrapped<A extends unknown[], T> {
  (...args: A): Promise<Awaited<T>>
  /** The key that these arguments have. @throws {CacheConfigError} */
  key(...args: A): string
  /** {@link Cache.invalidate} of that key. */
  invalidate(...args: A): Promise<InvalidateReceipt>
}

export interface LoadContext {
  readonly key: string
  /** Aborts at `loadTimeout`, or when nobody waits for the load any more. */
  readonly signal: AbortSignal
  /** The stale value, for conditional requests; `undefined`: there is none. */
  readonly previous?: unknown
  /** Replaces the options' `ttl`. */
  ttl(duration: Duration | 'forever'): void
  /** Adds tags. */
  tag(...tags: string[]): void
  /** Returns the value and caches nothing. */
  skip(): void
}

/** Several members are a union; none is an error. */
export interface InvalidateTarget {
  key?: string | undefined
  keys?: readonly string[] | undefined
  tag?: string | undefined
  tags?: readonly string[] | undefined
  /**
   * Every key that the glob matches: `*` any run of characters, `?` one, `[abc]` `[a-z]` `[^a]` one of a set, `\` before
   * what is meant as it is. O(1) whatever there is: a rule that reads are held against. It sees the keys of this cache
   * (or view), in every `version`. At most 8 KiB. Peers hear of it one round trip later than of a tag.
   */
  pattern?: string | undefined
  /** Everything in the namespace; O(1). */
  all?: true | undefined
}

export interface InvalidateOptions {
  /** 'stale': served inside `staleWhileRevalidate`, refreshed on the next read. @default 'remove' */
  mode?: 'remove' | 'stale' | undefined
  /** Reject with {@link CacheRedisError} when Redis could not be reached; it is queued all the same. @default false */
  strict?: boolean | undefined
  /**
   * For a source that lags behind the write (a read replica, say): loads that begin within it are returned and shared,
   * but stored nowhere, in any process. 0 to `'30s'`; with mode 'remove' only. A `set` is stored all the same.
   * @default 0
   */
  settle?: Duration | undefined
}

export interface InvalidateReceipt {
  /** 'queued': Redis could not be reached; it is applied before this process trusts Redis again. 'off': no Redis. */
  redis: 'applied' | 'queued' | 'off'
}

export interface Health {
  status: 'ok' | 'degraded' | 'memory-only'
  redis: {
    /** In a cluster: to every master. */
    connected: boolean
    /** The round trip just made, ms. */
    latency: number | null
    coherence: 'tracking' | 'none'
    /** Why it is degraded. */
    error?: string
  }
}

/** Rates are per cent with two decimals, latencies ms. `hits` include stale ones. No keys, no secrets. */
export interface Metrics {
  process: { id: string; pid: number; host: string; since: string }
  hits: number
  /** Calls that had to wait for a load, joined ones included. */
  misses: number
  stale: number
  /** Failed and timed-out loads, and what Redis refused or did not answer. */
  errors: number
  hitRate: number
  memory: {
    enabled: boolean
    hits: number
    misses: number
    hitRate: number
    entries: number
    bytes: number
    maxBytes: number
    evictions: number
  }
  redis: {
    enabled: boolean
    topology: 'standalone' | 'cluster' | 'sentinel' | 'none'
    hits: number
    misses: number
    hitRate: number
    errors: number
    /** Entries over `redis.maxEntryBytes`: not written, or found and not read. */
    oversized: number
    coherence: 'tracking' | 'none'
    breaker: 'closed' | 'open' | 'half-open'
    /** `connected`: in a cluster, to every master. `latency`: last round trip. */
    health: { connected: boolean; latency: number | null }
  }
  /** Those that run now are `started` less `succeeded`, `failed`, `timedOut` and `abandoned`. */
  loads: {
    started: number
    succeeded: number
    failed: number
    timedOut: number
    /** Nobody waited for them any more: all callers have aborted, or the cache was closed. */
    abandoned: number
    joined: number
    /** Waiting now for a place among those that run (`maxLoads`); a `getOrSetMany` is one. */
    queued: number
    /** Turned away with `CacheOverloadError`. */
    rejected: number
    refreshed: number
    /** Fills refused because an invalidation overtook them. */
    fenced: number
  }
  invalidations: { applied: number; queued: number; received: number }
  /**
   * About once a second a memory hit is held against Redis afterwards, off the path of reads. 0 `violations` of 0 `checked` prove
   * nothing.
   */
  coherence: {
    /** Hits that could be compared: Redis had the entry, and all that it is judged by. */
    checked: number
    /**
     * Entries that memory still served when `maxUnverified` had passed since Redis showed them invalidated or replaced. 0, unless
     * invalidations are lost on their way, or somebody else writes to the keys of the namespace. Dropped when found, with a warning.
     */
    violations: number
    /**
     * The same where eviction, a refresh by a caller with a shorter `ttl`, or an invalidation that ran late explains it: none of them ends
     * what is in memory. Dropped all the same.
     */
    unclear: number
  }
  latency: { memory: Percentiles; redis: Percentiles; load: Percentiles }
}

export interface Percentiles {
  p50: number
  p99: number
  max: number
}

/**
 * What {@link Cache.on} tells, by event. Durations and ages are ms.
 *
 * A read is one of `hit`, `stale` and `miss`; after a `miss` it may still be answered by a `stale` value
 * (`staleIfError`, `staleAfter`).
 */
export interface CacheEvents {
  /** A fresh value was served. */
  hit: KeyEvent & { tier: 'memory' | 'redis'; age: number }
  /** A stale value was served. */
  stale: KeyEvent & { tier: 'memory' | 'redis'; age: number }
  /** The caller's loader is about to run; or somebody else's load was waited for (`joined`). */
  miss: KeyEvent & { joined: boolean }
  /** A loader has returned. `refresh`: in the background, for a stale value. */
  load: KeyEvent & { duration: number; refresh: boolean }
  /** A loader has failed, or took longer than `loadTimeout`. */
  loadError: KeyEvent & { error: unknown; duration: number; refresh: boolean }
  /** A value could not be stored without loss; `path` as in {@link CacheEncodeError}. */
  encodeError: KeyEvent & { path: string; error: unknown }
  /** An invalidation made here. Those of other processes are counted in {@link Metrics}; their names are not known. */
  invalidate: ViewEvent & { target: InvalidateTarget; mode: 'remove' | 'stale'; receipt: InvalidateReceipt }
  /** The connection to Redis is lost, or the first attempt failed. Told once, until it is up again. */
  redisDown: { reason: string }
  /** Redis is connected and trusted: invalidations that it missed have been applied. */
  redisUp: { reason: 'connected' | 'reconnected'; server: string; coherence: 'tracking' | 'none' }
  /** 'open': Redis is connected and does not answer; nobody waits for it until it does ('closed'). */
  breaker: { state: 'open' | 'closed' }
  /** What the logger's `warn` is told, too. */
  warning: { message: string; detail?: unknown }
}

export interface ViewEvent {
  /** The view it happened in, as in `cache.namespace(view)`; absent: in the cache itself. */
  view?: string
}

export interface KeyEvent extends ViewEvent {
  key: string
}

// --- errors -------------------------------------------------------------------------------------------------------

export class CacheError extends Error {
  readonly code: string
}
/** A bad argument, option or environment variable; nothing was changed. */
export class CacheConfigError extends CacheError {
  readonly code: 'ERR_CACHE_CONFIG'
}
/** The cache was closed. */
export class CacheClosedError extends CacheError {
  readonly code: 'ERR_CACHE_CLOSED'
}
/** Redis could not be reached, and the caller asked to know (`strict`, `ready`). */
export class CacheRedisError extends CacheError {
  readonly code: 'ERR_CACHE_REDIS'
}
/** The loader took longer than `loadTimeout`. */
export class CacheTimeoutError extends CacheError {
  readonly code: 'ERR_CACHE_TIMEOUT'
}
/** As many loads run and wait as `maxLoads` and `maxQueuedLoads` allow, or it has waited for `waitTimeout`. It was not begun. */
export class CacheOverloadError extends CacheError {
  readonly code: 'ERR_CACHE_OVERLOAD'
}
/** A value cannot be stored without loss. */
export class CacheEncodeError extends CacheError {
  readonly code: 'ERR_CACHE_ENCODE'
  /** Which part: '.items[3].price'; '' for the value itself. */
  readonly path: string
}
