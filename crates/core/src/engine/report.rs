//! What the engine tells of itself: metrics and health.

use std::time::Duration;

use serde_json::{json, Value as Json};
use tokio::time::Instant as Deadline;

use super::Engine;
use crate::breaker::BreakerState;
use crate::clock::MS;
use crate::link::LinkState;
use crate::memory::{Memory, MemoryUse};
use crate::metrics::{Buckets, Histogram, Percentiles};

/// How peers' invalidations reach memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coherence {
    Tracking,
    None,
}

/// The answer to "how is Redis now?".
#[derive(Clone, Debug, PartialEq)]
pub enum Health {
    MemoryOnly,
    /// Round trip just measured.
    Ok(Duration, Coherence),
    /// Why.
    Degraded(String),
}

impl Engine {
    /// Asks Redis now, within `commandTimeout`.
    pub async fn health(&self) -> Health {
        let Some(link) = self.link() else {
            return Health::MemoryOnly;
        };
        let mut budget = link.new_budget();
        link.first_session(budget.until()).await;
        let Some(shards) = link.shards() else {
            return Health::Degraded(match link.state() {
                LinkState::Down(why) => why,
                _ => "not connected yet".into(),
            });
        };
        let sent = self.now();
        match shards.ping(&mut budget).await {
            Ok(()) => {
                let taken = self.now() - sent;
                link.note_latency(taken);
                if !self.journal.is_empty() {
                    return Health::Degraded("invalidations are queued that Redis has not taken".into());
                }
                Health::Ok(Duration::from_nanos(taken), self.coherence())
            }
            Err(fault) => Health::Degraded(fault.to_string()),
        }
    }

    /// Resolves when Redis has answered once.
    ///
    /// # Errors
    /// Why it has not, at the connect deadline.
    pub async fn ready(&self) -> Result<(), String> {
        let Some(link) = self.link() else {
            return Ok(());
        };
        let until = Deadline::now() + link.config.connect_timeout;
        link.any_session(until).await.map(|_| ())
    }

    fn coherence(&self) -> Coherence {
        let shards = self.link.as_ref().and_then(|link| link.shards());
        match shards {
            Some(shards) if shards.has_pushes() => Coherence::Tracking,
            _ => Coherence::None,
        }
    }

    /// Counters and state as JSON, in the shape of the public `Metrics` (without `process`).
    #[must_use]
    pub fn report(&self) -> Json {
        let metrics = &self.metrics;
        let (told, probed) = (&metrics.told, metrics.probe_hits.get());
        let (hits, misses) = (told.hits.of(metrics.hits.get() + probed), metrics.misses.get());
        let memory_hits = told.memory_hits.of(metrics.memory_hits.get() + probed);
        let memory_misses = told.memory_misses.of(metrics.memory_misses.get());
        let redis_hits = told.redis_hits.of(metrics.redis_hits.get());
        let memory = self.memory.as_ref().map(Memory::usage).unwrap_or_default();
        let MemoryUse {
            entries,
            bytes,
            max_bytes,
            evictions,
        } = memory;
        let failed = metrics.loads_failed.get() + metrics.loads_timed_out.get();
        json!({
            "hits": hits,
            "misses": misses,
            "stale": told.stale.of(metrics.stale.get()),
            "errors": failed + metrics.redis_errors.get(),
            "hitRate": rate(hits, misses),
            "memory": {
                "enabled": self.memory.is_some(),
                "hits": memory_hits,
                "misses": memory_misses,
                "hitRate": rate(memory_hits, memory_misses),
                "entries": entries,
                "bytes": bytes,
                "maxBytes": max_bytes,
                "evictions": evictions,
            },
            "redis": self.report_redis(redis_hits, metrics.redis_misses.get()),
            "loads": {
                "started": metrics.loads_started.get(),
                "succeeded": metrics.loads_succeeded.get(),
                "failed": metrics.loads_failed.get(),
                "timedOut": metrics.loads_timed_out.get(),
                "abandoned": metrics.loads_abandoned.get(),
                "joined": metrics.loads_joined.get(),
                "queued": self.gate.queued(),
                "rejected": metrics.loads_rejected.get(),
                "refreshed": metrics.loads_refreshed.get(),
                "fenced": metrics.loads_fenced.get(),
            },
            "invalidations": {
                "applied": metrics.invalidations_applied.get(),
                "queued": metrics.invalidations_queued.get(),
                "received": metrics.invalidations_received.get(),
            },
            "coherence": {
                "checked": metrics.coherence_checked.get(),
                "violations": metrics.coherence_violations.get(),
                "unclear": metrics.coherence_unclear.get(),
            },
            "latency": {
                "memory": percentiles(metrics.memory_latency.percentiles()),
                "redis": percentiles(metrics.redis_latency.percentiles()),
                "load": percentiles(metrics.load_latency.percentiles()),
            },
        })
    }

    /// Latencies in buckets, as JSON: of looks into memory, of round trips, of loads.
    #[must_use]
    pub fn histograms(&self) -> Json {
        let metrics = &self.metrics;
        json!({
            "memory": buckets(&metrics.memory_latency, 250, 10 * MS),
            "redis": buckets(&metrics.redis_latency, MS / 10, 1_000 * MS),
            "load": buckets(&metrics.load_latency, MS, 30_000 * MS),
        })
    }

    fn report_redis(&self, hits: u64, misses: u64) -> Json {
        let link = self.link.as_ref();
        let breaker = link.map_or(BreakerState::Closed, |link| link.breaker_state());
        let connected = link.is_some_and(|link| link.shards().is_some() && !link.is_known_down());
        let latency = link.and_then(|link| link.latency());
        json!({
            "enabled": link.is_some(),
            "topology": link.map_or("none", |link| link.config.topology()),
            "hits": hits,
            "misses": misses,
            "hitRate": rate(hits, misses),
            "errors": self.metrics.redis_errors.get(),
            "oversized": self.metrics.redis_oversized.get(),
            "coherence": match self.coherence() {
                Coherence::Tracking => "tracking",
                Coherence::None => "none",
            },
            "breaker": match breaker {
                BreakerState::Closed => "closed",
                BreakerState::Open => "open",
                BreakerState::HalfOpen => "half-open",
            },
            "health": {
                "connected": connected,
                "latency": latency.map(|ns| round(ns as f64 / 1e6, 1_000.0)),
            },
        })
    }
}

/// Per cent with two decimals; 0 of nothing is 0.
fn rate(hits: u64, misses: u64) -> f64 {
    if hits + misses == 0 {
        return 0.0;
    }
    round(hits as f64 / (hits + misses) as f64 * 100.0, 100.0)
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

fn buckets(of: &Histogram, first: u64, last: u64) -> Json {
    let Buckets { up_to, count, sum } = of.buckets(first, last);
    json!({ "buckets": up_to, "count": count, "sum": sum })
}

fn percentiles(of: Percentiles) -> Json {
    let ms = |value: f64| round(value, 1e6);
    json!({ "p50": ms(of.p50), "p99": ms(of.p99), "max": ms(of.max) })
}
