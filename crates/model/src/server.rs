//! One Redis: entries, leases, tag versions, and the scripts, each atomic.
//!
//! A turn of its event loop takes what has arrived, then emits the pushes of that turn behind all its replies, then
//! flushes. So a PONG may precede the push of a write of the same turn. Clocks of deadlines agree in this model; only
//! versions use the server's own count of time.

use std::collections::{BTreeMap, BTreeSet};

use crate::mutant::Mutant;
use crate::sim::Time;

/// What can be invalidated: the keys, then the tags, then the namespace.
pub type Dep = usize;
pub type ConnId = usize;
pub type Token = u64;
/// A process as Redis knows it: another one after each start.
pub type ProcessId = u64;

pub const KEYS: usize = 2;
pub const TAGS: usize = 2;
pub const NAMESPACE: Dep = KEYS + TAGS;
pub const DEPS: usize = NAMESPACE + 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Remove,
    Stale,
}

/// The versions of a tag or namespace, compared by equality only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub removed: u64,
    pub staled: u64,
    pub reign: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: Token,
    pub value: usize,
    pub reign: u64,
    pub marked: bool,
    pub soft: Time,
    pub hard: Time,
    pub pairs: BTreeMap<Dep, Pair>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    Held {
        token: Token,
        /// Granted over one's own F: the loader has just failed and is tried again.
        retry: bool,
    },
    Failed {
        by: ProcessId,
    },
}

#[derive(Debug, Clone)]
pub enum Command {
    Info,
    Tracking,
    Ping,
    Canary,
    Get {
        key: usize,
    },
    Read {
        key: usize,
        token: Token,
        by: ProcessId,
        px: Time,
        bad: Option<Token>,
    },
    Take {
        key: usize,
        token: Token,
        px: Time,
        change: usize,
    },
    Fill {
        key: usize,
        token: Token,
        entry: Entry,
    },
    TagGet {
        dep: Dep,
    },
    /// `chosen` is the version a client would choose: used by a mutant only.
    Invalidate {
        dep: Dep,
        mode: Mode,
        change: usize,
        chosen: u64,
    },
    WatchLease {
        key: usize,
    },
    Renew {
        key: usize,
        token: Token,
        px: Time,
    },
    Release {
        key: usize,
        token: Token,
    },
    Fail {
        key: usize,
        token: Token,
        by: ProcessId,
        px: Time,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Done,
    /// An error: READONLY, OOM, MISCONF.
    Refused,
    Reign(u64),
    Filled(bool),
    Entry(Option<Entry>),
    Pair(Dep, Pair),
    Read(Lookup),
    /// Who holds L, and for how long.
    Lease(Option<(Lease, Time)>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    Found(Entry),
    Granted,
    Denied(Lease, Time),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    Vehicle(Dep, Mode),
    Canary(ConnId),
    Everything,
    Lease(usize),
}

/// What a snapshot file holds.
#[derive(Debug, Clone, Default)]
pub struct Keyspace {
    entries: BTreeMap<usize, (Entry, Time)>,
    leases: BTreeMap<usize, (Lease, Time)>,
    tags: BTreeMap<Dep, (u64, u64)>,
}

/// What a command does besides its reply.
#[derive(Debug, Default)]
pub struct Effects {
    /// To every connection that tracks, at the end of the turn.
    pub pushes: Vec<Push>,
    /// To one connection.
    pub told: Vec<(ConnId, Push)>,
    /// The change (of the history) that was executed.
    pub executed: Option<usize>,
}

#[derive(Debug)]
pub struct Server {
    pub reign: u64,
    pub alive: bool,
    pub keyspace: Keyspace,
    pub trackers: BTreeSet<ConnId>,
    pub turn_due: bool,
    /// Until when writes are refused while reads work.
    pub read_only: Time,
    watchers: BTreeSet<(usize, ConnId)>,
    clock: u64,
    mutant: Option<Mutant>,
}

impl Server {
    #[must_use]
    pub fn start(reign: u64, keyspace: Keyspace, mutant: Option<Mutant>) -> Self {
        Self {
            reign,
            alive: true,
            keyspace,
            trackers: BTreeSet::new(),
            turn_due: false,
            read_only: 0,
            watchers: BTreeSet::new(),
            clock: 0,
            mutant,
        }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Runs one command or script.
    pub fn execute(&mut self, now: Time, from: ConnId, command: Command, effects: &mut Effects) -> Reply {
        self.clock = now.max(self.clock + 1);
        self.keyspace.entries.retain(|_, (_, until)| *until > now);
        self.keyspace.leases.retain(|_, (_, until)| *until > now);
        if now < self.read_only && self.writes(&command) {
            return Reply::Refused;
        }
        match command {
            Command::Info => Reply::Reign(self.reign),
            Command::Ping => Reply::Done,
            Command::Tracking => {
                self.trackers.insert(from);
                Reply::Done
            }
            Command::Canary => {
                effects.pushes.push(Push::Canary(from));
                Reply::Done
            }
            Command::Get { key } => Reply::Entry(self.entry(key).cloned()),
            Command::Read {
                key,
                token,
                by,
                px,
                bad,
            } => Reply::Read(self.read(now, (key, token, by, px), bad, effects)),
            Command::Take { key, token, px, change } => {
                self.invalidate_key(key, effects);
                let lease = Lease::Held { token, retry: false };
                self.set_lease(key, Some((lease, now + px)), effects);
                effects.executed = Some(change);
                Reply::Done
            }
            Command::Fill { key, token, entry } => Reply::Filled(self.fill(key, token, entry, effects)),
            Command::TagGet { dep } => Reply::Pair(dep, self.tag_get(dep)),
            Command::Invalidate {
                dep,
                mode,
                change,
                chosen,
            } => {
                effects.executed = Some(change);
                self.invalidate(dep, mode, chosen, effects);
                Reply::Done
            }
            Command::WatchLease { key } => {
                self.watchers.insert((key, from));
                Reply::Lease(
                    self.keyspace
                        .leases
                        .get(&key)
                        .map(|(lease, until)| (*lease, until - now)),
                )
            }
            Command::Renew { key, token, px } => {
                if let Some(lease) = self.held(key, token) {
                    self.set_lease(key, Some((lease, now + px)), effects);
                }
                Reply::Done
            }
            Command::Release { key, token } => {
                if self.held(key, token).is_some() {
                    self.set_lease(key, None, effects);
                }
                Reply::Done
            }
            Command::Fail { key, token, by, px } => {
                if self.held(key, token).is_some() {
                    self.set_lease(key, Some((Lease::Failed { by }, now + px)), effects);
                }
                Reply::Done
            }
        }
    }

    fn writes(&self, command: &Command) -> bool {
        match command {
            Command::Info | Command::Tracking | Command::Ping | Command::Get { .. } | Command::WatchLease { .. } => {
                false
            }
            Command::TagGet { dep } => !self.keyspace.tags.contains_key(dep),
            _ => true,
        }
    }

    fn entry(&self, key: usize) -> Option<&Entry> {
        self.keyspace.entries.get(&key).map(|(entry, _)| entry)
    }

    fn held(&self, key: usize, token: Token) -> Option<Lease> {
        let (lease, _) = self.keyspace.leases.get(&key)?;
        matches!(lease, Lease::Held { token: held, .. } if *held == token).then_some(*lease)
    }

    fn set_lease(&mut self, key: usize, lease: Option<(Lease, Time)>, effects: &mut Effects) {
        match lease {
            Some(lease) => self.keyspace.leases.insert(key, lease),
            None => self.keyspace.leases.remove(&key),
        };
        let (told, kept) = self.watchers.iter().partition(|(watched, _)| *watched == key);
        self.watchers = kept;
        let told: BTreeSet<(usize, ConnId)> = told;
        effects
            .told
            .extend(told.iter().map(|(key, conn)| (*conn, Push::Lease(*key))));
    }

    fn read(
        &mut self,
        now: Time,
        (key, token, by, px): (usize, Token, ProcessId, Time),
        bad: Option<Token>,
        effects: &mut Effects,
    ) -> Lookup {
        if let Some(entry) = self.entry(key) {
            if Some(entry.id) != bad || self.is(Mutant::BadIgnored) {
                return Lookup::Found(entry.clone());
            }
        }
        let retry = match self.keyspace.leases.get(&key).copied() {
            None => false,
            Some((Lease::Failed { by: failed }, _)) if failed == by => true,
            Some((Lease::Failed { .. }, _)) if self.is(Mutant::FailureIsNoLease) => false,
            Some((lease, until)) => return Lookup::Denied(lease, until - now),
        };
        self.set_lease(key, Some((Lease::Held { token, retry }, now + px)), effects);
        Lookup::Granted
    }

    fn fill(&mut self, key: usize, token: Token, entry: Entry, effects: &mut Effects) -> bool {
        if self.held(key, token).is_none() && !self.is(Mutant::FillWithoutLeaseCheck) {
            return self.entry(key).is_some_and(|entry| entry.id == token);
        }
        let hard = entry.hard;
        self.keyspace.entries.insert(key, (entry, hard));
        self.set_lease(key, None, effects);
        true
    }

    fn tag_get(&mut self, dep: Dep) -> Pair {
        let clock = self.clock;
        let (removed, staled) = *self.keyspace.tags.entry(dep).or_insert((clock, clock));
        Pair {
            removed,
            staled,
            reign: self.reign,
        }
    }

    fn invalidate(&mut self, dep: Dep, mode: Mode, chosen: u64, effects: &mut Effects) {
        if dep < KEYS {
            match mode {
                Mode::Remove => self.invalidate_key(dep, effects),
                Mode::Stale => self.stale_key(dep, effects),
            }
            return;
        }
        let clock = self.clock;
        let (removed, staled) = self.keyspace.tags.get(&dep).copied().unwrap_or((clock, clock));
        let next = |old: u64| match self.mutant {
            Some(Mutant::ClientChosenVersion) => chosen,
            _ => clock.max(old + 1),
        };
        let pair = match mode {
            Mode::Remove => (next(removed), staled),
            Mode::Stale => (removed, next(staled)),
        };
        self.keyspace.tags.insert(dep, pair);
        effects.pushes.push(Push::Vehicle(dep, mode));
    }

    fn invalidate_key(&mut self, key: usize, effects: &mut Effects) {
        self.keyspace.entries.remove(&key);
        if !self.is(Mutant::InvalidateKeepsLease) {
            self.set_lease(key, None, effects);
        }
        effects.pushes.push(Push::Vehicle(key, Mode::Remove));
    }

    fn stale_key(&mut self, key: usize, effects: &mut Effects) {
        self.set_lease(key, None, effects);
        if !self.is(Mutant::NoMarkByte) {
            if let Some((entry, _)) = self.keyspace.entries.get_mut(&key) {
                entry.marked = true;
            }
        }
        effects.pushes.push(Push::Vehicle(key, Mode::Stale));
    }

    /// FLUSHALL: a nil push to every connection that tracks anything.
    pub fn flush_all(&mut self) -> Vec<(ConnId, Push)> {
        self.keyspace = Keyspace::default();
        let watchers = std::mem::take(&mut self.watchers);
        let told = watchers.into_iter().map(|(key, conn)| (conn, Push::Lease(key)));
        told.chain(self.trackers.iter().map(|conn| (*conn, Push::Everything)))
            .collect()
    }

    /// Memory is short: an entry goes, without a word to anybody.
    pub fn evict_entry(&mut self, key: usize) {
        self.keyspace.entries.remove(&key);
    }

    /// Memory is short: a version goes, without a word to anybody.
    pub fn evict_tag(&mut self, dep: Dep) {
        self.keyspace.tags.remove(&dep);
    }
}
