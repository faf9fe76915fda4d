//! What happened, and whether it was allowed: the invariants as predicates over a finished history.
//!
//! The history knows what no process knows (when the database was read, when a script was executed), so that the
//! checker shares no rule with the protocol it checks.

use std::collections::BTreeSet;

use crate::process::Served;
use crate::server::{Dep, Mode, Token, KEYS};
use crate::sim::Time;

/// Without faults a push arrives within this time of its receipt.
const HEALTHY: Time = 2_000;
/// How long a failed load keeps others from the lease.
const FAILURE_SEEN: Time = 60_000;
/// A dead holder, an entry or a version that is lost: each costs one load.
const EXTRA_PER_LOSS: u64 = 1;

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
    pub born: Moment,
    pub deps: BTreeSet<Dep>,
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
}

/// What kind of trouble a history has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// No fault at all.
    Calm,
    /// Processes are killed.
    Kills,
    /// Entries and versions are evicted.
    Evictions,
    /// Everything.
    Storm,
}

/// What the checker is told about the history.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub weather: Weather,
    /// Bound for other processes after `applied`.
    pub elsewhere: Time,
    /// Longest time a read may take while its process runs.
    pub budget: Time,
    /// How long a read waits for others before it loads for itself.
    pub patience: Time,
    /// Entries are stale as soon as they are made.
    pub short_ttl: bool,
    /// Stale entries may be served.
    pub serves_stale: bool,
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

    /// The first rule that is broken, if any.
    #[must_use]
    pub fn check(&self, terms: &Terms) -> Option<Violation> {
        self.early
            .clone()
            .or_else(|| self.reads.iter().find_map(|read| self.check_read(read, terms)))
            .or_else(|| self.queue_is_drained())
            .or_else(|| (0..KEYS).find_map(|key| self.one_load(key, terms)))
            .or_else(|| self.no_convoy(terms))
    }

    fn check_read(&self, read: &Read, terms: &Terms) -> Option<Violation> {
        let Some((ended, served)) = read.ended else {
            let detail = format!("{read:?} never ended");
            return self
                .alive
                .contains(&read.who)
                .then(|| violation("liveness", read.started.0, detail));
        };
        let spent = (ended.0 - read.started.0).saturating_sub(self.stopped(read, ended.0));
        if spent > terms.budget {
            return Some(violation("liveness", ended.0, format!("{read:?} took {spent} µs")));
        }
        let (value, stale) = match served {
            Served::Fresh(value) => (value, false),
            Served::Stale(value) => (value, true),
            Served::LoaderFailed => return None,
        };
        if stale && !terms.serves_stale {
            return Some(violation("stale outside its window", ended.0, format!("{read:?}")));
        }
        self.changes.iter().enumerate().find_map(|(index, change)| {
            let rule = self.forbids(change, read, value, stale, terms)?;
            let born = self.values[value].born;
            let detail = format!("value {value} born {born:?}\n  {read:?}\n  change {index}: {change:?}");
            Some(violation(rule, ended.0, detail))
        })
    }

    /// The rule by which `change` forbids that `read` returns `value`.
    fn forbids(&self, change: &Change, read: &Read, value: usize, stale: bool, terms: &Terms) -> Option<&'static str> {
        let value = &self.values[value];
        let older = value.deps.contains(&change.dep) && value.born < change.called;
        if !older {
            return None;
        }
        let known = change.executed.is_some() || (change.resolved.is_some() && self.alive.contains(&change.who));
        if read.last && known && change.called < read.started {
            return Some("I3 no resurrection");
        }
        if change.mode == Mode::Stale && stale {
            return None;
        }
        if change.who == read.who && change.resolved.is_some_and(|at| at < read.started) {
            return Some("I1 read your writes");
        }
        let elsewhere = if terms.weather == Weather::Calm {
            HEALTHY
        } else {
            terms.elsewhere
        };
        let late = change.applied.is_some_and(|at| at.0 + elsewhere < read.started.0);
        late.then_some("I2 bounded elsewhere")
    }

    fn stopped(&self, read: &Read, ended: Time) -> Time {
        let mine = self.stops.iter().filter(|(process, ..)| *process == read.who.0);
        mine.map(|(_, from, to)| (*to).min(ended).saturating_sub((*from).max(read.started.0)))
            .sum()
    }

    fn queue_is_drained(&self) -> Option<Violation> {
        let lost = |change: &&Change| change.queued && change.executed.is_none() && self.alive.contains(&change.who);
        let change = self.changes.iter().find(lost)?;
        Some(violation(
            "I6 nothing lost",
            change.called.0,
            format!("never executed: {change:?}"),
        ))
    }

    /// I4: a further load needs a cause since the one before it began; a loss is the cause of a few.
    fn one_load(&self, key: usize, terms: &Terms) -> Option<Violation> {
        if terms.weather == Weather::Storm {
            return None;
        }
        let patient = |load: &&Load| load.started.0 < load.flight + terms.patience;
        let mut loads: Vec<&Load> = self
            .loads
            .iter()
            .filter(|load| load.key == key)
            .filter(patient)
            .collect();
        loads.sort_by_key(|load| load.started);
        let mut unexplained = 0;
        for pair in loads.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            unexplained += u64::from(!self.explained(key, before, after, terms));
            let lost = self.losses.iter().filter(|at| **at <= after.started.0).count() as u64;
            if unexplained > lost * EXTRA_PER_LOSS {
                let detail = format!("no cause for the second load\n  {before:?}\n  {after:?}");
                return Some(violation("I4 one load", after.started.0, detail));
            }
        }
        None
    }

    fn explained(&self, key: usize, before: &Load, after: &Load, terms: &Terms) -> bool {
        let changed = self.changed(key, before.flight, after.started);
        let refreshed = terms.short_ttl && before.ended.is_some_and(|at| at < after.started);
        let failed = self.loads.iter().any(|load| {
            load.key == key && load.failed && load.ended.is_some_and(|at| at.0 + FAILURE_SEEN > before.flight)
        });
        changed || refreshed || failed
    }

    /// Something that may concern the key was invalidated, or set, in this time.
    fn changed(&self, key: usize, from: Time, to: Moment) -> bool {
        self.changes.iter().any(|change| {
            let over = change.applied.map_or(Time::MAX, |at| at.0 + HEALTHY);
            let affects = change.dep == key || change.dep >= KEYS;
            affects && change.called <= to && over >= from
        })
    }

    /// I4: nobody waits for one failing loader after the other.
    fn no_convoy(&self, terms: &Terms) -> Option<Violation> {
        if terms.weather != Weather::Calm {
            return None;
        }
        self.reads.iter().find_map(|read| {
            let end = read.ended.map_or(read.started, |(at, _)| at);
            let mine = self
                .loads
                .iter()
                .filter(|load| load.who == read.who && load.key == read.key);
            let running = mine.filter(|load| load.ended.is_none_or(|at| at > read.started));
            let own = running.map(|load| load.started).min().map_or(end, |at| at.min(end));
            let sat_through = self.loads.iter().filter(|load| {
                let foreign = load.who != read.who && load.key == read.key && load.right != Right::Alone;
                foreign && load.failed && load.ended.is_some_and(|at| at.0 > read.started.0 + HEALTHY && at < own)
            });
            let count = if self.changed(read.key, read.started.0, end) {
                0
            } else {
                sat_through.count()
            };
            let detail = format!("{read:?} waited for {count} failing loads");
            (count > 1).then(|| violation("I4 no convoy", end.0, detail))
        })
    }
}

fn violation(rule: &'static str, at: Time, detail: String) -> Violation {
    Violation { rule, at, detail }
}
