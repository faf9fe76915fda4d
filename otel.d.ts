/**
 * OpenTelemetry for tidecache, through the `@opentelemetry/api` that the application has installed (1.3 or later).
 * Importing this without it throws `CacheConfigError`.
 */
import type { MeterProvider, TracerProvider } from '@opentelemetry/api'
import type { Cache } from './index.js'

export interface InstrumentOptions {
  /** @default the global one */
  tracerProvider?: TracerProvider | undefined
  /** @default the global one: set up the SDK first */
  meterProvider?: MeterProvider | undefined
  /**
   * Whether spans carry keys, tags and patterns, as `tidecache.key`, `.tag` and `.pattern`. They may name persons.
   * @default false
   */
  recordKeys?: boolean | undefined
}

/**
 * Traces and counts a cache and its views.
 *
 * Spans: `cache.load` around each run of a loader, the parent of what the loader does, with `tidecache.namespace`,
 * `.view` and `.refresh`; one for the loader of many keys, with `.count`; `cache.invalidate` with `.mode`, `.target`
 * (of which kinds) and `.receipt`. Hits make no spans. Metrics: those of `metrics({ format: 'prometheus' })`, named so
 * that the Collector and Prometheus translate them to the same names (`tidecache.loads.started`), without its
 * histograms; and the histogram `tidecache.load.duration`, of runs of loaders by `outcome`: succeeded, failed,
 * timed_out, abandoned.
 *
 * A cache that is instrumented again is so with the new options alone. A view that is instrumented beside its cache has
 * metrics of its own counters, and its spans are made with its own options, not with both.
 *
 * @returns takes it away again
 */
export function instrument(cache: Cache, options?: InstrumentOptions): () => void
