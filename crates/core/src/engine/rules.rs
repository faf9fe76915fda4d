//! Pattern rules as the engine learns of them: fetched where an entry from Redis is older than the latest, and with each
//! heartbeat that finds a new one, before that heartbeat proves anything.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use redis::Value;

use super::judge::{bytes_of, version_of};
use super::Engine;
use crate::envelope::Reign;
use crate::journal::Order;
use crate::key::{Kind, Mode, NameHash, Push};
use crate::redis::fault::{fault_of, Fault};
use crate::redis::script::{Script, ScriptCall};
use crate::redis::wire::{Budget, Wire};
use crate::rules::{Fetched, Latest, Rule, RuleCopy};

/// Own rules remembered until a heartbeat passes them; past it they are applied once more, which costs reloads only.
const OWN: usize = 10_000;

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
        match *self.applied.lock().unwrap_or_else(PoisonError::into_inner) {
            None => latest.number,
            Some(applied) if applied.version == latest.version => applied.number,
            // The whole namespace has fallen since: only rules made after that matter.
            Some(_) => latest.version,
        }
    }

    fn set_applied(&self, applied: Option<Latest>) {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = applied;
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
        let call = ScriptCall::new(Script::Rules)
            .key(self.keys.rules(self.namespace.whole()))
            .number(after);
        let replies = wire.scripts(&[call], budget).await?;
        match replies.first() {
            Some(Value::Array(parts)) => copy.merge(fetched(after, parts), latest),
            Some(reply) => return Err(fault_of(reply).unwrap_or_else(|| Fault::Unfit("no rules".into()))),
            None => return Err(Fault::Unfit("no reply".into())),
        }
        Ok(())
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
        for (number, rule) in book.after(applied) {
            if number <= latest.number && !self.news.is_own(number) {
                self.metrics.invalidations_received.add(1);
                self.bump_all(&[pattern_order(&self.namespace.tag(&rule.pattern), &rule)]);
            }
        }
        self.news.set_applied(Some(latest));
        Ok(())
    }

    /// The namespace as a heartbeat found it.
    ///
    /// A version that differs from ours without a push means that one was lost: everything falls.
    pub(super) async fn check_namespace(
        &self,
        reply: &Value,
        reign: Reign,
        since: super::judge::Since,
        wire: &Wire,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        let whole = self.namespace.whole();
        let Some(found) = version_of(reply, reign) else {
            self.versions.remove(whole);
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

/// Takes the reply of the script apart.
fn fetched(after: u64, parts: &[Value]) -> Fetched {
    let text = |value: &Value| bytes_of(value).and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    let number = |value: &Value| match value {
        Value::Double(number) => Some(*number as u64),
        value => text(value)?.parse::<f64>().ok().map(|number| number as u64),
    };
    let floor = parts.first().and_then(number);
    let pairs = parts.get(1..).unwrap_or_default().chunks_exact(2);
    let rule = |pair: &[Value]| Some((number(&pair[1])?, Rule::parse(&text(&pair[0])?)?));
    Fetched {
        after,
        floor,
        rules: pairs.filter_map(rule).collect(),
    }
}
