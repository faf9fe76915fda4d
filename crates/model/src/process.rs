//! One process: its memory tier, its epochs, its version table and the rules that decide what still stands.
//!
//! Plain data and pure decisions; whoever talks to Redis is in the files above. A new life of a process starts from
//! `Process::start` and keeps nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::mutant::Mutant;
use crate::server::{ConnId, Dep, Mode, Pair, ProcessId, Token, DEPS, KEYS, NAMESPACE};
use crate::sim::{Promise, Time};

/// What a read returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    Fresh(usize),
    Stale(usize),
    LoaderFailed,
}

/// How long what is not proven may be served.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub max_unverified: Time,
    pub isolated: Time,
}

#[derive(Debug, Clone)]
pub struct MemoryEntry {
    pub value: usize,
    /// The entry in Redis it is a copy of; 0: none.
    pub id: Token,
    pub s: u64,
    pub chan: u64,
    pub deps: BTreeSet<Dep>,
    pub proof: Time,
    pub soft: Time,
    pub hard: Time,
    /// Stale already when it was read.
    pub stale: bool,
}

/// A load (or the lookup before it) that callers may join.
#[derive(Debug, Clone)]
pub struct Flight {
    pub id: u64,
    pub started: Time,
    pub chan: u64,
    pub deps: BTreeSet<Dep>,
    /// The tags are known: the value is.
    pub named: bool,
}

/// Joiners of a flight; `None` when it ended without an answer (a refresh that others make).
pub type Answer = Promise<Option<Served>>;

/// The point a load or a Redis read is judged from, taken before anything is sent.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub start: Time,
    pub s: u64,
    pub chan: u64,
    /// Believed versions: from the table, then replaced by what is fetched.
    pub versions: BTreeMap<Dep, Pair>,
    pub fetched: BTreeSet<Dep>,
    pub basis: Time,
}

#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub conn: ConnId,
    pub reign: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Queued {
    pub change: usize,
    pub dep: Dep,
    pub mode: Mode,
}

pub struct Process {
    pub id: ProcessId,
    pub alive: bool,
    pub seq: u64,
    ep: [u64; DEPS],
    ep_stale: [u64; DEPS],
    pub chan: u64,
    pub basis: Time,
    pub data: Option<Link>,
    /// Armed: pushes of every change after `chan` began arrive here.
    pub coherence: Option<Link>,
    pub memory: BTreeMap<usize, MemoryEntry>,
    pub table: BTreeMap<Dep, Pair>,
    pub flights: BTreeMap<usize, (Flight, Answer)>,
    /// Leases held by loads that may still be filled, with what those depend on for certain.
    pub leases: BTreeMap<(usize, Token), BTreeSet<Dep>>,
    pub journal: VecDeque<Queued>,
    pub lease_wakes: BTreeMap<usize, Vec<Promise<()>>>,
    pub bounds: Bounds,
    mutant: Option<Mutant>,
}

/// What a look into memory finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Fresh(usize),
    Stale(usize, Token),
    Miss,
}

/// Whether Redis was asked already, in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redis {
    NotAsked,
    Unreachable,
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
        same_reign && now.saturating_sub(self.basis) <= self.bounds.max_unverified
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

    /// Looks into memory: stands, is proven, is not expired.
    #[must_use]
    pub fn probe(&self, now: Time, key: usize, redis: Redis) -> Probe {
        let Some(entry) = self.memory.get(&key) else {
            return Probe::Miss;
        };
        let stands = entry.chan == self.chan && self.stands(entry.s, &entry.deps);
        if now >= entry.hard || !(stands || self.is(Mutant::NoEpochCheckAtRead)) || !self.proven(now, entry, redis) {
            return Probe::Miss;
        }
        if entry.stale || now >= entry.soft || !self.unmarked(entry.s, &entry.deps) {
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
        let proof = entry.proof.max(self.basis);
        now.saturating_sub(proof) <= limit || self.is(Mutant::NoCoherenceBound)
    }

    /// Keeps an entry, unless a younger one is there.
    pub fn keep(&mut self, key: usize, mut entry: MemoryEntry) {
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
        let young = now.saturating_sub(flight.started) <= self.bounds.max_unverified;
        let same_channel = flight.chan == self.chan || self.is(Mutant::JoinAcrossArming);
        let heard = same_channel && self.coherent(now);
        (young || heard || self.is(Mutant::JoinWhileIncoherent)).then(|| answer.clone())
    }

    /// Something was invalidated: entries and loads from before no longer stand. Returns the leases to give back.
    pub fn bump(&mut self, dep: Dep, mode: Mode) -> Vec<(usize, Token)> {
        self.seq += 1;
        match mode {
            Mode::Remove => self.ep[dep] = self.seq,
            Mode::Stale => self.ep_stale[dep] = self.seq,
        }
        self.table.remove(&dep);
        if self.is(Mutant::NoDetach) || (mode == Mode::Stale && self.is(Mutant::StaleDoesNotDetach)) {
            return Vec::new();
        }
        self.detach(dep)
    }

    /// Takes the loads that depend on `dep`, or may yet, out of reach of joiners.
    fn detach(&mut self, dep: Dep) -> Vec<(usize, Token)> {
        let careless = self.is(Mutant::JoinDespiteTagBump);
        self.flights.retain(|_, (flight, _)| {
            let may_depend = !flight.named && (KEYS..NAMESPACE).contains(&dep) && !careless;
            !flight.deps.contains(&dep) && !may_depend
        });
        let (lost, kept) = std::mem::take(&mut self.leases)
            .into_iter()
            .partition(|(_, deps)| deps.contains(&dep));
        self.leases = kept;
        let lost: BTreeMap<(usize, Token), BTreeSet<Dep>> = lost;
        lost.into_keys().collect()
    }

    /// The channel is another one, or pushes were lost: nothing from before is known to stand.
    pub fn new_channel(&mut self) {
        self.chan += 1;
        if !self.is(Mutant::VersionsKeptOverRearm) {
            self.table.clear();
        }
    }

    /// Takes a fetched version into the table if no push can have been missed since the stamp was taken.
    pub fn install(&mut self, s: u64, chan: u64, dep: Dep, pair: Pair) {
        let current = chan == self.chan && self.stands(s, &[dep]) && self.unmarked(s, &[dep]);
        if current || self.is(Mutant::TagInstallUnchecked) {
            self.table.insert(dep, pair);
        }
    }
}
