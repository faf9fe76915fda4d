//! What happened.
//!
//! The history knows what no process knows: when the database was read and what it hid, when a script was executed.

use std::collections::BTreeSet;

use crate::held::Served;
use crate::names::{is_pattern, matches, Dep, Mode, Token};
use crate::sim::Time;

/// A point in time, ordered also within one microsecond.
pub type Moment = (Time, u64);

/// The process a record belongs to: index and life.
pub type Who = (usize, u32);

/// An invalidation, or the one a `set` implies.
#[derive(Debug, Clone)]
pub struct Change {
    pub who: Who,
    pub dep: Dep,
    pub mode: Mode,
    /// How long the database may lag behind it.
    pub settle: Time,
    /// It concerns one entry alone, not other versions of its key.
    pub by_set: bool,
    pub called: Moment,
    pub executed: Option<Moment>,
    pub resolved: Option<Moment>,
    /// The receipt said `queued`.
    pub queued: bool,
    /// Redis is known to have executed it: with the receipt `applied`, or at the drain.
    pub applied: Option<Moment>,
}

/// A value and when it was true.
#[derive(Debug, Clone)]
pub struct Value {
    pub key: usize,
    pub born: Moment,
    pub deps: BTreeSet<Dep>,
    /// Changes from before its birth that it does not show.
    pub lags: BTreeSet<usize>,
}

impl Change {
    #[must_use]
    pub fn concerns(&self, value: &Value) -> bool {
        match self.dep {
            key if self.by_set => key == value.key,
            pattern if is_pattern(pattern) => matches(pattern, value.key),
            dep => value.deps.contains(&dep),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Read {
    pub who: Who,
    pub key: usize,
    pub started: Moment,
    pub ended: Option<(Moment, Served)>,
    /// The last round, after everything healed.
    pub last: bool,
}

/// Whether a loader runs under a lease, to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Leased(Token),
    Alone,
}

#[derive(Debug, Clone)]
pub struct Load {
    pub who: Who,
    pub key: usize,
    pub right: Right,
    /// Begin of the flight it belongs to.
    pub flight: Time,
    pub started: Moment,
    pub ended: Option<Moment>,
    pub failed: bool,
    /// What it read.
    pub value: Option<usize>,
}

/// What Redis has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    Version(Dep),
    Rules,
    Everything,
}

#[derive(Debug, Clone)]
pub struct Violation {
    pub rule: &'static str,
    pub at: Time,
    pub detail: String,
}

#[derive(Debug, Default)]
pub struct History {
    ticks: u64,
    pub changes: Vec<Change>,
    pub values: Vec<Value>,
    pub reads: Vec<Read>,
    pub loads: Vec<Load>,
    /// Kills and evictions: each may cost further loads.
    pub losses: Vec<Time>,
    /// When Redis lost versions or rules, and windows with them.
    pub forgotten: Vec<(Time, Lost)>,
    /// When a process has heard of a rule, which one: what was loaded until then falls.
    pub ruled: Vec<(Moment, Dep)>,
    /// When processes were stopped.
    pub stops: Vec<(usize, Time, Time)>,
    /// Processes alive at the end.
    pub alive: Vec<Who>,
    /// Found while it happened.
    pub early: Option<Violation>,
}

impl History {
    pub fn moment(&mut self, now: Time) -> Moment {
        self.ticks += 1;
        (now, self.ticks)
    }

    /// Redis executed a read or fill that a process sent at `sent`: its queue must have been empty (I6).
    pub fn redis_asked(&mut self, who: Who, sent: Moment, now: Time) {
        let skipped = self.changes.iter().position(|change| {
            let waited = change.who == who && change.queued && change.resolved.is_some_and(|at| at < sent);
            waited && change.executed.is_none()
        });
        if let (Some(change), None) = (skipped, &self.early) {
            let detail = format!("{who:?} asked Redis while change {change} was queued");
            self.early = Some(Violation {
                rule: "I6 nothing lost",
                at: now,
                detail,
            });
        }
    }
}
