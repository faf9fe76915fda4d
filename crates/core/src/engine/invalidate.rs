//! Invalidation: here at once, in Redis within the deadline, or noted until Redis can be reached.
//!
//! The order is the guarantee. (a) What depends on the target falls here. (b) The script runs: Redis and every
//! peer. (c) It falls here once more: what began between (a) and the script may have read the old state, and
//! one's own reply may come before one's own push. Only then the caller is told.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use redis::Value;
use tokio::time::{timeout_at, Instant as Deadline};

use super::judge::bytes_of;
use super::Engine;
use crate::journal::Order;
use crate::key::{Kind, Mode, NameHash, Push};
use crate::link::Link;
use crate::notice::Change;
use crate::redis::fault::{fault_of, passes, Fault};
use crate::redis::script::{Script, ScriptCall};
use crate::redis::wire::Budget;
use crate::rules::{Rule, CAP};
use crate::shards::Shards;

/// Scripts sent in one pipeline when the journal is drained.
const BATCH: usize = 500;

/// What to invalidate; several members are a union.
#[derive(Clone, Debug, Default)]
pub struct Target {
    pub keys: Vec<Box<str>>,
    pub tags: Vec<Box<str>>,
    pub patterns: Vec<Box<str>>,
    pub all: bool,
    /// Loads that begin within so many ms are returned, not kept: for a source that lags. With mode remove only.
    pub settle: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Redis and every peer that it can reach know.
    Applied,
    /// Redis could not be reached (why); it is applied before this process trusts Redis again.
    Queued(String),
    /// There is no Redis.
    Off,
}

impl Engine {
    /// Says that an invalidation was asked for: a process that ends waits for it. [`Engine::invalidate`] follows.
    pub fn announce_invalidation(&self) {
        self.invalidating.fetch_add(1, SeqCst);
    }

    /// Invalidates what was announced; resolves within 2 × `commandTimeout`.
    pub async fn invalidate(self: Arc<Self>, target: Target, mode: Mode) -> Receipt {
        let receipt = self.carry_out(&target, mode).await;
        self.invalidating.fetch_sub(1, SeqCst);
        receipt
    }

    async fn carry_out(&self, target: &Target, mode: Mode) -> Receipt {
        let orders = self.orders(target, mode);
        self.bump_all(&orders);
        let Some(link) = self.link() else {
            self.metrics.invalidations_applied.add(1);
            return Receipt::Off;
        };
        let deadline = Deadline::now() + link.config.command_timeout * 2;
        let result = self.apply_until(link, &orders, deadline).await;
        if result.is_err() {
            // Noted before the second fall: whoever reads from here on does not ask Redis.
            for order in &orders {
                self.note(order.clone());
            }
        }
        self.bump_all(&orders);
        match result {
            Ok(()) => {
                self.metrics.invalidations_applied.add(1);
                Receipt::Applied
            }
            Err(fault) => {
                self.metrics.invalidations_queued.add(1);
                link.rouse();
                Receipt::Queued(fault.to_string())
            }
        }
    }

    /// Only the local half, without waiting: for engines that have no Redis.
    pub fn invalidate_here(&self, target: &Target, mode: Mode) -> bool {
        if self.link.is_some() {
            return false;
        }
        self.bump_all(&self.orders(target, mode));
        self.metrics.invalidations_applied.add(1);
        true
    }

    fn orders(&self, target: &Target, mode: Mode) -> Vec<Order> {
        let order = |kind| {
            move |name| Order {
                push: Push { name, kind, mode },
                pattern: None,
                settle: target.settle,
            }
        };
        let patterns = target.patterns.iter().map(|pattern| Order {
            pattern: Some((&**pattern).into()),
            ..order(Kind::Pattern)(self.namespace.tag(pattern))
        });
        let keys = target.keys.iter().map(|key| self.namespace.key(key));
        let tags = target.tags.iter().map(|tag| self.namespace.tag(tag));
        let all = target.all.then(|| self.namespace.whole());
        keys.map(order(Kind::Key))
            .chain(tags.map(order(Kind::Tag)))
            .chain(all.into_iter().map(order(Kind::Namespace)))
            .chain(patterns)
            .collect()
    }

    /// Tries until the deadline; a connection that breaks on the way is worth a fresh attempt.
    async fn apply_until(&self, link: &Link, orders: &[Order], deadline: Deadline) -> Result<(), Fault> {
        link.first_session(deadline).await;
        let mut last = Fault::Disconnected("no session".into());
        while Deadline::now() < deadline {
            let Some(shards) = link.shards() else {
                // One quick look for a link that is just being replaced; a dead one is not waited for.
                let soon = (Deadline::now() + std::time::Duration::from_millis(50)).min(deadline);
                match link.any_session(soon).await {
                    Ok(_) => continue,
                    Err(why) => return Err(Fault::Disconnected(why)),
                }
            };
            let left = deadline - Deadline::now();
            let attempt = self.apply(orders, &shards, left);
            match timeout_at(deadline, attempt).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(fault @ (Fault::Disconnected(_) | Fault::Unsettled(_)))) => {
                    if shards.is_many() && !self.has_changed(link, &shards, &fault, deadline).await {
                        return Err(fault);
                    }
                    last = fault;
                }
                Ok(Err(fault)) => return Err(fault),
                Err(_) => return Err(Fault::Timeout),
            }
        }
        Err(last)
    }

    /// Of a cluster: whether it is worth another attempt. A master that is gone is not waited for longer than a moment; a slot
    /// that is moving is, because only its place has to become known.
    async fn has_changed(&self, link: &Link, shards: &Arc<Shards>, fault: &Fault, deadline: Deadline) -> bool {
        let soon = (Deadline::now() + std::time::Duration::from_millis(50)).min(deadline);
        let is_newer = link.newer(shards, soon).await;
        is_newer || matches!(fault, Fault::Unsettled(_))
    }

    /// Runs the scripts. What Redis refuses for good (a right that is missing, a value of another type) becomes the invalidation
    /// of the namespace, which includes it: noted for ever, it would keep this process from Redis.
    async fn apply(&self, orders: &[Order], shards: &Arc<Shards>, time: std::time::Duration) -> Result<(), Fault> {
        let mut budget = Budget::new(time);
        match self.run(orders, shards, &mut budget).await {
            Err(Fault::Refused(why))
                if !passes(&why) && orders.iter().any(|order| order.push.kind != Kind::Namespace) =>
            {
                let whole = [Order::whole(self.namespace.whole(), orders.iter())];
                self.run(&whole, shards, &mut budget).await?;
                self.bump_all(&whole);
                self.warn_of_refusal(&why);
                Ok(())
            }
            result => result,
        }
    }

    async fn run(&self, orders: &[Order], shards: &Arc<Shards>, budget: &mut Budget) -> Result<(), Fault> {
        let calls: Vec<ScriptCall> = orders.iter().map(|order| self.script_for(order)).collect();
        let sent = self.now();
        let result = shards.orders(&calls, budget).await;
        let fault = match result {
            Ok(answers) => {
                self.note_own_rules(orders, &answers.values);
                self.redis_answered(sent, answers.values).iter().find_map(fault_of)
            }
            Err(fault) => Some(fault),
        };
        match fault {
            None => Ok(()),
            Some(fault) => {
                self.redis_failed(shards, &fault);
                Err(fault)
            }
        }
    }

    fn warn_of_refusal(&self, why: &str) {
        if !self.has_told_refusal.swap(true, SeqCst) {
            self.tell(Change::Warning(format!(
                "Redis refuses an invalidation ({why}); all entries of the namespace are invalidated instead, now and \
                 whenever it does so again. `npx tidecache doctor` tells which rights are missing"
            )));
        }
    }

    /// The numbers that rules have got: their effect here was complete before their caller is told.
    fn note_own_rules(&self, orders: &[Order], replies: &[Value]) {
        for (order, reply) in orders.iter().zip(replies) {
            if order.pattern.is_some() {
                let number = bytes_of(reply).and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
                if let Some(number) = number {
                    self.news.note_own(number);
                }
            }
        }
    }

    fn script_for(&self, order: &Order) -> ScriptCall {
        let Order { push, pattern, settle } = order;
        let life = self.version_life();
        let vehicle = |push| self.keys.vehicle(push, self.process);
        if let Some(pattern) = pattern {
            let whole = self.namespace.whole();
            let rule = Rule {
                mode: push.mode,
                pattern: Arc::clone(pattern),
            };
            return ScriptCall::new(Script::InvalidatePattern)
                .key(self.keys.versions(whole))
                .key(self.keys.rules(whole))
                .key(vehicle(Push { name: whole, ..*push }))
                .arg(rule.to_text())
                .number(life)
                .number(*settle)
                .number(CAP as u64)
                .number(life / 2);
        }
        match (push.kind, push.mode) {
            (Kind::Key, mode) => {
                let script = match mode {
                    Mode::Remove => Script::InvalidateKey,
                    Mode::Stale => Script::StaleKey,
                };
                ScriptCall::new(script)
                    .key(self.keys.entry(push.name))
                    .key(self.keys.lease(push.name))
                    .key(vehicle(*push))
                    .key(self.keys.versions(push.name))
                    .number(life)
                    .number(*settle)
            }
            (_, mode) => {
                let call = ScriptCall::new(Script::InvalidateTag)
                    .key(self.keys.versions(push.name))
                    .key(vehicle(*push));
                let mode = match mode {
                    Mode::Remove => "r",
                    Mode::Stale => "s",
                };
                self.with_rules(call, push.name).arg(mode).number(life).number(*settle)
            }
        }
    }

    /// Redis has not confirmed it.
    fn note(&self, order: Order) {
        if self.journal.note(order) {
            // Only the namespace's master is known to lack something then: what lies on the others of a cluster falls by it.
            self.bump_whole();
        }
    }

    /// A write of this process that may not have reached Redis: the key is invalid there until it is told so.
    pub(super) fn note_unreached(&self, name: NameHash) {
        self.note(Push::key(name).into());
        if let Some(link) = &self.link {
            link.rouse();
        }
    }

    /// Applies every noted invalidation, in a cluster those of some slots. Until it succeeds this process neither reads nor
    /// fills that Redis.
    ///
    /// # Errors
    /// The first that Redis refused or did not answer; the rest stays noted.
    pub(super) async fn drain(&self, shards: &Arc<Shards>, is_meant: impl Fn(u16) -> bool) -> Result<(), Fault> {
        let Some(link) = &self.link else { return Ok(()) };
        while !self.journal.is_empty() {
            let noted = self.journal.some(BATCH, &is_meant);
            if noted.is_empty() {
                break;
            }
            let orders: Vec<Order> = noted.iter().map(|item| item.order.clone()).collect();
            self.apply(&orders, shards, link.config.command_timeout * 2).await?;
            self.bump_all(&orders);
            for item in &noted {
                self.journal.strike(item);
            }
        }
        Ok(())
    }
}
