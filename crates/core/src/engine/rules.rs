//! Pattern rules as the engine learns of them: fetched where an entry from Redis is older than the latest, and with each
//! heartbeat that finds a new one, before that heartbeat proves anything.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::Value;

use super::judge::{bytes_of, version_of, Since};
use super::Engine;
use crate::envelope::Reign;
use crate::journal::Order;
use crate::key::{Kind, Mode, NameHash, Push};
use crate::redis::fault::{fault_of, Fault};
use crate::redis::wire::{Budget, Wire};
use crate::rules::{Fetched, Latest, Rule, RuleCopy};

/// Own rules remembered until a heartbeat passes them; past it they are applied once more, which costs reloads only.
const OWN: usize = 10_000;

/// A namespace that has no versions: whatever rule comes, comes after.
const NONE_YET: Latest = Latest { version: 0, number: 0 };

/// What is known of Redis's rules.
#[derive(Debug, Default)]
pub(super) struct News {
    pub copy: RuleCopy,
    /// Up to here they have taken effect on what is in memory; `None`: nothing of before is there.
    applied: Mutex<Option<Latest>>,
    /// Ours took effect when they were made: once more, and they would fell what was loaded since.
    own: Mutex<HashSet<u64>>,
}

impl News {
    /// A rule of this process has got its number.
    pub fn note_own(&self, number: u64) {
        if let Ok(mut own) = self.own.lock() {
            if own.len() >= OWN {
                own.clear();
            }
            own.insert(number);
        }
    }

    fn is_own(&self, number: u64) -> bool {
        self.own.lock().is_ok_and(|mut own| own.remove(&number))
    }

    /// A new channel: nothing of before is served from memory.
    pub fn begin(&self) {
        self.copy.clear();
        self.set_applied(None);
    }

    /// The number up to which rules have taken effect.
    fn applied(&self, latest: Latest) -> u64 {
        match *self.lock_applied() {
            None => latest.number,
            Some(applied) if applied.version == latest.version => applied.number,
            // The whole namespace has fallen since: only rules made after that matter.
            Some(_) => latest.version,
        }
    }

    fn set_applied(&self, applied: Option<Latest>) {
        *self.lock_applied() = applied;
    }

    fn lock_applied(&self) -> MutexGuard<'_, Option<Latest>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Makes sure that a key whose load began at the number `since` can be judged by the rules up to the latest.
    pub(super) async fn learn_rules(
        &self,
        since: u64,
        latest: Latest,
        wire: &Wire,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        let copy = &self.news.copy;
        if copy.covers(since, latest) {
            return Ok(());
        }
        let after = copy.fetch_after(since, latest);
        let mut pipeline = redis::pipe();
        self.ask_rules(&mut pipeline, after);
        let replies = wire.send(&pipeline, budget).await?;
        self.take_rules(after, latest, &replies)
    }

    /// Asks for the rules past a number. The floor after the rules: what is trimmed between the two falls.
    pub(super) fn ask_rules(&self, pipeline: &mut redis::Pipeline, after: u64) {
        let key = self.keys.rules(self.namespace.whole());
        let range = pipeline.cmd("ZRANGEBYSCORE").arg(&key).arg(format!("({after}"));
        range.arg("+inf").arg("WITHSCORES").cmd("ZSCORE").arg(&key).arg("floor");
    }

    /// Takes in the two replies to that. They were asked for after the latest was: all up to it is there.
    pub(super) fn take_rules(&self, after: u64, latest: Latest, replies: &[Value]) -> Result<(), Fault> {
        let [rules, floor] = replies else {
            return Err(Fault::Unfit("no rules".into()));
        };
        if let Some(fault) = replies.iter().find_map(fault_of) {
            return Err(fault);
        }
        let rules = match rules {
            Value::Array(items) => items.iter().filter_map(numbered_rule).collect(),
            _ => Vec::new(),
        };
        let floor = number(floor);
        self.news.copy.merge(Fetched { after, floor, rules }, latest);
        Ok(())
    }

    /// From which number on the next heartbeat is to ask for rules; `None`: it is the first.
    pub(super) fn rules_applied(&self) -> Option<u64> {
        self.news.lock_applied().map(|applied| applied.number)
    }

    /// Lets rules of other processes take effect on what is in memory, up to the latest.
    async fn apply_rules(&self, latest: Latest, wire: &Wire, budget: &mut Budget) -> Result<(), Fault> {
        let applied = self.news.applied(latest);
        if latest.number <= applied {
            self.news.set_applied(Some(latest));
            return Ok(());
        }
        self.learn_rules(applied, latest, wire, budget).await?;
        let book = &self.news.copy.book;
        if book.floor() > applied {
            // Some were dropped before they were seen: whatever they meant falls.
            self.bump(Push {
                name: self.namespace.whole(),
                kind: Kind::Namespace,
                mode: Mode::Remove,
            });
        }
        // All that the book has, also what is younger: an equal rule may have been there under a smaller number.
        let mut last = latest;
        for (number, rule) in book.after(applied) {
            last.number = last.number.max(number);
            if !self.news.is_own(number) {
                self.metrics.invalidations_received.add(1);
                self.bump_all(&[pattern_order(&self.namespace.tag(&rule.pattern), &rule)]);
            }
        }
        self.news.set_applied(Some(last));
        Ok(())
    }

    /// The namespace, and the rules past those applied, as a heartbeat found them.
    ///
    /// A version that differs from ours without a push means that one was lost: everything falls.
    pub(super) async fn check_namespace(
        &self,
        (reply, rules): (&Value, &[Value]),
        reign: Reign,
        since: Since,
        wire: &Wire,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        let whole = self.namespace.whole();
        let Some(found) = version_of(reply, reign) else {
            self.versions.remove(whole);
            self.news.set_applied(Some(NONE_YET));
            return Ok(());
        };
        match self.versions.get(whole) {
            Some(known) if known.version != found.version => self.bump(Push {
                name: whole,
                kind: Kind::Namespace,
                mode: Mode::Remove,
            }),
            Some(known) if known == found => {}
            _ => self.install_version(whole, found, since),
        }
        if let Some(after) = self.rules_applied() {
            self.take_rules(after, found.latest_rule(), rules)?;
        }
        self.apply_rules(found.latest_rule(), wire, budget).await
    }
}

/// A rule of a peer as an invalidation here.
fn pattern_order(name: &NameHash, rule: &Rule) -> Order {
    Order {
        push: Push {
            name: *name,
            kind: Kind::Pattern,
            mode: rule.mode,
        },
        pattern: Some((&*rule.pattern).into()),
        settle: 0,
    }
}

/// A rule and its number, as ZRANGEBYSCORE gives them; the floor, which lies beside them, is none.
pub(crate) fn numbered_rule(pair: &Value) -> Option<(u64, Rule)> {
    let Value::Array(pair) = pair else { return None };
    let [text, score] = &pair[..] else { return None };
    let text = std::str::from_utf8(bytes_of(text)?).ok()?;
    Some((number(score)?, Rule::parse(text)?))
}

pub(crate) fn number(score: &Value) -> Option<u64> {
    match score {
        Value::Double(number) => Some(*number as u64),
        _ => None,
    }
}
