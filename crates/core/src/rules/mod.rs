//! Pattern rules: numbered globs that make what began before them fall, if its key matches.
//!
//! A rule costs nothing when it is made: no entry is looked for. What is read afterwards is held against the rules
//! that are younger than it, once each. Rules are found by the text before their first wildcard, so a key meets only
//! those that could match it; equal ones are kept once, with the latest number; beyond the cap the oldest go, and what
//! is older than the youngest that went can no longer be judged: it falls.
//!
//! The engine keeps two books: one numbered by its own epochs, for what is in memory or being loaded, and a copy of
//! Redis's, numbered there, for what comes from Redis.

mod copy;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::glob::Glob;
use crate::key::Mode;
use crate::path::Path;

pub use copy::{Fetched, Latest, RuleCopy};

/// Rules kept, here and in Redis.
pub const CAP: usize = 10_000;

/// A rule as it travels and lies in Redis: the mode's letter, then the pattern as stored keys are named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    pub mode: Mode,
    pub pattern: Arc<str>,
}

impl Rule {
    #[must_use]
    pub fn to_text(&self) -> String {
        let mode = match self.mode {
            Mode::Remove => 'r',
            Mode::Stale => 's',
        };
        format!("{mode}{}", self.pattern)
    }

    /// Reads what lies beside a rule while its source settles: until when, and the pattern.
    #[must_use]
    pub fn parse_wait(text: &str) -> Option<(u64, Self)> {
        let (until, pattern) = text.strip_prefix('w')?.split_once(' ')?;
        let mode = Mode::Remove;
        let pattern = pattern.into();
        Some((until.parse().ok()?, Self { mode, pattern }))
    }

    /// Reads a rule; `None` for what is none of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mode, pattern) = match text.split_at_checked(1)? {
            ("r", pattern) => (Mode::Remove, pattern),
            ("s", pattern) => (Mode::Stale, pattern),
            _ => return None,
        };
        Some(Self {
            mode,
            pattern: pattern.into(),
        })
    }
}

#[derive(Debug, Default)]
pub struct RuleBook {
    book: Mutex<Book>,
    /// The number of the youngest rule: most readers need to look no further.
    latest: AtomicU64,
}

#[derive(Debug, Default)]
struct Book {
    by_number: BTreeMap<u64, Rule>,
    numbers: HashMap<Rule, u64>,
    /// By views and literal prefix; oldest first.
    by_prefix: HashMap<Box<str>, Vec<Item>>,
    /// How many prefixes of each length there are.
    lengths: BTreeMap<usize, usize>,
    /// What is older than this cannot be judged.
    floor: u64,
}

#[derive(Debug)]
struct Item {
    number: u64,
    mode: Mode,
    /// Of the views before the pattern, in bytes: a rule sees the keys of its own view only.
    views: usize,
    /// `None`: it could not be read, and matches whatever it might have meant.
    glob: Option<Glob>,
}

/// How rules judge a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Stands,
    Staled,
    Removed,
}

impl RuleBook {
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.latest.load(SeqCst)
    }

    /// Adds a rule, or gives an equal one its new number.
    pub fn add(&self, number: u64, rule: Rule) {
        self.add_numbered(rule, || number);
    }

    /// The same, numbered under the book's lock: a reader that has seen a number has seen every rule below it.
    pub fn add_numbered(&self, rule: Rule, number: impl FnOnce() -> u64) {
        let mut book = self.lock();
        let mut number = number();
        // Books that are numbered by time may meet the same twice.
        while book.by_number.contains_key(&number) && book.numbers.get(&rule) != Some(&number) {
            number += 1;
        }
        if book.numbers.get(&rule).is_some_and(|known| *known >= number) {
            return;
        }
        book.remove(&rule);
        book.insert(number, rule);
        while book.by_number.len() > CAP {
            let Some((number, oldest)) = book.by_number.first_key_value() else {
                break;
            };
            let (number, oldest) = (*number, oldest.clone());
            book.remove(&oldest);
            book.floor = book.floor.max(number);
        }
        self.latest.fetch_max(number, SeqCst);
    }

    /// Nothing below `floor` can be judged any more.
    pub fn raise_floor(&self, floor: u64) {
        let mut book = self.lock();
        book.floor = book.floor.max(floor);
        self.latest.fetch_max(floor, SeqCst);
    }

    /// Judges a stored key whose load began at `since`; and the number of the youngest rule that was looked at.
    #[must_use]
    pub fn judge(&self, stored: &str, since: u64) -> (Judgement, u64) {
        let book = self.lock();
        let youngest = self.latest();
        if since < book.floor {
            return (Judgement::Removed, youngest);
        }
        (book.judge(stored, since), youngest)
    }

    /// What is older than this cannot be judged.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.lock().floor
    }

    /// The rules with a greater number, oldest first.
    #[must_use]
    pub fn after(&self, number: u64) -> Vec<(u64, Rule)> {
        let book = self.lock();
        let younger = book.by_number.range(number + 1..);
        younger.map(|(number, rule)| (*number, rule.clone())).collect()
    }

    /// The number of the youngest rule past `since` that matches.
    #[must_use]
    pub fn youngest_match(&self, stored: &str, since: u64) -> Option<u64> {
        if self.latest() <= since {
            return None;
        }
        let mut youngest = None;
        self.lock().look(stored, since, |item| {
            youngest = youngest.max(Some(item.number));
            false
        });
        youngest
    }

    pub fn clear(&self) {
        let mut book = self.lock();
        *book = Book::default();
        self.latest.store(0, SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn insert(&mut self, number: u64, rule: Rule) {
        let path = Path::of(&rule.pattern);
        let glob = Glob::new(path.key).ok();
        let literal = glob.as_ref().map_or("", Glob::prefix);
        let prefix: Box<str> = [path.views, literal].concat().into();
        *self.lengths.entry(prefix.len()).or_default() += 1;
        let items = self.by_prefix.entry(prefix).or_default();
        // Mostly the last; but a copy may learn of older rules later.
        let at = items.partition_point(|item| item.number < number);
        let item = Item {
            number,
            mode: rule.mode,
            views: path.views.len(),
            glob,
        };
        items.insert(at, item);
        self.by_number.insert(number, rule.clone());
        self.numbers.insert(rule, number);
    }

    fn remove(&mut self, rule: &Rule) {
        let Some(number) = self.numbers.remove(rule) else {
            return;
        };
        self.by_number.remove(&number);
        let path = Path::of(&rule.pattern);
        let glob = Glob::new(path.key).ok();
        let prefix = [path.views, glob.as_ref().map_or("", Glob::prefix)].concat();
        if let Some(items) = self.by_prefix.get_mut(&*prefix) {
            items.retain(|item| item.number != number);
            if items.is_empty() {
                self.by_prefix.remove(&*prefix);
            }
        }
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    fn judge(&self, stored: &str, since: u64) -> Judgement {
        let mut judgement = Judgement::Stands;
        self.look(stored, since, |item| {
            judgement = match item.mode {
                Mode::Remove => Judgement::Removed,
                Mode::Stale => Judgement::Staled,
            };
            item.mode == Mode::Remove
        });
        judgement
    }

    /// Shows the rules past `since` that match, of each prefix the youngest first, until `is_enough`.
    fn look(&self, stored: &str, since: u64, mut is_enough: impl FnMut(&Item) -> bool) {
        let path = Path::of(stored);
        let named: std::borrow::Cow<'_, str> = if path.views.is_empty() {
            path.key.into()
        } else {
            [path.views, path.key].concat().into()
        };
        let (shortest, longest) = (path.views.len(), named.len());
        for len in self.lengths.range(shortest..=longest).map(|(len, _)| *len) {
            let Some(items) = named.get(..len).and_then(|prefix| self.by_prefix.get(prefix)) else {
                continue;
            };
            let younger = items.iter().rev().take_while(|item| item.number > since);
            let own = younger.filter(|item| item.views == path.views.len());
            for item in own.filter(|item| item.glob.as_ref().is_none_or(|glob| glob.is_match(path.key))) {
                if is_enough(item) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(mode: Mode, pattern: &str) -> Rule {
        Rule {
            mode,
            pattern: pattern.into(),
        }
    }

    #[test]
    fn what_began_before_a_rule_falls_if_it_matches_and_what_began_after_stands() {
        let book = RuleBook::default();
        book.add(5, rule(Mode::Remove, "user:*"));
        book.add(7, rule(Mode::Stale, "us*r:?"));

        let judge = |key, since| book.judge(key, since).0;
        assert_eq!(judge("user:1", 4), Judgement::Removed);
        assert_eq!(judge("user:1", 5), Judgement::Staled);
        assert_eq!(judge("user:1", 7), Judgement::Stands);
        assert_eq!(judge("user:12", 5), Judgement::Stands);
        assert_eq!(judge("build:1", 0), Judgement::Stands);
    }

    #[test]
    fn equal_rules_are_one_with_the_latest_number() {
        let book = RuleBook::default();
        for number in 1..=100 {
            book.add(number, rule(Mode::Remove, "a*"));
        }
        book.add(50, rule(Mode::Remove, "a*"));

        assert_eq!(book.after(0), vec![(100, rule(Mode::Remove, "a*"))]);
        assert_eq!(book.judge("a", 99).0, Judgement::Removed);
        assert_eq!(book.judge("a", 100).0, Judgement::Stands);
    }

    #[test]
    fn a_rule_learned_late_hides_no_younger_one() {
        let book = RuleBook::default();
        book.add(9, rule(Mode::Remove, "*:y"));
        book.add(5, rule(Mode::Remove, "*:x"));

        assert_eq!(book.judge("a:y", 6).0, Judgement::Removed);
        assert_eq!(book.judge("a:x", 6).0, Judgement::Stands);
        assert_eq!(book.youngest_match("a:x", 0), Some(5));
    }

    #[test]
    fn i3_what_is_older_than_a_rule_that_was_dropped_cannot_be_judged_and_falls() {
        let book = RuleBook::default();
        for number in 1..=CAP as u64 + 10 {
            book.add(number, rule(Mode::Remove, &format!("k{number}")));
        }

        assert_eq!(book.judge("other", 9).0, Judgement::Removed);
        assert_eq!(book.judge("other", 10).0, Judgement::Stands);
        assert_eq!(book.judge("k11", 10).0, Judgement::Removed);
    }

    #[test]
    fn a_rule_sees_the_keys_of_its_own_view_in_every_version() {
        let book = RuleBook::default();
        book.add(1, rule(Mode::Remove, "*"));
        book.add(2, rule(Mode::Remove, "\0va\0=k*"));

        let judge = |key, since| book.judge(key, since).0;
        assert_eq!(judge("k", 0), Judgement::Removed);
        assert_eq!(judge("\0@7\0=k", 0), Judgement::Removed);
        assert_eq!(judge("\0=\0k", 0), Judgement::Removed);
        assert_eq!(judge("k", 1), Judgement::Stands);
        assert_eq!(judge("\0va\0=k1", 1), Judgement::Removed);
        assert_eq!(judge("\0va\0@2\0=k1", 1), Judgement::Removed);
        assert_eq!(judge("\0va\0vb\0=k1", 0), Judgement::Stands);
        assert_eq!(judge("\0vb\0=k1", 0), Judgement::Stands);
    }

    #[test]
    fn thousands_of_other_rules_cost_a_key_little() {
        let book = RuleBook::default();
        for number in 1..=9_000_u64 {
            book.add(number, rule(Mode::Remove, &format!("user:{number}:*")));
        }

        for _ in 0..10_000 {
            assert_eq!(book.judge("build:1", 0).0, Judgement::Stands);
        }
        assert_eq!(book.judge("user:77:x", 0).0, Judgement::Removed);
    }
}
