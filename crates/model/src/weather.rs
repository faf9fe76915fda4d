//! What goes wrong in a history, when, and how it ends.
//!
//! At the end everything heals, and every process reads every key again, a few times.

use std::cell::RefCell;
use std::rc::Rc;

use crate::callers::{start, CALLS_END};
use crate::check::Weather;
use crate::held::Bounds;
use crate::node::Node;
use crate::process::Process;
use crate::server::{Keyspace, Server};
use crate::sim::{Promise, Time};
use crate::world::{Wire, World, PROCESSES, RULES, TIMEOUT};

/// When every fault has ended.
pub const HEALED: Time = CALLS_END + 30_000;
/// When the last reads begin: leases have run out, queues are drained.
pub const LAST_READS: Time = HEALED + 120_000;
pub const ROUNDS: Time = 4;
pub const ROUND: Time = 20_000;
const SNAPSHOT_EVERY: Time = 35_000;

/// What a storm is mostly made of.
#[derive(Debug, Clone, Copy)]
pub enum Theme {
    Mixed,
    /// The coherence connection is lost again and again, for moments.
    Blinks,
    Stops,
    ReadOnly,
}

/// Whoever makes the weather: stands outside of all processes.
#[derive(Clone)]
pub struct Scene {
    pub world: Rc<RefCell<World>>,
    pub bounds: Bounds,
    pub theme: Theme,
    pub snapshots: Rc<RefCell<Vec<Keyspace>>>,
}

impl Scene {
    fn with<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        f(&mut self.world.borrow_mut())
    }

    fn task(&self, job: impl std::future::Future<Output = ()> + 'static) {
        self.with(|world| world.sim.spawn(None, Box::pin(job)));
    }

    async fn sleep_until(&self, at: Time) {
        let never = Promise::<()>::default();
        std::future::poll_fn(|_| never.poll(&mut self.world.borrow_mut().sim, at)).await;
    }

    pub fn begin(&self, weather: Weather) {
        let count = match weather {
            Weather::Calm => 0,
            Weather::Kills => 1,
            Weather::Evictions => self.with(|world| world.rng.between(1, 3)),
            Weather::Storm => self.with(|world| world.rng.between(1, 6)),
        };
        for _ in 0..count {
            let (scene, at) = (self.clone(), self.with(|world| world.rng.between(15_000, CALLS_END)));
            self.task(async move {
                scene.sleep_until(at).await;
                scene.fault(weather).await;
            });
        }
        let scene = self.clone();
        self.task(async move { scene.snapshots().await });
        let scene = self.clone();
        self.task(async move { scene.finale().await });
    }

    async fn snapshots(&self) {
        for number in 1..HEALED / SNAPSHOT_EVERY {
            self.sleep_until(number * SNAPSHOT_EVERY).await;
            let keyspace = self.with(|world| world.servers.last().map(|server| server.keyspace.clone()));
            self.snapshots.borrow_mut().extend(keyspace);
        }
    }

    async fn fault(&self, weather: Weather) {
        let dice = match (weather, self.theme) {
            (Weather::Calm, _) => return,
            (Weather::Kills, _) => 0,
            (Weather::Evictions, _) => 85,
            (Weather::Storm, Theme::Blinks) => return self.link(Some(Wire::Coherence)).await,
            (Weather::Storm, Theme::Stops) => 12,
            (Weather::Storm, Theme::ReadOnly) => 62,
            (Weather::Storm, Theme::Mixed) => self.with(|world| world.rng.between(0, 100)),
        };
        match dice {
            0..12 => self.kill().await,
            12..34 => self.stop().await,
            34..62 => self.link(None).await,
            62..68 => self.read_only(),
            68..82 => self.new_reign(),
            82..96 => self.evict().await,
            _ => self.with(World::flush_all),
        }
    }

    async fn kill(&self) {
        let (process, back) = self.with(|world| {
            let process = world.rng.index(PROCESSES);
            let now = world.sim.now;
            world.history.losses.push(now);
            world.kill(process);
            (process, now + world.rng.between(1_000, 40_000))
        });
        self.sleep_until(back).await;
        self.with(|world| {
            if !world.processes[process].alive {
                world.lives[process] += 1;
                let id = world.token() + 100;
                world.processes[process] = Process::start(id, self.bounds, world.mutant);
            }
        });
        start(&Node {
            world: Rc::clone(&self.world),
            process,
        });
    }

    async fn stop(&self) {
        let (process, until) = self.with(|world| {
            let process = world.rng.index(PROCESSES);
            world.stop(process);
            (process, world.sim.now + world.rng.between(1_000, 200_000))
        });
        self.sleep_until(until.min(HEALED)).await;
        self.with(|world| world.resume(process));
    }

    /// Something between one process and Redis, once or again and again: one wire or both, cut, swallowed or frozen.
    async fn link(&self, blink: Option<Wire>) {
        let (process, wires, times, longest) = self.with(|world| {
            let wires = match (blink, world.rng.between(0, 4)) {
                (Some(wire), _) => vec![wire],
                (None, 0) => vec![Wire::Data],
                (None, 1) => vec![Wire::Coherence],
                (None, _) => vec![Wire::Data, Wire::Coherence],
            };
            let (times, longest) = match (blink, world.rng.between(0, 4)) {
                (Some(_), _) => (4, 10_000),
                (None, 0) => (5, 25_000),
                (None, _) => (1, 180_000),
            };
            (world.rng.index(PROCESSES), wires, times, longest)
        });
        for _ in 0..times {
            let (until, again) = self.with(|world| {
                let until = (world.sim.now + world.rng.between(300, longest)).min(HEALED);
                let kind = world.rng.between(0, 5);
                for wire in &wires {
                    world.break_link(process, *wire, kind, until);
                }
                (until, until + world.rng.between(500, 6_000))
            });
            self.sleep_until(again.min(HEALED)).await;
            self.with(|world| world.note(|| format!("HEALED {process} since {until}")));
        }
    }

    /// Redis refuses writes for a while.
    fn read_only(&self) {
        self.with(|world| {
            let until = world.sim.now + world.rng.between(5_000, 120_000);
            world.note(|| format!("READONLY until {until}"));
            let server = world.servers.last_mut().expect("there is always one");
            server.read_only = until.min(HEALED);
        });
    }

    /// Memory is short: once, or for a while.
    async fn evict(&self) {
        let (what, times) = self.with(|world| {
            let times = if world.rng.chance(15) { 40 } else { 1 };
            (world.rng.index(RULES + 1), times)
        });
        for _ in 0..times {
            self.with(|world| world.evict(what));
            let soon = self.with(|world| world.sim.now + world.rng.between(200, 3_000));
            self.sleep_until(soon).await;
        }
    }

    /// Restart empty, restart from a file, or promotion of a replica that lags: another reign in each case.
    fn new_reign(&self) {
        self.with(|world| {
            let snapshots = self.snapshots.borrow();
            let keyspace = match world.rng.index(snapshots.len() + 1) {
                0 => Keyspace::default(),
                number => snapshots[snapshots.len() - number].clone(),
            };
            let reign = world.servers.len() as u64 + 1;
            let lag = world.rng.between(0, 2) * world.rng.between(0, 100_000);
            let server = Server::start(reign, lag, keyspace, world.mutant);
            world.replace_server(server);
        });
    }

    /// Everything heals; then each process reads each key, several times.
    async fn finale(&self) {
        self.sleep_until(HEALED).await;
        self.with(|world| {
            world.config.failing_percent = 0;
            world.config.slow_loader_percent = 0;
            world.config.faulty = false;
            world.config.lost_rules_percent = 0;
        });
        for round in 0..ROUNDS {
            self.sleep_until(LAST_READS + round * ROUND).await;
            for process in 0..PROCESSES {
                for key in self.with(|world| world.config.keys.clone()) {
                    let node = Node {
                        world: Rc::clone(&self.world),
                        process,
                    };
                    let last = round == ROUNDS - 1;
                    node.clone().spawn(async move { node.get_or_set(key, last).await });
                }
            }
        }
        loop {
            let soon = self.with(|world| world.sim.now) + TIMEOUT;
            self.sleep_until(soon).await;
            if !self.with(|world| world.reads_are_open()) {
                break;
            }
        }
        self.with(|world| world.over = true);
    }
}
