//! Settling: names whose source lags for a while, as this process was told. What is loaded meanwhile is not kept.
//!
//! Redis keeps the same beside the versions and in the lease's place, for every process; this table is for what never
//! reaches Redis: memory only, an outage, tags that a loader names late.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{Instant, MS};
use crate::key::{HashedMap, NameHash};
use crate::rules::{Rule, RuleBook};

/// How long an ended wait is remembered: a load that began in it may still run.
const REMEMBERED: u64 = 3_600_000 * MS;

#[derive(Debug, Default)]
pub struct Settling {
    names: Mutex<Names>,
    /// Numbered by the end of the wait.
    patterns: RuleBook,
    /// The end of the last wait: most loads need to look no further.
    last: AtomicU64,
}

#[derive(Debug, Default)]
struct Names {
    ends: HashedMap<NameHash, Instant>,
    /// From so many on it is worth a look for what can be forgotten.
    prune_at: usize,
}

impl Settling {
    /// Loads of what depends on `name` that begin before `until` are not to be kept.
    pub fn wait_for(&self, name: NameHash, until: Instant, now: Instant) {
        let mut names = self.names();
        if names.ends.len() >= names.prune_at {
            names.ends.retain(|_, end| end.saturating_add(REMEMBERED) > now);
            names.prune_at = 1_024.max(names.ends.len() * 2);
        }
        let known = names.ends.entry(name).or_default();
        *known = until.max(*known);
        drop(names);
        self.last.fetch_max(until, SeqCst);
    }

    /// The same for keys that match. What is forgotten past the rules' cap makes older loads be not kept.
    pub fn wait_for_matching(&self, pattern: Rule, until: Instant) {
        self.patterns.add(until, pattern);
        self.last.fetch_max(until, SeqCst);
    }

    /// Until when a load that began at `began` is not to be kept; `None`: it may be.
    #[must_use]
    pub fn until(&self, key: &str, names: impl Iterator<Item = NameHash>, began: Instant) -> Option<Instant> {
        if self.last.load(SeqCst) <= began {
            return None;
        }
        let known = self.names();
        let named = names.filter_map(|name| known.ends.get(&name).copied()).max();
        drop(known);
        let forgotten = Some(self.patterns.floor());
        let matching = self.patterns.youngest_match(key, began);
        named.max(matching).max(forgotten).filter(|until| *until > began)
    }

    /// Whether a wait has ended since `began`: a loader that began before that may still name the tag it was for.
    #[must_use]
    pub fn any_ended(&self, began: Instant, now: Instant) -> bool {
        if self.last.load(SeqCst) <= began {
            return false;
        }
        self.names().ends.values().any(|end| began < *end && *end <= now)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Mode;

    #[test]
    fn a_load_that_begins_while_its_source_settles_is_not_kept() {
        let settling = Settling::default();
        let until = |key: &str, name, began| settling.until(key, [NameHash(name)].into_iter(), began);
        assert_eq!(until("a", 1, 0), None);

        settling.wait_for(NameHash(1), 100, 50);
        let rule = Rule {
            mode: Mode::Remove,
            pattern: "user:*".into(),
        };
        settling.wait_for_matching(rule, 200);

        assert_eq!(until("a", 1, 99), Some(100));
        assert_eq!(until("a", 1, 100), None);
        assert_eq!(until("a", 2, 99), None);
        assert_eq!(until("user:7", 1, 60), Some(200));
    }
}
