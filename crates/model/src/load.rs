//! A load: the loader's run, the fence behind it, and the fill.
//!
//! The value goes to callers before the fill is answered. A load that no longer stands is not filled.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Load, Right};
use crate::mutant::Mutant;
use crate::node::Node;
use crate::process::{Answer, Attempt, MemoryEntry, Served};
use crate::server::{Command, Dep, Entry, Pair, Reply, Token, KEYS, NAMESPACE};
use crate::sim::Time;
use crate::world::TIMEOUT;

/// A grant that its holder has not confirmed lasts this long.
pub const ATTEMPT_LEASE: Time = 2 * TIMEOUT;
/// A confirmed lease, renewed while its loader runs.
pub const LEASE: Time = 60_000;
pub const LOAD_TIMEOUT: Time = 150_000;
pub const LONGEST_LOADER: Time = 120_000;
/// How long a failed load keeps other processes from the lease.
pub const BACK_OFF: Time = 30_000;

/// One flight of a key, from its first look at Redis to its last word.
#[derive(Clone)]
pub struct Flying {
    pub key: usize,
    pub id: u64,
    pub began: Time,
    pub answer: Answer,
    /// A refresh of the entry with this id, which callers were served already.
    pub refresh: Option<Token>,
}

/// Where the value of a load without a lease may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Memory,
    Nowhere,
}

/// What a loader gave: a value and the tags it named.
struct Loaded {
    value: usize,
    named: BTreeSet<Dep>,
}

impl Node {
    /// Loads under a lease and fills Redis and memory.
    pub async fn load(&self, flying: &Flying, at: &Attempt, token: Token, deps: BTreeSet<Dep>) {
        let key = flying.key;
        self.me(|me| me.leases.insert((key, token), deps));
        let renewal = self.clone();
        self.spawn(async move { renewal.renew(key, token).await });
        let Some(loaded) = self.run_loader(flying, Right::Leased(token)).await else {
            self.me(|me| me.leases.remove(&(key, token)));
            let (by, px) = (self.me(|me| me.id), BACK_OFF);
            let failed = Command::Fail { key, token, by, px };
            self.with(|world| world.post(self.process, failed));
            return self.answer(flying, Some(Served::LoaderFailed));
        };
        self.tell(flying, &loaded);
        let mut filled = false;
        if let Some(pairs) = self.fence(flying, at, &loaded).await {
            filled = self.fill(key, token, at, loaded.value, pairs).await;
        }
        self.me(|me| me.leases.remove(&(key, token)));
        if filled {
            return;
        }
        self.with(|world| world.post(self.process, Command::Release { key, token }));
    }

    /// Loads without a lease: Redis cannot be asked, or must not be.
    pub async fn load_alone(&self, flying: &Flying, at: &Attempt, keep: Keep) {
        let Some(loaded) = self.run_loader(flying, Right::Alone).await else {
            return self.answer(flying, Some(Served::LoaderFailed));
        };
        self.tell(flying, &loaded);
        if keep == Keep::Memory {
            let deps = self.with(|world| world.history.values[loaded.value].deps.clone());
            let (s, chan, proof) = (at.s, at.chan, at.start);
            let (soft, isolated) = self.with(|world| (world.config.ttl, world.processes[self.process].bounds.isolated));
            let (soft, hard) = (proof + soft, proof + isolated);
            let entry = MemoryEntry {
                value: loaded.value,
                id: 0,
                s,
                chan,
                deps,
                proof,
                soft,
                hard,
                stale: false,
            };
            self.me(|me| me.keep(flying.key, entry));
        }
    }

    /// Runs the user's function: it takes its time, reads the database once, may name tags, may fail.
    async fn run_loader(&self, flying: &Flying, right: Right) -> Option<Loaded> {
        let (index, before, after, fails) = self.with(|world| {
            let slow = world.rng.chance(world.config.slow_loader_percent);
            let longest = if slow { LONGEST_LOADER } else { 8_000 };
            let before = world.rng.between(100, longest / 2);
            let after = world.rng.between(100, longest / 2);
            let fails = world.rng.chance(world.config.failing_percent);
            let (who, started) = (world.who(self.process), world.moment());
            let (key, flight) = (flying.key, flying.began);
            world.history.loads.push(Load {
                who,
                key,
                right,
                flight,
                started,
                ended: None,
                failed: fails,
            });
            (world.history.loads.len() - 1, before, after, fails)
        });
        self.sleep(before).await;
        let loaded = self.with(|world| {
            let may_name = world.config.may_name[flying.key].clone();
            let named: BTreeSet<Dep> = may_name.into_iter().filter(|_| world.rng.chance(70)).collect();
            let mut deps: BTreeSet<Dep> = world.config.tags[flying.key].union(&named).copied().collect();
            deps.extend([flying.key, NAMESPACE]);
            let value = world.value(deps);
            world.note(|| format!("{} loader of {} reads value {value}", self.process, flying.key));
            Loaded { value, named }
        });
        self.sleep(after).await;
        let lost = matches!(right, Right::Leased(token) if !self.holds(flying.key, token));
        self.with(|world| {
            let ended = world.moment();
            let load = &mut world.history.loads[index];
            load.ended = Some(ended);
            load.right = if lost { Right::Alone } else { right };
        });
        (!fails).then_some(loaded)
    }

    async fn renew(&self, key: usize, token: Token) {
        let until = self.now() + LOAD_TIMEOUT;
        while self.now() < until && self.holds(key, token) {
            self.with(|world| world.post(self.process, Command::Renew { key, token, px: LEASE }));
            self.sleep(LEASE / 3).await;
        }
    }

    fn holds(&self, key: usize, token: Token) -> bool {
        self.me(|me| me.leases.contains_key(&(key, token)))
    }

    /// Gives the value to all joiners; from here on the flight's tags are known.
    fn tell(&self, flying: &Flying, loaded: &Loaded) {
        let deps = self.with(|world| world.history.values[loaded.value].deps.clone());
        self.update(flying, |flight| {
            flight.deps = deps;
            flight.named = true;
        });
        self.answer(flying, Some(Served::Fresh(loaded.value)));
    }

    /// The versions this load may be stored under; `None`: something was invalidated since it began.
    async fn fence(&self, flying: &Flying, at: &Attempt, loaded: &Loaded) -> Option<BTreeMap<Dep, Pair>> {
        let fixed: BTreeSet<Dep> = self.with(|world| world.config.tags[flying.key].clone());
        let fixed: BTreeSet<Dep> = fixed.into_iter().chain([NAMESPACE]).collect();
        let all: BTreeSet<Dep> = fixed.union(&loaded.named).copied().collect();
        let (s, chan) = self.me(|me| (me.seq, me.chan));
        if !self.me(|me| me.stands(at.s, all.iter().chain([&flying.key])) && me.journal.is_empty()) {
            return None;
        }
        let pairs = pairs_of(self.call(tag_gets(&all)).await?.replies);
        for (dep, pair) in &pairs {
            self.me(|me| me.install(s, chan, *dep, *pair));
        }
        // Tags the caller gave: nothing between the start of the load and now.
        let same = fixed.iter().all(|dep| at.versions.get(dep) == pairs.get(dep));
        if !same && !self.is(Mutant::TagSnapshotAfterLoad) {
            return None;
        }
        // Tags the loader named: their versions are younger than the load, so every push up to them must have come.
        let late: BTreeSet<Dep> = loaded.named.difference(&fixed).copied().collect();
        if !late.is_empty() && !self.late_tags_stand(at, &late).await {
            return None;
        }
        self.me(|me| me.stands(at.s, all.iter().chain([&flying.key])) && me.journal.is_empty())
            .then_some(pairs)
    }

    async fn late_tags_stand(&self, at: &Attempt, late: &BTreeSet<Dep>) -> bool {
        if !self.is(Mutant::DynamicTagsWithoutBarrier) {
            let Some(link) = self.me(|me| me.coherence) else {
                return false;
            };
            if self.call_on(link.conn, vec![Command::Ping]).await.is_none() {
                return false;
            }
        }
        let stand = self.me(|me| {
            let armed = me.coherence.is_some() && me.chan == at.chan;
            armed && me.stands(at.s, late) && me.unmarked(at.s, late)
        });
        stand || self.is(Mutant::DynamicTagsWithoutCheck)
    }

    /// Sends FILL, and keeps the value in memory if Redis took it.
    pub async fn fill(&self, key: usize, token: Token, at: &Attempt, value: usize, pairs: BTreeMap<Dep, Pair>) -> bool {
        let Some(reign) = self.me(|me| me.data.map(|link| link.reign)) else {
            return false;
        };
        let (soft, hard) = self.with(|world| {
            let now = world.sim.now;
            (now + world.config.ttl, now + world.config.life)
        });
        let deps = pairs.keys().copied().chain([key]).collect();
        let entry = Entry {
            id: token,
            value,
            reign,
            marked: false,
            soft,
            hard,
            pairs,
        };
        let filled = self.call(vec![Command::Fill { key, token, entry }]).await;
        let kept = filled.is_some_and(|answer| answer.replies == [Reply::Filled(true)]);
        if kept {
            let (s, chan, proof) = (at.s, at.chan, at.start);
            let entry = MemoryEntry {
                value,
                id: token,
                s,
                chan,
                deps,
                proof,
                soft,
                hard,
                stale: false,
            };
            self.me(|me| me.keep(key, entry));
        }
        kept
    }

    /// Changes the flight's public state if it is still the one callers may join.
    pub fn update(&self, flying: &Flying, change: impl FnOnce(&mut crate::process::Flight)) {
        self.me(|me| {
            if let Some((flight, _)) = me.flights.get_mut(&flying.key) {
                if flight.id == flying.id {
                    change(flight);
                }
            }
        });
    }

    pub fn answer(&self, flying: &Flying, served: Option<Served>) {
        self.with(|world| flying.answer.complete(&mut world.sim, served));
    }
}

pub fn tag_gets<'a>(deps: impl IntoIterator<Item = &'a Dep>) -> Vec<Command> {
    let tags = deps.into_iter().filter(|dep| **dep >= KEYS);
    tags.map(|dep| Command::TagGet { dep: *dep }).collect()
}

#[must_use]
pub fn pairs_of(replies: Vec<Reply>) -> BTreeMap<Dep, Pair> {
    let pairs = replies.into_iter().filter_map(|reply| match reply {
        Reply::Pair(dep, pair) => Some((dep, pair)),
        _ => None,
    });
    pairs.collect()
}
