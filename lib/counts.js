'use strict'
// What a view counts by itself, in the shape of the engine's figures: the core counts for the engine as a whole.
//
// What only the core can know (sizes, evictions, the link, fenced fills, invalidations, latencies of the tiers) stays the
// engine's.

const BUCKETS = 64 * 8

/** Eight buckets per power of two, of ns: percentiles within 13 %, as in the core. */
class Histogram {
  #buckets
  #count = 0
  #max = 0

  /** @param {number} ms */
  record(ms) {
    // Made at first use: most views are small.
    this.#buckets ??= new Uint32Array(BUCKETS)
    const ns = Math.max(1, Math.round(ms * 1e6))
    const power = Math.floor(Math.log2(ns))
    const eighth = power < 3 ? 0 : Math.floor(ns / 2 ** (power - 3)) & 7
    this.#buckets[power * 8 + eighth]++
    this.#count++
    this.#max = Math.max(this.#max, ms)
  }

  get percentiles() {
    const round = (ms) => Math.round(ms * 1e6) / 1e6
    return { p50: round(this.#at(0.5)), p99: round(this.#at(0.99)), max: round(this.#max) }
  }

  #at(share) {
    const rank = Math.ceil(this.#count * share)
    let seen = 0
    for (let n = 0; n < BUCKETS && rank > 0; n++) {
      seen += this.#buckets[n]
      if (seen >= rank) return Math.min(upperEdge(n), this.#max)
    }
    return 0
  }
}

/** In ms. */
function upperEdge(bucket) {
  const power = Math.floor(bucket / 8)
  return (2 ** power * (1 + ((bucket % 8) + 1) / 8)) / 1e6
}

/** Per cent with two decimals; 0 of nothing is 0. */
function rate(hits, misses) {
  return hits + misses === 0 ? 0 : Math.round((hits / (hits + misses)) * 10_000) / 100
}

class Counts {
  #hasRedis
  #memory = { hits: 0, misses: 0 }
  #redis = { hits: 0, misses: 0 }
  #stale = 0
  #misses = 0
  #loads = { started: 0, succeeded: 0, failed: 0, timedOut: 0, abandoned: 0, joined: 0, refreshed: 0 }
  #latency = new Histogram()

  constructor(hasRedis) {
    this.#hasRedis = hasRedis
  }

  memoryHit(isStale) {
    this.#memory.hits++
    if (isStale) this.#stale++
  }

  /** A read was answered; one that joined, or that nothing answered, was counted when that was known. */
  answered({ kind, outcome, tier, onError, isJoined }) {
    if (isJoined) return
    const isStale = outcome === 'stale'
    if (tier === 'memory' && onError === undefined) this.memoryHit(isStale)
    else if (tier === 'redis' && kind !== undefined) {
      this.#memory.misses++
      this.#redis.hits++
      if (isStale) this.#stale++
    }
  }

  /** @param {boolean} [isAsked] whether Redis was */
  miss(isAsked = true) {
    this.#misses++
    this.#memory.misses++
    if (this.#hasRedis && isAsked) this.#redis.misses++
  }

  joined() {
    this.miss(false)
    this.#loads.joined++
  }

  /** @param {'started' | 'refreshed' | 'abandoned'} what */
  load(what) {
    this.#loads[what]++
  }

  /** @param {'succeeded' | 'failed' | 'timedOut'} how @param {number} ms */
  loadEnded(how, ms) {
    this.#loads[how]++
    this.#latency.record(ms)
  }

  /** The engine's report with the view's own figures in it. */
  within(report) {
    const hits = this.#memory.hits + this.#redis.hits
    const { failed, timedOut } = this.#loads
    return {
      ...report,
      hits,
      misses: this.#misses,
      stale: this.#stale,
      errors: failed + timedOut,
      hitRate: rate(hits, this.#misses),
      memory: { ...report.memory, ...this.#memory, hitRate: rate(this.#memory.hits, this.#memory.misses) },
      redis: { ...report.redis, ...this.#redis, hitRate: rate(this.#redis.hits, this.#redis.misses) },
      loads: { ...report.loads, ...this.#loads },
      latency: { ...report.latency, load: this.#latency.percentiles },
    }
  }
}

module.exports = { Counts }
