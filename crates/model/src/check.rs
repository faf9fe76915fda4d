//! Whether what happened was allowed: the invariants as predicates over a finished history.
//!
//! The checker shares no rule with the protocol it checks.

use crate::held::Served;
use crate::history::{Change, History, Load, Lost, Moment, Read, Right, Value, Violation};
use crate::names::{bare, is_pattern, matches, Dep, Mode, KEYS, NAMESPACE};
use crate::sim::Time;

/// Without faults a push arrives within this time of its receipt.
const HEALTHY: Time = 2_000;
/// A rule has to be fetched behind its push.
const RULED: Time = 5_000;
/// How long a failed load keeps others from the lease.
const FAILURE_SEEN: Time = 60_000;
/// A dead holder, an entry or a version that is lost: each costs one load.
const EXTRA_PER_LOSS: u64 = 1;

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

impl History {
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
            let rule = self.forbids(index, read, value, stale, terms)?;
            let detail = format!(
                "value {:?}\n  {read:?}\n  change {index}: {change:?}",
                self.values[value]
            );
            Some(violation(rule, ended.0, detail))
        })
    }

    /// The rule by which a change forbids that `read` returns `value`.
    fn forbids(&self, index: usize, read: &Read, value: usize, stale: bool, terms: &Terms) -> Option<&'static str> {
        let (index_of, change, value) = (value, &self.changes[index], &self.values[value]);
        if value.lags.contains(&index) {
            return self.forbids_lagging(change, read, (index_of, value), terms);
        }
        if !change.concerns(value) || value.born >= change.called {
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
        let late = change
            .applied
            .is_some_and(|at| at.0 + elsewhere(change, terms) < read.started.0);
        late.then_some("I2 bounded elsewhere")
    }

    /// A value that was read inside the window of a change, and does not show it: the same rules, from the window's end.
    fn forbids_lagging(
        &self,
        change: &Change,
        read: &Read,
        (index, value): (usize, &Value),
        terms: &Terms,
    ) -> Option<&'static str> {
        // It is counted anew with the receipt, and once more when it leaves the queue.
        let counted = change.applied.or(change.resolved).unwrap_or(change.called);
        let end = counted.0 + change.settle;
        let lost = |what: Lost| {
            let mut forgotten = self.forgotten.iter();
            forgotten.any(|(at, lost)| *lost == what && change.called.0 <= *at && *at <= end + HEALTHY)
        };
        // Rules that came since may have dropped its own.
        let later = |other: &&Change| is_pattern(other.dep) && other.executed.max(other.applied) > Some(change.called);
        let dropped = self.changes.iter().filter(later).nth(1).is_some();
        let forgotten = if is_pattern(change.dep) {
            lost(Lost::Version(NAMESPACE)) && (dropped || lost(Lost::Rules))
        } else {
            lost(Lost::Version(change.dep))
        };
        if forgotten || lost(Lost::Everything) {
            return None;
        }
        // A load may be joined while a window is open that it began in, be it another one.
        let open = |other: &Change| {
            let until = other.executed.map_or(other.called, |at| at.max(other.called)).0 + other.settle + HEALTHY;
            // Of patterns it may only be known that some wait.
            let unknown = is_pattern(other.dep) && is_pattern(change.dep);
            other.settle > 0
                && (unknown || other.concerns(value))
                && other.called <= value.born
                && read.started.0 < until
        };
        if self.changes.iter().any(open) {
            return None;
        }
        let known = change.executed.is_some() || (change.resolved.is_some() && self.alive.contains(&change.who));
        if read.last && known {
            return Some("settle, at last");
        }
        let resolved = change.resolved.is_some_and(|at| at < read.started);
        if change.who == read.who && resolved && end <= read.started.0 {
            return Some("settle, in its process");
        }
        // Where nobody knows of the window, a load that began in it is joined; it is kept nowhere.
        let loaded = |load: &Load| load.who == read.who && load.value == Some(index);
        let joined = |load: &Load| loaded(load) && load.ended.is_none_or(|at| read.started < at);
        let elsewhere = elsewhere(change, terms);
        let late = change
            .applied
            .is_some_and(|at| at.0.max(end) + elsewhere < read.started.0);
        let late = late && !self.loads.iter().any(joined);
        late.then_some("settle, elsewhere")
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
        let heard = |(at, pattern): &(Moment, Dep)| matches(*pattern, key) && from <= at.0 && *at <= to;
        let ruled = self.ruled.iter().any(heard);
        let changed = self.changes.iter().any(|change| {
            let over = change.applied.map_or(Time::MAX, |at| at.0 + RULED + change.settle);
            let affects = [key, bare(key)].contains(&change.dep) || change.dep >= KEYS;
            affects && change.called <= to && over >= from
        });
        ruled || changed
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

/// How long a change may be unknown to other processes.
fn elsewhere(change: &Change, terms: &Terms) -> Time {
    match terms.weather {
        Weather::Calm if is_pattern(change.dep) => RULED,
        Weather::Calm => HEALTHY,
        _ => terms.elsewhere,
    }
}

fn violation(rule: &'static str, at: Time, detail: String) -> Violation {
    Violation { rule, at, detail }
}
