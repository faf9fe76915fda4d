//! Leases: one process of the fleet loads a key at a time.
//!
//! READ takes the lease and the versions in one pipeline, so the versions are from before the loader runs.
//! A process that is denied waits: see `wait`.

use std::sync::Arc;

use redis::Value;

use super::hold::LEASE;
use super::judge::{bytes_of, Since};
use super::lookup::{Answer, Found, Pending};
use super::rules::Waits;
use super::Engine;
use crate::clock::{Instant, MS};
use crate::envelope::{EntryId, Reign, Stamp};
use crate::epoch::Standing;
use crate::key::{NameHash, Push};
use crate::loads::{LoadKind, Stamps, Storage};
use crate::redis::chunk;
use crate::redis::fault::{fault_of, Fault};
use crate::redis::script::{Script, ScriptCall};
use crate::redis::wire::Budget;
use crate::shards::{Answers, Shards};
use crate::versions::Kept;

/// Reads of one key that find an entry of no use again and again (another process keeps writing what this one
/// cannot read) end in a load of one's own.
pub(super) const ATTEMPTS: u32 = 4;

impl Engine {
    /// Takes leases for what is missing; answers each request, now or when the wait is over.
    pub(super) async fn lease(
        self: &Arc<Self>,
        pending: Vec<Pending>,
        shards: &Arc<Shards>,
        mut budget: Budget,
        answer: &Answer,
    ) {
        let (mut pending, gets): (Vec<_>, Vec<_>) = pending.into_iter().partition(|one| one.read.loads);
        for get in gets {
            self.lead(&get, Storage::Nowhere, Stamps::default(), self.since(), answer);
        }
        pending = self.admitted(pending, answer);
        for _ in 0..ATTEMPTS {
            if pending.is_empty() {
                return;
            }
            pending = self.lease_once(pending, shards, &mut budget, answer).await;
        }
        for one in pending {
            self.lead(&one, Storage::Nowhere, Stamps::default(), self.since(), answer);
        }
    }

    /// One round; returns what found an entry of no use that was not known as such before.
    async fn lease_once(
        self: &Arc<Self>,
        pending: Vec<Pending>,
        shards: &Arc<Shards>,
        budget: &mut Budget,
        answer: &Answer,
    ) -> Vec<Pending> {
        // 1. READ before the versions: an entry that it returns is judged by younger ones. Both are older than any
        //    loader that starts on the replies. They are asked for even where the table knows them: a version
        //    evicted without a push would fence the load only after its loader ran.
        let since = self.since();
        if shards.is_over() || self.owes(shards) {
            // Queued while this waited: Redis is not asked before it is applied. Looked at after `since` was taken,
            // because the queue is filled before its invalidation falls here for the second time.
            self.load_without_redis(pending, answer);
            return Vec::new();
        }
        let names = self.names_of(&pending);
        let tokens: Vec<EntryId> = pending.iter().map(|_| self.token()).collect();
        let reads = pending.iter().zip(&tokens);
        let mut calls: Vec<ScriptCall> = reads.map(|(one, token)| self.read_or_take(one, token)).collect();
        calls.extend(names.iter().map(|name| self.tagget(*name)));
        let mut answers = match self.unless_silent(shards.scripts(&calls, &self.journal, budget)).await {
            Ok(answers) => self.redis_answered(since.start, answers),
            Err(fault) => {
                self.redis_failed(shards, &fault);
                self.load_without_redis(pending, answer);
                return Vec::new();
            }
        };
        let versions: Vec<(NameHash, Option<Kept>)> = names
            .into_iter()
            .enumerate()
            .map(|(n, name)| (name, shards.version(&answers, pending.len() + n, name)))
            .collect();
        let reads = std::mem::take(&mut answers.values);
        for (name, version) in &versions {
            if let Some(version) = version {
                self.install_version(*name, *version, since);
            }
        }

        // 2. While a pattern waits, its rule must be known before anything is granted.
        let waits = self.learn_waits(&versions, shards, budget).await;

        // 3. Sort: granted, there, held.
        let mut there = (Vec::new(), Answers::default());
        let mut granted = Vec::new();
        for (n, ((one, token), reply)) in pending.into_iter().zip(tokens).zip(reads).enumerate() {
            match ReadReply::parse(reply) {
                ReadReply::Granted(kept) => {
                    let token = kept.unwrap_or(token);
                    granted.push((one.id, one.name, token));
                    let taken = Taken {
                        token,
                        reign: shards.reign(&answers, n, one.name).unwrap_or_default(),
                        versions: &versions,
                        waits,
                        since,
                    };
                    self.granted(&one, &taken, shards, answer);
                }
                ReadReply::There(entry) => {
                    let stray = answers.strays.iter().find(|(stray, _)| *stray == n);
                    let stray = stray.map(|(_, reign)| (there.0.len(), *reign));
                    there.1.strays.extend(stray);
                    there.1.values.push(entry);
                    there.0.push(one);
                }
                ReadReply::Failed => self.beside_failed(&one, since, answer),
                ReadReply::Settling(left) => self.beside_settling(&one, self.now() + left * MS, since, answer),
                ReadReply::Retried if one.waited => self.beside_failed(&one, since, answer),
                ReadReply::Retried | ReadReply::Held => self.held(one, shards, answer),
                ReadReply::Refused(fault) if shards.is_many() => self.unreached(one, &fault, shards, answer),
                ReadReply::Refused(fault) => {
                    self.redis_failed(shards, &fault);
                    self.load_without_redis(vec![one], answer);
                }
            }
        }
        self.renew_soon(granted, shards);

        // 4. What another process filled meanwhile is judged like any entry.
        let (there, entries) = self.part_long(there.0, there.1, since, shards, answer);
        match self.sort_entries(there, entries, since, shards, budget, answer).await {
            Ok(of_no_use) => of_no_use,
            Err(left) => {
                self.load_without_redis(left, answer);
                Vec::new()
            }
        }
    }

    fn granted(
        &self,
        one: &Pending,
        &Taken {
            token,
            reign,
            versions,
            waits,
            since,
        }: &Taken<'_>,
        shards: &Arc<Shards>,
        answer: &Answer,
    ) {
        let names = std::iter::once(self.namespace.whole()).chain(one.tags.iter().copied());
        let kept: Option<Vec<(NameHash, Kept)>> = names
            .map(|name| {
                let known = versions.iter().find(|(n, _)| *n == name)?;
                Some((name, known.1?))
            })
            .collect();
        if self.standing_of(one.name, &one.key, &one.tags, since.seq) == Standing::Removed {
            // Overtaken before it began: what it would load could not be kept, and others would wait for it.
            self.release_on(shards, one.name, token, Vec::new(), 0);
            self.loads.lock().end(one.id);
            return answer(one.id, Found::Retry);
        }
        if let Some(kept) = &kept {
            let by_pattern = (self.namespace.whole(), self.waits_for(&one.key, waits, shards));
            let by_name = kept.iter().map(|(name, kept)| (*name, kept.until));
            let ends = by_name.chain([by_pattern]).filter(|(_, until)| *until > 0);
            let left = |(name, until): (_, u64)| (until / 1_000).saturating_sub(shards.server_time(name, &*self.clock));
            let Some(left) = ends.map(left).max() else {
                return self.lead(one, Storage::Lease(token), stamps_of(kept, reign), since, answer);
            };
            // A tag, the namespace or a pattern settles: what is loaded now is not kept, and nobody need wait for it.
            self.release_on(shards, one.name, token, Vec::new(), 0);
            return self.beside_settling(one, self.now() + left * MS, since, answer);
        }
        // Versions could not be taken (out of memory, no permission): nothing may be stored.
        self.release_on(shards, one.name, token, Vec::new(), 0);
        self.lead(one, Storage::MemoryOnly, Stamps::default(), since, answer);
    }

    pub(super) fn beside_failed(&self, one: &Pending, since: Since, answer: &Answer) {
        if one.kind == Some(LoadKind::Refresh) {
            return self.denied(one, answer);
        }
        self.lead(one, Storage::Nowhere, Stamps::default(), since, answer);
    }

    /// The source lags until then: one load for all who ask here meanwhile, kept by nobody.
    fn beside_settling(&self, one: &Pending, until: Instant, since: Since, answer: &Answer) {
        self.loads.with(one.id, |load| load.settles = Some(until));
        self.beside_failed(one, since, answer);
    }

    pub(super) fn denied(&self, one: &Pending, answer: &Answer) {
        self.retries.denied(one.name, self.now());
        self.loads.lock().end(one.id);
        answer(one.id, Found::Denied);
    }

    fn held(self: &Arc<Self>, mut one: Pending, shards: &Arc<Shards>, answer: &Answer) {
        if one.kind == Some(LoadKind::Refresh) {
            return self.denied(&one, answer);
        }
        if one.tells_held {
            answer(one.id, Found::Held);
        }
        // Nothing is loaded here meanwhile.
        one.place = None;
        self.runtime
            .spawn(Arc::clone(self).await_holder(one, Arc::clone(shards), Arc::clone(answer)));
    }

    // --- calls --------------------------------------------------------------------------------------------

    /// The namespace and all else that the requests depend on, once each.
    fn names_of(&self, pending: &[Pending]) -> Vec<NameHash> {
        let mut names = vec![self.namespace.whole()];
        names.extend(pending.iter().flat_map(|one| one.tags.iter().copied()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Of a load that begins with it.
    pub(super) fn tagget(&self, name: NameHash) -> ScriptCall {
        self.tagget_since(name, 0)
    }

    /// Of a load that began then (µs of Redis's clock, at the earliest): whether its source settled.
    pub(super) fn tagget_since(&self, name: NameHash, began: u64) -> ScriptCall {
        let call = ScriptCall::new(Script::TagGet).key(self.keys.versions(name));
        self.with_rules(call, name).number(self.version_life()).number(began)
    }

    /// Versions of the namespace that were lost are made from the rules that are there.
    pub(super) fn with_rules(&self, call: ScriptCall, name: NameHash) -> ScriptCall {
        if name == self.namespace.whole() {
            call.key(self.keys.rules(name))
        } else {
            call
        }
    }

    fn read_or_take(&self, one: &Pending, token: &EntryId) -> ScriptCall {
        let entry = self.keys.entry(one.name);
        let lease = self.keys.lease(one.name);
        if one.kind == Some(LoadKind::Force) {
            return self.take(one.name, token, 'k');
        }
        ScriptCall::new(Script::Read)
            .key(entry)
            .key(lease)
            .key(self.keys.versions(one.name))
            .arg(*token)
            .number(self.short_lease())
            .arg(one.bad.clone())
            .arg(self.process_id())
            .number(chunk::FIRST as u64 - 1)
    }

    pub(super) fn take(&self, name: NameHash, token: &EntryId, entry: char) -> ScriptCall {
        ScriptCall::new(Script::Take)
            .key(self.keys.entry(name))
            .key(self.keys.lease(name))
            .key(self.keys.vehicle(Push::key(name), self.process))
            .key(self.keys.versions(name))
            .arg(*token)
            .number(self.short_lease())
            .arg(entry.to_string())
    }

    /// Life of a lease until its holder has seen the grant: an attempt that ran late leaves no long orphan.
    fn short_lease(&self) -> u64 {
        let timeout = self.link.as_ref().map(|l| l.config.command_timeout);
        (timeout.unwrap_or_default().as_millis() as u64 * 2).clamp(100, LEASE)
    }

    pub(super) fn process_id(&self) -> Vec<u8> {
        format!("{:016x}", self.process).into_bytes()
    }
}

/// A lease, with what was taken beside it.
struct Taken<'a> {
    token: EntryId,
    reign: Reign,
    versions: &'a [(NameHash, Option<Kept>)],
    waits: Waits,
    since: Since,
}

/// What a fill will say it depends on: the namespace comes first, and has the rules.
pub(super) fn stamps_of(kept: &[(NameHash, Kept)], reign: Reign) -> Stamps {
    let stamp = |(name, kept): &(NameHash, Kept)| Stamp {
        name: *name,
        version: kept.version,
    };
    Stamps {
        list: kept.iter().map(stamp).collect(),
        rules: kept.first().map_or(0, |(_, whole)| whole.rules),
        reign,
    }
}

/// `F` and a process: its load failed a moment ago.
pub(super) fn is_failure(lease: &[u8]) -> bool {
    lease.len() != 16 && lease.first() == Some(&b'F')
}

/// A token under which a process whose load failed tries again. Who has already waited for it does not wait once
/// more: a loader that fails would have everybody queue behind it.
pub(super) fn is_retry(lease: &[u8]) -> bool {
    lease.len() == 16 && lease[15] == b'R'
}

enum ReadReply {
    /// With the token as Redis keeps it; `None`: as it was sent.
    Granted(Option<EntryId>),
    There(Value),
    /// A load failed lately.
    Failed,
    /// Loads are not to be kept for so many ms.
    Settling(u64),
    Retried,
    Held,
    Refused(Fault),
}

impl ReadReply {
    fn parse(reply: Value) -> Self {
        if let Some(fault) = fault_of(&reply) {
            return Self::Refused(fault);
        }
        // TAKE answers 1: it always has the lease.
        let Value::Array(mut parts) = reply else {
            return Self::Granted(None);
        };
        match parts.first() {
            Some(Value::Int(1)) if parts.len() == 2 => Self::There(parts.remove(1)),
            Some(Value::Int(4)) => Self::Settling(match parts.get(2) {
                Some(Value::Int(left)) => (*left).max(0) as u64,
                _ => 0,
            }),
            Some(Value::Int(2)) => Self::Granted(parts.get(1).and_then(bytes_of).and_then(|t| t.try_into().ok())),
            _ => match parts.get(1).and_then(bytes_of) {
                Some(lease) if is_failure(lease) => Self::Failed,
                Some(lease) if is_retry(lease) => Self::Retried,
                _ => Self::Held,
            },
        }
    }
}
