//! The lookup of a flight: Redis, then the lease, then the loader.

use std::collections::BTreeSet;

use crate::command::{Command, Entry, Lease, Lookup, Reply, Tag};
use crate::held::{Attempt, Probe, Redis, Served};
use crate::judge::Verdict;
use crate::load::{tag_gets, Flying, Keep, ATTEMPT_LEASE};
use crate::mutant::Mutant;
use crate::names::{Dep, Token, NAMESPACE};
use crate::node::Node;
use crate::rules::{Ruling, Waits};
use crate::sim::{Promise, Time};
use crate::versions::oldest_wait;

/// How long a read waits for other processes' loads, all together.
pub const PATIENCE: Time = 150_000;
/// Entries found invalid in one lookup before it gives up on Redis.
const TRIES: usize = 4;

/// What one try of a lookup comes to.
pub enum Tried {
    /// The callers have their answer.
    Done,
    Again,
    /// An entry is there that nobody may serve.
    Invalid,
    /// The loader fails elsewhere.
    OthersFail,
    Unreachable,
}

/// What a lookup keeps between its tries.
struct Search {
    /// The entry that is there and may not be served.
    bad: Option<Token>,
    /// The first one that was waited for.
    holder: Option<Token>,
    patience: Time,
}

impl Node {
    pub async fn look_up(&self, flying: &Flying) {
        let patience = self.now() + PATIENCE;
        self.be_proven().await;
        if self.answer_from_memory(flying, Redis::NotAsked) {
            return;
        }
        let mut search = Search {
            bad: flying.refresh,
            holder: None,
            patience,
        };
        let mut invalid = 0;
        while invalid < TRIES && self.now() < patience {
            let now = self.now();
            let mut at = self.me(|me| me.attempt(now));
            if !self.redis_may_be_asked() {
                return self.load_alone(flying, &at, Keep::Memory).await;
            }
            match self.try_once(flying, &mut search, &mut at).await {
                Tried::Done => return,
                Tried::Again => {}
                Tried::Invalid => invalid += 1,
                Tried::OthersFail => return self.alone_from_now(flying).await,
                Tried::Unreachable => return self.without_redis(flying, &at).await,
            }
        }
        self.alone_from_now(flying).await;
    }

    /// A plain GET finds most entries; a refresh knows already what is there.
    async fn try_once(&self, flying: &Flying, search: &mut Search, at: &mut Attempt) -> Tried {
        if search.bad.is_none() {
            let Some(found) = self.get(flying.key, at).await else {
                return Tried::Unreachable;
            };
            if let Some(entry) = found {
                match self.consider(flying, search, &entry, at).await {
                    Tried::Invalid => {}
                    tried => return tried,
                }
            }
            if !self.redis_may_be_asked() {
                return Tried::Again;
            }
        }
        self.ask(flying, search, at).await
    }

    /// READ: whoever gets the lease loads, under the versions that come with it.
    async fn ask(&self, flying: &Flying, search: &mut Search, at: &mut Attempt) -> Tried {
        let (key, bad, px) = (flying.key, search.bad, ATTEMPT_LEASE);
        let (token, by) = self.with(|world| (world.token(), world.processes[self.process].id));
        let deps = self.certain_deps(key);
        let mut commands = vec![Command::Read {
            key,
            token,
            by,
            px,
            bad,
        }];
        commands.extend(tag_gets(key, &deps));
        let Some(answer) = self.call(commands).await else {
            return Tried::Unreachable;
        };
        let lookup = answer.replies.first().cloned();
        let believed = at.versions.clone();
        self.learn(at, answer.replies);
        if self.is(Mutant::LoadStampedByTable) {
            at.versions.extend(believed);
        }
        let Some(Reply::Read(lookup)) = lookup else {
            return Tried::Unreachable;
        };
        // While a pattern waits, which one must be known before anything is granted.
        let until = match lookup {
            Lookup::Granted => self.settles_until(at, key, &deps).await,
            _ => None,
        };
        match lookup {
            // Overtaken before it began: others would wait for what cannot be kept.
            Lookup::Granted if self.is_overtaken(at, key, &deps) => {
                self.with(|world| world.post(self.process, Command::Release { key, token }));
                Tried::Again
            }
            Lookup::Granted if until.is_some() => {
                self.with(|world| world.post(self.process, Command::Release { key, token }));
                self.settling(flying, at, until).await
            }
            Lookup::Granted => {
                self.load(flying, at, token, deps).await;
                Tried::Done
            }
            // Counted from before it was asked: rather too soon than too late.
            Lookup::Settling(left) => self.settling(flying, at, Some(at.start + left)).await,
            Lookup::Found(entry) => self.consider(flying, search, &entry, at).await,
            // Others are at it: a refresh leaves it to them.
            Lookup::Denied(..) if flying.refresh.is_some() => Tried::Done,
            Lookup::Denied(Lease::Failed { .. }, _) => Tried::OthersFail,
            Lookup::Denied(Lease::Held { token, .. }, _) => {
                let first = *search.holder.get_or_insert(token);
                self.wait_for_lease(key, first, search.patience).await
            }
        }
    }

    /// Hands an entry from Redis to the callers if it is valid; otherwise remembers that it is not.
    async fn consider(&self, flying: &Flying, search: &mut Search, entry: &Entry, at: &mut Attempt) -> Tried {
        match self.judge(flying.key, entry, at).await {
            Verdict::Valid(served) => {
                self.found(flying, entry.id, served);
                Tried::Done
            }
            Verdict::Invalid => {
                search.bad = Some(entry.id);
                Tried::Invalid
            }
            Verdict::Unreachable => Tried::Unreachable,
        }
    }

    fn is_overtaken(&self, at: &Attempt, key: usize, deps: &BTreeSet<Dep>) -> bool {
        let detaches = !self.is(Mutant::NoDetach) && !self.is(Mutant::RuleDoesNotDetach);
        detaches && self.me(|me| !me.stands(at.s, deps) || me.ruling(at.s, key) == Ruling::Removed)
    }

    /// Until when what is loaded under this grant is not to be stored: a tag, the namespace or a pattern settles.
    async fn settles_until(&self, at: &Attempt, key: usize, deps: &BTreeSet<Dep>) -> Option<Time> {
        let tags = deps
            .iter()
            .filter(|dep| **dep != key)
            .filter_map(|dep| at.versions.get(dep));
        let by_name = tags.filter(|tag| tag.settles).map(|tag| tag.until).max();
        let by_pattern = match at.versions.get(&NAMESPACE) {
            Some(tag) if tag.waits > 0 && !self.is(Mutant::WaitsIgnored) => self.waits_for(at, key, *tag).await,
            _ => None,
        };
        by_name.max(by_pattern)
    }

    async fn waits_for(&self, at: &Attempt, key: usize, namespace: Tag) -> Option<Time> {
        let oldest = oldest_wait(namespace.clock);
        if self.learn_rules(oldest, namespace.latest()).await.is_none() {
            return Some(namespace.waits);
        }
        match self.me(|me| me.rules.waits_for(key, oldest, namespace.latest(), at.start)) {
            Waits::No => None,
            Waits::Until(until) => Some(until),
            Waits::Unknown if self.is(Mutant::UnknownWaitsIgnored) => None,
            Waits::Unknown => Some(namespace.waits),
        }
    }

    /// What is loaded now may be old: it is returned, and kept nowhere. A stale value that was served is not replaced.
    async fn settling(&self, flying: &Flying, at: &Attempt, until: Option<Time>) -> Tried {
        self.update(flying, |flight| flight.settles = until);
        if flying.refresh.is_none() {
            self.load_alone(flying, at, Keep::Nowhere).await;
        }
        Tried::Done
    }

    async fn alone_from_now(&self, flying: &Flying) {
        let now = self.now();
        let at = self.me(|me| me.attempt(now));
        self.load_alone(flying, &at, Keep::Nowhere).await;
    }

    fn redis_may_be_asked(&self) -> bool {
        self.me(|me| me.journal.is_empty()) || self.is(Mutant::JournalNotFirst)
    }

    /// Redis does not answer: memory while it may be believed in isolation, else the loader.
    async fn without_redis(&self, flying: &Flying, at: &Attempt) {
        if !self.answer_from_memory(flying, Redis::Unreachable) {
            self.load_alone(flying, at, Keep::Memory).await;
        }
    }

    /// A heartbeat may have proven what memory has.
    fn answer_from_memory(&self, flying: &Flying, redis: Redis) -> bool {
        let now = self.now();
        let serves_stale = self.with(|world| world.config.serves_stale);
        match self.me(|me| me.probe(now, flying.key, redis)) {
            _ if flying.refresh.is_some() && redis == Redis::NotAsked => return false,
            Probe::Fresh(value) => self.answer(flying, Some(Served::Fresh(value))),
            Probe::Stale(value, id) if serves_stale => self.found(flying, id, Served::Stale(value)),
            Probe::Stale(..) | Probe::Miss => return false,
        }
        true
    }

    /// Waits until nobody holds the lease: by push, and by the clock in case the push or its sender is lost.
    ///
    /// `holder` is the first one waited for. Another one that tries again what has just failed is not waited for: that
    /// would be a convoy.
    async fn wait_for_lease(&self, key: usize, holder: Token, patience: Time) -> Tried {
        let patient = self.is(Mutant::RetryLooksLikeAnyLease);
        while self.now() < patience {
            let wake = Promise::default();
            self.me(|me| me.lease_wakes.entry(key).or_default().push(wake.clone()));
            let Some(answer) = self.call(vec![Command::WatchLease { key }]).await else {
                return Tried::Unreachable;
            };
            let (id, now) = self.with(|world| (world.processes[self.process].id, world.sim.now));
            let ends = match answer.replies.first() {
                Some(Reply::Lease(Some((Lease::Failed { by }, _)))) if *by != id => return Tried::OthersFail,
                Some(Reply::Lease(Some((Lease::Held { token, retry }, left)))) => {
                    if *retry && *token != holder && !patient {
                        return Tried::OthersFail;
                    }
                    now + left
                }
                _ => return Tried::Again,
            };
            let jitter = self.with(|world| world.rng.between(200, 2_000));
            let alarm = if self.is(Mutant::NoTimerBesideWakeUp) {
                Time::MAX
            } else {
                (ends + jitter).min(patience)
            };
            self.wait(&wake, alarm).await;
        }
        Tried::OthersFail
    }
}
