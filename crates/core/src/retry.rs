//! Back-off per key: a refresh that failed is not tried again by every request, and a load that failed
//! leaves a mark in Redis whose life grows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{Instant, MS};
use crate::key::NameHash;

/// Keys remembered; past it the ones whose time is over go, then all.
const CAP: usize = 10_000;

#[derive(Debug, Default)]
pub struct Retries(Mutex<HashMap<NameHash, Retry>>);

#[derive(Clone, Copy, Debug, Default)]
struct Retry {
    failures: u32,
    not_before: Instant,
}

impl Retries {
    /// Whether a refresh may be tried now.
    #[must_use]
    pub fn may(&self, key: NameHash, now: Instant) -> bool {
        self.lock().get(&key).is_none_or(|retry| now >= retry.not_before)
    }

    /// Counts a failure: 1 s, 2 s … 30 s until the next refresh. Returns the failures in a row.
    pub fn failed(&self, key: NameHash, now: Instant) -> u32 {
        self.note(
            key,
            |retry| {
                let pause = (1_000_u64 << retry.failures.min(5)).min(30_000);
                retry.failures += 1;
                retry.not_before = now + pause * MS;
                retry.failures
            },
            now,
        )
    }

    /// Another process is refreshing: look again soon, not at every read.
    pub fn denied(&self, key: NameHash, now: Instant) {
        self.note(
            key,
            |retry| retry.not_before = retry.not_before.max(now + 200 * MS),
            now,
        );
    }

    pub fn succeeded(&self, key: NameHash) {
        self.lock().remove(&key);
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    fn note<T>(&self, key: NameHash, change: impl FnOnce(&mut Retry) -> T, now: Instant) -> T {
        let mut table = self.lock();
        if table.len() >= CAP {
            table.retain(|_, retry| retry.not_before > now);
            if table.len() >= CAP {
                table.clear();
            }
        }
        change(table.entry(key).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NameHash, Retry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_from_one_second_to_thirty_and_a_success_ends_it() {
        let retries = Retries::default();
        let key = NameHash(1);
        let mut now = 0;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            retries.failed(key, now);
            assert!(!retries.may(key, now + seconds * 1_000 * MS - 1));
            now += seconds * 1_000 * MS;
            assert!(retries.may(key, now), "after {seconds} s");
        }

        retries.failed(key, now);
        retries.succeeded(key);
        assert!(retries.may(key, now));
    }
}
