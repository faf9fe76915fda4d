//! A history: who calls what, and what goes wrong meanwhile, all drawn from one seed.
//!
//! Few keys and tags, many calls at once, timeouts and loads of the same order as the bounds: collisions are the rule.
//! At the end everything heals, and every process reads every key again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::callers::start;
use crate::check::{Terms, Weather};
use crate::held::Bounds;
use crate::history::Violation;
use crate::load::LONGEST_LOADER;
use crate::lookup::PATIENCE;
use crate::mutant::{Focus, Mutant};
use crate::names::{Dep, DEPS, KEYS, NAMESPACE, PATTERNS, VERSIONED};
use crate::node::{run, Node};
use crate::process::Process;
use crate::rng::Rng;
use crate::server::{Keyspace, Server};
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
    let focus = mutant.map(Mutant::focus);
    let theme = theme(&mut rng, focus);
    let config = config(&mut rng, weather, theme, focus);
    let bounds = bounds(&mut rng, theme);
    let terms = Terms {
        weather,
        elsewhere: bounds.max_unverified.max(bounds.isolated),
        budget: BUDGET,
        patience: PATIENCE,
        short_ttl: config.ttl < HEALED,
        serves_stale: config.serves_stale,
    };
    let server = Server::start(1, 0, Keyspace::default(), mutant);
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

fn theme(rng: &mut Rng, focus: Option<Focus>) -> Theme {
    let all = if focus == Some(Focus::Blinks) { 22 } else { 100 };
    match rng.between(0, all) {
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

/// What callers invalidate: the more kinds at once, the fewer collisions of each.
fn subject(rng: &mut Rng, focus: Option<Focus>) -> (Vec<usize>, Vec<Dep>, u64) {
    let plain: Vec<Dep> = [0, 1].into_iter().chain(KEYS..DEPS).collect();
    let patterns: Vec<Dep> = (DEPS..DEPS + PATTERNS).collect();
    let with = |more: &[Dep]| [&plain, more].concat();
    let (from, to) = match focus {
        None => (0, 100),
        Some(Focus::Plain | Focus::Blinks) => (0, 36),
        Some(Focus::Patterns) => (36, 60),
        Some(Focus::Versions) => (60, 72),
        Some(Focus::Settle) => (72, 100),
    };
    match rng.between(from, to) {
        0..36 => (vec![0, 1], plain, 0),
        36..54 => (vec![0, 1], patterns, 0),
        54..60 => (vec![0, 1, VERSIONED], with(&patterns), 0),
        60..72 => (vec![0, VERSIONED], with(&[0, 0, 0]), 0),
        72..84 => (vec![0, VERSIONED], with(&[0, 0]), 60),
        84..96 => (vec![0, 1], [patterns, vec![0, NAMESPACE]].concat(), 60),
        _ => (vec![0, 1, VERSIONED], with(&patterns), 30),
    }
}

fn config(rng: &mut Rng, weather: Weather, theme: Theme, focus: Option<Focus>) -> Config {
    let subset = |rng: &mut Rng, percent: u64| -> BTreeSet<usize> {
        (KEYS..NAMESPACE).filter(|_| rng.chance(percent)).collect()
    };
    let short_ttl = rng.chance(25);
    let (keys, targets, settle_percent) = subject(rng, focus);
    let is_slow = rng.chance(15) || focus == Some(Focus::Blinks);
    let longest_settle = if rng.chance(25) { 150_000 } else { 70_000 };
    Config {
        keys,
        targets,
        settle_percent,
        longest_settle: rng.between(5_000, longest_settle),
        lost_rules_percent: match weather {
            Weather::Evictions | Weather::Storm if rng.chance(30) => rng.between(10, 50),
            _ => 0,
        },
        faulty: weather == Weather::Storm,
        ttl: if short_ttl { 1 } else { 10 * END },
        life: 20 * END,
        serves_stale: short_ttl || rng.chance(60),
        failing_percent: if rng.chance(30) { rng.between(30, 95) } else { 0 },
        beat: if is_slow { 40_000 } else { 12_000 },
        idle_percent: if rng.chance(25) { 70 } else { 15 },
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
