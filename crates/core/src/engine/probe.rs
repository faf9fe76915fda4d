//! The synchronous half of a read: memory, then the table of loads. No lock is held while an entry is read,
//! no runtime is touched; this is the path of a memory hit.

use std::sync::atomic::Ordering::Relaxed;

use super::Engine;
use crate::clock::{Instant, MS};
use crate::epoch::Standing;
use crate::freshness::{freshness, Freshness};
use crate::hot::Hot;
use crate::key::NameHash;
use crate::loads::{Load, LoadId, LoadKind, NewLoad, Older, OwnerId, Run};
use crate::memory::Entry;
use crate::path;
use crate::rules::Judgement;

/// A context gives a sign of life every second while it loads.
const SIGN_OF_LIFE: u64 = 5_000 * MS;

/// What the caller asks for.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// The reader's own ttl (ns): shortens freshness only.
    pub ttl: Option<u64>,
    pub refresh: Refreshing,
    /// Whether a miss begins a load (`getOrSet`) or not (`get`).
    pub loads: bool,
    pub owner: OwnerId,
}

/// API: `refresh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshing {
    Auto,
    Force,
    Never,
    /// `ttl` 0: neither read nor stored; only joined.
    Bypass,
}

#[derive(Debug)]
pub enum Probe {
    Fresh(Entry),
    /// Served now; the load, if any, is the caller's to run in the background.
    Stale(Entry, Option<LoadId>),
    /// Somebody in this process is loading it: join.
    Join(LoadId),
    /// A load of the caller's own has begun: look up, then perhaps load.
    Lead(LoadId),
    /// `get` only: not in memory.
    Miss,
}

impl Engine {
    /// Looks into memory; on a miss joins or begins a load.
    pub fn probe(&self, key: &str, read: Read, now: Instant, hot: &mut Hot) -> Probe {
        let name = self.namespace.key(key);
        if let Some(link) = &self.link {
            link.note_activity(now);
        }
        let mut previous = None;
        if !matches!(read.refresh, Refreshing::Force | Refreshing::Bypass) {
            let memory = self.memory.as_ref();
            let entry = memory.and_then(|memory| hot.get(memory, name));
            let found = entry.and_then(|entry| self.worth(entry, key, read.ttl, now));
            if let Some((entry, fresh)) = found {
                match fresh {
                    Freshness::Fresh => {
                        if self.count_memory_hit(now) {
                            self.spot_check(name, &entry, now);
                        }
                        return Probe::Fresh(entry);
                    }
                    Freshness::Stale => {
                        self.count_memory_hit(now);
                        self.metrics.stale.add(1);
                        let load = self.begin_refresh(name, key, &entry, read, now);
                        return Probe::Stale(entry, load);
                    }
                    Freshness::StaleIfError => previous = Some(entry),
                    Freshness::Expired => {}
                }
            }
        }
        if !read.loads {
            return self.join_or_miss(name, key, read.owner, now);
        }
        self.join_or_lead(name, key, read, previous, now)
    }

    /// What memory would serve of a key now, and whether it is stale. Nothing is counted, begun or joined.
    pub fn glimpse(&self, key: &str) -> Option<(Entry, bool)> {
        let now = self.now();
        if let Some(link) = &self.link {
            link.note_activity(now);
        }
        match self.servable(self.namespace.key(key), key, None, now)? {
            (entry, Freshness::Fresh) => Some((entry, false)),
            (entry, Freshness::Stale) => Some((entry, true)),
            _ => None,
        }
    }

    /// The load of a key that runs here, or whose value is on its way to the tiers.
    pub fn running_load(&self, key: &str) -> Option<LoadId> {
        self.loads.lock().latest(self.namespace.key(key)).map(|load| load.id)
    }

    /// The memory entry, if nothing that it depends on was invalidated and that is proven.
    pub(super) fn servable(
        &self,
        name: NameHash,
        key: &str,
        ttl: Option<u64>,
        now: Instant,
    ) -> Option<(Entry, Freshness)> {
        self.worth(self.memory.as_ref()?.get(name)?, key, ttl, now)
    }

    fn worth(&self, entry: Entry, key: &str, ttl: Option<u64>, now: Instant) -> Option<(Entry, Freshness)> {
        let head = entry.head();
        if entry.key() != key.as_bytes() {
            return None;
        }
        if let Some(link) = &self.link {
            if !link.proves(head.channel, head.owners, head.proof, now) {
                return None;
            }
        }
        let mut staled = match self.epochs.standing(entry.slots(), head.since) {
            Standing::Stands => head.marked_stale,
            Standing::Staled => true,
            Standing::Removed => return None,
        };
        if self.rules.latest() > head.ruled.load(Relaxed) {
            staled |= self.hold_against_rules(&entry, key)?;
        }
        let fresh = freshness(&head.life, ttl, staled, now);
        Some((entry, fresh))
    }

    /// Holds an entry against the rules that are younger than the last look at it. `None`: it falls; `true`: it is stale.
    #[cold]
    pub(super) fn hold_against_rules(&self, entry: &Entry, key: &str) -> Option<bool> {
        let head = entry.head();
        let staled = head.staled.load(Relaxed);
        let (judgement, youngest) = self.rules.judge(key, head.ruled.load(Relaxed).max(staled));
        let is_stale = staled > 0 || judgement == Judgement::Staled;
        match judgement {
            Judgement::Removed => return None,
            _ if is_stale => head.staled.fetch_max(youngest, Relaxed),
            _ => head.ruled.fetch_max(youngest, Relaxed),
        };
        Some(is_stale)
    }

    /// `true` for every 64th: two looks at the clock would be a fifth of the whole hit.
    fn count_memory_hit(&self, began: Instant) -> bool {
        let is_sampled = self.metrics.probe_hits.next().is_multiple_of(64);
        if is_sampled {
            let taken = self.now().saturating_sub(began);
            self.metrics.memory_latency.record(taken);
        }
        is_sampled
    }

    /// `get` takes the value of a load that is done but not stored yet; it waits for none.
    fn join_or_miss(&self, name: NameHash, key: &str, owner: OwnerId, now: Instant) -> Probe {
        match self.loads.lock().latest(name) {
            Some(load) if &*load.key == key && self.may_join(load, owner, now) => Probe::Join(load.id),
            _ => Probe::Miss,
        }
    }

    fn join_or_lead(&self, name: NameHash, key: &str, read: Read, previous: Option<Entry>, now: Instant) -> Probe {
        let mut loads = self.loads.lock();
        let mut after = None;
        if let Some(load) = loads.latest(name) {
            if &*load.key == key && read.refresh != Refreshing::Force {
                if self.may_join(load, read.owner, now) {
                    return Probe::Join(load.id);
                }
                // Not to be joined, but perhaps only because its tags are not all known yet: its entry may
                // turn out to be good, and two loads of one key are one too many. No queue behind a second one,
                // though: a loader that fails would have everybody wait for everybody.
                let may_be_good = self.standing(load) != Standing::Removed;
                if may_be_good && load.after.is_none() && is_alive(load, read.owner, now) {
                    after = Some(Older {
                        id: load.id,
                        done: load.done(),
                    });
                }
            }
        }
        let force = read.refresh == Refreshing::Force;
        if force {
            // Older loads of the key must not be stored over what this one brings.
            for load in loads.iter_mut().filter(|load| load.name == name) {
                load.fenced = true;
            }
        }
        Probe::Lead(loads.begin(NewLoad {
            name,
            tags: path::implicit(&self.namespace, key),
            key: key.into(),
            kind: if force { LoadKind::Force } else { LoadKind::Read },
            owner: read.owner,
            since: self.epochs.now(),
            channel: self.channel(),
            began: now,
            run: Run::Asked,
            bad: previous.as_ref().map(|entry| entry.head().id.to_vec()),
            previous,
            after,
        }))
    }

    /// A load is joined only while it stands, and its loader may still name tags: while no group fell since.
    fn may_join(&self, load: &Load, owner: OwnerId, now: Instant) -> bool {
        if load.fenced || !is_alive(load, owner, now) {
            return false;
        }
        if load.is_queued {
            // Nothing of it is from before now. One key must not fill the queue, with a load for each invalidation of whatever group.
            return true;
        }
        if self.epochs.any_group_since(load.since) || self.standing(load) != Standing::Stands {
            return false;
        }
        if self.settles_until(load).is_some_and(|until| until <= now) || self.settling.any_ended(load.began, now) {
            // What it read may be from before its source had settled.
            return false;
        }
        self.link
            .as_ref()
            .is_none_or(|link| link.proves(load.channel, 0, load.began, now))
    }

    /// Until when the source of a load settles, if it began in that time.
    pub(super) fn settles_until(&self, load: &Load) -> Option<Instant> {
        let names = [self.namespace.whole(), load.name].into_iter();
        let here = self
            .settling
            .until(&load.key, names.chain(load.tags.iter().copied()), load.began);
        here.max(load.settles)
    }

    pub(super) fn channel(&self) -> u64 {
        self.link.as_ref().map_or(0, |link| link.channel())
    }

    /// Begins the refresh of a stale entry, unless one is under way here or failed a moment ago.
    pub(super) fn begin_refresh(
        &self,
        name: NameHash,
        key: &str,
        entry: &Entry,
        read: Read,
        now: Instant,
    ) -> Option<LoadId> {
        if read.refresh == Refreshing::Never || !read.loads || !self.retries.may(name, now) {
            return None;
        }
        let mut loads = self.loads.lock();
        if loads
            .latest(name)
            .is_some_and(|load| load.is_queued || self.standing(load) == Standing::Stands)
        {
            return None;
        }
        Some(loads.begin(NewLoad {
            name,
            tags: path::implicit(&self.namespace, key),
            key: key.into(),
            kind: LoadKind::Refresh,
            owner: read.owner,
            since: self.epochs.now(),
            channel: self.channel(),
            began: now,
            run: Run::Asked,
            bad: Some(entry.head().id.to_vec()),
            previous: Some(entry.clone()),
            after: None,
        }))
    }
}

/// Whether the context that runs a load still turns: another one must not wait for a thread that is stuck. The one that
/// asks does.
fn is_alive(load: &Load, owner: OwnerId, now: Instant) -> bool {
    load.owner == owner || now.saturating_sub(load.alive) <= SIGN_OF_LIFE
}
