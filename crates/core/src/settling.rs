//! Settling: names whose source lags for a while, as this process was told. What is loaded meanwhile is not kept.
//!
//! Redis keeps the same beside the versions and in the lease's place, for every process; this table is for what never
//! reaches Redis: memory only, an outage, tags that a loader names late.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use crate::clock::{Instant, MS};
use crate::key::{HashedMap, NameHash};
use crate::rules::{Judgement, Rule, RuleBook};

/// How long an ended wait is remembered: a load that began in it may still run.
const REMEMBERED: u64 = 3_600_000 * MS;

#[derive(Debug, Default)]
pub struct Settling {
    waits: Mutex<Waits>,
    /// The end of the last wait: most loads need to look no further.
    last: AtomicU64,
}

#[derive(Debug, Default)]
struct Waits {
    names: HashedMap<NameHash, Instant>,
    patterns: Vec<(RuleBook, Instant)>,
}

impl Settling {
    /// Loads of what depends on `name` that begin before `until` are not to be kept.
    pub fn wait_for(&self, name: NameHash, until: Instant, now: Instant) {
        self.note(until, now, |waits| {
            let known = waits.names.entry(name).or_default();
            *known = until.max(*known);
        });
    }

    /// The same for keys that match.
    pub fn wait_for_matching(&self, rule: &Rule, until: Instant, now: Instant) {
        let book = RuleBook::default();
        book.add(1, rule.clone());
        self.note(until, now, |waits| waits.patterns.push((book, until)));
    }

    fn note(&self, until: Instant, now: Instant, add: impl FnOnce(&mut Waits)) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let is_remembered = |until: Instant| until.saturating_add(REMEMBERED) > now;
        waits.names.retain(|_, until| is_remembered(*until));
        waits.patterns.retain(|(_, until)| is_remembered(*until));
        add(&mut waits);
        drop(waits);
        self.last.fetch_max(until, SeqCst);
    }

    /// Whether a wait has ended since `began`: a loader that began before that may still name the tag it was for.
    #[must_use]
    pub fn any_ended(&self, began: Instant, now: Instant) -> bool {
        if self.last.load(SeqCst) <= began {
            return false;
        }
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.names.values().any(|until| began < *until && *until <= now)
    }

    /// Until when a load that began at `began` is not to be kept; `None`: it may be.
    #[must_use]
    pub fn until(&self, key: &str, names: impl Iterator<Item = NameHash>, began: Instant) -> Option<Instant> {
        if self.last.load(SeqCst) <= began {
            return None;
        }
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let named = names.filter_map(|name| waits.names.get(&name).copied());
        let matches = |book: &RuleBook| book.judge(key, 0).0 == Judgement::Removed;
        let matching = waits.patterns.iter().filter(|(book, _)| matches(book));
        named
            .chain(matching.map(|(_, until)| *until))
            .filter(|until| *until > began)
            .max()
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
        settling.wait_for_matching(&rule, 200, 50);

        assert_eq!(until("a", 1, 99), Some(100));
        assert_eq!(until("a", 1, 100), None);
        assert_eq!(until("a", 2, 99), None);
        assert_eq!(until("user:7", 1, 60), Some(200));
    }
}
