//! What Redis keeps besides entries and leases: versions of tags, and the rules of patterns.
//!
//! A number that the server makes is `max(TIME, old + 1)`: greater than all before it, whatever its clock does. Versions
//! are compared by equality. A load takes the number of the latest rule at its start. A name whose source settles has the
//! end of that beside its version; for a pattern it lies beside the rule, and the namespace knows that there is one.

use std::collections::BTreeMap;

use crate::command::{Pair, Rule, RuleSet, Tag, Wait};
use crate::mutant::Mutant;
use crate::names::{Dep, Mode, LONGEST_SETTLE, NAMESPACE};
use crate::sim::Time;

/// Rules and waits that are kept; older ones are dropped.
const MEMBERS: usize = 4;

#[derive(Debug, Clone, Copy)]
struct Version {
    removed: u64,
    staled: u64,
    until: Time,
    rules: u64,
    waits: Time,
}

#[derive(Debug, Clone, Default)]
pub struct Versions {
    tags: BTreeMap<Dep, Version>,
    rules: Option<RuleSet>,
}

/// Who asks, and when: the server's time, the clock that it numbers by, and what it does wrong.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    pub now: Time,
    pub clock: u64,
    pub reign: u64,
    pub mutant: Option<Mutant>,
}

impl Turn {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

impl Versions {
    fn made(&mut self, dep: Dep, turn: Turn) -> &mut Version {
        let (rules, waits) = match dep {
            NAMESPACE => self.recovered(turn),
            _ => (turn.clock, 0),
        };
        self.tags.entry(dep).or_insert(Version {
            removed: turn.clock,
            staled: turn.clock,
            until: 0,
            rules,
            waits,
        })
    }

    /// The latest number, and until when patterns wait, of a namespace whose versions were lost: its rules may be there.
    fn recovered(&self, turn: Turn) -> (u64, Time) {
        let Some(set) = &self.rules else {
            return (turn.clock, 0);
        };
        let latest = set.numbers().max().unwrap_or(0).max(set.floor);
        let waits = set.waits.iter().map(|wait| wait.until).max().unwrap_or(0);
        (
            turn.clock.max(latest),
            if turn.is(Mutant::WaitsNotRecovered) { 0 } else { waits },
        )
    }

    #[must_use]
    pub fn has(&self, dep: Dep) -> bool {
        self.tags.contains_key(&dep)
    }

    /// Reads a version, and makes it when it is missing.
    pub fn tag_get(&mut self, dep: Dep, turn: Turn) -> Tag {
        let version = *self.made(dep, turn);
        let ignored = turn.is(Mutant::TagGetIgnoresSettle);
        Tag {
            pair: Pair {
                removed: version.removed,
                staled: version.staled,
                reign: turn.reign,
            },
            until: if ignored { 0 } else { version.until },
            settles: version.until > turn.now && !ignored,
            head: version.rules,
            waits: if version.waits > turn.now { version.waits } else { 0 },
            clock: turn.clock,
        }
    }

    /// Until when loads of a key are not to be stored.
    #[must_use]
    pub fn until(&self, dep: Dep) -> Time {
        self.tags.get(&dep).map_or(0, |version| version.until)
    }

    /// A new version of what others depend on as on a tag, and perhaps a wait: it is never shortened.
    pub fn renew(&mut self, dep: Dep, mode: Mode, settle: Time, turn: Turn, chosen: Option<u64>) {
        let version = self.made(dep, turn);
        let new = chosen.unwrap_or(turn.clock.max(version.removed.max(version.staled) + 1));
        match mode {
            Mode::Remove => (version.removed, version.staled) = (new, new),
            Mode::Stale => version.staled = new,
        }
        let until = if settle > 0 { turn.now + settle } else { 0 };
        version.until = if turn.is(Mutant::SettleCutShort) {
            until
        } else {
            version.until.max(until)
        };
    }

    /// The script of a pattern: one more rule, or an equal one under a new number. Returns the number.
    pub fn rule(&mut self, pattern: Dep, mode: Mode, settle: Time, turn: Turn) -> u64 {
        let head = self.made(NAMESPACE, turn).rules;
        let n = if turn.is(Mutant::RuleBehindHead) {
            turn.clock
        } else {
            turn.clock.max(head + 1)
        };
        let set = self.rules.get_or_insert(RuleSet {
            floor: if turn.is(Mutant::LostRulesForgotten) { 0 } else { head },
            items: Vec::new(),
            waits: Vec::new(),
        });
        let equal = |rule: &Rule| rule.mode == mode && rule.pattern == pattern;
        let again = set.items.iter().find(|rule| equal(rule)).map(|rule| rule.n);
        let kept = again.filter(|_| turn.is(Mutant::EqualRuleKeepsNumber));
        set.items.retain(|rule| !equal(rule));
        set.items.push(Rule {
            n: kept.unwrap_or(n),
            mode,
            pattern,
        });
        let until = turn.now + settle;
        if settle > 0 {
            set.waits.push(Wait { n, until, pattern });
        }
        set.trim(MEMBERS);
        let version = self.made(NAMESPACE, turn);
        version.rules = n;
        if settle > 0 {
            version.waits = version.waits.max(until);
        }
        n
    }

    #[must_use]
    pub fn rules(&self, after: u64) -> Option<RuleSet> {
        let mut set = self.rules.clone()?;
        set.items.retain(|rule| rule.n > after);
        set.waits.retain(|wait| wait.n > after);
        Some(set)
    }

    /// Memory is short: a version goes, without a word to anybody.
    pub fn evict(&mut self, dep: Dep) {
        self.tags.remove(&dep);
    }

    pub fn evict_rules(&mut self) {
        self.rules = None;
    }
}

impl RuleSet {
    fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let waits = self.waits.iter().map(|wait| wait.n);
        self.items.iter().map(|rule| rule.n).chain(waits)
    }

    /// Drops the oldest past so many members, and remembers the youngest number of those.
    pub fn trim(&mut self, members: usize) {
        let mut numbers: Vec<u64> = self.numbers().collect();
        numbers.sort_unstable();
        if numbers.len() > members {
            let dropped = numbers[numbers.len() - members - 1];
            self.floor = self.floor.max(dropped);
            self.items.retain(|rule| rule.n > dropped);
            self.waits.retain(|wait| wait.n > dropped);
        }
    }
}

/// Waits lie among the rules of the longest settle at most.
#[must_use]
pub fn oldest_wait(clock: u64) -> u64 {
    clock.saturating_sub(LONGEST_SETTLE)
}
