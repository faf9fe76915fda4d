//! A history of several masters, drawn from one seed.

use std::cell::RefCell;
use std::rc::Rc;

use super::calls::CALLS_END;
use super::check::{Detection, History};
use super::mutant::Mutant;
use super::process::Process;
use super::proof::BySome;
use super::redis::{first_map, Redis, Slot};
use super::weather::{Sky, Weather, HEALED};
use super::world::{run, Client, World, MASTERS, PROCESSES};
use crate::held::Bounds;
use crate::history::Violation;
use crate::rng::Rng;
use crate::scenario::Trace;
use crate::sim::{Sim, Time};

const LAST_READS: Time = HEALED + 200_000;
const END: Time = LAST_READS + 400_000;

const WEATHERS: [Weather; 9] = [
    Weather::Calm,
    Weather::Links,
    Weather::Refusals,
    Weather::Moves,
    Weather::Behind,
    Weather::Behind,
    Weather::Failovers,
    Weather::Minority,
    Weather::Storm,
];

#[derive(Debug)]
pub struct Outcome {
    pub reads: usize,
    /// Served by memory on the word of its owners alone.
    pub by_owners: usize,
    pub violation: Option<Violation>,
    pub log: Vec<String>,
}

#[must_use]
pub fn play(seed: u64, mutant: Option<Mutant>, trace: Trace) -> Outcome {
    let mut rng = Rng::new(seed);
    let weather = WEATHERS[rng.index(WEATHERS.len())];
    let bounds = Bounds {
        max_unverified: rng.between(10_000, 40_000),
        isolated: rng.between(10_000, 60_000),
    };
    let detection = match weather {
        Weather::Calm | Weather::Links | Weather::Refusals => Detection::None,
        Weather::Moves | Weather::Behind => Detection::Moves,
        Weather::Minority | Weather::Failovers | Weather::Storm => Detection::Failovers,
    };
    let nodes = (0..MASTERS).map(|id| {
        let mut node = Redis::start(
            id,
            id as u64 + 1,
            MASTERS as u64,
            first_map(),
            std::array::from_fn(|_| Slot::default()),
        );
        node.config = id as u64 + 1;
        node
    });
    let changes = (0..PROCESSES).map(|_| if rng.chance(30) { 1 } else { 22 }).collect();
    let world = World {
        sim: Sim::default(),
        rng,
        mutant,
        nodes: nodes.collect(),
        sessions: Vec::new(),
        processes: (0..PROCESSES).map(|_| Process::new(bounds, mutant)).collect(),
        history: History::default(),
        locked: vec![vec![0; MASTERS]; PROCESSES],
        changes,
        tokens: 1,
        reigns: 100,
        log: (trace == Trace::On).then(Vec::new),
        over: false,
    };
    let world = Rc::new(RefCell::new(world));
    for process in 0..PROCESSES {
        let client = Client {
            world: Rc::clone(&world),
            process,
        };
        let survey = client.clone();
        client.spawn(async move { survey.survey().await });
        for _ in 0..2 {
            let caller = client.clone();
            client.spawn(async move { caller.calls().await });
        }
    }
    let sky = Sky(Rc::clone(&world));
    sky.begin(weather);
    let last = sky.clone();
    sky.task(async move { finale(&last).await });
    run(&world, END);
    let mut world = world.borrow_mut();
    let by_owners = world
        .history
        .reads
        .iter()
        .filter(|read| read.by == Some(BySome::Owners))
        .count();
    Outcome {
        reads: world.history.reads.len(),
        by_owners,
        violation: world
            .history
            .check(bounds.max_unverified.max(bounds.isolated), detection),
        log: world.log.take().unwrap_or_default(),
    }
}

/// Everything heals; then each process reads each key.
async fn finale(sky: &Sky) {
    sky.until(HEALED.max(CALLS_END)).await;
    for round in 0..3 {
        sky.heal();
        sky.until(HEALED + (round + 1) * 20_000).await;
    }
    sky.until(LAST_READS).await;
    for process in 0..PROCESSES {
        for key in 0..2 {
            let client = Client {
                world: Rc::clone(&sky.0),
                process,
            };
            client.clone().spawn(async move { client.get_or_set(key, true).await });
        }
    }
    loop {
        let soon = sky.0.borrow().sim.now + 10_000;
        sky.until(soon).await;
        if sky.0.borrow().history.reads.iter().all(|read| read.served.is_some()) {
            break;
        }
    }
    sky.0.borrow_mut().over = true;
}
