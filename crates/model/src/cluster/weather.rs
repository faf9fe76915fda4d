//! What happens to the cluster: masters die, stop, are split off and replaced, slots move, links break.

use std::cell::RefCell;
use std::rc::Rc;

use super::redis::{NodeId, Redis, DEPS, NAMESPACE, NODE_TIMEOUT};
use super::world::{Client, World, MASTERS, PROCESSES};
use crate::names::Dep;
use crate::sim::{Promise, Time};

/// The longest until another node hears of a change.
pub const GOSSIP: Time = 8_000;
/// When all is well again.
pub const HEALED: Time = 340_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Calm,
    /// Between processes and masters alone; and masters that take another reign.
    Links,
    /// Masters that take no writes, and answer everything else.
    Refusals,
    Moves,
    Failovers,
    /// A process is locked out of a master while a slot goes there, and perhaps comes back.
    Behind,
    /// A process reaches one master alone, and that one is replaced.
    Minority,
    Storm,
}

/// Whoever makes the weather.
#[derive(Clone)]
pub struct Sky(pub Rc<RefCell<World>>);

impl World {
    /// A node tells what is its own to all that hear it.
    pub fn gossip(&mut self, from: NodeId) {
        let node = &self.nodes[from];
        if !node.is_alive || !node.is_master {
            return;
        }
        let (config, epoch) = (node.config, node.epoch);
        let claims: Vec<Dep> = (0..DEPS).filter(|slot| node.owns(*slot)).collect();
        for to in 0..self.nodes.len() {
            let claims = claims.clone();
            self.soon(50, GOSSIP, move |world| world.hear(from, to, config, epoch, claims));
        }
    }

    fn hear(&mut self, from: NodeId, to: NodeId, config: u64, epoch: u64, claims: Vec<Dep>) {
        let now = self.sim.now;
        if from == to || self.nodes[from].split.is_some() || self.nodes[to].split.is_some() {
            return;
        }
        if self.nodes[to].frozen > now {
            let thaw = self.nodes[to].frozen + self.rng.between(50, GOSSIP / 2);
            return self.at(thaw, move |world| world.hear(from, to, config, epoch, claims));
        }
        self.nodes[to].hear(from, config, epoch, &claims);
    }

    fn greatest_epoch(&self) -> u64 {
        self.nodes.iter().map(|node| node.epoch).max().unwrap_or_default()
    }

    /// The masters that are in charge: of their slots, as those with the greatest epochs see it.
    fn in_charge(&self) -> Vec<NodeId> {
        let is_in_charge =
            |node: &&Redis| node.is_alive && node.is_master && (0..DEPS).any(|slot| self.owner(slot) == node.id);
        self.nodes.iter().filter(is_in_charge).map(|node| node.id).collect()
    }

    /// Whose a slot is by now, whoever has heard of it.
    #[must_use]
    pub fn owner(&self, slot: Dep) -> NodeId {
        let views = self.nodes.iter().map(|node| node.view[slot]);
        views.max_by_key(|(_, epoch)| *epoch).map_or(0, |(node, _)| node)
    }

    /// The others vote, and a replica of what `lost` has got takes its place.
    fn elect(&mut self, lost: NodeId) {
        let now = self.sim.now;
        let masters = self.in_charge();
        let can_vote =
            |node: &NodeId| *node != lost && self.nodes[*node].frozen <= now && self.nodes[*node].split.is_none();
        let voters: Vec<NodeId> = masters.iter().copied().filter(can_vote).collect();
        let has_slots = masters.contains(&lost);
        if !has_slots || voters.len() * 2 <= masters.len() {
            return;
        }
        let epoch = self.greatest_epoch() + 1;
        for voter in voters {
            self.nodes[voter].epoch = epoch;
            self.nodes[voter].failing = self.owner_count(lost);
        }
        self.soon(100, 3_000, move |world| world.promote(lost, epoch));
    }

    fn promote(&mut self, lost: NodeId, epoch: u64) {
        if self.owner_count(lost) == 0 {
            return;
        }
        let id = self.nodes.len();
        self.reigns += 1;
        let newest = |slot: Dep| {
            let views = self.nodes.iter().map(|node| node.view[slot]);
            views.max_by_key(|(_, epoch)| *epoch).unwrap_or_default()
        };
        let view = std::array::from_fn(|slot| match newest(slot) {
            (owner, _) if owner == lost => (id, epoch),
            seen => seen,
        });
        let node = Redis::start(id, self.reigns, epoch, view, self.nodes[lost].replica.clone());
        self.nodes.push(node);
        let now = self.sim.now;
        for locked in &mut self.locked {
            // Who reaches one master alone does not reach its successor.
            let until = locked.iter().copied().max().unwrap_or_default();
            let is_alone = locked.iter().filter(|until| **until > now).count() + 1 >= MASTERS;
            locked.push(if is_alone { until } else { 0 });
        }
        self.note(|| format!("NODE {id} in the place of {lost}, epoch {epoch}"));
        self.gossip(id);
    }

    fn owner_count(&self, node: NodeId) -> usize {
        (0..DEPS).filter(|slot| self.owner(*slot) == node).count()
    }
}

impl Sky {
    fn with<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }

    pub fn task(&self, job: impl std::future::Future<Output = ()> + 'static) {
        self.with(|world| world.sim.spawn(None, Box::pin(job)));
    }

    pub async fn until(&self, at: Time) {
        let never = Promise::<()>::default();
        std::future::poll_fn(|_| never.poll(&mut self.0.borrow_mut().sim, at)).await;
    }

    async fn sleep(&self, low: Time, high: Time) {
        let at = self.with(|world| world.sim.now + world.rng.between(low, high));
        self.until(at).await;
    }

    pub fn begin(&self, weather: Weather) {
        let count = self.with(|world| match weather {
            Weather::Calm => 0,
            Weather::Minority => 1,
            _ => world.rng.between(1, 6),
        });
        for _ in 0..count {
            let sky = self.clone();
            let at = self.with(|world| world.rng.between(20_000, 280_000));
            self.task(async move {
                sky.until(at).await;
                sky.fault(weather).await;
            });
        }
        let sky = self.clone();
        self.task(async move { sky.replicate().await });
    }

    /// Replicas lag: each is now and then as its master is.
    async fn replicate(&self) {
        while self.with(|world| world.sim.now) < HEALED {
            self.sleep(1_000, 6_000).await;
            self.with(|world| {
                let (now, node) = (world.sim.now, world.rng.index(world.nodes.len()));
                let node = &mut world.nodes[node];
                if node.is_alive && node.split.is_none() && node.frozen <= now {
                    node.replica = node.slots.clone();
                }
            });
        }
    }

    async fn fault(&self, weather: Weather) {
        let dice = self.with(|world| world.rng.between(0, 100));
        match (weather, dice) {
            (Weather::Calm, _) => {}
            (Weather::Links, 0..20) | (Weather::Storm, 0..5) => self.reign(),
            (Weather::Refusals, 0..70) | (Weather::Storm, 5..15) => self.refuse(),
            (Weather::Links | Weather::Refusals, _)
            | (Weather::Moves, 0..40)
            | (Weather::Failovers, 0..30)
            | (Weather::Storm, 15..45) => {
                self.lock_out().await;
            }
            (Weather::Behind, _) => self.behind().await,
            (Weather::Minority, _) => self.minority().await,
            (Weather::Moves, _) | (Weather::Storm, 45..70) => self.move_slot().await,
            (Weather::Failovers | Weather::Storm, _) => self.fail_over().await,
        }
    }

    /// A master has another history from now on, and all that it had.
    fn reign(&self) {
        self.with(|world| {
            let node = world.rng.index(world.nodes.len());
            world.reigns += 1;
            world.nodes[node].reign = world.reigns;
            world.note(|| format!("REIGN of {node}"));
        });
    }

    fn refuse(&self) {
        self.with(|world| {
            let node = world.rng.index(world.nodes.len());
            world.nodes[node].refuses = world.sim.now + world.rng.between(5_000, 80_000);
            world.note(|| format!("REFUSES {node}"));
        });
    }

    /// A process cannot reach a master: it is told, or not; for a while, or for a moment.
    async fn lock_out(&self) {
        let (process, node, back) = self.with(|world| {
            let (process, node) = (world.rng.index(PROCESSES), world.rng.index(world.nodes.len()));
            let longest = if world.rng.chance(40) { 5_000 } else { 200_000 };
            (process, node, world.sim.now + world.rng.between(500, longest))
        });
        self.lock(process, node, back);
        self.until(back.min(HEALED)).await;
    }

    async fn behind(&self) {
        let (process, from, to, slot, is_back) = self.with(|world| {
            let slot = world.rng.index(DEPS);
            let to = world.rng.index(MASTERS);
            (
                world.rng.index(PROCESSES),
                world.owner(slot),
                to,
                slot,
                world.rng.chance(50),
            )
        });
        let until = self.with(|world| world.sim.now + 250_000);
        self.lock(process, to, until.min(HEALED));
        self.sleep(20_000, 60_000).await;
        self.move_to(slot, to, 3_000, false).await;
        // Somebody else knows at once, and invalidates there.
        let client = Client {
            world: Rc::clone(&self.0),
            process: 1 - process,
        };
        client.clone().spawn(async move { client.invalidate(slot).await });
        if is_back {
            self.sleep(2_000, 9_000).await;
            self.move_to(slot, from, 500, false).await;
        }
    }

    async fn minority(&self) {
        let (process, lost) = self.with(|world| (world.rng.index(PROCESSES), world.owner(NAMESPACE)));
        let until = self.with(|world| world.sim.now + 300_000);
        for node in (0..MASTERS).filter(|node| *node != lost) {
            self.lock(process, node, until.min(HEALED));
        }
        self.fail(lost, 2, 250_000).await;
    }

    fn lock(&self, process: usize, node: NodeId, back: Time) {
        self.with(|world| {
            world.locked[process][node] = back;
            let is_told = world.rng.chance(60);
            world.note(|| format!("LOCKED {process} from {node} until {back}, told: {is_told}"));
            for session in 0..world.sessions.len() {
                let line = &world.sessions[session];
                if line.is_open && (line.process, line.node) == (process, node) {
                    world.sessions[session].is_hole = true;
                    if is_told {
                        world.soon(10, 2_000, move |world| world.close(session));
                    }
                }
            }
        });
    }

    /// A slot goes to another master, with what is in it; or it turns back on its way.
    async fn move_slot(&self) {
        let (slot, to, is_back) = self.with(|world| {
            let to = world.rng.index(world.nodes.len());
            (world.rng.index(DEPS), to, world.rng.chance(20))
        });
        self.move_to(slot, to, 30_000, is_back).await;
    }

    async fn move_to(&self, slot: Dep, to: NodeId, longest: Time, is_back: bool) {
        let found = self.with(|world| {
            let (from, masters) = (world.owner(slot), world.in_charge());
            let is_master = masters.contains(&from) && masters.contains(&to);
            let is_busy = world.nodes.iter().any(|node| node.importing[slot]);
            (from != to && is_master && !is_busy).then_some(from)
        });
        let Some(from) = found else { return };
        self.with(|world| {
            world.note(|| format!("MOVING {slot} from {from} to {to}"));
            world.nodes[to].importing[slot] = true;
            world.nodes[from].migrating[slot] = Some(to);
        });
        self.sleep(100, longest).await;
        let is_done = self.with(|world| {
            let is_good = world.nodes[from].owns(slot) && world.owner(slot) == from && world.in_charge().contains(&to);
            let (giver, taker) = if is_back { (to, from) } else { (from, to) };
            if is_good {
                let goods = std::mem::take(&mut world.nodes[giver].slots[slot]);
                let kept = &mut world.nodes[taker].slots[slot];
                kept.entry = goods.entry.or(kept.entry.take());
                kept.lease = goods.lease.or(kept.lease);
                kept.version = goods.version.or(kept.version);
            }
            world.nodes[to].importing[slot] = false;
            if !is_good || is_back {
                world.nodes[from].migrating[slot] = None;
            }
            is_good && !is_back
        });
        if !is_done {
            return;
        }
        self.with(|world| {
            let epoch = world.greatest_epoch() + 1;
            let taker = &mut world.nodes[to];
            (taker.epoch, taker.config, taker.view[slot]) = (epoch, epoch, (to, epoch));
            for own in 0..DEPS {
                if taker.view[own].0 == to {
                    taker.view[own].1 = epoch;
                }
            }
            world.note(|| format!("MOVED {slot} from {from} to {to}, epoch {epoch}"));
            world.gossip(to);
        });
    }

    /// A master dies, stops for a while, or is split off while clients still reach it; after a time another is in its place.
    async fn fail_over(&self) {
        // One after the other: of those that are left there is a majority, and each hears of who is in charge.
        let found = self.with(|world| {
            let (masters, now) = (world.in_charge(), world.sim.now);
            let is_whole = world
                .nodes
                .iter()
                .all(|node| node.split.is_none() && node.frozen <= now);
            let is_calm = is_whole && masters.len() == MASTERS;
            is_calm.then(|| (masters[world.rng.index(masters.len())], world.rng.between(0, 4)))
        });
        if let Some((lost, kind)) = found {
            let longest = self.with(|world| if world.rng.chance(50) { 60_000 } else { 200_000 });
            self.fail(lost, kind, longest).await;
        }
    }

    async fn fail(&self, lost: NodeId, kind: u64, longest: Time) {
        let back = self.with(|world| {
            let back = world.sim.now + NODE_TIMEOUT + world.rng.between(500, longest);
            world.note(|| format!("LOSS {kind} of {lost} until {back}"));
            match kind {
                0 => world.nodes[lost].is_alive = false,
                1 => world.nodes[lost].frozen = back,
                _ => world.nodes[lost].split = Some(world.sim.now),
            }
            for session in 0..world.sessions.len() {
                if kind == 0 && world.sessions[session].node == lost && world.rng.chance(80) {
                    world.soon(10, 1_000, move |world| world.close(session));
                }
            }
            back
        });
        // Its own clock and those of the others do not agree to the millisecond.
        let early = self.with(|world| world.rng.between(0, 4_000));
        self.sleep(NODE_TIMEOUT - early, NODE_TIMEOUT - early + 3_000).await;
        while self.with(|world| world.owner_count(lost)) > 0 && self.with(|world| world.sim.now) < HEALED - 20_000 {
            self.with(|world| world.elect(lost));
            self.sleep(4_000, 8_000).await;
        }
        self.until(back.min(HEALED - 15_000)).await;
        self.with(|world| {
            let now = world.sim.now;
            let node = &mut world.nodes[lost];
            node.heal(now, GOSSIP);
            if kind == 0 {
                node.is_master = false;
            }
            for node in 0..world.nodes.len() {
                world.gossip(node);
            }
        });
    }

    /// Everything heals.
    pub fn heal(&self) {
        self.with(|world| {
            for locked in &mut world.locked {
                locked.fill(0);
            }
            let now = world.sim.now;
            for node in &mut world.nodes {
                node.heal(now, GOSSIP);
            }
            for node in 0..world.nodes.len() {
                world.gossip(node);
            }
        });
    }
}
