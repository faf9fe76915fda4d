//! Counters of this process since its start, and latency histograms. Nothing here carries a key.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Counts one; returns the count before.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed)
    }

    /// Takes one back that was counted too early.
    fn take_back(&self) {
        let _ = self.0.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The highest count that was told. A hit may be taken back; who watches a counter takes a fall for a restart.
#[derive(Debug, Default)]
pub struct Told(AtomicU64);

impl Told {
    pub fn of(&self, count: u64) -> u64 {
        self.0.fetch_max(count, Relaxed).max(count)
    }
}

/// What `report` has told of counts that may be taken back.
#[derive(Debug, Default)]
pub struct ToldReads {
    pub hits: Told,
    pub stale: Told,
    pub memory_hits: Told,
    pub memory_misses: Told,
    pub redis_hits: Told,
}

/// What counted a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedBy {
    Probe,
    Memory,
    Redis,
}

#[derive(Debug, Default)]
pub struct Metrics {
    /// Hits of the synchronous path: one count for `hits` and `memory_hits`, an atomic operation is 5 ns of it.
    pub probe_hits: Counter,
    /// Other calls that a fresh or a stale entry answered.
    pub hits: Counter,
    pub misses: Counter,
    pub stale: Counter,
    pub memory_hits: Counter,
    pub memory_misses: Counter,
    pub redis_hits: Counter,
    pub redis_misses: Counter,
    pub redis_errors: Counter,
    /// Entries of more bytes than `maxEntryBytes`, not written or not read.
    pub redis_oversized: Counter,
    pub loads_started: Counter,
    pub loads_succeeded: Counter,
    pub loads_failed: Counter,
    pub loads_timed_out: Counter,
    /// No place and no room to wait for one.
    pub loads_rejected: Counter,
    /// Nobody waited for them any more.
    pub loads_abandoned: Counter,
    pub loads_joined: Counter,
    pub loads_refreshed: Counter,
    /// Fills refused because an invalidation overtook them.
    pub loads_fenced: Counter,
    pub invalidations_applied: Counter,
    pub invalidations_queued: Counter,
    pub invalidations_received: Counter,
    /// Memory hits that were held against Redis, and what was found.
    pub coherence_checked: Counter,
    pub coherence_violations: Counter,
    pub coherence_unclear: Counter,
    pub memory_latency: Histogram,
    pub redis_latency: Histogram,
    pub load_latency: Histogram,
    pub told: ToldReads,
}

impl Metrics {
    /// A read that no tier answered. Each read is counted once, when it is known what answered it.
    pub fn count_miss(&self) {
        self.memory_misses.add(1);
        self.misses.add(1);
    }

    /// A read that an entry answered which another read had found.
    pub fn count_hit(&self, counted: CountedBy, stale: bool) {
        self.hits.add(1);
        self.stale.add(u64::from(stale));
        if counted == CountedBy::Redis {
            self.memory_misses.add(1);
            self.redis_hits.add(1);
        } else {
            self.memory_hits.add(1);
        }
    }

    /// The caller could not use what was found: it was no hit. Its tier has missed; what follows counts the rest.
    pub fn take_hit_back(&self, counted: CountedBy, stale: bool) {
        match counted {
            CountedBy::Probe => self.probe_hits.take_back(),
            CountedBy::Memory => {
                self.hits.take_back();
                self.memory_hits.take_back();
            }
            CountedBy::Redis => {
                self.hits.take_back();
                self.redis_hits.take_back();
                self.memory_misses.take_back();
            }
        }
        if stale {
            self.stale.take_back();
        }
    }
}

/// Upper edges, ns, of the buckets that other programs are told: dashboards are made for them, so they stay. They are
/// counted beside the fine buckets, whose edges are not round: a count up to 1 ms would be a guess.
const EDGES: [u64; 25] = [
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// Eight buckets per power of two: percentiles within 13 %, from 1 ns to centuries, in 4 KB. Beside them a count for
/// each of `EDGES`.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
    sum: AtomicU64,
    told: [AtomicU64; EDGES.len() + 1],
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: (0..64 * 8).map(|_| AtomicU64::new(0)).collect(),
            max: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            told: [const { AtomicU64::new(0) }; EDGES.len() + 1],
        }
    }
}

/// p50, p99 and max, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

/// Counts up to and including each edge, as Prometheus wants them; seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    pub up_to: Vec<(f64, u64)>,
    pub count: u64,
    pub sum: f64,
}

impl Histogram {
    pub fn record(&self, ns: u64) {
        self.buckets[bucket(ns)].fetch_add(1, Relaxed);
        self.max.fetch_max(ns, Relaxed);
        self.sum.fetch_add(ns, Relaxed);
        self.told[EDGES.partition_point(|edge| *edge < ns)].fetch_add(1, Relaxed);
    }

    /// The buckets with edges from `first` to `last` ns.
    #[must_use]
    pub fn buckets(&self, first: u64, last: u64) -> Buckets {
        // The sum first: one that is ahead of the count would make averages too high.
        let sum = self.sum.load(Relaxed) as f64 / 1e9;
        let mut count = 0;
        let mut up_to = Vec::new();
        for (slot, edge) in self.told.iter().zip(EDGES.map(Some).into_iter().chain([None])) {
            count += slot.load(Relaxed);
            if let Some(edge) = edge.filter(|edge| (first..=last).contains(edge)) {
                up_to.push((edge as f64 / 1e9, count));
            }
        }
        Buckets { up_to, count, sum }
    }

    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let max = self.max.load(Relaxed);
        let at = |share: f64| {
            let rank = (total as f64 * share).ceil() as u64;
            let mut seen = 0;
            for (n, count) in counts.iter().enumerate() {
                seen += count;
                if seen >= rank && *count > 0 {
                    return upper_edge(n).min(max) as f64 / 1e6;
                }
            }
            0.0
        };
        Percentiles {
            p50: at(0.5),
            p99: at(0.99),
            max: max as f64 / 1e6,
        }
    }
}

fn bucket(ns: u64) -> usize {
    if ns < 8 {
        return ns as usize;
    }
    let power = ns.ilog2();
    let eighth = (ns >> (power - 3)) & 7;
    power as usize * 8 + eighth as usize
}

fn upper_edge(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64;
    }
    let (power, eighth) = (bucket as u32 / 8, bucket as u64 % 8);
    if power < 3 {
        return bucket as u64;
    }
    (8 + eighth + 1)
        .checked_shl(power - 3)
        .map_or(u64::MAX, |edge| edge.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_13_per_cent_of_the_truth() {
        let histogram = Histogram::default();
        for ns in 1..=100_000 {
            histogram.record(ns);
        }

        let Percentiles { p50, p99, max } = histogram.percentiles();

        assert!((0.050..0.0565).contains(&p50), "{p50}");
        assert!((0.099..=0.1).contains(&p99), "{p99}");
        assert!((max - 0.1).abs() < 1e-9, "{max}");
    }

    #[test]
    fn nothing_recorded_is_zero() {
        assert_eq!(Histogram::default().percentiles(), Percentiles::default());
    }

    #[test]
    fn a_count_that_was_told_does_not_fall() {
        let told = Told::default();

        assert_eq!([3, 2, 3, 4].map(|count| told.of(count)), [3, 3, 3, 4]);
    }

    #[test]
    fn buckets_count_up_to_their_edge_and_what_lies_outside_of_them() {
        let histogram = Histogram::default();
        for ns in [1, 999_999, 1_000_000, 1_000_001, 2_500_000, 60_000_000_000] {
            histogram.record(ns);
        }

        let Buckets { up_to, count, sum } = histogram.buckets(500_000, 2_500_000);

        assert_eq!(up_to, [(0.000_5, 1), (0.001, 3), (0.002_5, 5)]);
        assert_eq!(count, 6, "the minute is beyond the last edge");
        assert!((sum - 60.005_500_001).abs() < 1e-6, "{sum}");
    }
}
