//! `set`: an invalidation of the key and a fill in one. TAKE removes the entry and fences off every load that
//! runs; only after its reply the value goes in, under the same lease. A plain write that also voids fills would
//! bring the old value back when it ran late.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use redis::Value;

use super::judge::lifetimes;
use super::lease::stamps_of;
use super::{slots, Engine};
use crate::envelope::{pack_names, EntryId, Envelope, Payload, Policy};
use crate::epoch::Standing;
use crate::key::{NameHash, Push};
use crate::loads::Stamps;
use crate::memory::{Entry, NewEntry};
use crate::redis::fault::Fault;
use crate::redis::script::{Script, ScriptCall};
use crate::redis::wire::Budget;
use crate::shards::Shards;

#[derive(Clone, Debug)]
pub struct SetRequest {
    pub key: Box<str>,
    pub payload: Payload,
    pub policy: Policy,
    pub tags: Vec<Box<str>>,
}

/// A value on its way, with the point from which its dependencies are judged.
struct Setting {
    request: SetRequest,
    name: NameHash,
    tags: Vec<NameHash>,
    /// The tags' names, packed.
    names: Box<[u8]>,
    since: u64,
    channel: u64,
    began: u64,
}

impl Engine {
    /// The whole of `set` for engines that have no Redis; gives the request back otherwise.
    pub fn set_here(&self, request: SetRequest) -> Option<SetRequest> {
        if self.link.is_some() {
            return Some(request);
        }
        let name = self.namespace.key(&request.key);
        self.bump(Push::key(name));
        let since = self.epochs.now();
        let setting = self.setting(request, name);
        self.keep_set(&setting, since, self.id_of_our_own());
        None
    }

    fn setting(&self, request: SetRequest, name: NameHash) -> Setting {
        Setting {
            tags: self.dependencies(&request.key, &request.tags),
            names: pack_names(request.tags.iter().map(|tag| &**tag)),
            name,
            since: self.epochs.now(),
            channel: self.channel(),
            began: self.now(),
            request,
        }
    }

    /// Stores a value; every load of the key that runs now, anywhere, is refused. Never fails because of Redis.
    /// Engines without one have [`Engine::set_here`].
    pub async fn set(self: Arc<Self>, request: SetRequest) {
        let name = self.namespace.key(&request.key);
        self.longest_hard_ttl.fetch_max(request.policy.hard_ttl(), SeqCst);
        let mut setting = self.setting(request, name);
        let own = Push::key(name);
        self.bump(own);
        let Some(link) = self.link() else { return };
        let mut budget = Budget::new(link.config.command_timeout * 2);
        link.first_session(budget.until()).await;
        let Some(shards) = self.trusted_shards() else {
            self.note_unreached(name);
            self.bump(own);
            return self.keep_set(&setting, self.epochs.now(), self.id_of_our_own());
        };
        // The first operation may have waited for the channel to be armed: its effect begins here.
        setting.channel = self.channel();
        setting.began = self.now();

        // 1. TAKE, with the versions of what the value depends on.
        let token = self.token();
        let taken = self.take_for_set(&setting, token, &shards, &mut budget).await;
        if taken.is_err() {
            self.note_unreached(name);
        }
        // 2. As with an invalidation: what began before the reply falls once more.
        self.bump(own);
        let since = self.epochs.now();
        match taken {
            // 3. FILL with the same token; refused means that a later write or invalidation won.
            Ok(stamps) if self.undisturbed(&setting) && !self.owes(&shards) => {
                let filled = self.fill_for_set(&setting, token, stamps, &shards, &mut budget).await;
                if let Some(id) = filled {
                    self.keep_set(&setting, since, id);
                }
            }
            Ok(_) => self.release_soon(name, token),
            Err(fault) => {
                self.redis_failed(&shards, &fault);
                self.keep_set(&setting, since, self.id_of_our_own());
            }
        }
    }

    async fn take_for_set(
        &self,
        setting: &Setting,
        token: EntryId,
        shards: &Arc<Shards>,
        budget: &mut Budget,
    ) -> Result<Stamps, Fault> {
        let names: Vec<NameHash> = std::iter::once(self.namespace.whole())
            .chain(setting.tags.iter().copied())
            .collect();
        let mut calls: Vec<ScriptCall> = names.iter().map(|name| self.tagget(*name)).collect();
        calls.push(self.take(setting.name, &token, 'r'));
        let sent = self.now();
        let answers = self.redis_answered(sent, shards.scripts(&calls, &self.journal, budget).await?);
        let kept = |(n, name): (usize, &NameHash)| Some((*name, shards.version(&answers, n, *name)?));
        let kept: Option<Vec<_>> = names.iter().enumerate().map(kept).collect();
        let reign = shards.reign(&answers, names.len(), setting.name).unwrap_or_default();
        match (answers.values.last(), kept) {
            (Some(Value::Int(1)), Some(kept)) => Ok(stamps_of(&kept, reign)),
            (Some(Value::ServerError(error)), _) => Err(error.into()),
            _ => Err(Fault::Refused("the versions could not be read".into())),
        }
    }

    /// The id to keep it under; `None`: it is not to be kept.
    async fn fill_for_set(
        &self,
        setting: &Setting,
        token: EntryId,
        stamps: Stamps,
        shards: &Arc<Shards>,
        budget: &mut Budget,
    ) -> Option<EntryId> {
        let SetRequest {
            key, payload, policy, ..
        } = &setting.request;
        let envelope = Envelope {
            marked_stale: false,
            codec: payload.codec,
            ascii: payload.ascii,
            is_refresh: false,
            id: token,
            reign: stamps.reign,
            created: shards.server_time(setting.name, &*self.clock),
            policy: *policy,
            stamps: stamps.list,
            rules: stamps.rules,
            names: &setting.names,
            key,
            payload: &payload.bytes,
        };
        if !self.may_write(key, &envelope) {
            self.release_soon(setting.name, token);
            return Some(self.id_of_our_own());
        }
        let push = Push::key(setting.name);
        let call = ScriptCall::new(Script::Fill)
            .key(self.keys.entry(setting.name))
            .key(self.keys.lease(setting.name))
            .key(self.keys.vehicle(push, self.process))
            .arg(token)
            .arg(self.seal.close(envelope.encode()))
            .number(policy.hard_ttl().max(1))
            .arg("");
        match shards.scripts(&[call], &self.journal, budget).await {
            Ok(answers) => matches!(answers.values.first(), Some(Value::Int(1))).then_some(token),
            Err(fault) => {
                self.redis_failed(shards, &fault);
                None
            }
        }
    }

    /// No tag of the value, nor the namespace, was invalidated since `set` was called.
    fn undisturbed(&self, setting: &Setting) -> bool {
        self.standing_of_set(setting) != Standing::Removed
    }

    fn standing_of_set(&self, setting: &Setting) -> Standing {
        self.standing_of_groups(&setting.request.key, &setting.tags, setting.since)
    }

    fn keep_set(&self, setting: &Setting, since: u64, id: EntryId) {
        let standing = self.standing_of_set(setting);
        if standing == Standing::Removed {
            return;
        }
        let SetRequest {
            key, payload, policy, ..
        } = &setting.request;
        let shards = self.link.as_ref().and_then(|link| link.shards());
        let entry = Entry::new(&NewEntry {
            key,
            payload: &payload.bytes,
            codec: payload.codec,
            ascii: payload.ascii,
            life: lifetimes(self.now(), policy),
            id,
            since,
            channel: setting.channel,
            owners: self.owners(shards.as_deref(), setting.channel, setting.name, &setting.tags),
            proof: setting.began,
            marked_stale: standing == Standing::Staled,
            slots: &slots(setting.name, &setting.tags),
            names: &setting.names,
        });
        self.remember(setting.name, entry);
    }
}
