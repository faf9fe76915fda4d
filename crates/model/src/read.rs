//! getOrSet: memory, then the key's flight.
//!
//! A flight is a task of its own: callers come and go, it goes on.

use std::collections::BTreeSet;

use crate::held::{Flight, Probe, Redis, Served};
use crate::history::Read;
use crate::load::Flying;
use crate::names::{bare, Dep, Token, NAMESPACE};
use crate::node::Node;
use crate::sim::{Promise, Time};

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
            self.me(|me| me.activity = now);
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
    pub fn refresh(&self, key: usize, id: Token) {
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
                settles: None,
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
        tags.into_iter().chain([key, bare(key), NAMESPACE]).collect()
    }

    /// Hands an entry to the callers, and has it refreshed if it is stale.
    pub fn found(&self, flying: &Flying, id: Token, served: Served) {
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
            self.refresh(flying.key, id);
        }
    }
}
