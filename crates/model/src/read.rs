//! getOrSet: memory, then the key's flight, then Redis, then the loader.
//!
//! A flight is a task of its own: callers come and go, it goes on.

use std::collections::BTreeSet;

use crate::history::Read;
use crate::load::{pairs_of, tag_gets, Flying, Keep, ATTEMPT_LEASE};
use crate::mutant::Mutant;
use crate::node::Node;
use crate::process::{Attempt, Flight, MemoryEntry, Probe, Redis, Served};
use crate::server::{Command, Dep, Entry, Lease, Lookup, Reply, Token, NAMESPACE};
use crate::sim::{Promise, Time};

/// How long a read waits for other processes' loads, all together.
pub const PATIENCE: Time = 150_000;
/// Entries found invalid in one lookup before it gives up on Redis.
const TRIES: usize = 4;

/// What is thought of an entry found in Redis.
enum Verdict {
    Valid(Served),
    Invalid,
    Unreachable,
}

/// What one try of a lookup comes to.
enum Tried {
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
    /// The public call, recorded.
    pub async fn get_or_set(&self, key: usize, last: bool) {
        let index = self.with(|world| {
            let (who, started) = (world.who(self.process), world.moment());
            world.note(|| format!("{} reads {key}", self.process));
            world.history.reads.push(Read {
                who,
                key,
                started,
                ended: None,
                last,
            });
            world.history.reads.len() - 1
        });
        let served = self.serve(key).await;
        self.with(|world| {
            let at = world.moment();
            world.note(|| format!("{} read {key}: {served:?}", self.process));
            world.history.reads[index].ended = Some((at, served));
        });
    }

    async fn serve(&self, key: usize) -> Served {
        loop {
            let now = self.now();
            match self.me(|me| me.probe(now, key, Redis::NotAsked)) {
                Probe::Fresh(value) => return Served::Fresh(value),
                Probe::Stale(value, id) if self.with(|world| world.config.serves_stale) => {
                    self.refresh(key, id);
                    return Served::Stale(value);
                }
                Probe::Stale(..) | Probe::Miss => {}
            }
            let joined = self.me(|me| me.joinable(now, key));
            let answer = joined.unwrap_or_else(|| self.take_off(key, None));
            if let Some(Some(served)) = self.wait(&answer, Time::MAX).await {
                return served;
            }
        }
    }

    /// Starts one refresh of a stale entry, unless a flight is on its way.
    fn refresh(&self, key: usize, id: Token) {
        let now = self.now();
        if self.me(|me| me.joinable(now, key)).is_none() {
            self.take_off(key, Some(id));
        }
    }

    /// Starts a flight and puts it where callers can join it.
    fn take_off(&self, key: usize, refresh: Option<Token>) -> Promise<Option<Served>> {
        let answer = Promise::default();
        let (id, began) = self.with(|world| (world.token(), world.sim.now));
        let deps = self.certain_deps(key);
        self.me(|me| {
            let flight = Flight {
                id,
                started: began,
                chan: me.chan,
                deps,
                named: false,
            };
            me.flights.insert(key, (flight, answer.clone()));
        });
        let flying = Flying {
            key,
            id,
            began,
            answer: answer.clone(),
            refresh,
        };
        let node = self.clone();
        self.spawn(async move {
            node.look_up(&flying).await;
            node.answer(&flying, None);
            node.me(|me| {
                if me.flights.get(&key).is_some_and(|(flight, _)| flight.id == id) {
                    me.flights.remove(&key);
                }
            });
        });
        answer
    }

    /// What an entry of this key depends on, before its loader has named anything.
    #[must_use]
    pub fn certain_deps(&self, key: usize) -> BTreeSet<Dep> {
        let tags = self.with(|world| world.config.tags[key].clone());
        tags.into_iter().chain([key, NAMESPACE]).collect()
    }

    async fn look_up(&self, flying: &Flying) {
        let patience = self.now() + PATIENCE;
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
        commands.extend(tag_gets(&deps));
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
        match lookup {
            Lookup::Granted => {
                self.load(flying, at, token, deps).await;
                Tried::Done
            }
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
                self.found(flying, entry, served);
                Tried::Done
            }
            Verdict::Invalid => {
                search.bad = Some(entry.id);
                Tried::Invalid
            }
            Verdict::Unreachable => Tried::Unreachable,
        }
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
        let now = self.now();
        let serves_stale = self.with(|world| world.config.serves_stale);
        match self.me(|me| me.probe(now, flying.key, Redis::Unreachable)) {
            Probe::Fresh(value) => self.answer(flying, Some(Served::Fresh(value))),
            Probe::Stale(value, _) if serves_stale => self.answer(flying, Some(Served::Stale(value))),
            Probe::Stale(..) | Probe::Miss => self.load_alone(flying, at, Keep::Memory).await,
        }
    }

    /// GET, with the versions the table does not know. `None`: no answer.
    #[allow(clippy::option_option, reason = "no answer, and an answer that there is nothing")]
    async fn get(&self, key: usize, at: &mut Attempt) -> Option<Option<Entry>> {
        let mut commands = vec![Command::Get { key }];
        let unknown = |dep: &&Dep| !at.versions.contains_key(dep);
        commands.extend(tag_gets(self.certain_deps(key).iter().filter(unknown)));
        let answer = self.call(commands).await?;
        let found = answer.replies.iter().find_map(|reply| match reply {
            Reply::Entry(entry) => Some(entry.clone()),
            _ => None,
        });
        self.learn(at, answer.replies);
        found
    }

    /// Takes fetched versions over, for this attempt and, if no push can have been missed, for the table.
    fn learn(&self, at: &mut Attempt, replies: Vec<Reply>) {
        for (dep, pair) in pairs_of(replies) {
            at.versions.insert(dep, pair);
            at.fetched.insert(dep);
            self.me(|me| me.install(at.s, at.chan, dep, pair));
        }
    }

    /// Compares an entry's versions with the believed ones; only a fetched version condemns.
    async fn judge(&self, key: usize, entry: &Entry, at: &mut Attempt) -> Verdict {
        let differs = |at: &Attempt, dep: &Dep| at.versions.get(dep) != entry.pairs.get(dep);
        let believed = |at: &Attempt, dep: &Dep| self.is(Mutant::CondemnByTable) && at.versions.contains_key(dep);
        let doubtful = |dep: &&Dep| differs(at, dep) && !at.fetched.contains(dep) && !believed(at, dep);
        let doubtful: BTreeSet<Dep> = entry.pairs.keys().filter(doubtful).copied().collect();
        if !doubtful.is_empty() {
            let Some(answer) = self.call(tag_gets(&doubtful)).await else {
                return Verdict::Unreachable;
            };
            self.learn(at, answer.replies);
        }
        let Some(link) = self.me(|me| me.data) else {
            return Verdict::Unreachable;
        };
        let ignored = self.is(Mutant::ReignIgnored);
        let removed = entry.pairs.iter().any(|(dep, pair)| {
            at.versions
                .get(dep)
                .is_none_or(|now| now.removed != pair.removed || (now.reign != pair.reign && !ignored))
        });
        let (now, serves_stale) = self.with(|world| (world.sim.now, world.config.serves_stale));
        if removed || (entry.reign != link.reign && !ignored) || now >= entry.hard {
            return Verdict::Invalid;
        }
        let staled = entry
            .pairs
            .iter()
            .any(|(dep, pair)| at.versions.get(dep).is_none_or(|now| now.staled != pair.staled));
        let stale = entry.marked || staled || now >= entry.soft;
        if stale && !serves_stale {
            return Verdict::Invalid;
        }
        self.remember(key, entry, at, entry.marked || staled);
        Verdict::Valid(if stale {
            Served::Stale(entry.value)
        } else {
            Served::Fresh(entry.value)
        })
    }

    fn remember(&self, key: usize, entry: &Entry, at: &Attempt, stale: bool) {
        let believed = entry.pairs.keys().any(|dep| !at.fetched.contains(dep)) && !self.is(Mutant::ProofIgnoresBasis);
        let proof = if believed { at.start.min(at.basis) } else { at.start };
        let deps = entry.pairs.keys().copied().chain([key]).collect();
        let (value, id, soft, hard) = (entry.value, entry.id, entry.soft, entry.hard);
        let entry = MemoryEntry {
            value,
            id,
            s: at.s,
            chan: at.chan,
            deps,
            proof,
            soft,
            hard,
            stale,
        };
        self.me(|me| me.keep(key, entry));
    }

    /// Hands an entry from Redis to the callers, and has it refreshed if it is stale.
    fn found(&self, flying: &Flying, entry: &Entry, served: Served) {
        self.answer(flying, Some(served));
        let refreshes = matches!(served, Served::Stale(_)) && flying.refresh.is_none();
        self.me(|me| {
            if me
                .flights
                .get(&flying.key)
                .is_some_and(|(flight, _)| flight.id == flying.id)
            {
                me.flights.remove(&flying.key);
            }
        });
        if refreshes {
            self.refresh(flying.key, entry.id);
        }
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
