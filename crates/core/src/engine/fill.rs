//! The value of a load: to Redis under its lease, then to memory.
//!
//! A load that an invalidation overtook is fenced: not stored anywhere. The envelope carries the versions from
//! before the loader ran, so one that slips in between the checks is invalid where it is read.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use redis::Value;

use super::judge::lifetimes;
use super::{slots, Engine};
use crate::clock::{Instant, MS};
use crate::envelope::{pack_names, EntryId, Envelope, Payload, Policy, Stamp};
use crate::epoch::Standing;
use crate::key::{NameHash, Push};
use crate::link::ALONE;
use crate::loads::{LoadId, LoadKind, Replaces, Run, Stamps, Storage};
use crate::memory::{Entry, NewEntry};
use crate::redis::fault::{fault_of, Fault};
use crate::redis::script::{Script, ScriptCall};
use crate::redis::wire::Budget;
use crate::shards::Shards;
use crate::versions::Kept;

#[derive(Clone, Debug)]
pub struct FillRequest {
    pub id: LoadId,
    pub payload: Payload,
    pub policy: Policy,
    /// Declared tags and those the loader named.
    pub tags: Vec<Box<str>>,
}

/// How long a value that cannot be shared leaves the mark `F`, ms: who waits for it loads for himself.
const UNSHARED: u64 = 200;

/// What came of a fill.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    Yes,
    /// An invalidation overtook it.
    Refused,
    /// No answer.
    Unknown,
    /// Longer than entries in Redis may be.
    TooLong,
}

/// A load's value on its way.
struct Filling {
    id: LoadId,
    name: NameHash,
    key: Box<str>,
    kind: LoadKind,
    tags: Vec<NameHash>,
    /// The tags' names, packed.
    names: Box<[u8]>,
    /// Tags that the loader named: their versions are not from before it ran.
    late_tags: Vec<NameHash>,
    stamps: Stamps,
    /// Its source settles: returned, not kept.
    settles: bool,
    since: u64,
    channel: u64,
    began: Instant,
    payload: Payload,
    policy: Policy,
    fenced: bool,
    is_refresh: bool,
}

impl Engine {
    /// Keeps a value as far as that needs no Redis. Gives the request back when it does.
    pub fn fill_here(&self, request: FillRequest) -> Option<FillRequest> {
        let ended = self.loads.with(request.id, |load| {
            let now = self.now();
            self.metrics.load_latency.record(now.saturating_sub(load.began));
            if let (LoadKind::Force, Some(memory)) = (load.kind, &self.memory) {
                // From here on its own value is the answer, also while it is on its way.
                memory.remove(load.name);
            }
            load.run = Run::Ended;
            (load.storage, load.place.take())
        });
        let (storage, place) = ended?;
        // It is the loader's: a slow Redis, which the value goes to now, is no reason to keep others from loading.
        drop(place);
        self.metrics.loads_succeeded.add(1);
        if let Storage::Lease(_) = storage {
            return Some(request);
        }
        if let Some(mut filling) = self.take_filling(request) {
            if self.stands(&filling) {
                if storage == Storage::MemoryOnly {
                    // Redis did not tell whether its source settles: no heartbeat can vouch for it.
                    filling.channel |= ALONE;
                    self.keep_filled(&filling, Stored::Unknown, self.id_of_our_own());
                }
            } else {
                self.metrics.loads_fenced.add(1);
            }
            self.finish(&filling);
        }
        None
    }

    /// Keeps a value under its lease. Resolves when Redis has answered; the load ends then.
    pub async fn fill(self: Arc<Self>, request: FillRequest) {
        let id = request.id;
        let token = self.loads.with(id, |load| load.token()).flatten();
        let Some(filling) = self.take_filling(request) else {
            return;
        };
        match (token, self.trusted_shards()) {
            (Some(token), Some(shards)) => {
                let stored = self.fill_under(&filling, token, &shards).await;
                self.keep_filled(&filling, stored, token);
            }
            (Some(token), None) => {
                self.release_soon(filling.name, token);
                self.keep_filled(&filling, Stored::Refused, token);
            }
            (None, _) => {}
        }
        self.finish(&filling);
    }

    /// Memory after Redis. Without an answer the value is as good as one loaded without Redis.
    fn keep_filled(&self, filling: &Filling, stored: Stored, token: EntryId) {
        let is_force = filling.kind == LoadKind::Force && self.link.is_some();
        if is_force && stored != Stored::Yes {
            // What it was to replace may still lie in Redis, and must not be served any more.
            self.note_unreached(filling.name);
        }
        if stored == Stored::Refused || !self.stands(filling) {
            if is_force {
                self.bump(Push::key(filling.name));
            }
            return;
        }
        let (mut since, mut standing) = (filling.since, Standing::Stands);
        if filling.kind == LoadKind::Force {
            // What was read of the old entry meanwhile must not come after this.
            self.bump(Push::key(filling.name));
            since = self.epochs.now();
            // What was invalidated while it was loaded does not stand again by that.
            standing = self.standing_of_groups(&filling.key, &filling.tags, filling.since);
        }
        if standing == Standing::Removed {
            return;
        }
        let id = if stored == Stored::Yes {
            token
        } else {
            self.id_of_our_own()
        };
        self.keep_in_memory(filling, id, since, standing == Standing::Staled);
    }

    async fn fill_under(&self, filling: &Filling, token: EntryId, shards: &Arc<Shards>) -> Stored {
        if !self.stands(filling) || filling.stamps.list.is_empty() {
            self.metrics.loads_fenced.add(1);
            self.release_soon(filling.name, token);
            return Stored::Refused;
        }
        let Some(link) = &self.link else { return Stored::Unknown };
        let mut budget = Budget::new(link.config.command_timeout * 2);
        self.longest_hard_ttl.fetch_max(filling.policy.hard_ttl(), SeqCst);

        // 1. Late tags get their versions, and then no push for them may have come since the load began.
        let mut stamps = filling.stamps.list.clone();
        if !filling.late_tags.is_empty() {
            let Some(late) = self.stamp_late_tags(filling, shards, &mut budget).await else {
                self.release_soon(filling.name, token);
                return Stored::Refused;
            };
            stamps.extend(late);
        }

        // 2. An invalidation that was queued meanwhile comes first: what is filled now would precede it.
        if self.owes(shards) {
            self.release_soon(filling.name, token);
            return Stored::Refused;
        }

        // 3. Versions are touched with every fill (unused ones would be evicted first), then the fill itself.
        let mut calls: Vec<ScriptCall> = stamps.iter().map(|s| self.tagget(s.name)).collect();
        let (fill, is_kept) = self.fill_call(filling, token, &stamps, shards);
        calls.push(fill);
        let sent = self.now();
        let answers = match shards.scripts(&calls, &self.journal, &mut budget).await {
            Ok(answers) => self.redis_answered(sent, answers),
            Err(fault) => {
                self.redis_failed(shards, &fault);
                self.release_soon(filling.name, token);
                return Stored::Unknown;
            }
        };
        let unchanged = stamps.iter().enumerate().all(|(n, stamp)| {
            shards.version(&answers, n, stamp.name).is_some_and(|now| {
                now.version.removed == stamp.version.removed && now.version.reign == stamp.version.reign
            })
        });
        match answers.values.last() {
            Some(Value::Int(1)) if unchanged => is_kept,
            Some(reply)
                if matches!(
                    fault_of(reply),
                    Some(Fault::Timeout | Fault::Disconnected(_) | Fault::Unsettled(_))
                ) =>
            {
                self.metrics.redis_errors.add(1);
                self.release_soon(filling.name, token);
                Stored::Unknown
            }
            Some(Value::ServerError(error)) => {
                self.redis_failed(shards, &error.into());
                self.release_soon(filling.name, token);
                Stored::Refused
            }
            _ => {
                self.metrics.loads_fenced.add(1);
                Stored::Refused
            }
        }
    }

    /// Versions of tags that the loader named. The heartbeat connection is asked after they were read, so every
    /// push from before has arrived; if one of these tags fell since the load began, the value is not stored.
    async fn stamp_late_tags(
        &self,
        filling: &Filling,
        shards: &Arc<Shards>,
        budget: &mut Budget,
    ) -> Option<Vec<Stamp>> {
        // Redis's clock is known to a round trip.
        let round_trip = self.link().and_then(|link| link.latency()).unwrap_or_default();
        let age = (self.now().saturating_sub(filling.began) + round_trip) / MS + 1;
        let names = filling.late_tags.iter();
        let began = |name| shards.server_time(name, &*self.clock).saturating_sub(age) * 1_000;
        let calls: Vec<_> = names.map(|name| self.tagget_since(*name, began(*name))).collect();
        let answers = shards.scripts(&calls, &self.journal, budget).await.ok()?;
        let version = |(n, name): (usize, &NameHash)| shards.version(&answers, n, *name);
        let versions: Option<Vec<Kept>> = filling.late_tags.iter().enumerate().map(version).collect();
        // Of a tag that is just moving, the push may come from where it moves to.
        if !answers.strays.is_empty() || !shards.barrier(&filling.late_tags, budget).await {
            return None;
        }
        let versions = versions?;
        let settles = versions.iter().any(|kept| kept.until > 0);
        if settles || filling.channel != self.channel() || !self.stands(filling) {
            self.metrics.loads_fenced.add(1);
            return None;
        }
        let stamp = |(name, kept): (&NameHash, Kept)| Stamp {
            name: *name,
            version: kept.version,
        };
        Some(filling.late_tags.iter().zip(versions).map(stamp).collect())
    }

    /// FILL, or what takes its place: of what is too long the lease is given back, marked so that nobody waits for another.
    fn fill_call(&self, filling: &Filling, token: EntryId, stamps: &[Stamp], shards: &Shards) -> (ScriptCall, Stored) {
        let envelope = Envelope {
            marked_stale: false,
            codec: filling.payload.codec,
            ascii: filling.payload.ascii,
            is_refresh: filling.is_refresh,
            id: token,
            reign: filling.stamps.reign,
            created: shards.server_time(filling.name, &*self.clock),
            policy: filling.policy,
            stamps: stamps.to_vec(),
            rules: filling.stamps.rules,
            names: &filling.names,
            key: &filling.key,
            payload: &filling.payload.bytes,
        };
        if !self.may_write(&filling.key, &envelope) {
            return (
                self.release_call(filling.name, token, self.failure_mark(), UNSHARED),
                Stored::TooLong,
            );
        }
        let push = Push::key(filling.name);
        let replaces = filling.kind == LoadKind::Force;
        let call = ScriptCall::new(Script::Fill)
            .key(self.keys.entry(filling.name))
            .key(self.keys.lease(filling.name))
            .key(self.keys.vehicle(push, self.process))
            .arg(token)
            .arg(self.seal.close(envelope.encode()))
            .number(filling.policy.hard_ttl().max(1))
            .arg(if replaces { "p" } else { "" });
        (call, Stored::Yes)
    }

    /// What the load says, with the request; the load stays until it is finished, so readers can join it.
    fn take_filling(&self, request: FillRequest) -> Option<Filling> {
        self.loads.with(request.id, |load| {
            let tags = self.dependencies(&load.key, &request.tags);
            let late_tags = tags.iter().filter(|tag| !load.tags.contains(tag)).copied().collect();
            load.tags.clone_from(&tags);
            let settles = self.settles_until(load).is_some();
            Filling {
                id: load.id,
                name: load.name,
                key: load.key.clone(),
                kind: load.kind,
                tags,
                names: pack_names(request.tags.iter().map(|tag| &**tag)),
                late_tags,
                stamps: std::mem::take(&mut load.stamps),
                settles,
                since: load.since,
                channel: load.channel,
                began: load.began,
                payload: request.payload,
                policy: request.policy,
                fenced: load.fenced,
                is_refresh: load.replaces == Replaces::TooOld,
            }
        })
    }

    fn stands(&self, filling: &Filling) -> bool {
        if filling.fenced || self.loads.with(filling.id, |load| load.fenced).unwrap_or(true) {
            return false;
        }
        if filling.settles {
            return false;
        }
        self.standing_of(filling.name, &filling.key, &filling.tags, filling.since) != Standing::Removed
    }

    fn keep_in_memory(&self, filling: &Filling, id: EntryId, since: u64, marked_stale: bool) {
        let shards = self.link.as_ref().and_then(|link| link.shards());
        let entry = Entry::new(&NewEntry {
            key: &filling.key,
            payload: &filling.payload.bytes,
            codec: filling.payload.codec,
            ascii: filling.payload.ascii,
            life: lifetimes(self.now(), &filling.policy),
            id,
            since,
            channel: filling.channel,
            owners: self.owners(shards.as_deref(), filling.channel, filling.name, &filling.tags),
            proof: filling.began,
            marked_stale,
            slots: &slots(filling.name, &filling.tags),
            names: &filling.names,
        });
        self.remember(filling.name, entry);
    }

    fn finish(&self, filling: &Filling) {
        if filling.kind != LoadKind::Read {
            self.metrics.loads_refreshed.add(1);
        }
        self.retries.succeeded(filling.name);
        self.loads.lock().end(filling.id);
    }
}
