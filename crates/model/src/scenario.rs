//! A history: who calls what, and what goes wrong meanwhile, all drawn from one seed.
//!
//! Few keys and tags, many calls at once, timeouts and loads of the same order as the bounds: collisions are the rule.
//! At the end everything heals, and every process reads every key again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::callers::start;
use crate::history::{Terms, Violation, Weather};
use crate::load::LONGEST_LOADER;
use crate::mutant::Mutant;
use crate::node::{run, Node};
use crate::process::{Bounds, Process};
use crate::read::PATIENCE;
use crate::rng::Rng;
use crate::server::{Keyspace, Server, KEYS, NAMESPACE};
use crate::sim::Time;
use crate::weather::{Scene, Theme, HEALED, LAST_READS, ROUND, ROUNDS};
use crate::world::{Config, World, PROCESSES, TIMEOUT};

const END: Time = LAST_READS + ROUNDS * ROUND + BUDGET;
/// Everything a read may spend: others' loads, its own, and a few timeouts.
const BUDGET: Time = PATIENCE + LONGEST_LOADER + 8 * TIMEOUT;

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
    let weather = weather(&mut rng);
    let theme = theme(&mut rng);
    let config = config(&mut rng, weather, theme);
    let bounds = bounds(&mut rng, theme);
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
    let snapshots = Rc::default();
    let scene = Scene {
        world: Rc::clone(&world),
        bounds,
        theme,
        snapshots,
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

fn weather(rng: &mut Rng) -> Weather {
    match rng.between(0, 100) {
        0..20 => Weather::Calm,
        20..28 => Weather::Kills,
        28..40 => Weather::Evictions,
        _ => Weather::Storm,
    }
}

fn theme(rng: &mut Rng) -> Theme {
    match rng.between(0, 100) {
        0..22 => Theme::Blinks,
        22..32 => Theme::Stops,
        32..38 => Theme::ReadOnly,
        _ => Theme::Mixed,
    }
}

/// Bounds of the same order as a load; among blinks, shorter than most.
fn bounds(rng: &mut Rng, theme: Theme) -> Bounds {
    let longest = if matches!(theme, Theme::Blinks) { 25_000 } else { 70_000 };
    Bounds {
        max_unverified: rng.between(15_000, longest),
        isolated: rng.between(15_000, longest),
    }
}

fn config(rng: &mut Rng, weather: Weather, theme: Theme) -> Config {
    let subset = |rng: &mut Rng, percent: u64| -> BTreeSet<usize> {
        (KEYS..NAMESPACE).filter(|_| rng.chance(percent)).collect()
    };
    let short_ttl = rng.chance(25);
    Config {
        faulty: weather == Weather::Storm,
        ttl: if short_ttl { 1 } else { 10 * END },
        life: 20 * END,
        serves_stale: short_ttl || rng.chance(60),
        failing_percent: if rng.chance(30) { rng.between(30, 95) } else { 0 },
        change_percent: if rng.chance(30) { 10 } else { 100 },
        slow_loader_percent: if matches!(theme, Theme::Blinks) && rng.chance(40) {
            90
        } else {
            rng.between(0, 50)
        },
        tags: (0..KEYS).map(|_| subset(rng, 40)).collect(),
        may_name: (0..KEYS).map(|_| subset(rng, 35)).collect(),
    }
}
