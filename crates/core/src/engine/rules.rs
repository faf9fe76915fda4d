//! Pattern rules as the engine learns of them: fetched where an entry from Redis is older than the latest, and with each
//! heartbeat that finds a new one, before that heartbeat proves anything.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use redis::Value;

use super::judge::{bytes_of, version_of, Since};
use super::Engine;
use crate::envelope::EntryId;
use crate::journal::Order;
use crate::key::{Kind, NameHash, Push};
use crate::redis::fault::{fault_of, Fault};
use crate::redis::session::Session;
use crate::redis::wire::{Budget, Wire};
use crate::rules::{Fetched, Latest, Rule, RuleCopy};
use crate::shards::Shards;
use crate::versions::Kept;

/// Own rules remembered until a heartbeat passes them; past it they are applied once more, which costs reloads only.
const OWN: usize = 10_000;
/// Entries whose judgement is remembered; past it they are judged anew.
const JUDGED: usize = 10_000;
/// No source is said to settle for longer, µs; and a second for the two clocks.
const LONGEST_SETTLE: u64 = 31_000_000;

/// What is known of Redis's rules.
#[derive(Debug, Default)]
pub(super) struct News {
    pub copy: RuleCopy,
    /// Up to here they have taken effect on what is in memory.
    applied: AtomicU64,
    /// Pushes of rules that came, and those that a heartbeat sent later has dealt with.
    signs: AtomicU64,
    dealt: AtomicU64,
    /// Ours took effect when they were made: once more, and they would fell what was loaded since.
    own: Mutex<HashSet<u64>>,
    /// Up to which number an entry from Redis has been judged: reads without memory would judge it each time.
    judged: Mutex<HashMap<EntryId, u64>>,
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

    /// A new channel: what was read before this was the latest is served from memory no more.
    fn begin(&self, latest: u64) {
        self.copy.clear();
        self.set_applied(latest);
    }

    /// Up to which number an entry was judged.
    pub fn judged(&self, id: &EntryId) -> u64 {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.get(id).copied().unwrap_or_default()
    }

    pub fn note_judged(&self, id: EntryId, number: u64) {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.len() >= JUDGED {
            judged.clear();
        }
        judged.insert(id, number);
    }

    /// A peer has made a rule: which, a heartbeat that is sent from now on tells.
    pub fn sign(&self) {
        self.signs.fetch_add(1, SeqCst);
    }

    pub fn signs(&self) -> u64 {
        self.signs.load(SeqCst)
    }

    /// Whether a rule is to be heard of.
    pub fn is_due(&self) -> bool {
        self.signs() > self.dealt.load(SeqCst)
    }

    /// A heartbeat that was sent after so many signs has taken effect.
    pub fn deal(&self, signs: u64) {
        self.dealt.fetch_max(signs, SeqCst);
    }

    /// From which number on the next heartbeat is to ask for rules.
    pub fn applied(&self) -> u64 {
        self.applied.load(SeqCst)
    }

    fn set_applied(&self, number: u64) {
        self.applied.store(number, SeqCst);
    }
}

/// Whether keys of the namespace wait for their source to settle, by pattern.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waits {
    No,
    /// Which, is in the copy.
    Known,
    /// Which, could not be asked: any may, until then (µs of Redis's clock).
    Unknown(u64),
}

impl Engine {
    /// A new session: from which rule on its channel is to hear of them. Asked for before the channel begins, with all
    /// that heartbeats ask: what may not be asked is told now.
    pub(super) async fn begin_rules(&self, session: &Session, budget: &mut Budget) -> Result<(), Fault> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(self.keys.versions(self.namespace.whole()));
        self.ask_rules(&mut pipeline, u64::MAX);
        let replies = session.heartbeats().all(&pipeline, budget).await?;
        let kept = replies.first().and_then(|reply| version_of(reply, session.reign));
        self.news.begin(kept.map_or(0, |kept| kept.rules));
        Ok(())
    }

    /// Learns which keys wait, if a pattern does.
    pub(super) async fn learn_waits(
        &self,
        versions: &[(NameHash, Option<Kept>)],
        shards: &Shards,
        budget: &mut Budget,
    ) -> Waits {
        let whole = versions.iter().find(|(name, _)| *name == self.namespace.whole());
        let Some(kept) = whole.and_then(|(_, kept)| *kept).filter(|kept| kept.waits > 0) else {
            return Waits::No;
        };
        let since = self.server_micros(shards).saturating_sub(LONGEST_SETTLE);
        let latest = kept.latest_rule();
        let learned = self.learn_rules(since, latest, shards, budget).await;
        // Another may have emptied the copy meanwhile.
        if learned.is_ok() && self.news.copy.covers_waits(since, latest) {
            Waits::Known
        } else {
            Waits::Unknown(kept.waits)
        }
    }

    /// Until when the source of a key settles by pattern (µs of Redis's clock), or 0.
    pub(super) fn waits_for(&self, key: &str, waits: Waits, shards: &Shards) -> u64 {
        match waits {
            Waits::No => 0,
            Waits::Unknown(until) => until,
            Waits::Known => {
                let now = self.server_micros(shards);
                self.news.copy.waits.youngest_match(key, now).unwrap_or_default()
            }
        }
    }

    /// The clock of the namespace's master.
    fn server_micros(&self, shards: &Shards) -> u64 {
        shards.server_time(self.namespace.whole(), &*self.clock) * 1_000
    }

    /// Makes sure that a key whose load began at the number `since` can be judged by the rules up to the latest.
    pub(super) async fn learn_rules(
        &self,
        since: u64,
        latest: Latest,
        shards: &Shards,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        if self.news.copy.covers(since, latest) {
            return Ok(());
        }
        let Some(home) = shards.of(self.namespace.whole()) else {
            return Err(Fault::Disconnected("no session with the namespace's master".into()));
        };
        self.learn_rules_over(&home.data, since, latest, budget).await
    }

    async fn learn_rules_over(
        &self,
        wire: &Wire,
        since: u64,
        latest: Latest,
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
        let fetched = fetched(after, replies)?;
        self.news.copy.merge(fetched, latest);
        Ok(())
    }

    /// Lets rules of other processes take effect on what is in memory, up to the latest. Numbers never go back, also when the
    /// namespace's versions were lost: those begin past the rules that are there.
    async fn apply_rules(&self, latest: Latest, is_due: bool, wire: &Wire, budget: &mut Budget) -> Result<(), Fault> {
        let applied = self.news.applied();
        if latest.number < applied {
            // Unless everything was lost and the server's clock lies behind.
            self.bump_whole();
        }
        if latest.number <= applied {
            self.news.set_applied(latest.number);
            return Ok(());
        }
        self.learn_rules_over(wire, applied, latest, budget).await?;
        let book = &self.news.copy.book;
        if is_due && book.floor() > applied {
            // One was made, and dropped before it was seen: whatever it meant falls.
            self.bump_whole();
        }
        // All that the book has, also what is younger: an equal rule may have been there under a smaller number.
        let mut last = latest.number;
        let mut orders = Vec::new();
        for (number, rule) in book.after(applied) {
            last = last.max(number);
            if !self.news.is_own(number) {
                orders.push(pattern_order(self.namespace.tag(&rule.pattern), &rule));
            }
        }
        self.metrics.invalidations_received.add(orders.len() as u64);
        self.bump_all(&orders);
        self.news.set_applied(last);
        Ok(())
    }

    /// The namespace, and the rules past those applied, as a heartbeat found them.
    ///
    /// A version that differs from ours without a push means that one was lost: everything falls.
    pub(super) async fn check_namespace(
        &self,
        (reply, rules): (&Value, &[Value]),
        session: &Session,
        since: Since,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        let whole = self.namespace.whole();
        // Who is told of no rule may have missed any.
        let is_due = self.news.is_due() || session.coherence.is_none();
        let Some(found) = version_of(reply, session.reign) else {
            // Lost, and with it how far the rules go: its entries in Redis are invalid, too.
            if is_due {
                self.bump_whole();
            }
            self.versions.remove(whole);
            return Ok(());
        };
        match self.versions.get(whole) {
            Some(known) if known.version != found.version => self.bump_whole(),
            Some(known) if known == found => {}
            // Ours are not in it yet. What lies on the other masters of a cluster is judged by it.
            _ if self.journal.holds(whole.slot()) => {}
            _ => self.install_version(whole, found, since),
        }
        self.take_rules(self.news.applied(), found.latest_rule(), rules)?;
        let wire = session.heartbeats();
        self.apply_rules(found.latest_rule(), is_due, wire, budget).await
    }

    pub(super) fn bump_whole(&self) {
        self.bump(Push::whole(self.namespace.whole()));
    }
}

/// A rule of a peer as an invalidation here.
fn pattern_order(name: NameHash, rule: &Rule) -> Order {
    Order {
        push: Push {
            name,
            kind: Kind::Pattern,
            mode: rule.mode,
        },
        pattern: Some(Arc::clone(&rule.pattern)),
        settle: 0,
    }
}

/// Takes the replies to ZRANGEBYSCORE and ZSCORE apart.
pub(crate) fn fetched(after: u64, replies: &[Value]) -> Result<Fetched, Fault> {
    if let Some(fault) = replies.iter().find_map(fault_of) {
        return Err(fault);
    }
    let [Value::Array(items), floor] = replies else {
        return Err(Fault::Unfit("the rules are no list".into()));
    };
    let mut fetched = Fetched {
        after,
        floor: number(floor),
        rules: Vec::new(),
        waits: Vec::new(),
    };
    for (text, number) in items.iter().filter_map(numbered) {
        if let Some(rule) = Rule::parse(text) {
            fetched.rules.push((number, rule));
        }
        fetched.waits.extend(Rule::parse_wait(text));
    }
    Ok(fetched)
}

/// A member and its number, as ZRANGEBYSCORE gives them.
fn numbered(pair: &Value) -> Option<(&str, u64)> {
    let Value::Array(pair) = pair else { return None };
    let [text, score] = &pair[..] else { return None };
    Some((std::str::from_utf8(bytes_of(text)?).ok()?, number(score)?))
}

fn number(score: &Value) -> Option<u64> {
    match score {
        Value::Double(number) => Some(*number as u64),
        _ => None,
    }
}
