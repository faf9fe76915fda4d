//! Answers: a hit from a tier, or the loader's turn; and what they tell of Redis's health.

use std::future::Future;
use std::sync::atomic::Ordering::Relaxed;

use super::judge::Since;
use super::lookup::{Answer, Found, Hit, Pending, Previous, Tier};
use super::Engine;
use crate::clock::Instant;
use crate::endpoint;
use crate::epoch::Standing;
use crate::freshness::Freshness;
use crate::loads::{LoadKind, Run, Stamps, Storage};
use crate::memory::Entry;
use crate::redis::fault::Fault;
use crate::shards::Shards;

impl Engine {
    pub(super) fn answer_from_memory(&self, pending: Vec<Pending>, answer: &Answer) -> Vec<Pending> {
        let now = self.now();
        let mut rest = Vec::with_capacity(pending.len());
        for one in pending {
            let forced = matches!(one.kind, Some(LoadKind::Force | LoadKind::Refresh));
            let found = (!forced)
                .then(|| self.servable(one.name, &one.key, one.read.ttl, now))
                .flatten();
            match found {
                Some((entry, fresh @ (Freshness::Fresh | Freshness::Stale))) => {
                    self.answer_hit(&one, entry, Tier::Memory, fresh, answer);
                }
                Some((entry, Freshness::StaleIfError)) => {
                    self.loads.with(one.id, |load| load.previous = Some(entry));
                    rest.push(one);
                }
                _ => rest.push(one),
            }
        }
        rest
    }

    /// Redis cannot be used: the loader runs, one per process, and memory alone keeps its value.
    pub(super) fn load_without_redis(&self, pending: Vec<Pending>, answer: &Answer) {
        for one in self.admitted(pending, answer) {
            if one.kind == Some(LoadKind::Force) && self.link.is_some() {
                // What Redis holds must not come back when it does: the replacement never reached it.
                self.note_unreached(one.name);
            } else {
                self.offer_last_resort(&one);
            }
            self.lead(&one, Storage::MemoryOnly, Stamps::default(), self.since(), answer);
        }
    }

    /// The one exception to the bound, named as such: with `staleIfError`, what memory still has is served when Redis
    /// cannot be reached and the loader fails, too.
    fn offer_last_resort(&self, one: &Pending) {
        let entry = self.memory.as_ref().and_then(|m| m.get(one.name));
        let Some(entry) = entry.filter(|entry| entry.key() == one.key.as_bytes()) else {
            return;
        };
        let life = &entry.head().life;
        let is_wanted = life.error_until > life.fresh_until && self.now() < life.error_until;
        if is_wanted && !self.is_removed(&entry, &one.key) {
            self.loads.with(one.id, |load| {
                load.previous.get_or_insert(entry);
            });
        }
    }

    /// Whether anything that it depends on was invalidated since it was taken in.
    pub(super) fn is_removed(&self, entry: &Entry, key: &str) -> bool {
        let is_younger = self.rules.latest() <= entry.head().ruled.load(Relaxed);
        self.epochs.standing(entry.slots(), entry.head().since) == Standing::Removed
            || !(is_younger || self.hold_against_rules(entry, key).is_some())
    }

    pub(super) fn since(&self) -> Since {
        Since {
            seq: self.epochs.now(),
            channel: self.channel(),
            start: self.now(),
        }
    }

    /// Answers with an entry: ends the load; a stale one begins its refresh.
    pub(super) fn answer_hit(&self, one: &Pending, entry: Entry, tier: Tier, fresh: Freshness, answer: &Answer) {
        let stale = fresh == Freshness::Stale;
        if one.kind != Some(LoadKind::Refresh) && !one.inspects {
            self.metrics.hits.add(1);
            self.metrics.stale.add(u64::from(stale));
            match tier {
                Tier::Memory => self.metrics.memory_hits.add(1),
                Tier::Redis => self.metrics.memory_misses.add(1),
            }
        }
        // Nobody is there to run the refresh of a load that was abandoned meanwhile.
        let is_awaited = !one.read.loads || self.loads.lock().end(one.id).is_some();
        let refresh = (stale && is_awaited)
            .then(|| self.begin_refresh(one.name, &one.key, &entry, one.read, self.now()))
            .flatten();
        let hit = Hit {
            entry,
            tier,
            stale,
            joined: one.waited,
            refresh,
        };
        answer(one.id, Found::Hit(hit));
    }

    /// The loader's turn: `since` is from before the versions were taken.
    pub(super) fn lead(&self, one: &Pending, storage: Storage, stamps: Stamps, since: Since, answer: &Answer) {
        if !one.read.loads {
            if !one.inspects {
                self.metrics.count_miss();
            }
            return answer(one.id, Found::Miss);
        }
        let previous = self.loads.with(one.id, |load| {
            load.storage = storage;
            load.stamps = stamps;
            load.since = since.seq;
            load.channel = since.channel;
            load.began = since.start;
            load.run = Run::Started;
            load.place.clone_from(&one.place);
            load.previous.clone()
        });
        let Some(previous) = previous else {
            // Abandoned meanwhile: nobody is there to run the loader.
            if let Storage::Lease(token) = storage {
                self.release_soon(one.name, token);
            }
            return answer(one.id, Found::Retry);
        };
        if one.kind != Some(LoadKind::Refresh) {
            self.metrics.count_miss();
        }
        self.metrics.loads_started.add(1);
        // The load counts from now on, and is joined by who comes after an invalidation that its stale value is from before.
        let previous = self.still_good(previous, &one.key);
        let is_pressed = one.place.as_ref().is_some_and(|place| place.is_pressed);
        answer(one.id, Found::Lead { previous, is_pressed });
    }

    /// The stale value beside a load, if nothing that it depends on was invalidated.
    pub(super) fn still_good(&self, previous: Option<Entry>, key: &str) -> Option<Previous> {
        let entry = previous.filter(|entry| !self.is_removed(entry, key))?;
        let on_error = self.now() < entry.head().life.error_until;
        Some(Previous { entry, on_error })
    }

    // --- Redis's health, as seen by operations ------------------------------------------------------------

    /// A question that a caller waits for: not longer than until somebody has found that Redis is silent.
    pub(super) async fn unless_silent<T>(&self, ask: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        match &self.link {
            Some(link) => link.unless_silent(ask).await.unwrap_or(Err(Fault::Silent)),
            None => ask.await,
        }
    }

    pub(super) fn redis_answered<T>(&self, sent: Instant, replies: T) -> T {
        if let Some(link) = &self.link {
            link.breaker.success();
        }
        self.metrics.redis_latency.record(self.now().saturating_sub(sent));
        replies
    }

    pub(super) fn redis_failed(&self, shards: &Shards, fault: &Fault) {
        self.metrics.redis_errors.add(1);
        // Of several the router knows which.
        let Some(session) = shards.only() else { return };
        match (fault, &self.link) {
            (Fault::Timeout, Some(link)) => link.timed_out(),
            (Fault::Silent, Some(link)) => endpoint::is_silent(link),
            (Fault::Disconnected(_) | Fault::Unfit(_), _) => session.give_up(),
            _ => {}
        }
    }
}
