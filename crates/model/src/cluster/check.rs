//! Whether what happened was allowed. The checker shares no rule with the protocol that it checks.

use std::collections::BTreeSet;

use super::proof::BySome;
use super::redis::NODE_TIMEOUT;
use super::weather::GOSSIP;
use super::world::TIMEOUT;
use crate::history::{Moment, Violation};
use crate::names::Dep;
use crate::sim::Time;

#[derive(Debug)]
pub struct Change {
    pub process: usize,
    pub dep: Dep,
    pub called: Moment,
    pub executed: Option<Moment>,
    pub resolved: Option<Moment>,
    pub applied: Option<Moment>,
    /// Taken by a master that had been replaced, and lost with it: no protocol of clients can help (`min-replicas-to-write` can).
    pub is_lost: bool,
}

#[derive(Debug)]
pub struct Value {
    pub born: Moment,
    pub deps: BTreeSet<Dep>,
}

#[derive(Debug)]
pub struct Read {
    pub process: usize,
    pub key: usize,
    pub started: Moment,
    pub served: Option<usize>,
    pub is_last: bool,
    /// Served by memory, on whose word.
    pub by: Option<BySome>,
}

/// How long the cluster itself may take until it tells that another master is in charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detection {
    /// Nothing changes hands.
    None,
    /// Slots move: until the others have heard.
    Moves,
    /// Masters are replaced, also behind the back of those who still reach them.
    Failovers,
}

impl Detection {
    fn time(self) -> Time {
        // A heartbeat, its answer, and a look at the cluster.
        let look = 6_000 + 2 * TIMEOUT;
        match self {
            Self::None => 0,
            Self::Moves => GOSSIP + look,
            Self::Failovers => NODE_TIMEOUT + 2 * GOSSIP + look,
        }
    }
}

#[derive(Debug, Default)]
pub struct History {
    ticks: u64,
    pub changes: Vec<Change>,
    pub values: Vec<Value>,
    pub reads: Vec<Read>,
}

impl History {
    pub fn moment(&mut self, now: Time) -> Moment {
        self.ticks += 1;
        (now, self.ticks)
    }

    pub fn begin(&mut self, process: usize, dep: Dep, called: Moment) -> usize {
        self.changes.push(Change {
            process,
            dep,
            called,
            executed: None,
            resolved: None,
            applied: None,
            is_lost: false,
        });
        self.changes.len() - 1
    }

    /// The first rule that is broken, if any.
    #[must_use]
    pub fn check(&self, bound: Time, detection: Detection) -> Option<Violation> {
        let late = bound + detection.time();
        self.reads.iter().find_map(|read| {
            let Some(value) = read.served else {
                return Some(Violation {
                    rule: "liveness",
                    at: read.started.0,
                    detail: format!("{read:?}"),
                });
            };
            let (index, value) = (value, &self.values[value]);
            let rule = |change: &Change| {
                if change.is_lost || !value.deps.contains(&change.dep) || value.born >= change.called {
                    return None;
                }
                if read.is_last && change.executed.is_some() {
                    return Some("I3 no resurrection");
                }
                if change.process == read.process && change.resolved.is_some_and(|at| at < read.started) {
                    return Some("I1 read your writes");
                }
                let is_late = change.applied.is_some_and(|at| at.0 + late < read.started.0);
                is_late.then_some("I2 bounded elsewhere")
            };
            self.changes.iter().find_map(|change| {
                let rule = rule(change)?;
                Some(Violation {
                    rule,
                    at: read.started.0,
                    detail: format!("value {index} {value:?}\n  {read:?}\n  {change:?}"),
                })
            })
        })
    }
}
