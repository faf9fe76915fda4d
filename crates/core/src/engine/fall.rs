//! What an invalidation does in this process: what it names, and began before it, does not stand from here on.

use std::sync::Arc;

use super::Engine;
use crate::clock::MS;
use crate::epoch::{Slot, Standing};
use crate::journal::Order;
use crate::key::{Kind, NameHash, Push};
use crate::loads::{Load, LoadId, Storage};
use crate::rules::{Judgement, Rule};

impl Engine {
    /// The local effect of invalidations: what depends on them does not stand from here on.
    pub(super) fn bump_all(&self, orders: &[Order]) {
        for Order { push, pattern, settle } in orders {
            let rule = pattern.as_ref().map(|pattern| Rule {
                mode: push.mode,
                pattern: Arc::clone(pattern),
            });
            let until = self.now() + settle * MS;
            match (&rule, settle) {
                (_, 0) => {}
                (Some(rule), _) => self.settling.wait_for_matching(rule.clone(), until),
                (None, _) => self.settling.wait_for(push.name, until, self.now()),
            }
            if let Some(rule) = rule {
                self.rules.add_numbered(rule, || self.epochs.bump(*push));
                self.versions.remove(self.namespace.whole());
            } else {
                self.epochs.bump(*push);
                self.versions.remove(push.name);
            }
        }
        self.detach(orders);
    }

    pub(super) fn bump(&self, push: Push) {
        self.bump_all(&[push.into()]);
    }

    /// Loads that do not stand any more give their leases back at once: others need not wait for them.
    fn detach(&self, orders: &[Order]) {
        let falls = |load: &Load| load.token().is_some() && self.standing(load) == Standing::Removed;
        let mut loads = self.loads.lock();
        let fallen: Vec<LoadId> = if !loads.has_deep() && orders.iter().all(|order| order.push.kind == Kind::Key) {
            let latest = orders.iter().filter_map(|order| {
                let load = loads.latest(order.push.name)?;
                falls(load).then_some(load.id)
            });
            latest.collect()
        } else {
            loads.iter().filter(|load| falls(load)).map(|load| load.id).collect()
        };
        drop(loads);
        for id in fallen {
            let lease = self.loads.with(id, |load| {
                let token = load.token();
                load.storage = Storage::Nowhere;
                (load.name, token)
            });
            if let Some((name, Some(token))) = lease {
                self.release_soon(name, token);
            }
        }
    }

    pub(super) fn standing(&self, load: &Load) -> Standing {
        self.standing_of(load.name, &load.key, &load.tags, load.since)
    }

    /// How that which began at `since` stands towards every invalidation since then.
    pub(super) fn standing_of(&self, name: NameHash, key: &str, tags: &[NameHash], since: u64) -> Standing {
        self.standing_by(slots(name, tags).into_iter(), key, since)
    }

    /// The same, but for invalidations of its own key by name.
    pub(super) fn standing_of_groups(&self, key: &str, tags: &[NameHash], since: u64) -> Standing {
        self.standing_by(slots_of_groups(tags), key, since)
    }

    fn standing_by(&self, slots: impl Iterator<Item = Slot>, key: &str, since: u64) -> Standing {
        let by_name = self.epochs.standing(slots, since);
        if by_name == Standing::Removed || self.rules.latest() <= since {
            return by_name;
        }
        match self.rules.judge(key, since).0 {
            Judgement::Removed => Standing::Removed,
            Judgement::Staled => Standing::Staled,
            Judgement::Stands => by_name,
        }
    }
}

/// What an entry of `name` with these tags depends on.
pub(super) fn slots(name: NameHash, tags: &[NameHash]) -> Vec<Slot> {
    slots_of_groups(tags).chain([Slot::of(name)]).collect()
}

fn slots_of_groups(tags: &[NameHash]) -> impl Iterator<Item = Slot> + '_ {
    [Slot::namespace()]
        .into_iter()
        .chain(tags.iter().map(|tag| Slot::of(*tag)))
}
