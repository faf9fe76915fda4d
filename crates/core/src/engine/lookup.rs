//! The asynchronous half of a read: what memory could not answer, in batches.
//!
//! All that was asked in one tick goes to Redis as one pipeline of plain GETs (a script costs four times as
//! much); versions that the table cannot vouch for follow in a second one. What is left goes to `lease`.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;
use std::time::Duration;

use super::judge::{Opened, Since, Verdict};
use super::{Engine, Read, Refreshing};
use crate::clock::Instant;
use crate::endpoint;
use crate::epoch::Standing;
use crate::freshness::Freshness;
use crate::key::NameHash;
use crate::loads::{LoadId, LoadKind, OwnerId, Run, Stamps, Storage};
use crate::memory::Entry;
use crate::redis::fault::{fault_of, Fault};
use crate::redis::wire::Budget;
use crate::shards::{Answers, Shards};

/// How often a read begins anew because the cluster was changing, and how long it waits for that each time.
const MOVES: u32 = 4;
const SETTLING: Duration = Duration::from_millis(40);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    Memory,
    Redis,
}

/// A stale value that exists beside a load.
#[derive(Clone, Debug)]
pub struct Previous {
    pub entry: Entry,
    /// Whether it may be served if the loader fails (`staleIfError`).
    pub on_error: bool,
}

#[derive(Clone, Debug)]
pub struct Hit {
    pub entry: Entry,
    pub tier: Tier,
    pub stale: bool,
    /// It was loaded by another process while this caller waited.
    pub joined: bool,
    /// The refresh that is now the caller's to run in the background.
    pub refresh: Option<LoadId>,
}

#[derive(Clone, Debug)]
pub enum Found {
    Hit(Hit),
    /// Run the loader; the load is yours.
    Lead(Option<Previous>),
    /// Another process is loading it, and this waits for that; the answer follows.
    Held,
    /// Another process refreshes it.
    Denied,
    /// Look again: what this waited for has ended.
    Retry,
    /// `get`: there is nothing.
    Miss,
}

/// What one load (or one `get`) wants to know.
#[derive(Clone, Debug)]
pub struct Request {
    /// The load, or for `get` any number of the caller's.
    pub id: LoadId,
    /// `get`: the key; a load has its own.
    pub get: Option<Box<str>>,
    /// `inspect`: a `get` that leaves no trace, neither in counters nor in memory.
    pub inspects: bool,
    /// Declared tags.
    pub tags: Vec<Box<str>>,
    pub ttl: Option<u64>,
    pub refresh: Refreshing,
    /// Whether to say so when it waits for another process.
    pub tells_held: bool,
    /// How long to wait for another process's load.
    pub wait: Duration,
    pub owner: OwnerId,
}

pub type Answer = Arc<dyn Fn(LoadId, Found) + Send + Sync>;

/// A request on its way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub id: LoadId,
    pub name: NameHash,
    pub key: Box<str>,
    pub kind: Option<LoadKind>,
    pub tags: Vec<NameHash>,
    pub bad: Vec<u8>,
    pub inspects: bool,
    pub tells_held: bool,
    pub read: Read,
    pub wait_until: tokio::time::Instant,
    pub waited: bool,
    /// How often the cluster was found changed on the way.
    pub moves: u32,
}

impl Engine {
    /// Answers every request, each exactly once, in any order.
    pub async fn lookup(self: Arc<Self>, requests: Vec<Request>, answer: Answer) {
        let mut pending = Vec::with_capacity(requests.len());
        for request in requests {
            match self.admit(&request) {
                None => answer(request.id, Found::Retry),
                Some((one, Some(older))) => self.wait_for_older(one, older, &answer),
                Some((one, None)) => pending.push(one),
            }
        }
        self.read_tiers(pending, &answer).await;
    }

    /// Takes a request in; with it the older load it must wait for.
    fn admit(&self, request: &Request) -> Option<(Pending, Option<tokio::sync::watch::Receiver<bool>>)> {
        let mut one = Pending {
            id: request.id,
            name: NameHash(0),
            key: Box::default(),
            kind: None,
            tags: Vec::new(),
            bad: Vec::new(),
            inspects: request.inspects,
            tells_held: request.tells_held,
            read: Read {
                ttl: request.ttl,
                refresh: request.refresh,
                loads: request.get.is_none(),
                owner: request.owner,
            },
            wait_until: tokio::time::Instant::now() + request.wait,
            waited: false,
            moves: 0,
        };
        if let Some(key) = &request.get {
            one.name = self.namespace.key(key);
            one.key = key.clone();
            return Some((one, None));
        }
        let after = self.loads.with(request.id, |load| {
            one.tags = self.dependencies(&load.key, &request.tags);
            load.tags.clone_from(&one.tags);
            one.name = load.name;
            one.key = load.key.clone();
            one.kind = Some(load.kind);
            one.bad = load.bad.clone().unwrap_or_default();
            load.after.take()
        })?;
        Some((one, after))
    }

    fn wait_for_older(&self, one: Pending, mut older: tokio::sync::watch::Receiver<bool>, answer: &Answer) {
        if one.tells_held {
            answer(one.id, Found::Held);
        }
        let (engine, answer) = (self.me(), Arc::clone(answer));
        self.runtime.spawn(async move {
            let done = older.wait_for(|done| *done);
            let _ = tokio::time::timeout_at(one.wait_until, done).await;
            engine.read_tiers(vec![one], &answer).await;
        });
    }

    /// Memory once more (a heartbeat may prove it), then Redis, then the lease.
    pub(super) async fn read_tiers(self: &Arc<Self>, pending: Vec<Pending>, answer: &Answer) {
        if pending.is_empty() {
            return;
        }
        let Some(link) = self.link() else {
            let rest = self.answer_from_memory(pending, answer);
            return self.load_without_redis(rest, answer);
        };
        let mut budget = Budget::new(link.config.command_timeout);

        // 1. A session that may be trusted; at boot the first attempt to connect is waited for.
        link.unless_silent(link.first_session(budget.until())).await;
        if link.is_connecting() {
            // Who comes later does not wait for it again.
            if link.cluster.is_some() {
                link.wait_no_longer();
            } else {
                endpoint::is_silent(link);
            }
        }
        let Some(mut shards) = self.trusted_shards() else {
            let rest = self.answer_from_memory(pending, answer);
            return self.load_without_redis(rest, answer);
        };

        // 2. After a pause nobody vouches for memory and table: one heartbeat does, in one round trip.
        //    (Of a cluster with a master that is down there is none to wait for.)
        let is_hopeless = shards.is_many() && link.is_known_down();
        if shards.has_pushes() && !is_hopeless && !link.is_coherent(self.now()) {
            // Where one of several may be what is waited for, time is left to ask the others.
            let half = tokio::time::Instant::now() + link.config.command_timeout / 2;
            let until = if shards.is_many() { half } else { budget.until() };
            if link.prove(|| self.now(), until).await {
                budget.progress();
            }
            if shards.is_many() {
                // It may have found another master in the place of one.
                shards = self.trusted_shards().unwrap_or(shards);
            }
        }
        let rest = self.answer_from_memory(pending, answer);
        if rest.is_empty() {
            return;
        }
        if budget.is_over() && !shards.is_many() {
            // The heartbeat took all of it; whether Redis is silent, it tells itself.
            link.timed_out();
        }
        if budget.is_over() || link.breaker.is_open() {
            return self.load_without_redis(rest, answer);
        }
        if !shards.is_many() {
            return self.read_from(&shards, rest, budget, answer).await;
        }
        // Each master's apart: who asks one that is slow does not keep the others waiting.
        let parts = shards.parts(rest, |one| one.name).into_iter();
        futures_util::future::join_all(parts.map(|part| self.read_from(&shards, part, budget, answer))).await;
    }

    async fn read_from(
        self: &Arc<Self>,
        shards: &Arc<Shards>,
        rest: Vec<Pending>,
        mut budget: Budget,
        answer: &Answer,
    ) {
        // 3. Plain GETs; a forced load does not look.
        let (mut misses, look): (Vec<_>, Vec<_>) = rest.into_iter().partition(|one| one.kind == Some(LoadKind::Force));
        match self.read_entries(look, shards, &mut budget, answer).await {
            Ok(missing) => misses.extend(missing),
            Err(left) => {
                let left = self.answer_from_memory(left, answer);
                self.load_without_redis(left, answer);
            }
        }

        // 4. Misses: take the lease or wait for who holds it.
        self.lease(misses, shards, budget, answer).await;
    }

    fn answer_from_memory(&self, pending: Vec<Pending>, answer: &Answer) -> Vec<Pending> {
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
        for one in pending {
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
    fn is_removed(&self, entry: &Entry, key: &str) -> bool {
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

    /// GET each entry; answers the hits, returns the misses (or all that is left when Redis fails).
    async fn read_entries(
        self: &Arc<Self>,
        pending: Vec<Pending>,
        shards: &Arc<Shards>,
        budget: &mut Budget,
        answer: &Answer,
    ) -> Result<Vec<Pending>, Vec<Pending>> {
        if pending.is_empty() {
            return Ok(pending);
        }
        let since = self.since();
        // Looked at after `since` was taken: what is read now must be of a session and a queue that still hold then.
        if shards.is_over() || self.owes(shards) {
            return Err(pending);
        }
        let keys = pending.iter().map(|one| self.keys.entry(one.name));
        let answers = match self.unless_silent(shards.gets(keys, &self.journal, budget)).await {
            Ok(answers) => self.redis_answered(since.start, answers),
            Err(fault) => {
                self.redis_failed(shards, &fault);
                return Err(pending);
            }
        };
        self.sort_entries(pending, answers, since, shards, budget, answer).await
    }

    /// Judges the replies to GET or READ: answers the hits, returns the misses.
    pub(super) async fn sort_entries(
        self: &Arc<Self>,
        pending: Vec<Pending>,
        answers: Answers,
        since: Since,
        shards: &Arc<Shards>,
        budget: &mut Budget,
        answer: &Answer,
    ) -> Result<Vec<Pending>, Vec<Pending>> {
        // One entry that cannot be read (of another type, say) is a miss; a server that cannot serve is another matter.
        let unfit = |fault: &Fault| !matches!(fault, Fault::Refused(_));
        let mut faults = answers.values.iter().filter_map(fault_of);
        if let Some(fault) = faults.find(unfit).filter(|_| !shards.is_many()) {
            self.redis_failed(shards, &fault);
            return Err(pending);
        }
        let replies = answers.values.iter();
        let opened: Vec<Opened<'_>> = replies.map(|reply| Opened::new(reply, &self.seal)).collect();
        let versions = match self.unless_silent(self.current_versions(&opened, shards, budget)).await {
            Ok(versions) => versions,
            Err(fault) => {
                self.redis_failed(shards, &fault);
                return Err(pending);
            }
        };
        let mut misses = Vec::new();
        for (n, (mut one, opened)) in pending.into_iter().zip(opened).enumerate() {
            let reign = shards.reign(&answers, n, one.name).unwrap_or_default();
            match self.judge(&one, opened, since, (shards, reign), &versions) {
                Verdict::Unreached(fault) => {
                    self.unreached(one, &fault, shards, answer);
                    continue;
                }
                Verdict::Usable(entry, fresh @ (Freshness::Fresh | Freshness::Stale))
                    if one.kind != Some(LoadKind::Refresh) || fresh == Freshness::Fresh =>
                {
                    if !one.inspects {
                        self.metrics.redis_hits.add(1);
                        self.remember(one.name, entry.clone());
                    }
                    self.answer_hit(&one, entry, Tier::Redis, fresh, answer);
                    continue;
                }
                Verdict::Usable(entry, Freshness::Expired) => one.bad = entry.head().id.to_vec(),
                Verdict::Usable(entry, _) => {
                    one.bad = entry.head().id.to_vec();
                    self.loads.with(one.id, |load| load.previous = Some(entry));
                }
                Verdict::Bad(id) => one.bad = id,
                Verdict::Nothing => {}
            }
            self.metrics.redis_misses.add(u64::from(!one.inspects));
            misses.push(one);
        }
        Ok(misses)
    }

    /// What the master of one of several could not be asked: once more when only its place has changed, else without Redis.
    pub(super) fn unreached(self: &Arc<Self>, mut one: Pending, fault: &Fault, shards: &Arc<Shards>, answer: &Answer) {
        self.metrics.redis_errors.add(1);
        one.moves += 1;
        if !matches!(fault, Fault::Unsettled(_)) || one.moves > MOVES {
            let left = self.answer_from_memory(vec![one], answer);
            return self.load_without_redis(left, answer);
        }
        let (engine, shards, answer) = (Arc::clone(self), Arc::clone(shards), Arc::clone(answer));
        self.runtime.spawn(async move {
            if let Some(link) = &engine.link {
                link.newer(&shards, tokio::time::Instant::now() + SETTLING).await;
            }
            engine.read_again(one, answer).await;
        });
    }

    /// Boxed: it leads back to where it came from.
    fn read_again(self: Arc<Self>, one: Pending, answer: Answer) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { self.read_tiers(vec![one], &answer).await })
    }

    /// Answers with an entry: ends the load; a stale one begins its refresh.
    fn answer_hit(&self, one: &Pending, entry: Entry, tier: Tier, fresh: Freshness, answer: &Answer) {
        let stale = fresh == Freshness::Stale;
        if one.kind != Some(LoadKind::Refresh) && !one.inspects {
            self.metrics.hits.add(1);
            self.metrics.stale.add(u64::from(stale));
            match tier {
                Tier::Memory => self.metrics.memory_hits.add(1),
                Tier::Redis => self.metrics.memory_misses.add(1),
            }
        }
        if one.read.loads {
            self.loads.lock().end(one.id);
        }
        let refresh = stale
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
        let now = self.now();
        let previous = self.loads.with(one.id, |load| {
            load.storage = storage;
            load.stamps = stamps;
            load.since = since.seq;
            load.channel = since.channel;
            load.began = since.start;
            load.run = Run::Started;
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
        let previous = previous.filter(|entry| !self.is_removed(entry, &one.key));
        let previous = previous.map(|entry| Previous {
            on_error: now < entry.head().life.error_until,
            entry,
        });
        answer(one.id, Found::Lead(previous));
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
