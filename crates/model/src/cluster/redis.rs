//! One node of a cluster: its slots, what it believes of the others, and the scripts, each atomic.

use crate::names::{Dep, Token};
use crate::sim::Time;

pub type NodeId = usize;
pub type Epoch = u64;

/// Two keys, two tags, and the namespace with its rules; each a slot of its own.
pub const KEYS: usize = 2;
pub const NAMESPACE: Dep = 4;
pub const DEPS: usize = 5;

/// After so long without the others a master says that the cluster is down; and they elect another.
pub const NODE_TIMEOUT: Time = 40_000;
const LEASE: Time = 60_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: Token,
    pub value: usize,
    pub reign: u64,
    /// Of each tag and the namespace: version and reign.
    pub stamps: Vec<(Dep, u64, u64)>,
}

#[derive(Debug, Clone, Default)]
pub struct Slot {
    pub entry: Option<Entry>,
    pub lease: Option<(Token, Time)>,
    pub version: Option<u64>,
}

#[derive(Debug, Clone)]
pub enum Command {
    Hello,
    Track,
    Beat,
    Chart,
    Get(usize),
    TagGet(Dep),
    Read(usize, Token),
    Fill(usize, Token, Entry),
    Release(usize, Token),
    /// The change of the history that it is.
    Invalidate(Dep, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    pub is_ok: bool,
    pub epoch: Epoch,
    /// Slots whose master is given up by the others.
    pub failing: usize,
}

/// What one node knows: whose each slot is, and since which epoch.
#[derive(Debug, Clone)]
pub struct Chart {
    pub node: NodeId,
    pub pulse: Pulse,
    pub config: Epoch,
    pub view: [(NodeId, Epoch); DEPS],
}

#[derive(Debug, Clone)]
pub enum Reply {
    Reign(u64),
    /// Its reign, and the namespace's version where that is its own to tell.
    Beat(Pulse, u64, Option<u64>),
    Chart(Chart),
    Entry(Option<Entry>),
    Version(u64),
    Granted,
    Denied,
    Done,
    Filled(bool),
    Moved,
    Ask(NodeId),
    TryAgain,
    /// CLUSTERDOWN, or no master.
    Unfit,
}

#[derive(Debug, Clone)]
pub struct Redis {
    pub id: NodeId,
    pub reign: u64,
    pub is_alive: bool,
    pub is_master: bool,
    pub frozen: Time,
    /// Until when it takes no writes (no replicas, out of memory); what is read it answers.
    pub refuses: Time,
    /// Since when it hears nothing of the others.
    pub split: Option<Time>,
    /// One that was split off takes nothing until it has heard the others again.
    pub rejoins: Time,
    /// The greatest epoch it has heard of, and its own.
    pub epoch: Epoch,
    pub config: Epoch,
    pub failing: usize,
    pub view: [(NodeId, Epoch); DEPS],
    pub migrating: [Option<NodeId>; DEPS],
    pub importing: [bool; DEPS],
    pub slots: [Slot; DEPS],
    /// What its replica has, a little behind.
    pub replica: [Slot; DEPS],
    clock: u64,
}

impl Redis {
    #[must_use]
    pub fn start(id: NodeId, reign: u64, epoch: Epoch, view: [(NodeId, Epoch); DEPS], slots: [Slot; DEPS]) -> Self {
        Self {
            id,
            reign,
            is_alive: true,
            is_master: true,
            frozen: 0,
            refuses: 0,
            split: None,
            rejoins: 0,
            epoch,
            config: epoch,
            failing: 0,
            view,
            migrating: [None; DEPS],
            importing: [false; DEPS],
            replica: slots.clone(),
            slots,
            clock: 0,
        }
    }

    /// It hears the others again.
    pub fn heal(&mut self, now: Time, gossip: Time) {
        if self.split.take().is_some() {
            self.rejoins = now + gossip;
        }
        self.frozen = self.frozen.min(now);
    }

    #[must_use]
    pub fn owns(&self, slot: Dep) -> bool {
        self.is_master && self.view[slot].0 == self.id
    }

    #[must_use]
    pub fn pulse(&self, now: Time) -> Pulse {
        Pulse {
            is_ok: now >= self.rejoins && self.split.is_none_or(|since| now < since + NODE_TIMEOUT),
            epoch: self.epoch,
            failing: self.failing,
        }
    }

    /// Hears of a claim: the greater epoch has the slot. What another one has got goes.
    pub fn hear(&mut self, from: NodeId, config: Epoch, epoch: Epoch, claims: &[Dep]) {
        self.epoch = self.epoch.max(epoch).max(config);
        let had = (0..DEPS).filter(|slot| self.owns(*slot)).count();
        for slot in claims {
            if config > self.view[*slot].1 && from != self.id {
                if self.owns(*slot) {
                    self.slots[*slot] = Slot::default();
                    self.migrating[*slot] = None;
                }
                self.view[*slot] = (from, config);
                self.failing = 0;
            }
        }
        // One that had slots and has lost all follows who has got them.
        if had > 0 && (0..DEPS).all(|slot| !self.owns(slot)) && claims.len() >= had {
            self.is_master = false;
        }
    }

    /// Runs a command; the second is what is pushed.
    pub fn execute(&mut self, now: Time, command: &Command, is_asking: bool) -> (Reply, Option<Dep>) {
        self.clock = now.max(self.clock + 1);
        let told = match command {
            Command::Hello | Command::Beat if !self.is_master => Reply::Unfit,
            Command::Hello => Reply::Reign(self.reign),
            Command::Track => Reply::Done,
            Command::Beat => Reply::Beat(self.pulse(now), self.reign, self.slots[NAMESPACE].version),
            Command::Chart => Reply::Chart(Chart {
                node: self.id,
                pulse: self.pulse(now),
                config: self.config,
                view: self.view,
            }),
            _ => return self.keyed(now, command, is_asking),
        };
        (told, None)
    }

    fn keyed(&mut self, now: Time, command: &Command, is_asking: bool) -> (Reply, Option<Dep>) {
        if !self.is_master || !self.pulse(now).is_ok {
            return (Reply::Unfit, None);
        }
        let slot = slot_of(command);
        let (known, missing) = self.names(command);
        if self.owns(slot) {
            if let Some(to) = self.migrating[slot].filter(|_| missing > 0) {
                return (if known > 0 { Reply::TryAgain } else { Reply::Ask(to) }, None);
            }
        } else if self.importing[slot] && is_asking {
            if missing > 0 && known + missing > 1 {
                return (Reply::TryAgain, None);
            }
        } else {
            return (Reply::Moved, None);
        }
        let reads = match command {
            Command::Get(_) => true,
            Command::TagGet(_) => self.slots[slot].version.is_some(),
            _ => false,
        };
        if now < self.refuses && !reads {
            return (Reply::Unfit, None);
        }
        self.run(now, command)
    }

    /// How many of a command's names are there, and how many are not: vehicles never are.
    fn names(&self, command: &Command) -> (usize, usize) {
        let slot = &self.slots[slot_of(command)];
        let (entry, lease) = (slot.entry.is_some(), slot.lease.is_some());
        let names: &[bool] = match command {
            Command::Get(_) => &[entry],
            Command::TagGet(_) => &[slot.version.is_some()],
            Command::Read(..) => &[entry, lease],
            Command::Fill(..) => &[entry, lease, false],
            Command::Invalidate(dep, _) if *dep < KEYS => &[entry, lease, false],
            Command::Invalidate(..) => &[slot.version.is_some(), false],
            _ => &[lease],
        };
        let known = names.iter().filter(|is_there| **is_there).count();
        (known, names.len() - known)
    }

    fn run(&mut self, now: Time, command: &Command) -> (Reply, Option<Dep>) {
        let clock = self.clock;
        let slot = &mut self.slots[slot_of(command)];
        if slot.lease.is_some_and(|(_, until)| until <= now) {
            slot.lease = None;
        }
        let is_held = |slot: &Slot, token| slot.lease.is_some_and(|(held, _)| held == token);
        let mut pushed = None;
        let reply = match command {
            Command::Get(_) => Reply::Entry(slot.entry.clone()),
            Command::TagGet(_) => Reply::Version(*slot.version.get_or_insert(clock)),
            Command::Read(_, token) if slot.lease.is_none() => {
                slot.lease = Some((*token, now + LEASE));
                Reply::Granted
            }
            Command::Fill(_, token, entry) if is_held(slot, *token) => {
                (slot.entry, slot.lease) = (Some(entry.clone()), None);
                Reply::Filled(true)
            }
            Command::Fill(..) => Reply::Filled(false),
            Command::Release(_, token) if is_held(slot, *token) => {
                slot.lease = None;
                Reply::Done
            }
            Command::Invalidate(dep, _) => {
                pushed = Some(*dep);
                if *dep < KEYS {
                    (slot.entry, slot.lease) = (None, None);
                } else {
                    slot.version = Some(clock.max(slot.version.unwrap_or_default() + 1));
                }
                Reply::Done
            }
            _ => Reply::Denied,
        };
        (reply, pushed)
    }
}

/// The slot of a command that has one.
#[must_use]
pub fn slot_of(command: &Command) -> Dep {
    match command {
        Command::Get(slot)
        | Command::TagGet(slot)
        | Command::Read(slot, _)
        | Command::Fill(slot, ..)
        | Command::Release(slot, _)
        | Command::Invalidate(slot, _) => *slot,
        Command::Hello | Command::Track | Command::Beat | Command::Chart => NAMESPACE,
    }
}

/// Three masters, and whose the slots are at first.
#[must_use]
pub fn first_map() -> [(NodeId, Epoch); DEPS] {
    [0, 1, 0, 2, 0].map(|node| (node, node as u64 + 1))
}
