//! Everything there is: servers, processes, and the network between them.
//!
//! The state, and what is written down of it; how it moves is in the files above.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{History, Moment, Value, Who};
use crate::mutant::Mutant;
use crate::process::Process;
use crate::rng::Rng;
use crate::server::{Command, ConnId, Dep, Push, Reply, Server};
use crate::sim::{Due, Promise, Sim, Time};

pub const PROCESSES: usize = 3;
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
    /// How many of the changes that callers might make they make.
    pub change_percent: u64,
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
    pub fn value(&mut self, deps: BTreeSet<Dep>) -> usize {
        let born = self.moment();
        self.history.values.push(Value { born, deps });
        self.history.values.len() - 1
    }

    /// A process that lives has a read that has not ended.
    #[must_use]
    pub fn reads_are_open(&self) -> bool {
        let mut reads = self.history.reads.iter();
        reads.any(|read| read.ended.is_none() && read.who == self.who(read.who.0))
    }
}
