//! A load: the loader's run, the fence behind it, and the fill.
//!
//! The value goes to callers before the fill is answered. A load that no longer stands is not filled.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, Reply, Tag};
use crate::held::{Answer, Attempt, MemoryEntry, Served};
use crate::history::{Load, Right};
use crate::names::{Dep, Token};
use crate::node::Node;
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
pub struct Loaded {
    pub value: usize,
    pub named: BTreeSet<Dep>,
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
        if let Some(stamps) = self.fence(flying, at, &loaded).await {
            filled = self.fill(key, token, at, loaded.value, stamps).await;
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
        let deps = self.with(|world| world.history.values[loaded.value].deps.clone());
        // Redis was not asked: what this process has heard of windows must do.
        if keep == Keep::Memory && !self.settled_after(at, flying.key, &deps) {
            let (s, chan, proof) = (at.s, at.chan, at.start);
            let (ttl, life) = self.with(|world| (world.config.ttl, world.config.life));
            let entry = MemoryEntry {
                value: loaded.value,
                id: 0,
                s,
                ruled: s,
                chan,
                deps,
                proof,
                soft: proof + ttl,
                hard: proof + life,
                stale: false,
                alone: true,
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
                value: None,
            });
            (world.history.loads.len() - 1, before, after, fails)
        });
        self.sleep(before).await;
        let certain = self.certain_deps(flying.key);
        let loaded = self.with(|world| {
            let may_name = world.config.may_name[flying.key].clone();
            let named: BTreeSet<Dep> = may_name.into_iter().filter(|_| world.rng.chance(70)).collect();
            let deps = certain.union(&named).copied().collect();
            let value = world.database(flying.key, deps);
            world.history.loads[index].value = Some(value);
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

    /// Changes the flight's public state if it is still the one callers may join.
    pub fn update(&self, flying: &Flying, change: impl FnOnce(&mut crate::held::Flight)) {
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

/// Asks for the versions of all that an entry of `key` depends on: of its own name there are none.
pub fn tag_gets<'a>(key: usize, deps: impl IntoIterator<Item = &'a Dep>) -> Vec<Command> {
    let tags = deps.into_iter().filter(|dep| **dep != key);
    tags.map(|dep| Command::TagGet { dep: *dep }).collect()
}

#[must_use]
pub fn tags_of(replies: Vec<Reply>) -> BTreeMap<Dep, Tag> {
    let tags = replies.into_iter().filter_map(|reply| match reply {
        Reply::Tag(dep, tag) => Some((dep, tag)),
        _ => None,
    });
    tags.collect()
}
