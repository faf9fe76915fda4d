//! What processes and Redis say to each other.

use std::collections::BTreeMap;

use crate::names::{Dep, Mode, ProcessId, Token};
use crate::sim::Time;

pub type ConnId = usize;

/// The versions of a tag or namespace, compared by equality only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub removed: u64,
    pub staled: u64,
    pub reign: u64,
}

/// All that is kept under the name of a tag, of the namespace, or of a key that has versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    pub pair: Pair,
    /// Loads that begin before are not stored; 0: none.
    pub until: Time,
    /// That lay ahead when this was read.
    pub settles: bool,
    /// The namespace: number of the latest rule.
    pub head: u64,
    /// The namespace: until when any pattern waits, if that lay ahead.
    pub waits: Time,
    /// The time by which the server made numbers then.
    pub clock: u64,
}

impl Tag {
    #[must_use]
    pub fn latest(&self) -> Latest {
        Latest {
            version: self.pair.removed,
            reign: self.pair.reign,
            n: self.head,
        }
    }
}

/// The number of the latest rule, and the version of the namespace that it was read with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latest {
    pub version: u64,
    pub reign: u64,
    pub n: u64,
}

/// A pattern that was invalidated, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub n: u64,
    pub mode: Mode,
    pub pattern: Dep,
}

/// A pattern whose source settles, beside the rule of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub n: u64,
    pub until: Time,
    pub pattern: Dep,
}

/// The namespace's rules: those past `floor`, which is the highest number that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    pub floor: u64,
    pub items: Vec<Rule>,
    pub waits: Vec<Wait>,
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
    /// The latest rule that its load knew of.
    pub n: u64,
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
    Canary,
    Ping,
    /// GET of the namespace's versions, if they are there.
    Namespace,
    /// The rules with a greater number.
    Rules {
        after: u64,
    },
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
    Invalidate(Invalidation),
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

#[derive(Debug, Clone, Copy)]
pub struct Invalidation {
    pub by: ProcessId,
    pub dep: Dep,
    pub mode: Mode,
    /// Loads begun within this time are not stored.
    pub settle: Time,
    /// The change (of the history) that this is.
    pub change: usize,
    /// The version a client would choose: used by a mutant only.
    pub chosen: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Done,
    /// An error: READONLY, OOM, MISCONF.
    Refused,
    Reign(u64),
    Filled(bool),
    Entry(Option<Entry>),
    Tag(Dep, Tag),
    Namespace(Option<Tag>),
    /// `None`: lost, or there were none.
    Rules(Option<RuleSet>),
    /// The number that a rule has got.
    Ruled(u64),
    Read(Lookup),
    /// Who holds L, and for how long.
    Lease(Option<(Lease, Time)>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    Found(Entry),
    Granted,
    Denied(Lease, Time),
    /// Load, do not store: for how long.
    Settling(Time),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    Vehicle(Dep, Mode),
    /// There is a new rule, of this process; which one is to be asked.
    Rule(ProcessId),
    Canary(ConnId),
    Everything,
    Lease(usize),
}
