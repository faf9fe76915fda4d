//! The journal: invalidations that Redis has not confirmed.
//!
//! While it holds one, this process neither reads nor fills Redis: what lies there may be what was
//! invalidated. Equal ones are kept once; past the cap they become one invalidation of the whole namespace,
//! which includes them all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::key::{Kind, Mode, NameHash, Push};

/// More than this many distinct names are cheaper to reload than to remember.
const CAP: usize = 10_000;

#[derive(Debug)]
pub struct Journal {
    whole: NameHash,
    items: Mutex<Items>,
}

#[derive(Debug, Default)]
struct Items {
    /// With the number of the latest request: one that comes while a drain is under way is not lost with it.
    by_name: HashMap<(NameHash, Kind), (Mode, u64)>,
    count: u64,
}

/// A noted invalidation, and which request of it.
#[derive(Clone, Copy, Debug)]
pub struct Noted {
    pub push: Push,
    request: u64,
}

impl Journal {
    #[must_use]
    pub fn new(whole: NameHash) -> Self {
        Self {
            whole,
            items: Mutex::default(),
        }
    }

    pub fn note(&self, push: Push) {
        let mut items = self.lock();
        if items.by_name.len() >= CAP && !items.by_name.contains_key(&(push.name, push.kind)) {
            items.by_name.clear();
            items.add(Push {
                name: self.whole,
                kind: Kind::Namespace,
                mode: Mode::Remove,
            });
            return;
        }
        items.add(push);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().by_name.is_empty()
    }

    /// At most `most` of them, to be sent.
    #[must_use]
    pub fn some(&self, most: usize) -> Vec<Noted> {
        let items = self.lock();
        let noted = |((name, kind), (mode, request)): (&(NameHash, Kind), &(Mode, u64))| Noted {
            push: Push {
                name: *name,
                kind: *kind,
                mode: *mode,
            },
            request: *request,
        };
        items.by_name.iter().take(most).map(noted).collect()
    }

    /// Strikes one that Redis confirmed, unless it was asked for again since.
    pub fn strike(&self, noted: Noted) {
        let mut items = self.lock();
        let at = (noted.push.name, noted.push.kind);
        if items.by_name.get(&at).is_some_and(|item| item.1 == noted.request) {
            items.by_name.remove(&at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Items> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Items {
    fn add(&mut self, push: Push) {
        self.count += 1;
        let request = self.count;
        let item = self
            .by_name
            .entry((push.name, push.kind))
            .or_insert((push.mode, request));
        item.1 = request;
        if push.mode == Mode::Remove {
            item.0 = Mode::Remove;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u128, mode: Mode) -> Push {
        Push {
            name: NameHash(n),
            kind: Kind::Key,
            mode,
        }
    }

    #[test]
    fn equal_invalidations_are_kept_once_and_remove_wins() {
        let journal = Journal::new(NameHash(0));
        for mode in [Mode::Stale, Mode::Remove, Mode::Stale] {
            journal.note(key(1, mode));
        }

        let noted = journal.some(10);
        assert_eq!(noted.len(), 1);
        assert_eq!(noted[0].push.mode, Mode::Remove);
    }

    #[test]
    fn one_asked_for_again_while_it_was_sent_stays() {
        let journal = Journal::new(NameHash(0));
        journal.note(key(1, Mode::Remove));
        let sent = journal.some(1)[0];
        journal.note(key(1, Mode::Remove));

        journal.strike(sent);
        assert!(!journal.is_empty());

        journal.strike(journal.some(1)[0]);
        assert!(journal.is_empty());
    }

    #[test]
    fn i6_past_the_cap_the_whole_namespace_is_invalidated_and_nothing_is_lost() {
        let journal = Journal::new(NameHash(0));
        for n in 0..=CAP as u128 {
            journal.note(key(n + 1, Mode::Remove));
        }

        let noted = journal.some(usize::MAX);
        assert_eq!(noted.len(), 1);
        assert_eq!(noted[0].push.kind, Kind::Namespace);
    }
}
