//! The journal: invalidations that Redis has not confirmed.
//!
//! While it holds one, this process neither reads nor fills Redis: what lies there may be what was
//! invalidated. Equal ones are kept once; past the cap they become one invalidation of the whole namespace,
//! which includes them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::key::{Kind, Mode, NameHash, Push};

/// More than this many distinct names are cheaper to reload than to remember.
const CAP: usize = 10_000;

/// An invalidation with all that its script needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub push: Push,
    /// Of a pattern: its text, as stored keys are named.
    pub pattern: Option<Arc<str>>,
    /// Loads that begin within so many ms are not kept.
    pub settle: u64,
}

impl Order {
    /// The invalidation of the namespace, which includes all of these.
    #[must_use]
    pub fn whole<'a>(name: NameHash, orders: impl Iterator<Item = &'a Self>) -> Self {
        let settle = orders.map(|order| order.settle).max().unwrap_or_default();
        Self {
            settle,
            ..Push::whole(name).into()
        }
    }
}

impl From<Push> for Order {
    fn from(push: Push) -> Self {
        Self {
            push,
            pattern: None,
            settle: 0,
        }
    }
}

#[derive(Debug)]
pub struct Journal {
    whole: NameHash,
    items: Mutex<Items>,
}

#[derive(Debug, Default)]
struct Items {
    /// With the number of the latest request: one that comes while a drain is under way is not lost with it.
    by_name: HashMap<(NameHash, Kind), Noted>,
    count: u64,
}

/// A noted invalidation, and which request of it.
#[derive(Clone, Debug)]
pub struct Noted {
    pub order: Order,
    /// Where in a cluster it is sent to: rules lie beside the namespace's versions.
    slot: u16,
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

    /// `true`: there are too many, and all of them are the invalidation of the namespace from here on.
    #[must_use]
    pub fn note(&self, order: Order) -> bool {
        let mut items = self.lock();
        let at = (order.push.name, order.push.kind);
        if items.by_name.len() < CAP || items.by_name.contains_key(&at) {
            items.add(order, self.whole);
            return false;
        }
        let noted = items.by_name.values().map(|noted| &noted.order);
        let whole = Order::whole(self.whole, noted.chain([&order]));
        items.by_name.clear();
        items.add(whole, self.whole);
        true
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().by_name.is_empty()
    }

    /// At most `most` of those in such slots of a cluster, to be sent.
    #[must_use]
    pub fn some(&self, most: usize, is_meant: impl Fn(u16) -> bool) -> Vec<Noted> {
        let items = self.lock();
        let meant = items.by_name.values().filter(|noted| is_meant(noted.slot));
        meant.take(most).cloned().collect()
    }

    /// Whether one is noted that is sent to this slot.
    #[must_use]
    pub fn holds(&self, slot: u16) -> bool {
        self.lock().by_name.values().any(|noted| noted.slot == slot)
    }

    /// The slot of each, in any order.
    pub fn each_slot(&self, mut visit: impl FnMut(u16)) {
        self.lock().by_name.values().for_each(|noted| visit(noted.slot));
    }

    /// Strikes one that Redis confirmed, unless it was asked for again since.
    pub fn strike(&self, noted: &Noted) {
        let mut items = self.lock();
        let at = (noted.order.push.name, noted.order.push.kind);
        if items.by_name.get(&at).is_some_and(|item| item.request == noted.request) {
            items.by_name.remove(&at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Items> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Items {
    /// Equal ones are one: removal wins over staleness, the longest wait over the shorter.
    fn add(&mut self, mut order: Order, whole: NameHash) {
        self.count += 1;
        let request = self.count;
        let at = (order.push.name, order.push.kind);
        if let Some(known) = self.by_name.get(&at) {
            order.settle = order.settle.max(known.order.settle);
            if known.order.push.mode == Mode::Remove {
                order.push.mode = Mode::Remove;
            }
        }
        let slot = if order.pattern.is_some() {
            whole
        } else {
            order.push.name
        }
        .slot();
        self.by_name.insert(at, Noted { order, slot, request });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u128, mode: Mode) -> Order {
        let push = Push {
            name: NameHash(n),
            kind: Kind::Key,
            mode,
        };
        push.into()
    }

    #[test]
    fn equal_invalidations_are_kept_once_and_remove_and_the_longest_wait_win() {
        let journal = Journal::new(NameHash(0));
        for (mode, settle) in [(Mode::Stale, 0), (Mode::Remove, 9), (Mode::Stale, 5)] {
            let order = key(1, mode);
            assert!(!journal.note(Order { settle, ..order }));
        }

        let noted = journal.some(10, |_| true);
        assert_eq!(noted.len(), 1);
        assert_eq!((noted[0].order.push.mode, noted[0].order.settle), (Mode::Remove, 9));
    }

    #[test]
    fn one_asked_for_again_while_it_was_sent_stays() {
        let journal = Journal::new(NameHash(0));
        assert!(!journal.note(key(1, Mode::Remove)));
        let sent = &journal.some(1, |_| true)[0];
        assert!(!journal.note(key(1, Mode::Remove)));

        journal.strike(sent);
        assert!(!journal.is_empty());

        journal.strike(&journal.some(1, |_| true)[0]);
        assert!(journal.is_empty());
    }

    #[test]
    fn i6_past_the_cap_the_whole_namespace_is_invalidated_and_nothing_is_lost() {
        let journal = Journal::new(NameHash(0));
        for n in 0..=CAP as u128 {
            assert_eq!(journal.note(key(n + 1, Mode::Remove)), n == CAP as u128);
        }

        let noted = journal.some(usize::MAX, |_| true);
        assert_eq!(noted.len(), 1);
        assert_eq!(noted[0].order.push.kind, Kind::Namespace);
    }
}
