//! Holding a lease: renewed while its holder gives signs of life, given back as soon as it is of no use; once the link
//! is back when it was lost just then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant as Deadline;

use super::Engine;
use crate::clock::{Instant, MS};
use crate::envelope::EntryId;
use crate::key::NameHash;
use crate::loads::{LoadId, OwnerId};
use crate::redis::fault::{fault_of, Fault};
use crate::redis::script::{Script, ScriptCall};
use crate::shards::Shards;

/// Life of a lease whose holder lives; renewed every quarter of it. A dead holder's ends after at most this.
pub(super) const LEASE: u64 = 4_000;
/// Between two attempts to give one back.
const AGAIN: Duration = Duration::from_millis(100);

/// As many are remembered; what is beyond lapses by itself.
const MOST_OWED: usize = 10_000;

/// Leases that could not be given back when their loads ended, each with the time at which it has lapsed anyway.
#[derive(Debug, Default)]
pub(super) struct Owed(Mutex<Vec<(ScriptCall, Instant)>>);

impl Owed {
    fn note(&self, call: ScriptCall, now: Instant) {
        let mut calls = self.lock();
        if calls.len() < MOST_OWED {
            calls.push((call, now + LEASE * MS));
        }
    }

    /// What has not lapsed yet, once.
    fn take(&self, now: Instant) -> Vec<(ScriptCall, Instant)> {
        let mut calls = std::mem::take(&mut *self.lock());
        calls.retain(|(_, lapses)| *lapses > now);
        calls
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(ScriptCall, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    pub(super) fn renew_soon(self: &Arc<Self>, granted: Vec<(LoadId, NameHash, EntryId)>, shards: &Arc<Shards>) {
        if granted.is_empty() {
            return;
        }
        let (engine, shards) = (Arc::clone(self), Arc::clone(shards));
        self.runtime.spawn(async move { engine.renew(granted, &shards).await });
    }

    async fn renew(&self, leases: Vec<(LoadId, NameHash, EntryId)>, shards: &Arc<Shards>) {
        let Some(link) = &self.link else { return };
        let calls: Vec<ScriptCall> = leases
            .iter()
            .map(|(_, name, token)| {
                ScriptCall::new(Script::Renew)
                    .key(self.keys.lease(*name))
                    .arg(*token)
                    .number(LEASE)
            })
            .collect();
        let mut budget = link.new_budget();
        if let Err(fault) = shards.orders(&calls, &mut budget).await {
            self.redis_failed(shards, &fault);
        }
    }

    /// A sign of life of a JavaScript context: prolongs the leases of its loads.
    pub fn renew_owner(&self, owner: OwnerId) {
        let now = self.now();
        let held: Vec<_> = self
            .loads
            .lock()
            .iter_mut()
            .filter(|load| load.owner == owner)
            .filter_map(|load| {
                load.alive = now;
                Some((load.id, load.name, load.token()?))
            })
            .collect();
        if let Some(shards) = self.trusted_shards() {
            self.me().renew_soon(held, &shards);
        }
    }

    /// Gives a lease back in the background; without a link, once it is back.
    pub(super) fn release_soon(&self, name: NameHash, token: EntryId) {
        self.release_marked(name, token, Vec::new(), 0);
    }

    pub(super) fn release_marked(&self, name: NameHash, token: EntryId, mark: Vec<u8>, life: u64) {
        match self.link.as_ref().and_then(|link| link.shards()) {
            Some(shards) => self.release_on(&shards, name, token, mark, life),
            None => self.owe(self.release_call(name, token, mark, life)),
        }
    }

    pub(super) fn release_on(&self, shards: &Arc<Shards>, name: NameHash, token: EntryId, mark: Vec<u8>, life: u64) {
        let call = self.release_call(name, token, mark, life);
        let (engine, shards) = (self.me(), Arc::clone(shards));
        self.runtime.spawn(async move { engine.release(call, shards).await });
    }

    /// Tries for as long as a lease lives, in a cluster: one that is changing takes nothing for a second or two, and then all
    /// who read the key would wait for a load that is over.
    async fn release(&self, call: ScriptCall, mut shards: Arc<Shards>) {
        let Some(link) = &self.link else { return };
        let until = Deadline::now() + Duration::from_millis(LEASE);
        loop {
            let mut budget = link.new_budget();
            let fault = match shards.orders(std::slice::from_ref(&call), &mut budget).await {
                Ok(answers) => answers.values.first().filter(|_| shards.is_many()).and_then(fault_of),
                Err(fault) => Some(fault),
            };
            let Some(fault) = fault else { return };
            self.redis_failed(&shards, &fault);
            if !shards.is_many() {
                return self.owe(call);
            }
            if matches!(fault, Fault::Refused(_)) || Deadline::now() > until || self.is_closed() {
                return;
            }
            tokio::time::sleep(AGAIN).await;
            if let Some(newer) = link.shards() {
                shards = newer;
            }
        }
    }

    /// Notes a lease whose end Redis has not heard of: others would wait for it until it lapses.
    pub(super) fn owe(&self, call: ScriptCall) {
        let Some(link) = &self.link else { return };
        self.owed.note(call, self.now());
        link.wake.notify_one();
    }

    /// Gives back what is owed. A token that holds no lease any more is no error.
    pub(super) async fn give_owed(&self, shards: &Arc<Shards>) {
        let Some(link) = &self.link else { return };
        let owed = self.owed.take(self.now());
        if owed.is_empty() {
            return;
        }
        let calls: Vec<ScriptCall> = owed.iter().map(|(call, _)| call.clone()).collect();
        let mut budget = link.new_budget();
        if let Err(fault) = shards.orders(&calls, &mut budget).await {
            self.redis_failed(shards, &fault);
            self.owed.lock().extend(owed);
        }
    }

    pub(super) fn release_call(&self, name: NameHash, token: EntryId, mark: Vec<u8>, life: u64) -> ScriptCall {
        ScriptCall::new(Script::Release)
            .key(self.keys.lease(name))
            .arg(token)
            .arg(mark)
            .number(life)
    }

    /// The mark that a failed load leaves: `F` and whose it is.
    pub(super) fn failure_mark(&self) -> Vec<u8> {
        [b"F".to_vec(), self.process_id()].concat()
    }
}
