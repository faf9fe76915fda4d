//! Invalidation: here at once, in Redis within the deadline, or noted until Redis can be reached.
//!
//! The order is the guarantee. (a) What depends on the target falls here. (b) The script runs: Redis and every
//! peer. (c) It falls here once more: what began between (a) and the script may have read the old state, and
//! one's own reply may come before one's own push. Only then the caller is told.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use tokio::time::{timeout_at, Instant as Deadline};

use super::Engine;
use crate::key::{Kind, Mode, NameHash, Push};
use crate::link::Link;
use crate::redis::fault::{fault_of, Fault};
use crate::redis::script::{Script, ScriptCall};
use crate::redis::session::Session;
use crate::redis::wire::Budget;

/// Scripts sent in one pipeline when the journal is drained.
const BATCH: usize = 500;

/// What to invalidate; several members are a union.
#[derive(Clone, Debug, Default)]
pub struct Target {
    pub keys: Vec<Box<str>>,
    pub tags: Vec<Box<str>>,
    pub all: bool,
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
        let pushes = self.pushes(target, mode);
        self.bump_all(&pushes);
        let Some(link) = self.link() else {
            self.metrics.invalidations_applied.add(1);
            return Receipt::Off;
        };
        let deadline = Deadline::now() + link.config.command_timeout * 2;
        let result = self.apply_until(link, &pushes, deadline).await;
        if result.is_err() {
            // Noted before the second fall: whoever reads from here on does not ask Redis.
            for push in &pushes {
                self.journal.note(*push);
            }
        }
        self.bump_all(&pushes);
        match result {
            Ok(()) => {
                self.metrics.invalidations_applied.add(1);
                Receipt::Applied
            }
            Err(fault) => {
                self.metrics.invalidations_queued.add(1);
                link.wake.notify_one();
                Receipt::Queued(fault.to_string())
            }
        }
    }

    /// Only the local half, without waiting: for engines that have no Redis.
    pub fn invalidate_here(&self, target: &Target, mode: Mode) -> bool {
        if self.link.is_some() {
            return false;
        }
        let pushes = self.pushes(target, mode);
        self.bump_all(&pushes);
        self.metrics.invalidations_applied.add(1);
        true
    }

    fn pushes(&self, target: &Target, mode: Mode) -> Vec<Push> {
        let push = |kind| move |name| Push { name, kind, mode };
        let keys = target.keys.iter().map(|key| self.namespace.key(key));
        let tags = target.tags.iter().map(|tag| self.namespace.tag(tag));
        let all = target.all.then(|| self.namespace.whole());
        keys.map(push(Kind::Key))
            .chain(tags.map(push(Kind::Tag)))
            .chain(all.into_iter().map(push(Kind::Namespace)))
            .collect()
    }

    /// Tries until the deadline; a connection that breaks on the way is worth a fresh attempt.
    async fn apply_until(&self, link: &Link, pushes: &[Push], deadline: Deadline) -> Result<(), Fault> {
        link.first_session(deadline).await;
        let mut last = Fault::Disconnected("no session".into());
        while Deadline::now() < deadline {
            let Some(session) = link.session() else {
                // One quick look for a link that is just being replaced; a dead one is not waited for.
                let soon = (Deadline::now() + std::time::Duration::from_millis(50)).min(deadline);
                match link.any_session(soon).await {
                    Ok(_) => continue,
                    Err(why) => return Err(Fault::Disconnected(why)),
                }
            };
            let left = deadline - Deadline::now();
            let attempt = self.apply(pushes, &session, left);
            match timeout_at(deadline, attempt).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(fault @ Fault::Disconnected(_))) => last = fault,
                Ok(Err(fault)) => return Err(fault),
                Err(_) => return Err(Fault::Timeout),
            }
        }
        Err(last)
    }

    async fn apply(&self, pushes: &[Push], session: &Arc<Session>, time: std::time::Duration) -> Result<(), Fault> {
        let calls: Vec<ScriptCall> = pushes.iter().map(|push| self.script_for(*push)).collect();
        let sent = self.now();
        let result = session.data.scripts(&calls, &mut Budget::new(time)).await;
        let fault = match result {
            Ok(replies) => self.redis_answered(sent, replies).iter().find_map(fault_of),
            Err(fault) => Some(fault),
        };
        match fault {
            None => Ok(()),
            Some(fault) => {
                self.redis_failed(session, &fault);
                Err(fault)
            }
        }
    }

    fn script_for(&self, push: Push) -> ScriptCall {
        let vehicle = self.keys.vehicle(push, self.process);
        match (push.kind, push.mode) {
            (Kind::Key, mode) => {
                let script = match mode {
                    Mode::Remove => Script::InvalidateKey,
                    Mode::Stale => Script::StaleKey,
                };
                ScriptCall::new(script)
                    .key(self.keys.entry(push.name))
                    .key(self.keys.lease(push.name))
                    .key(vehicle)
            }
            (Kind::Tag | Kind::Namespace, mode) => ScriptCall::new(Script::InvalidateTag)
                .key(self.keys.versions(push.name))
                .key(vehicle)
                .arg(match mode {
                    Mode::Remove => "r",
                    Mode::Stale => "s",
                })
                .number(self.version_life()),
        }
    }

    /// A write of this process that may not have reached Redis: the key is invalid there until it is told so.
    pub(super) fn note_unreached(&self, name: NameHash) {
        self.journal.note(Push::key(name));
        if let Some(link) = &self.link {
            link.wake.notify_one();
        }
    }

    /// Applies every noted invalidation. Until it succeeds this process neither reads nor fills Redis.
    ///
    /// # Errors
    /// The first that Redis refused or did not answer; the rest stays noted.
    pub(super) async fn drain(&self, session: &Arc<Session>) -> Result<(), Fault> {
        let Some(link) = &self.link else { return Ok(()) };
        while !self.journal.is_empty() {
            let noted = self.journal.some(BATCH);
            let pushes: Vec<Push> = noted.iter().map(|item| item.push).collect();
            self.apply(&pushes, session, link.config.command_timeout * 2).await?;
            self.bump_all(&pushes);
            for item in noted {
                self.journal.strike(item);
            }
        }
        Ok(())
    }
}
