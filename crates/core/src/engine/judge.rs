//! What an entry from Redis is worth: whole, ours, of this reign, and of the current versions of what it depends on.
//!
//! An entry is condemned only by a version that was fetched now: the local table may be older than the entry, and two
//! processes would reload each other's entries without end.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use redis::Value;

use super::lookup::Pending;
use super::{slots, Engine};
use crate::clock::{Instant, MS};
use crate::envelope::{Envelope, Policy, Reign, Stamp};
use crate::epoch::{Slot, Standing};
use crate::freshness::{freshness, Freshness, Lifetimes};
use crate::key::{HashedMap, NameHash};
use crate::memory::{Entry, NewEntry};
use crate::notice::Change;
use crate::redis::fault::{fault_of, Fault};
use crate::redis::wire::Budget;
use crate::rules::{Judgement, Latest};
use crate::seal::Seal;
use crate::shards::Shards;
use crate::versions::{parse_version, Kept};

/// What the bytes in Redis are worth.
pub(super) enum Verdict {
    Usable(Entry, Freshness),
    Bad(Vec<u8>),
    Nothing,
    /// Its master, or that of something it depends on, could not be asked.
    Unreached(Fault),
}

/// What was read of an entry, taken apart once.
pub(super) enum Opened<'a> {
    Nothing,
    Unreached(Fault),
    Malformed(Vec<u8>),
    /// Not sealed with our key.
    Unsealed(Vec<u8>),
    /// Of more bytes than are read.
    TooLong(Vec<u8>, usize),
    Whole(Envelope<'a>),
}

impl<'a> Opened<'a> {
    pub(super) fn new(reply: &'a Value, seal: &Seal, most: usize) -> Self {
        let Some(stored) = bytes_of(reply) else {
            return match fault_of(reply) {
                // One that cannot be read (of another type, say) is a miss.
                None | Some(Fault::Refused(_)) => Self::Nothing,
                Some(fault) => Self::Unreached(fault),
            };
        };
        if stored.is_empty() {
            return Self::Nothing;
        }
        let id = || Envelope::id_as_it_lies(stored);
        // Of what is no envelope, as many as there are.
        let size = Envelope::size(stored).map_or(stored.len(), |envelope| seal.entry_len(envelope));
        if size > most {
            return Self::TooLong(id(), size);
        }
        match seal.open(stored).map(Envelope::decode) {
            Some(Ok(envelope)) => Self::Whole(envelope),
            Some(Err(_)) => Self::Malformed(id()),
            None => Self::Unsealed(id()),
        }
    }

    /// The number of the latest rule when its load began.
    fn rules(&self) -> Option<u64> {
        match self {
            Self::Whole(envelope) => Some(envelope.rules),
            _ => None,
        }
    }

    fn stamps(&self) -> &[Stamp] {
        match self {
            Self::Whole(envelope) => &envelope.stamps,
            _ => &[],
        }
    }
}

/// Where a version comes from.
#[derive(Clone, PartialEq)]
pub(super) enum Current {
    /// The local table.
    Known(Kept),
    /// The table differs from an entry: to be fetched.
    Doubtful,
    Fetched(Kept),
    Unreached(Fault),
}

/// `None`: Redis has no such version any more.
#[derive(Default)]
pub(super) struct Versions(HashedMap<NameHash, Option<Current>>);

impl Versions {
    fn latest_rule(&self, whole: NameHash) -> Option<Latest> {
        match self.0.get(&whole)? {
            Some(Current::Known(kept) | Current::Fetched(kept)) => Some(kept.latest_rule()),
            _ => None,
        }
    }
}

/// The point from which an entry read now is judged later.
#[derive(Clone, Copy)]
pub(super) struct Since {
    pub seq: u64,
    pub channel: u64,
    pub start: Instant,
}

impl Engine {
    /// The versions that the entries depend on: from the table, or fetched where it has none or where it
    /// would condemn an entry.
    pub(super) async fn current_versions(
        &self,
        opened: &[Opened<'_>],
        shards: &Arc<Shards>,
        budget: &mut Budget,
    ) -> Result<Versions, Fault> {
        let mut versions = Versions::default();
        let is_coherent = self.link.as_ref().is_some_and(|link| link.is_coherent(self.now()));
        let known_version = |name| is_coherent.then(|| self.versions.get(name)).flatten();
        let mut doubtful: Vec<NameHash> = Vec::new();
        for stamp in opened.iter().flat_map(Opened::stamps) {
            let known = versions
                .0
                .entry(stamp.name)
                .or_insert_with(|| known_version(stamp.name).map(Current::Known));
            if matches!(known, Some(Current::Known(kept)) if kept.version == stamp.version) {
                continue;
            }
            if *known != Some(Current::Doubtful) {
                *known = Some(Current::Doubtful);
                doubtful.push(stamp.name);
            }
        }
        let since = self.since();
        let keys = doubtful.iter().map(|name| self.keys.versions(*name));
        let answers = shards.gets(keys, &self.journal, budget).await?;
        for (n, name) in doubtful.into_iter().enumerate() {
            match answers.values.get(n).and_then(fault_of) {
                None => {}
                Some(fault) if shards.is_many() => {
                    versions.0.insert(name, Some(Current::Unreached(fault)));
                    continue;
                }
                Some(fault) => return Err(fault),
            }
            let version = shards.version(&answers, n, name);
            if let Some(version) = version {
                self.install_version(name, version, since);
            }
            versions.0.insert(name, version.map(Current::Fetched));
        }
        if let Some(latest) = versions.latest_rule(self.namespace.whole()) {
            // The oldest first: what it needs, the others have with it.
            let numbers = opened.iter().filter_map(Opened::rules);
            if let Some(oldest) = numbers.filter(|number| *number < latest.number).min() {
                self.learn_rules(oldest, latest, shards, budget).await?;
            }
        }
        Ok(versions)
    }

    fn warn_of_seal(&self) {
        if !self.has_told_seal.swap(true, SeqCst) {
            self.tell(Change::Warning(
                "an entry in Redis is not sealed with redis.integrityKey: somebody else wrote it, or a process that has \
                 another key or none. It counts as missing, now and whenever it is so"
                    .into(),
            ));
        }
    }

    /// What an entry from Redis is worth: whole, ours, of this reign, and of the current versions.
    pub(super) fn judge(
        &self,
        one: &Pending,
        opened: Opened<'_>,
        since: Since,
        (shards, reign): (&Shards, Reign),
        versions: &Versions,
    ) -> Verdict {
        let envelope = match opened {
            Opened::Nothing => return Verdict::Nothing,
            Opened::Unreached(fault) => return Verdict::Unreached(fault),
            Opened::Malformed(id) => {
                self.metrics.redis_errors.add(1);
                return Verdict::Bad(id);
            }
            Opened::Unsealed(id) => {
                self.metrics.redis_errors.add(1);
                self.warn_of_seal();
                return Verdict::Bad(id);
            }
            Opened::TooLong(id, size) => {
                if !one.inspects {
                    self.note_too_long(&one.key, size, "lies in Redis and is not read");
                }
                return Verdict::Bad(id);
            }
            Opened::Whole(envelope) => envelope,
        };
        let bad = || Verdict::Bad(envelope.id.to_vec());
        if envelope.key != &*one.key || envelope.reign != reign {
            return bad();
        }
        let mut marked_stale = envelope.marked_stale;
        let mut proof = since.start;
        for stamp in &envelope.stamps {
            let version = match versions.0.get(&stamp.name) {
                Some(Some(Current::Unreached(fault))) => return Verdict::Unreached(fault.clone()),
                Some(Some(Current::Fetched(kept))) => kept.version,
                Some(Some(Current::Known(kept))) => {
                    // What the table vouches for is proven as of the last heartbeat only.
                    proof = proof.min(self.link.as_ref().map_or(proof, |link| link.basis()));
                    kept.version
                }
                _ => return bad(),
            };
            if version.removed != stamp.version.removed || version.reign != stamp.version.reign {
                return bad();
            }
            marked_stale |= version.staled != stamp.version.staled;
        }
        match self.judge_by_rules(&envelope, versions) {
            Judgement::Removed => return bad(),
            Judgement::Staled => marked_stale = true,
            Judgement::Stands => {}
        }
        let entry = self.entry_of(one, &envelope, since, proof, marked_stale, shards);
        let fresh = freshness(&entry.head().life, one.read.ttl, marked_stale, self.now());
        Verdict::Usable(entry, fresh)
    }

    /// By the rules between the entry's number and the latest.
    fn judge_by_rules(&self, envelope: &Envelope<'_>, versions: &Versions) -> Judgement {
        let copy = &self.news.copy;
        let latest = match versions.latest_rule(self.namespace.whole()) {
            Some(latest) if latest.number <= envelope.rules => return Judgement::Stands,
            Some(latest) if copy.covers(envelope.rules, latest) => latest,
            _ => return Judgement::Removed,
        };
        let number = envelope.rules.max(self.news.judged(&envelope.id));
        if latest.number <= number {
            return Judgement::Stands;
        }
        let (judgement, youngest) = copy.book.judge(envelope.key, number);
        if judgement == Judgement::Stands {
            self.news.note_judged(envelope.id, youngest);
        }
        judgement
    }

    fn entry_of(
        &self,
        one: &Pending,
        envelope: &Envelope<'_>,
        since: Since,
        proof: Instant,
        marked_stale: bool,
        shards: &Shards,
    ) -> Entry {
        let tags: Vec<NameHash> = envelope.stamps.iter().skip(1).map(|s| s.name).collect();
        let now = self.now();
        let age = shards
            .server_time(one.name, &*self.clock)
            .saturating_sub(envelope.created);
        Entry::new(&NewEntry {
            key: &one.key,
            payload: envelope.payload,
            codec: envelope.codec,
            ascii: envelope.ascii,
            life: lifetimes(now.saturating_sub(age * MS), &envelope.policy),
            id: envelope.id,
            since: since.seq,
            channel: since.channel,
            owners: self.owners(Some(shards), since.channel, one.name, &tags),
            proof,
            marked_stale,
            slots: &slots(one.name, &tags),
            names: envelope.names,
        })
    }

    pub(super) fn install_version(&self, name: NameHash, kept: Kept, since: Since) {
        let slots = self.version_slots(name);
        self.versions.install(name, kept, || {
            self.channel() == since.channel && self.epochs.standing(slots.into_iter(), since.seq) == Standing::Stands
        });
    }

    fn version_slots(&self, name: NameHash) -> [Slot; 2] {
        if name == self.namespace.whole() {
            [Slot::namespace(), Slot::rules()]
        } else {
            [Slot::of(name); 2]
        }
    }
}

/// Reads a version out of a reply; `None` where it is none.
pub(super) fn version_of(reply: &Value, reign: Reign) -> Option<Kept> {
    parse_version(bytes_of(reply)?, reign)
}

pub(super) fn bytes_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

pub(super) fn lifetimes(created: Instant, policy: &Policy) -> Lifetimes {
    let fresh_until = created.saturating_add(policy.ttl.saturating_mul(MS));
    let after = |window: u64| fresh_until.saturating_add(window.saturating_mul(MS));
    Lifetimes {
        created,
        fresh_until,
        revalidate_until: after(policy.stale_while_revalidate),
        error_until: after(policy.stale_if_error),
    }
}
