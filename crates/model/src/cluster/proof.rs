//! What memory may serve while there are several masters.
//!
//! `channel` counts what made something unverified. Of each master it is known when that last concerned what it owns
//! (`raised`), and up to when its pushes have come (`heard`). An entry knows its owners: the masters of all that it depends
//! on. It is proven by the heartbeats of all masters; or, while some are lost, by those of its own, and only if a majority
//! is heard of: fewer could not replace one of them without anybody's word.

use std::collections::{BTreeMap, BTreeSet};

use super::mutant::Mutant;
use super::redis::{Epoch, NodeId, DEPS};
use crate::names::Dep;
use crate::sim::Time;

/// Whose each slot is, as a process believes.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    pub owners: [Option<NodeId>; DEPS],
    pub epochs: BTreeMap<NodeId, Epoch>,
    /// The channel that it came with.
    pub since: u64,
}

impl Layout {
    pub fn masters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.epochs.keys().copied()
    }

    fn slots(&self, node: NodeId) -> BTreeSet<Dep> {
        (0..DEPS).filter(|slot| self.owners[*slot] == Some(node)).collect()
    }
}

/// A memory entry, as far as its proof goes.
#[derive(Debug, Clone)]
pub struct Claim {
    pub channel: u64,
    pub owners: BTreeSet<NodeId>,
    pub proof: Time,
    /// Loaded without Redis: no heartbeat vouches for it.
    pub is_alone: bool,
}

#[derive(Debug, Default)]
pub struct Proof {
    pub channel: u64,
    raised: BTreeMap<NodeId, u64>,
    /// The send time of the last heartbeat that was answered, by master; while nothing had to be looked at.
    pub heard: BTreeMap<NodeId, Time>,
    own: BTreeMap<NodeId, Time>,
    pub least: Time,
    majority: Time,
}

impl Proof {
    /// What this master owns is unverified.
    pub fn raise(&mut self, node: NodeId) {
        self.channel += 1;
        self.raised.insert(node, self.channel);
    }

    /// A master is armed: its pushes come from now on.
    pub fn armed(&mut self, node: NodeId, mutant: Option<Mutant>) {
        self.raise(node);
        if mutant == Some(Mutant::ArmingRaisesNothing) {
            self.raised.remove(&node);
        }
    }

    /// Another map: what has moved is unverified, and what has gone and come back.
    pub fn mapped(&mut self, before: &Layout, after: &mut Layout, mutant: Option<Mutant>) {
        let is = |which| mutant == Some(which);
        for (node, epoch) in &before.epochs {
            let is_gone = !after.epochs.contains_key(node) && !is(Mutant::FormerMasterProves);
            let has_changed = after.epochs.contains_key(node) && before.slots(*node) != after.slots(*node);
            let has_moved = has_changed && !is(Mutant::MoveRaisesNothing);
            let is_another = !has_changed && after.epochs.get(node).is_some_and(|now| now != epoch);
            if is_gone || has_moved || (is_another && !is(Mutant::ReturnRaisesNothing)) {
                self.raise(*node);
            }
        }
        after.since = before.since;
        if before.owners != after.owners {
            self.channel += 1;
            after.since = self.channel;
        }
    }

    /// A heartbeat that was sent then is answered.
    pub fn beaten(
        &mut self,
        node: NodeId,
        sent: Time,
        layout: &Layout,
        is_surveyed: bool,
        up: &BTreeSet<NodeId>,
        mutant: Option<Mutant>,
    ) {
        let is = |which| mutant == Some(which);
        let word = self.heard.entry(node).or_default();
        *word = sent.max(*word);
        if !is_surveyed {
            return;
        }
        let heard = |node: NodeId| self.heard.get(&node).copied().unwrap_or_default();
        let mut words: Vec<Time> = layout.masters().map(heard).collect();
        if is(Mutant::BasisOfThoseUp) {
            words = layout.masters().filter(|node| up.contains(node)).map(heard).collect();
        }
        words.sort_unstable();
        let least = if is(Mutant::AnyBeatProves) {
            words.last()
        } else {
            words.first()
        };
        self.least = self.least.max(least.copied().unwrap_or_default());
        self.majority = self
            .majority
            .max(words.get((words.len() - 1) / 2).copied().unwrap_or_default());
        if layout.epochs.contains_key(&node) {
            self.own.insert(node, sent);
        }
    }

    /// Up to when all masters together prove an entry; `None`: one was armed since, or something has moved.
    #[must_use]
    pub fn by_all(&self, claim: &Claim) -> Option<Time> {
        (claim.channel == self.channel).then_some(self.least)
    }

    /// The same, by its owners alone.
    #[must_use]
    pub fn by_owners(&self, claim: &Claim, mutant: Option<Mutant>) -> Option<Time> {
        let is_raised = |node: &NodeId| self.raised.get(node).is_some_and(|raised| *raised > claim.channel);
        if claim.owners.is_empty() || claim.owners.iter().any(is_raised) {
            return None;
        }
        let own = claim
            .owners
            .iter()
            .map(|node| self.own.get(node).copied().unwrap_or_default());
        let own = own.min().unwrap_or_default();
        let own = if mutant == Some(Mutant::NoMajority) {
            own
        } else {
            own.min(self.majority)
        };
        Some(own.max(self.least))
    }
}

/// Whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BySome {
    All,
    Owners,
}
