//! A history: who calls what, and what goes wrong meanwhile, all drawn from one seed.
//!
//! Few keys and tags, many calls at once, timeouts and loads of the same order as the bounds: collisions are the rule.
//! At the end everything heals, and every process reads every key again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::history::{Terms, Violation, Weather};
use crate::load::LONGEST_LOADER;
use crate::mutant::Mutant;
use crate::process::{Bounds, Process};
use crate::read::PATIENCE;
use crate::rng::Rng;
use crate::server::{Keyspace, Mode, Server, DEPS, KEYS, NAMESPACE};
use crate::sim::{Promise, Time};
use crate::world::{run, Config, Node, Trouble, Wire, World, PROCESSES, TIMEOUT};

const CALLS_END: Time = 350_000;
const HEALED: Time = 420_000;
const LAST_READS: Time = 540_000;
const ROUNDS: Time = 4;
const ROUND: Time = 40_000;
const END: Time = LAST_READS + ROUNDS * ROUND + BUDGET;
/// Everything a read may spend: others' loads, its own, and a few timeouts.
const BUDGET: Time = PATIENCE + LONGEST_LOADER + 8 * TIMEOUT;
/// A process that starts is given this time to connect before it is called.
const CONNECTED: Time = 10_000;
const SNAPSHOT_EVERY: Time = 35_000;

/// Whether the history is written down for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    Off,
    On,
}

/// What came of one history.
#[derive(Debug)]
pub struct Outcome {
    pub weather: Weather,
    pub reads: usize,
    pub violation: Option<Violation>,
    pub log: Vec<String>,
}

/// Plays the history of a seed and checks it.
#[must_use]
pub fn play(seed: u64, mutant: Option<Mutant>, trace: Trace) -> Outcome {
    let mut rng = Rng::new(seed);
    let weather = match rng.between(0, 100) {
        0..20 => Weather::Calm,
        20..28 => Weather::Kills,
        28..40 => Weather::Evictions,
        _ => Weather::Storm,
    };
    let config = config(&mut rng, weather);
    let bounds = Bounds {
        max_unverified: rng.between(25_000, 70_000),
        isolated: rng.between(25_000, 90_000),
    };
    let terms = Terms {
        weather,
        elsewhere: bounds.max_unverified.max(bounds.isolated),
        budget: BUDGET,
        patience: PATIENCE,
        short_ttl: config.ttl < HEALED,
        serves_stale: config.serves_stale,
    };
    let server = Server::start(1, Keyspace::default(), mutant);
    let processes = (0..PROCESSES)
        .map(|index| Process::start(index as u64 + 1, bounds, mutant))
        .collect();
    let mut world = World::new(rng, config, mutant, server, processes);
    world.log = (trace == Trace::On).then(Vec::new);
    let world = Rc::new(RefCell::new(world));
    for process in 0..PROCESSES {
        start(&Node {
            world: Rc::clone(&world),
            process,
        });
    }
    let scene = Scene {
        world: Rc::clone(&world),
        bounds,
        snapshots: Rc::default(),
    };
    scene.begin(weather);
    run(&world, END);
    let mut world = world.borrow_mut();
    let alive = (0..PROCESSES).filter(|process| world.processes[*process].alive);
    world.history.alive = alive.map(|process| world.who(process)).collect();
    Outcome {
        weather,
        reads: world.history.reads.len(),
        violation: world.history.check(&terms),
        log: world.log.take().unwrap_or_default(),
    }
}

fn config(rng: &mut Rng, weather: Weather) -> Config {
    let subset = |rng: &mut Rng, percent: u64| -> BTreeSet<usize> {
        (KEYS..NAMESPACE).filter(|_| rng.chance(percent)).collect()
    };
    let short_ttl = rng.chance(25);
    Config {
        faulty: weather == Weather::Storm,
        ttl: if short_ttl { 1 } else { 10 * END },
        life: 20 * END,
        serves_stale: short_ttl || rng.chance(60),
        failing_percent: if rng.chance(30) { 40 } else { 0 },
        change_percent: if rng.chance(30) { 10 } else { 100 },
        slow_loader_percent: rng.between(0, 50),
        tags: (0..KEYS).map(|_| subset(rng, 40)).collect(),
        may_name: (0..KEYS).map(|_| subset(rng, 35)).collect(),
    }
}

/// Boots a process and its callers.
fn start(node: &Node) {
    node.boot();
    for _ in 0..3 {
        let caller = node.clone();
        node.spawn(async move { caller.calls().await });
    }
}

impl Node {
    /// One caller: a call after the other, now and then two at once.
    async fn calls(&self) {
        self.sleep(CONNECTED).await;
        loop {
            let pause = self.with(|world| {
                let idle = world.rng.chance(15);
                world.rng.between(10, if idle { 60_000 } else { 12_000 })
            });
            self.sleep(pause).await;
            if self.now() > CALLS_END {
                return;
            }
            let (dice, key, dep, rarely) = self.with(|world| {
                let rarely = !world.rng.chance(world.config.change_percent);
                (
                    world.rng.between(0, 100),
                    world.rng.index(KEYS),
                    world.rng.index(DEPS),
                    rarely,
                )
            });
            let mode = if dice % 3 == 0 { Mode::Stale } else { Mode::Remove };
            match dice {
                _ if rarely => {}
                0..16 => self.invalidate(dep, mode).await,
                16..22 => self.set(key).await,
                22..30 => {
                    let other = self.clone();
                    self.spawn(async move { other.get_or_set(key, false).await });
                    self.invalidate(dep, mode).await;
                }
                _ => {}
            }
            self.get_or_set(key, false).await;
        }
    }
}

/// Whoever makes the weather: stands outside of all processes.
#[derive(Clone)]
struct Scene {
    world: Rc<RefCell<World>>,
    bounds: Bounds,
    snapshots: Rc<RefCell<Vec<Keyspace>>>,
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

    fn begin(&self, weather: Weather) {
        let count = match weather {
            Weather::Calm => 0,
            Weather::Kills => 1,
            Weather::Evictions => 3,
            Weather::Storm => self.with(|world| world.rng.between(1, 5)),
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
        let dice = match weather {
            Weather::Calm => return,
            Weather::Kills => 0,
            Weather::Evictions => 85,
            Weather::Storm => self.with(|world| world.rng.between(0, 100)),
        };
        match dice {
            0..12 => self.kill().await,
            12..30 => self.stop().await,
            30..68 => self.link().await,
            68..82 => self.new_reign(),
            82..96 => self.evict(),
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

    /// Something between one process and Redis: one wire or both, cut, swallowed or frozen.
    async fn link(&self) {
        let (process, until) = self.with(|world| {
            let process = world.rng.index(PROCESSES);
            let until = (world.sim.now + world.rng.between(500, 180_000)).min(HEALED);
            let wires: &[Wire] = match world.rng.between(0, 4) {
                0 => &[Wire::Data],
                1 => &[Wire::Coherence],
                _ => &[Wire::Data, Wire::Coherence],
            };
            let kind = world.rng.between(0, 5);
            for wire in wires {
                trouble(world, process, *wire, kind, until);
            }
            (process, until)
        });
        self.sleep_until(until).await;
        self.with(|world| world.note(|| format!("HEALED {process}")));
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
            let server = Server::start(reign, keyspace, world.mutant);
            world.replace_server(server);
        });
    }

    fn evict(&self) {
        self.with(|world| {
            let now = world.sim.now;
            let dep = world.rng.index(DEPS);
            world.history.losses.push(now);
            world.note(|| format!("EVICT {dep}"));
            let server = world.servers.last_mut().expect("there is always one");
            if dep < KEYS {
                server.evict_entry(dep);
            } else {
                server.evict_tag(dep);
            }
        });
    }

    /// Everything heals; then each process reads each key, several times.
    async fn finale(&self) {
        self.sleep_until(HEALED).await;
        self.with(|world| {
            world.config.failing_percent = 0;
            world.config.slow_loader_percent = 0;
            world.config.faulty = false;
        });
        for round in 0..ROUNDS {
            self.sleep_until(LAST_READS + round * ROUND).await;
            for process in 0..PROCESSES {
                for key in 0..KEYS {
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

fn trouble(world: &mut World, process: usize, wire: Wire, kind: u64, until: Time) {
    let now = world.sim.now;
    world.note(|| format!("TROUBLE {kind} {process} {wire:?} until {until}"));
    let (refused, hole, frozen_up, frozen_down) = match kind {
        0 => (until, 0, 0, 0),
        1 => (0, until, 0, 0),
        2 => (0, 0, until, 0),
        3 => (0, 0, 0, until),
        _ => (0, 0, until, until),
    };
    world.trouble[process][wire as usize] = Trouble {
        refused,
        hole,
        frozen_up,
        frozen_down,
    };
    let theirs = |conn: &crate::world::Conn| conn.open && conn.process == process && conn.wire == wire;
    let conns: Vec<usize> = (0..world.conns.len())
        .filter(|conn| theirs(&world.conns[*conn]))
        .collect();
    for conn in conns {
        if refused > now {
            let notice = world.rng.between(1, 2_000);
            world.break_conn(conn, Some(notice));
        } else if hole > now {
            world.break_conn(conn, None);
        }
    }
}
