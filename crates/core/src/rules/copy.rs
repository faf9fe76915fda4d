//! The copy of Redis's rules: fetched piece by piece, and which numbers it is whole for.
//!
//! A key is judged by it only if every rule between its load's start and the latest is known to be there. What was fetched is
//! joined to what is known where nothing lies between the two; else the copy begins anew.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Rule, RuleBook};

/// A copy of Redis's rules, numbered there: all of a range of numbers, added to by fetches only.
#[derive(Debug, Default)]
pub struct RuleCopy {
    pub book: RuleBook,
    /// Keys whose source settles, numbered by the end of that (µs of Redis's clock).
    pub waits: RuleBook,
    range: Mutex<Option<Range>>,
}

/// Every rule with a number past `from`, up to `to`, is in the book: as long as the namespace's own version is this one.
/// A namespace whose versions were lost begins to count anew.
#[derive(Clone, Copy, Debug)]
struct Range {
    version: u64,
    from: u64,
    to: u64,
    /// Redis had lost its rules when this was the latest: who waited before it is not known.
    lost: u64,
}

/// The latest rule of a namespace, and the version of the namespace that it was read with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latest {
    pub version: u64,
    pub number: u64,
}

/// What was fetched: the rules past a number.
#[derive(Debug)]
pub struct Fetched {
    pub after: u64,
    /// `None`: Redis has lost its rules.
    pub floor: Option<u64>,
    pub rules: Vec<(u64, Rule)>,
    /// Ends (µs of Redis's clock) and patterns.
    pub waits: Vec<(u64, Rule)>,
}

impl RuleCopy {
    /// Whether a key of the number `since` can be judged by the rules up to the latest.
    #[must_use]
    pub fn covers(&self, since: u64, latest: Latest) -> bool {
        let known = self.of_version(latest.version);
        known.is_some_and(|range| range.from <= since && latest.number <= range.to)
    }

    /// Whether all that wait are known, of those that were told to since the number `since`.
    #[must_use]
    pub fn covers_waits(&self, since: u64, latest: Latest) -> bool {
        let known = self.of_version(latest.version).filter(|range| range.lost <= since);
        known.is_some() && self.covers(since, latest)
    }

    fn of_version(&self, version: u64) -> Option<Range> {
        self.range().filter(|range| range.version == version)
    }

    /// The number from which to fetch so that `since` is covered.
    #[must_use]
    pub fn fetch_after(&self, since: u64, latest: Latest) -> u64 {
        match self.of_version(latest.version) {
            Some(range) if range.from <= since => range.to.max(since),
            _ => since,
        }
    }

    /// Takes in what was fetched when that was the latest.
    pub fn merge(&self, fetched: Fetched, latest: Latest) {
        let mut range = self.range();
        // What was fetched is whole up to its last, too.
        let last = fetched.rules.last().map_or(0, |(number, _)| *number).max(latest.number);
        let (mut from, mut to) = (fetched.after, last);
        // A namespace that has just begun has none, and has lost none.
        let has_lost = fetched.floor.is_none() && latest.number != latest.version;
        let mut lost = if has_lost { latest.number } else { 0 };
        match *range {
            Some(known) if known.version == latest.version && fetched.after <= known.to && known.from <= last => {
                (from, to) = (from.min(known.from), to.max(known.to));
                lost = lost.max(known.lost);
            }
            // An answer that came late: nothing lies between what it tells and what is known, or it is not known.
            _ => self.book.clear(),
        }
        self.book.raise_floor(fetched.floor.unwrap_or(latest.number));
        for (number, rule) in fetched.rules {
            self.book.add(number, rule);
        }
        for (end, pattern) in fetched.waits {
            self.waits.add(end, pattern);
        }
        let version = latest.version;
        *range = Some(Range {
            version,
            from,
            to,
            lost,
        });
    }

    pub fn clear(&self) {
        let mut range = self.range();
        self.book.clear();
        self.waits.clear();
        *range = None;
    }

    fn range(&self) -> MutexGuard<'_, Option<Range>> {
        self.range.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
