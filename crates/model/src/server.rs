//! One Redis: entries, leases, tag versions, and the scripts, each atomic.
//!
//! A turn of its event loop takes what has arrived, then emits the pushes of that turn behind all its replies, then
//! flushes. So a PONG may precede the push of a write of the same turn. Clocks of deadlines agree in this model; only
//! versions use the server's own count of time.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, ConnId, Entry, Invalidation, Lease, Lookup, Push, Reply, Tag};
use crate::mutant::Mutant;
use crate::names::{is_pattern, Dep, Mode, ProcessId, Token, KEYS, NAMESPACE};
use crate::sim::Time;
use crate::versions::{Turn, Versions};

/// What a snapshot file holds.
#[derive(Debug, Clone, Default)]
pub struct Keyspace {
    entries: BTreeMap<usize, (Entry, Time)>,
    leases: BTreeMap<usize, (Lease, Time)>,
    pub versions: Versions,
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
    /// It numbers by this, behind the true time by `lag`: clocks of two machines differ.
    clock: u64,
    lag: Time,
    mutant: Option<Mutant>,
}

impl Server {
    #[must_use]
    pub fn start(reign: u64, lag: Time, keyspace: Keyspace, mutant: Option<Mutant>) -> Self {
        Self {
            reign,
            alive: true,
            keyspace,
            trackers: BTreeSet::new(),
            turn_due: false,
            read_only: 0,
            watchers: BTreeSet::new(),
            clock: 0,
            lag,
            mutant,
        }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Runs one command or script.
    pub fn execute(&mut self, now: Time, from: ConnId, command: Command, effects: &mut Effects) -> Reply {
        self.clock = now.saturating_sub(self.lag).max(self.clock + 1);
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
            Command::Namespace => Reply::Namespace(self.namespace(now)),
            Command::Rules { after } => Reply::Rules(self.keyspace.versions.rules(after)),
            Command::Get { key } => Reply::Entry(self.entry(key).cloned()),
            Command::Read {
                key,
                token,
                by,
                px,
                bad,
            } => Reply::Read(self.read(now, (key, token, by, px), bad, effects)),
            Command::Take { key, token, px, change } => {
                self.remove_entry(key, effects);
                effects.pushes.push(Push::Vehicle(key, Mode::Remove));
                let lease = Lease::Held { token, retry: false };
                self.set_lease(key, Some((lease, now + px)), effects);
                effects.executed = Some(change);
                Reply::Done
            }
            Command::Fill { key, token, entry } => Reply::Filled(self.fill(key, token, entry, effects)),
            Command::TagGet { dep } => Reply::Tag(dep, self.tag_get(dep, now)),
            Command::Invalidate(invalidation) => {
                effects.executed = Some(invalidation.change);
                self.invalidate(now, invalidation, effects)
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
            Command::Info
            | Command::Tracking
            | Command::Ping
            | Command::Namespace
            | Command::Rules { .. }
            | Command::Get { .. }
            | Command::WatchLease { .. } => false,
            Command::TagGet { dep } => !self.keyspace.versions.has(*dep),
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
        let until = self.keyspace.versions.until(key);
        if until > now && !self.is(Mutant::ReadIgnoresSettle) {
            return Lookup::Settling(until - now);
        }
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

    fn turn_at(&self, now: Time) -> Turn {
        Turn {
            now,
            clock: self.clock,
            reign: self.reign,
            mutant: self.mutant,
        }
    }

    fn tag_get(&mut self, dep: Dep, now: Time) -> Tag {
        let turn = self.turn_at(now);
        self.keyspace.versions.tag_get(dep, turn)
    }

    fn namespace(&mut self, now: Time) -> Option<Tag> {
        let is_there = self.keyspace.versions.has(NAMESPACE);
        is_there.then(|| self.tag_get(NAMESPACE, now))
    }

    fn invalidate(&mut self, now: Time, invalidation: Invalidation, effects: &mut Effects) -> Reply {
        let Invalidation {
            by, dep, mode, settle, ..
        } = invalidation;
        let turn = self.turn_at(now);
        if is_pattern(dep) {
            effects.pushes.push(Push::Rule(by));
            return Reply::Ruled(self.keyspace.versions.rule(dep, mode, settle, turn));
        }
        if dep < KEYS {
            self.invalidate_key(turn, invalidation, effects);
        } else {
            let chosen = self.is(Mutant::ClientChosenVersion).then_some(invalidation.chosen);
            self.keyspace.versions.renew(dep, mode, settle, turn, chosen);
        }
        effects.pushes.push(Push::Vehicle(dep, mode));
        Reply::Done
    }

    /// Versions of the key live elsewhere: they depend on its name as on a tag.
    fn invalidate_key(&mut self, turn: Turn, invalidation: Invalidation, effects: &mut Effects) {
        let Invalidation {
            dep: key, mode, settle, ..
        } = invalidation;
        match mode {
            Mode::Remove => self.remove_entry(key, effects),
            Mode::Stale => self.stale_entry(key, effects),
        }
        let forgotten = match mode {
            Mode::Remove => self.is(Mutant::VersionsNotRemoved),
            Mode::Stale => self.is(Mutant::VersionsNotStaled),
        };
        if settle > 0 || (self.keyspace.versions.has(key) && !forgotten) {
            self.keyspace.versions.renew(key, mode, settle, turn, None);
        }
    }

    fn remove_entry(&mut self, key: usize, effects: &mut Effects) {
        self.keyspace.entries.remove(&key);
        if !self.is(Mutant::InvalidateKeepsLease) {
            self.set_lease(key, None, effects);
        }
    }

    fn stale_entry(&mut self, key: usize, effects: &mut Effects) {
        self.set_lease(key, None, effects);
        if !self.is(Mutant::NoMarkByte) {
            if let Some((entry, _)) = self.keyspace.entries.get_mut(&key) {
                entry.marked = true;
            }
        }
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
}
