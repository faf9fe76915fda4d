//! What a process holds: links, the map of slots, memory, what it could not send.

use std::collections::{BTreeMap, BTreeSet};

use super::mutant::Mutant;
use super::proof::{BySome, Claim, Layout, Proof};
use super::redis::{first_map, NodeId, Pulse, DEPS, KEYS, NAMESPACE};
use crate::held::Bounds;
use crate::names::Dep;
use crate::sim::{Promise, Time};

/// The link to one master.
#[derive(Debug, Clone, Default)]
pub struct Link {
    /// It may be asked.
    pub session: Option<usize>,
    pub is_suspect: bool,
    pub pulse: Option<Pulse>,
}

#[derive(Debug, Clone)]
pub struct Kept {
    pub value: usize,
    pub seq: u64,
    pub deps: BTreeSet<Dep>,
    pub claim: Claim,
}

/// From when on something is judged.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    pub seq: u64,
    pub channel: u64,
    pub start: Time,
}

pub struct Process {
    pub bounds: Bounds,
    pub mutant: Option<Mutant>,
    pub layout: Layout,
    /// The map by which commands are sent: told after the masters of a new one were tried.
    pub router: Layout,
    pub proof: Proof,
    pub links: BTreeMap<NodeId, Link>,
    pub kept: BTreeSet<NodeId>,
    pub wanted: u64,
    pub surveyed: u64,
    pub survey_wake: Promise<()>,
    pub seq: u64,
    pub fallen: [u64; DEPS],
    pub memory: [Option<Kept>; KEYS],
    /// Invalidations that Redis has not confirmed.
    pub owed: [usize; DEPS],
    /// The namespace's version and reign, as the heartbeats of its master tell them.
    known: Option<(u64, u64)>,
}

impl Process {
    #[must_use]
    pub fn new(bounds: Bounds, mutant: Option<Mutant>) -> Self {
        Self {
            bounds,
            mutant,
            layout: Layout::default(),
            router: Layout::default(),
            proof: Proof::default(),
            links: BTreeMap::new(),
            kept: BTreeSet::new(),
            wanted: 1,
            surveyed: 0,
            survey_wake: Promise::default(),
            seq: 1,
            fallen: [0; DEPS],
            memory: Default::default(),
            owed: [0; DEPS],
            known: None,
        }
    }

    #[must_use]
    pub fn since(&self, now: Time) -> Since {
        Since {
            seq: self.seq,
            channel: self.proof.channel,
            start: now,
        }
    }

    pub fn bump(&mut self, dep: Dep) {
        self.seq += 1;
        self.fallen[dep] = self.seq;
        if dep == NAMESPACE {
            self.known = None;
        }
    }

    /// What a heartbeat that was sent at `since` tells of the namespace.
    pub fn learn(&mut self, told: Option<(u64, u64)>, since: Since) {
        let is_drained = self.owed[NAMESPACE] == 0 || self.mutant == Some(Mutant::HeartbeatsTellUndrained);
        let is_recent = self.fallen[NAMESPACE] <= since.seq && self.proof.channel == since.channel;
        match (self.known, told) {
            (Some(known), Some(told)) if known == told => {}
            // It has changed without a push.
            (Some(_), Some(_)) => self.bump(NAMESPACE),
            (None, Some(told)) if is_drained && is_recent => self.known = Some(told),
            (None, Some(_)) => {}
            (_, None) => self.known = None,
        }
    }

    /// Another connection: what was told before is told anew.
    pub fn forget(&mut self) {
        self.known = None;
    }

    /// The namespace's version and reign, if the heartbeats vouch for them, and up to when they do.
    #[must_use]
    pub fn known(&self, now: Time) -> Option<((u64, u64), Time)> {
        let is_any_down = self.layout.masters().any(|node| self.is_down(node));
        let is_coherent = !is_any_down && now.saturating_sub(self.proof.least) <= self.bounds.max_unverified;
        let is_believed = is_coherent || self.mutant == Some(Mutant::KnownForEver);
        Some((self.known.filter(|_| is_believed)?, self.proof.least))
    }

    #[must_use]
    pub fn stands(&self, seq: u64, deps: &BTreeSet<Dep>) -> bool {
        deps.iter().all(|dep| self.fallen[*dep] <= seq)
    }

    fn is_down(&self, node: NodeId) -> bool {
        self.links
            .get(&node)
            .is_none_or(|link| link.session.is_none() || link.is_suspect)
    }

    #[must_use]
    pub fn up(&self) -> BTreeSet<NodeId> {
        self.layout.masters().filter(|node| !self.is_down(*node)).collect()
    }

    /// What memory serves of a key, and on whose word.
    #[must_use]
    pub fn probe(&self, key: usize, now: Time) -> Option<(usize, BySome)> {
        let kept = self.memory[key]
            .as_ref()
            .filter(|kept| self.stands(kept.seq, &kept.deps))?;
        let allowance = |is_down: bool| {
            let Bounds {
                max_unverified,
                isolated,
            } = self.bounds;
            if is_down {
                max_unverified.max(isolated)
            } else {
                max_unverified
            }
        };
        let is_recent = |word: Time, is_down: bool| {
            let proven = if kept.claim.is_alone {
                kept.claim.proof
            } else {
                kept.claim.proof.max(word)
            };
            now.saturating_sub(proven) <= allowance(is_down)
        };
        let is_any_down = self.layout.masters().any(|node| self.is_down(node));
        if self
            .proof
            .by_all(&kept.claim)
            .is_some_and(|word| is_recent(word, is_any_down))
        {
            return Some((kept.value, BySome::All));
        }
        let is_own_down = kept.claim.owners.iter().any(|node| self.is_down(*node));
        let own = self.proof.by_owners(&kept.claim, self.mutant)?;
        is_recent(own, is_own_down).then_some((kept.value, BySome::Owners))
    }

    /// What an entry depends on, by the map that it was read by; one that is not that of now proves nothing.
    #[must_use]
    pub fn claim(&self, key: usize, deps: &BTreeSet<Dep>, since: Since, router: &Layout) -> Claim {
        let is = |which| self.mutant == Some(which);
        let needed: BTreeSet<Dep> = if is(Mutant::BasisOfKeyOnly) {
            [key].into()
        } else {
            deps.clone()
        };
        let map = if is(Mutant::OwnersNotRecomputed) {
            first_map().map(|(node, _)| Some(node))
        } else {
            router.owners
        };
        let owners = needed.iter().filter_map(|dep| map[*dep]).collect();
        let is_known = needed.iter().all(|dep| router.owners[*dep].is_some());
        let is_current = router.since == self.layout.since && router.since <= since.channel;
        let is_good = (is_known && is_current) || is(Mutant::OwnersNotRecomputed);
        Claim {
            channel: since.channel,
            owners: if is_good { owners } else { BTreeSet::new() },
            proof: since.start,
            is_alone: false,
        }
    }

    /// Something is not as it was.
    pub fn want_survey(&mut self) -> Promise<()> {
        self.wanted += 1;
        std::mem::take(&mut self.survey_wake)
    }

    #[must_use]
    pub fn is_surveyed(&self) -> bool {
        self.surveyed >= self.wanted
    }
}
