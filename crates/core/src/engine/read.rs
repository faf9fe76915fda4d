//! The tiers, one after the other: memory once more, then Redis by plain reads, then the lease.
//!
//! A script costs four times as much as a plain read; versions that the table cannot vouch for follow in a second pipeline.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::judge::{Opened, Since, Verdict};
use super::lookup::{Answer, Pending, Tier};
use super::Engine;
use crate::endpoint;
use crate::freshness::Freshness;
use crate::loads::{LoadKind, Replaces};
use crate::redis::fault::{fault_of, Fault};
use crate::redis::wire::Budget;
use crate::shards::{Answers, Shards};

/// Entries asked for in one pipeline: what one tick asks for leaves room for what others do.
const AT_ONCE: usize = 256;

/// How often a read begins anew because the cluster was changing, and how long it waits for that each time.
const MOVES: u32 = 4;
const SETTLING: Duration = Duration::from_millis(40);

impl Engine {
    /// Memory once more (a heartbeat may prove it), then Redis, then the lease.
    pub(super) async fn read_tiers(self: &Arc<Self>, pending: Vec<Pending>, answer: &Answer) {
        if pending.is_empty() {
            return;
        }
        let Some(link) = self.link() else {
            let rest = self.answer_from_memory(pending, answer);
            return self.load_without_redis(rest, answer);
        };
        let mut budget = link.new_budget();

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
        mut rest: Vec<Pending>,
        budget: Budget,
        answer: &Answer,
    ) {
        let mut budget = Some(budget);
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(AT_ONCE));
            let piece = std::mem::replace(&mut rest, later);
            // What was answered is progress.
            let budget = budget.take().unwrap_or_else(|| self.new_budget());
            self.read_piece(shards, piece, budget, answer).await;
        }
    }

    async fn read_piece(
        self: &Arc<Self>,
        shards: &Arc<Shards>,
        piece: Vec<Pending>,
        mut budget: Budget,
        answer: &Answer,
    ) {
        if self.trusted_shards().is_none() {
            let left = self.answer_from_memory(piece, answer);
            return self.load_without_redis(left, answer);
        }
        // 3. Plain reads; a forced load does not look.
        let (mut misses, look): (Vec<_>, Vec<_>) = piece.into_iter().partition(|one| one.kind == Some(LoadKind::Force));
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

    /// Reads each entry; answers the hits, returns the misses (or all that is left when Redis fails).
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
        let answers = match self.unless_silent(shards.heads(keys, &self.journal, budget)).await {
            Ok(answers) => self.redis_answered(since.start, answers),
            Err(fault) => {
                self.redis_failed(shards, &fault);
                return Err(pending);
            }
        };
        let (pending, answers) = self.part_long(pending, answers, since, shards, answer);
        self.sort_entries(pending, answers, since, shards, budget, answer).await
    }

    /// Judges the replies to GETRANGE or READ: answers the hits, returns the misses.
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
        let opened: Vec<Opened<'_>> = replies
            .map(|reply| Opened::new(reply, &self.seal, self.max_entry()))
            .collect();
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
                Verdict::Usable(entry, fresh) => {
                    one.bad = entry.head().id.to_vec();
                    self.loads.with(one.id, |load| {
                        load.replaces = Replaces::TooOld;
                        if fresh != Freshness::Expired {
                            load.previous = Some(entry);
                        }
                    });
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
}
