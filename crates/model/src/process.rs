//! One process: its memory tier, its epochs, its version table and the rules that decide what still stands.
//!
//! Plain data and pure decisions; whoever talks to Redis is in the files above. A new life of a process starts from
//! `Process::start` and keeps nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::command::Tag;
use crate::held::{Answer, Attempt, Bounds, Flight, Link, MemoryEntry, Probe, Queued, Redis};
use crate::mutant::Mutant;
use crate::names::{bare, is_pattern, matches, Dep, Mode, ProcessId, Token, DEPS, KEYS, NAMESPACE};
use crate::rules::{Rules, Ruling};
use crate::sim::{Promise, Time};
use crate::windows::Windows;

/// Heartbeats go on so long after a read.
const ACTIVE: Time = 15_000;

pub struct Process {
    pub id: ProcessId,
    pub alive: bool,
    pub seq: u64,
    ep: [u64; DEPS],
    ep_stale: [u64; DEPS],
    pub rules: Rules,
    pub windows: Windows,
    /// There is a rule of a peer that no heartbeat has asked for yet.
    pub rule_due: bool,
    /// It was told of while somebody read: a heartbeat is, whoever reads now.
    pub beat_due: bool,
    /// A heartbeat is wanted before its time.
    pub beat_wake: Promise<()>,
    /// One has been answered.
    pub proven_wake: Promise<()>,
    /// What is proven as of an earlier time is not: a rule came while nobody read.
    pub doubt: Time,
    /// The last read.
    pub activity: Time,
    pub chan: u64,
    pub basis: Time,
    pub data: Option<Link>,
    /// Armed: pushes of every change after `chan` began arrive here.
    pub coherence: Option<Link>,
    pub memory: BTreeMap<usize, MemoryEntry>,
    pub table: BTreeMap<Dep, Tag>,
    pub flights: BTreeMap<usize, (Flight, Answer)>,
    /// Leases held by loads that may still be filled, with what those depend on for certain.
    pub leases: BTreeMap<(usize, Token), BTreeSet<Dep>>,
    pub journal: VecDeque<Queued>,
    pub lease_wakes: BTreeMap<usize, Vec<Promise<()>>>,
    pub bounds: Bounds,
    mutant: Option<Mutant>,
}

impl Process {
    #[must_use]
    pub fn start(id: ProcessId, bounds: Bounds, mutant: Option<Mutant>) -> Self {
        Self {
            id,
            alive: true,
            seq: 0,
            ep: [0; DEPS],
            ep_stale: [0; DEPS],
            rules: Rules::default(),
            windows: Windows::default(),
            rule_due: false,
            beat_due: false,
            beat_wake: Promise::default(),
            proven_wake: Promise::default(),
            doubt: 0,
            activity: 0,
            chan: 0,
            basis: 0,
            data: None,
            coherence: None,
            memory: BTreeMap::new(),
            table: BTreeMap::new(),
            flights: BTreeMap::new(),
            leases: BTreeMap::new(),
            journal: VecDeque::new(),
            lease_wakes: BTreeMap::new(),
            bounds,
            mutant,
        }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Takes the stamp for a read or load that begins now.
    #[must_use]
    pub fn attempt(&self, now: Time) -> Attempt {
        let versions = if self.coherent(now) || self.is(Mutant::TableWhileIncoherent) {
            self.table.clone()
        } else {
            BTreeMap::new()
        };
        Attempt {
            start: now,
            s: self.seq,
            chan: self.chan,
            versions,
            fetched: BTreeSet::new(),
            basis: self.basis,
        }
    }

    /// Pushes arrive, and all of those sent before `basis` have arrived.
    #[must_use]
    pub fn coherent(&self, now: Time) -> bool {
        let same_reign = match (self.coherence, self.data) {
            (Some(coherence), Some(data)) => coherence.reign == data.reign,
            _ => false,
        };
        same_reign && self.is_recent(now, self.basis, self.bounds.max_unverified)
    }

    /// What was true at `proof` may be believed now.
    #[must_use]
    pub fn is_recent(&self, now: Time, proof: Time, limit: Time) -> bool {
        proof >= self.doubt && now.saturating_sub(proof) <= limit
    }

    /// No dependency was invalidated since the stamp was taken.
    #[must_use]
    pub fn stands<'a>(&self, s: u64, deps: impl IntoIterator<Item = &'a Dep>) -> bool {
        deps.into_iter().all(|dep| self.ep[*dep] <= s)
    }

    /// No dependency was marked stale since the stamp was taken.
    #[must_use]
    pub fn unmarked<'a>(&self, s: u64, deps: impl IntoIterator<Item = &'a Dep>) -> bool {
        deps.into_iter().all(|dep| self.ep_stale[*dep] <= s)
    }

    /// What the rules of patterns that came since the stamp was taken say.
    #[must_use]
    pub fn ruling(&self, s: u64, key: usize) -> Ruling {
        self.rules.since(s, key, self.mutant).0
    }

    /// Holds a memory entry against the rules that are younger than the last look at it.
    fn hold_against_rules(&mut self, key: usize) -> Ruling {
        let Some(entry) = self.memory.get_mut(&key) else {
            return Ruling::Stands;
        };
        let (ruling, youngest) = self.rules.since(entry.ruled, key, self.mutant);
        if ruling == Ruling::Stands {
            entry.ruled = entry.ruled.max(youngest);
        }
        ruling
    }

    /// Looks into memory: stands, is proven, is not expired.
    pub fn probe(&mut self, now: Time, key: usize, redis: Redis) -> Probe {
        let ruling = self.hold_against_rules(key);
        let Some(entry) = self.memory.get(&key) else {
            return Probe::Miss;
        };
        let ruling = if self.is(Mutant::NoRuleCheckAtRead) {
            Ruling::Stands
        } else {
            ruling
        };
        let stands = entry.chan == self.chan && self.stands(entry.s, &entry.deps) && ruling != Ruling::Removed;
        if now >= entry.hard || !(stands || self.is(Mutant::NoEpochCheckAtRead)) || !self.proven(now, entry, redis) {
            return Probe::Miss;
        }
        if entry.stale || now >= entry.soft || !self.unmarked(entry.s, &entry.deps) || ruling == Ruling::Staled {
            return Probe::Stale(entry.value, entry.id);
        }
        Probe::Fresh(entry.value)
    }

    fn proven(&self, now: Time, entry: &MemoryEntry, redis: Redis) -> bool {
        let limit = match (self.coherence, redis) {
            (Some(_), _) => self.bounds.max_unverified,
            (None, Redis::NotAsked) => self.bounds.max_unverified.min(self.bounds.isolated),
            (None, Redis::Unreachable) => self.bounds.isolated,
        };
        let proof = match self.basis {
            _ if entry.alone && !self.is(Mutant::AloneProvenByBasis) => entry.proof,
            basis => entry.proof.max(basis),
        };
        self.is_recent(now, proof, limit) || self.is(Mutant::NoCoherenceBound)
    }

    /// Keeps an entry, unless a younger one is there.
    pub fn keep(&mut self, key: usize, mut entry: MemoryEntry) {
        if bare(key) != key && self.is(Mutant::VersionWithoutKeysSlot) {
            entry.deps.remove(&bare(key));
        }
        if self.is(Mutant::MarkInsideFillIgnored) && self.stands(entry.s, &entry.deps) {
            entry.s = self.seq;
        }
        if self
            .memory
            .get(&key)
            .is_none_or(|kept| kept.s <= entry.s || kept.chan != entry.chan)
        {
            self.memory.insert(key, entry);
        }
    }

    /// The load of this key that may be joined now: every push since it began was heard, or it is young.
    #[must_use]
    pub fn joinable(&self, now: Time, key: usize) -> Option<Answer> {
        let (flight, answer) = self.flights.get(&key)?;
        let young = self.is_recent(now, flight.started, self.bounds.max_unverified);
        let same_channel = flight.chan == self.chan || self.is(Mutant::JoinAcrossArming);
        let heard = same_channel && self.coherent(now);
        let here = self
            .windows
            .until(flight.started, key, |dep| flight.deps.contains(&dep));
        let outlived =
            here.max(flight.settles).is_some_and(|until| until <= now) || self.windows.any_ended(flight.started, now);
        let outlived = outlived && !self.is(Mutant::JoinAcrossWindow);
        (!outlived && (young || heard || self.is(Mutant::JoinWhileIncoherent))).then(|| answer.clone())
    }

    /// Something was invalidated: entries and loads from before no longer stand. Returns the leases to give back.
    pub fn bump(&mut self, dep: Dep, mode: Mode) -> Vec<(usize, Token)> {
        self.seq += 1;
        match mode {
            _ if is_pattern(dep) => {
                self.rules.note(self.seq, mode, dep);
                self.table.remove(&NAMESPACE);
            }
            Mode::Remove => self.ep[dep] = self.seq,
            Mode::Stale => self.ep_stale[dep] = self.seq,
        }
        self.table.remove(&dep);
        if self.is(Mutant::NoDetach) || (mode == Mode::Stale && self.is(Mutant::StaleDoesNotDetach)) {
            return Vec::new();
        }
        if is_pattern(dep) && self.is(Mutant::RuleDoesNotDetach) {
            return Vec::new();
        }
        self.detach(dep)
    }

    /// Takes the loads that depend on `dep`, or may yet, out of reach of joiners.
    fn detach(&mut self, dep: Dep) -> Vec<(usize, Token)> {
        let careless = self.is(Mutant::JoinDespiteTagBump);
        let ruled = |key: usize| is_pattern(dep) && matches(dep, key);
        self.flights.retain(|key, (flight, _)| {
            let may_depend = !flight.named && may_be_named(dep) && !careless;
            !flight.deps.contains(&dep) && !may_depend && !ruled(*key)
        });
        let (lost, kept) = std::mem::take(&mut self.leases)
            .into_iter()
            .partition(|((key, _), deps)| deps.contains(&dep) || ruled(*key));
        self.leases = kept;
        let lost: BTreeMap<(usize, Token), BTreeSet<Dep>> = lost;
        lost.into_keys().collect()
    }

    /// There is a rule that is not known here yet. Nobody reads: the next one who does has a heartbeat prove memory first.
    pub fn rule_signed(&mut self, now: Time) {
        self.seq += 1;
        self.rules.signed = self.seq;
        self.table.remove(&NAMESPACE);
        self.rule_due = true;
        if self.is_active(now) {
            self.beat_due = true;
        } else if !self.is(Mutant::IdleKeepsBasis) {
            self.doubt = now;
        }
    }

    /// Somebody reads: heartbeats go on.
    #[must_use]
    pub fn is_active(&self, now: Time) -> bool {
        now < self.activity + ACTIVE
    }

    /// The channel is another one, or pushes were lost: nothing from before is known to stand.
    pub fn new_channel(&mut self) {
        self.chan += 1;
        self.rules.forget_copy();
        if !self.is(Mutant::VersionsKeptOverRearm) {
            self.table.clear();
        }
    }

    /// Takes a fetched version into the table if no push can have been missed since the stamp was taken.
    pub fn install(&mut self, s: u64, chan: u64, dep: Dep, tag: Tag) {
        let ruled = dep == NAMESPACE && self.rules.signed > s && !self.is(Mutant::HeadInstallUnchecked);
        let current = chan == self.chan && self.stands(s, &[dep]) && self.unmarked(s, &[dep]) && !ruled;
        if current || self.is(Mutant::TagInstallUnchecked) {
            self.table.insert(dep, tag);
        }
    }
}

/// Whether a load whose tags are not all known may turn out to depend on `dep`.
fn may_be_named(dep: Dep) -> bool {
    (KEYS..NAMESPACE).contains(&dep)
}
