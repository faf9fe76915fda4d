// How an application instruments its cache. Compiled, never run.

import { metrics, trace } from '@opentelemetry/api'
import { createCache } from 'tidecache'
import { type InstrumentOptions, instrument } from 'tidecache/otel'

const cache = createCache({ redis: false })
const options: InstrumentOptions = { tracerProvider: trace.getTracerProvider(), recordKeys: false }
const undo: () => void = instrument(cache, { ...options, meterProvider: metrics.getMeterProvider() })
undo()
instrument(cache)

// @ts-expect-error a cache is wanted
instrument({})
// @ts-expect-error a provider, not a tracer
instrument(cache, { tracerProvider: trace.getTracer('app') })
