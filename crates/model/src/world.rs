//! Everything there is: servers, processes, and the network between them.
//!
//! The state, and what is written down of it; how it moves is in the files above.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, ConnId, Push, Reply};
use crate::history::{Change, History, Lost, Moment, Value, Who};
use crate::mutant::Mutant;
use crate::names::{Dep, DEPS, KEYS, NAMESPACE};
use crate::process::Process;
use crate::rng::Rng;
use crate::server::Server;
use crate::sim::{Due, Promise, Sim, Time};

pub const PROCESSES: usize = 3;
/// What Redis can lose besides entries, tags and the namespace: the versions of a key, and the rules.
const BARE: usize = DEPS;
pub const RULES: usize = DEPS + 1;
/// How long a command is waited for.
pub const TIMEOUT: Time = 20_000;

/// Which of a process's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Data,
    Coherence,
}

/// What is wrong between a process and Redis, per wire, until when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trouble {
    pub refused: Time,
    pub hole: Time,
    pub frozen_up: Time,
    pub frozen_down: Time,
}

pub struct Conn {
    pub process: usize,
    pub life: u32,
    pub wire: Wire,
    pub server: usize,
    pub open: bool,
    /// Nothing gets through any more, and nobody is told.
    pub hole: bool,
    /// What is on its way to the server is lost.
    pub lost_up: bool,
    pub last_up: Time,
    pub last_down: Time,
    /// When the client last received anything.
    pub heard: Time,
    pub closed: Promise<()>,
    pub canary: Promise<()>,
}

#[derive(Debug)]
pub struct Part {
    pub call: u64,
    pub index: usize,
    pub command: Command,
    pub sent: Moment,
}

pub enum Event {
    AtServer {
        conn: ConnId,
        parts: Vec<Part>,
    },
    Turn {
        server: usize,
    },
    ReplyAt {
        conn: ConnId,
        replies: Vec<(u64, usize, Reply)>,
    },
    PushAt {
        conn: ConnId,
        push: Push,
    },
    Cut {
        conn: ConnId,
    },
}

/// A pipeline whose replies are not all there yet.
pub struct Call {
    pub conn: ConnId,
    pub replies: Vec<Option<Reply>>,
    pub done: Promise<Option<Vec<Reply>>>,
}

/// How a history is set up.
#[derive(Debug, Clone)]
pub struct Config {
    pub faulty: bool,
    pub ttl: Time,
    pub life: Time,
    pub serves_stale: bool,
    pub failing_percent: u64,
    pub slow_loader_percent: u64,
    /// The longest time between two heartbeats.
    pub beat: Time,
    /// How many of a caller's pauses are long.
    pub idle_percent: u64,
    /// How many of the changes that callers might make they make.
    pub change_percent: u64,
    /// Entries that callers read, and what they invalidate.
    pub keys: Vec<usize>,
    pub targets: Vec<Dep>,
    /// How many invalidations in mode `remove` open a window, and how long at most.
    pub settle_percent: u64,
    pub longest_settle: Time,
    /// How often rules are lost as soon as they are made.
    pub lost_rules_percent: u64,
    /// Tags that callers give, and tags that loaders may name, per key.
    pub tags: Vec<BTreeSet<Dep>>,
    pub may_name: Vec<BTreeSet<Dep>>,
}

pub struct World {
    pub sim: Sim<Event>,
    pub rng: Rng,
    pub config: Config,
    pub mutant: Option<Mutant>,
    pub servers: Vec<Server>,
    pub inboxes: Vec<Vec<(ConnId, Vec<Part>)>>,
    pub conns: Vec<Conn>,
    pub trouble: Vec<[Trouble; 2]>,
    pub processes: Vec<Process>,
    pub lives: Vec<u32>,
    /// Since when a process is stopped, and what waits for it.
    pub stopped: Vec<Option<(Time, Vec<Due<Event>>)>>,
    pub history: History,
    pub calls: BTreeMap<u64, Call>,
    tokens: u64,
    pub log: Option<Vec<String>>,
    /// Nothing more will happen that is looked at.
    pub over: bool,
}

impl World {
    #[must_use]
    pub fn new(rng: Rng, config: Config, mutant: Option<Mutant>, server: Server, processes: Vec<Process>) -> Self {
        let count = processes.len();
        Self {
            sim: Sim::default(),
            rng,
            config,
            mutant,
            servers: vec![server],
            inboxes: vec![Vec::new()],
            conns: Vec::new(),
            trouble: vec![[Trouble::default(); 2]; count],
            processes,
            lives: vec![0; count],
            stopped: (0..count).map(|_| None).collect(),
            history: History::default(),
            calls: BTreeMap::new(),
            tokens: 1,
            log: None,
            over: false,
        }
    }

    #[must_use]
    pub fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.sim.now;
        if let Some(log) = &mut self.log {
            log.push(format!("{now:>8} {}", line()));
        }
    }

    #[must_use]
    pub fn who(&self, process: usize) -> Who {
        (process, self.lives[process])
    }

    pub fn moment(&mut self) -> Moment {
        self.history.moment(self.sim.now)
    }

    pub fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    /// Records a value that is true now.
    pub fn value(&mut self, key: usize, deps: BTreeSet<Dep>) -> usize {
        let born = self.moment();
        let lags = BTreeSet::new();
        self.history.values.push(Value { key, born, deps, lags });
        self.history.values.len() - 1
    }

    /// Reads the database: a replica that may lag behind a change until the window of its invalidation ends.
    pub fn database(&mut self, key: usize, deps: BTreeSet<Dep>) -> usize {
        let index = self.value(key, deps);
        let now = self.sim.now;
        let open = |change: &Change| change.called.0 <= now && now < change.called.0 + change.settle;
        let value = &self.history.values[index];
        let changes = self.history.changes.iter().enumerate();
        let hidden = changes.filter(|(_, change)| open(change) && change.concerns(value));
        let hidden: Vec<usize> = hidden.map(|(index, _)| index).collect();
        for change in hidden {
            if self.rng.chance(80) {
                self.history.values[index].lags.insert(change);
            }
        }
        index
    }

    /// Memory is short: an entry goes, a version (of a tag, the namespace, a key), or the rules.
    pub fn evict(&mut self, what: usize) {
        let now = self.sim.now;
        // Where rules may have been missed all that runs falls, in each process.
        let cost = if what == NAMESPACE || what == RULES {
            1 + PROCESSES
        } else {
            1
        };
        self.history.losses.extend(vec![now; cost]);
        self.note(|| format!("EVICT {what}"));
        let server = self.servers.last_mut().expect("there is always one");
        let versions = &mut server.keyspace.versions;
        let lost = match what {
            0..KEYS => return server.evict_entry(what),
            RULES => {
                versions.evict_rules();
                Lost::Rules
            }
            _ => {
                let dep = if what == BARE { 0 } else { what };
                versions.evict(dep);
                Lost::Version(dep)
            }
        };
        self.history.forgotten.push((now, lost));
    }

    /// A process that lives has a read that has not ended.
    #[must_use]
    pub fn reads_are_open(&self) -> bool {
        let mut reads = self.history.reads.iter();
        reads.any(|read| read.ended.is_none() && read.who == self.who(read.who.0))
    }
}
