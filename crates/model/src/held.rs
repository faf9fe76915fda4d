//! What a process holds: entries in memory, loads on their way, links, a queue.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{ConnId, Tag};
use crate::names::{Dep, Mode, Token};
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
    /// Seq of the last rule that it was held against.
    pub ruled: u64,
    pub chan: u64,
    pub deps: BTreeSet<Dep>,
    pub proof: Time,
    pub soft: Time,
    pub hard: Time,
    /// Stale already when it was read.
    pub stale: bool,
    /// Loaded without Redis, which would have told of a window: no heartbeat vouches for it.
    pub alone: bool,
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
    /// Redis said that its source settles, until then.
    pub settles: Option<Time>,
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
    pub versions: BTreeMap<Dep, Tag>,
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
    /// How long its source lags.
    pub settle: Time,
    /// What a mutant would have for a version.
    pub chosen: u64,
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
