//! The rules of patterns as a process knows them.
//!
//! A rule is known twice. By a `seq` of this process, for memory and loads, which carry the `seq` of their start. And by the
//! number that Redis gave it, for entries that lie in Redis: a copy, fed by fetches alone, on either connection.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Latest, Rule, RuleSet};
use crate::mutant::Mutant;
use crate::names::{matches, Dep, Mode, Token};
use crate::sim::Time;

/// Rules that a process keeps; of older ones it only knows that there were some.
const KEPT: usize = 3;

/// What rules say of an entry or a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    Stands,
    Staled,
    Removed,
}

/// Whether the source of a key settles, by pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    No,
    Until(Time),
    Unknown,
}

/// Rules by number, equal ones once, with the latest.
#[derive(Debug, Default)]
struct Book {
    rules: Vec<Rule>,
    /// What is older cannot be judged.
    floor: u64,
    latest: u64,
}

impl Book {
    fn add(&mut self, rule: Rule) {
        let equal = |known: &Rule| known.mode == rule.mode && known.pattern == rule.pattern;
        if self.rules.iter().any(|known| equal(known) && known.n >= rule.n) {
            return;
        }
        self.rules.retain(|known| !equal(known));
        self.rules.push(rule);
        self.rules.sort_by_key(|rule| rule.n);
        if self.rules.len() > KEPT {
            self.floor = self.floor.max(self.rules.remove(0).n);
        }
        self.latest = self.latest.max(rule.n);
    }

    fn after(&self, n: u64) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.n > n)
    }

    fn judge(&self, key: usize, since: u64) -> Ruling {
        if since < self.floor {
            return Ruling::Removed;
        }
        ruling(self.after(since), key)
    }
}

/// Every rule with a number past `from`, up to `to`, is in the copy, as long as the namespace's version and reign are these.
#[derive(Debug, Clone, Copy)]
struct Range {
    version: u64,
    reign: u64,
    from: u64,
    to: u64,
}

#[derive(Debug, Default)]
pub struct Rules {
    local: Book,
    /// Seq of the latest sign of a rule: a namespace read before it says nothing of it.
    pub signed: u64,
    copy: Book,
    waits: Vec<(Time, Dep)>,
    range: Option<Range>,
    /// Up to which number an entry of Redis has been judged.
    judged: BTreeMap<Token, u64>,
    /// Up to here the rules of peers have taken effect on memory.
    applied: Latest,
    /// Those of this process took effect when they were made.
    own: BTreeSet<u64>,
}

impl Rules {
    /// A rule takes effect here.
    pub fn note(&mut self, seq: u64, mode: Mode, pattern: Dep) {
        self.signed = seq;
        self.local.add(Rule { n: seq, mode, pattern });
    }

    /// What began at `s` against the rules that came here since; and the seq of the last one looked at.
    #[must_use]
    pub fn since(&self, s: u64, key: usize, mutant: Option<Mutant>) -> (Ruling, u64) {
        let ruling = if mutant == Some(Mutant::DroppedLocalRulesIgnored) {
            ruling(self.local.after(s), key)
        } else {
            self.local.judge(key, s)
        };
        (ruling, self.local.latest)
    }

    /// The namespace as it was right before this channel began.
    pub fn begin(&mut self, latest: Latest) {
        self.forget_copy();
        self.applied = latest;
    }

    pub fn forget_copy(&mut self) {
        self.copy = Book::default();
        self.waits.clear();
        self.range = None;
    }

    fn of_version(&self, latest: Latest) -> Option<Range> {
        let same = |range: &Range| range.version == latest.version && range.reign == latest.reign;
        self.range.filter(same)
    }

    /// Whether an entry of the number `since` can be judged by the rules up to the latest.
    #[must_use]
    pub fn covers(&self, since: u64, latest: Latest) -> bool {
        let known = self.of_version(latest);
        known.is_some_and(|range| range.from <= since && latest.n <= range.to)
    }

    /// The number past which to fetch so that `since` is covered.
    #[must_use]
    pub fn fetch_after(&self, since: u64, latest: Latest) -> u64 {
        match self.of_version(latest) {
            Some(range) if range.from <= since => range.to.max(since),
            _ => since,
        }
    }

    /// Takes in the rules past `after`, fetched when that was the latest.
    pub fn merge(&mut self, after: u64, latest: Latest, fetched: Option<&RuleSet>, mutant: Option<Mutant>) {
        // What was fetched is whole up to its last, too.
        let last = fetched.and_then(|set| set.items.iter().map(|rule| rule.n).max());
        let (mut from, mut to) = (after, latest.n.max(last.unwrap_or(0)));
        let gaps = |known: &Range| known.from > to && mutant != Some(Mutant::RangesWithGap);
        match self.of_version(latest) {
            Some(known) if after <= known.to && !gaps(&known) => {
                (from, to) = (from.min(known.from), to.max(known.to));
            }
            _ => self.copy = Book::default(),
        }
        let lost = if mutant == Some(Mutant::LostRulesNotNoticed) {
            0
        } else {
            latest.n
        };
        let floor = match fetched {
            Some(_) if mutant == Some(Mutant::FloorIgnored) => 0,
            Some(set) => set.floor,
            None => lost,
        };
        self.copy.floor = self.copy.floor.max(floor);
        for rule in fetched.map_or(&[][..], |set| &set.items) {
            let unknown = rule.n > latest.n && mutant == Some(Mutant::YoungerRulesIgnored);
            if !unknown {
                self.copy.add(*rule);
            }
        }
        let waits = fetched.map_or(&[][..], |set| &set.waits);
        self.waits.extend(waits.iter().map(|wait| (wait.until, wait.pattern)));
        let Latest { version, reign, .. } = latest;
        self.range = Some(Range {
            version,
            reign,
            from,
            to,
        });
    }

    /// Judges an entry of Redis: what the copy does not cover falls.
    pub fn judge(&mut self, key: usize, id: Token, n: u64, latest: Latest) -> Ruling {
        if latest.n <= n {
            return Ruling::Stands;
        }
        if !self.covers(n, latest) {
            return Ruling::Removed;
        }
        let from = n.max(self.judged.get(&id).copied().unwrap_or_default());
        if latest.n <= from {
            return Ruling::Stands;
        }
        let ruling = self.copy.judge(key, from);
        if ruling == Ruling::Stands {
            self.judged.insert(id, self.copy.latest.max(self.copy.floor));
        }
        ruling
    }

    /// Whether the source of a key settles by pattern. What the copy does not cover, or has dropped, may say so.
    #[must_use]
    pub fn waits_for(&self, key: usize, oldest: u64, latest: Latest, now: Time) -> Waits {
        if self.copy.floor > oldest || !self.covers(oldest, latest) {
            return Waits::Unknown;
        }
        let open = self.waits.iter().filter(|(until, _)| *until > now);
        let own = open.filter(|(_, pattern)| matches(*pattern, key));
        own.map(|(until, _)| *until).max().map_or(Waits::No, Waits::Until)
    }

    /// A rule of this process has got its number.
    pub fn note_own(&mut self, n: u64) {
        self.own.insert(n);
    }

    #[must_use]
    pub fn applied(&self, latest: Option<Latest>, mutant: Option<Mutant>) -> u64 {
        match latest {
            Some(latest) if mutant == Some(Mutant::NewVersionHidesRules) && latest.version != self.applied.version => {
                latest.version
            }
            _ => self.applied.n,
        }
    }

    /// The rules of peers among those that a heartbeat found; from here on they have taken effect.
    pub fn apply(&mut self, after: u64, latest: Option<Latest>, fetched: Option<&RuleSet>) -> Vec<Rule> {
        let found = fetched.map_or(&[][..], |set| &set.items);
        let last = found.iter().map(|rule| rule.n).max().unwrap_or(0);
        let new: Vec<Rule> = found.iter().filter(|rule| rule.n > after).copied().collect();
        let reached = last.max(latest.map_or(0, |latest| latest.n));
        self.applied.n = if begun_anew(after, latest) {
            reached
        } else {
            reached.max(self.applied.n)
        };
        self.applied.version = latest.map_or(self.applied.version, |latest| latest.version);
        new.into_iter().filter(|rule| !self.own.remove(&rule.n)).collect()
    }
}

/// Numbers only grow, unless all that remembered them was lost and the clock is behind.
#[must_use]
pub fn begun_anew(after: u64, latest: Option<Latest>) -> bool {
    latest.is_some_and(|latest| latest.n < after)
}

fn ruling<'a>(rules: impl Iterator<Item = &'a Rule>, key: usize) -> Ruling {
    rules
        .filter(|rule| matches(rule.pattern, key))
        .fold(Ruling::Stands, |ruling, rule| match (ruling, rule.mode) {
            (Ruling::Removed, _) | (_, Mode::Remove) => Ruling::Removed,
            _ => Ruling::Staled,
        })
}
