//! Everything there is, and how a task of a process gets at it.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use super::check::History;
use super::mutant::Mutant;
use super::process::Process;
use super::redis::Redis;
use super::wires::Session;
use crate::rng::Rng;
use crate::sim::{Due, Executor, Promise, Sim, Time};

pub const PROCESSES: usize = 2;
pub const MASTERS: usize = 3;
/// How long a command is waited for.
pub const TIMEOUT: Time = 10_000;

/// What happens at a time.
pub type Act = Box<dyn FnOnce(&mut World)>;

pub struct World {
    pub sim: Sim<Act>,
    pub rng: Rng,
    pub mutant: Option<Mutant>,
    pub nodes: Vec<Redis>,
    pub sessions: Vec<Session>,
    pub processes: Vec<Process>,
    pub history: History,
    /// Until when a process cannot reach a node.
    pub locked: Vec<Vec<Time>>,
    /// How many of a caller's calls invalidate something, per cent, by process.
    pub changes: Vec<u64>,
    pub tokens: u64,
    pub reigns: u64,
    pub log: Option<Vec<String>>,
    pub over: bool,
}

impl World {
    pub fn at(&mut self, time: Time, act: impl FnOnce(&mut World) + 'static) {
        self.sim.schedule(time, Due::Event(Box::new(act)));
    }

    pub fn soon(&mut self, low: Time, high: Time, act: impl FnOnce(&mut World) + 'static) {
        let time = self.sim.now + self.rng.between(low, high);
        self.at(time, act);
    }

    pub fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.sim.now;
        if let Some(log) = &mut self.log {
            log.push(format!("{now:>8} {}", line()));
        }
    }

    #[must_use]
    pub fn is_locked(&self, process: usize, node: usize) -> bool {
        self.locked[process]
            .get(node)
            .is_some_and(|until| *until > self.sim.now)
    }

    /// Has a process look at the cluster again.
    pub fn want_survey(&mut self, process: usize) {
        let wake = self.processes[process].want_survey();
        wake.complete(&mut self.sim, ());
    }
}

/// A process's code: the world, and which process it is.
#[derive(Clone)]
pub struct Client {
    pub world: Rc<RefCell<World>>,
    pub process: usize,
}

impl Client {
    pub fn with<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        f(&mut self.world.borrow_mut())
    }

    pub fn me<R>(&self, f: impl FnOnce(&mut Process) -> R) -> R {
        f(&mut self.world.borrow_mut().processes[self.process])
    }

    #[must_use]
    pub fn now(&self) -> Time {
        self.world.borrow().sim.now
    }

    #[must_use]
    pub fn is(&self, mutant: Mutant) -> bool {
        self.world.borrow().mutant == Some(mutant)
    }

    pub fn spawn(&self, job: impl Future<Output = ()> + 'static) {
        self.with(|world| world.sim.spawn(Some(self.process), Box::pin(job)));
    }

    pub async fn wait<T: Clone>(&self, promise: &Promise<T>, deadline: Time) -> Option<T> {
        std::future::poll_fn(|_| promise.poll(&mut self.world.borrow_mut().sim, deadline)).await
    }

    pub async fn sleep(&self, low: Time, high: Time) {
        let deadline = self.with(|world| world.sim.now + world.rng.between(low, high));
        self.wait(&Promise::<()>::default(), deadline).await;
    }
}

/// Runs the world until `end`.
pub fn run(world: &Rc<RefCell<World>>, end: Time) {
    let mut executor = Executor::default();
    loop {
        executor.settle(|f: &mut dyn FnMut(&mut Sim<Act>)| f(&mut world.borrow_mut().sim));
        let due = world.borrow_mut().sim.advance();
        let mut world = world.borrow_mut();
        match due {
            Some(due) if world.sim.now <= end && !world.over => match due {
                Due::Wake(task) => world.sim.make_ready(task),
                Due::Event(act) => act(&mut world),
            },
            _ => return,
        }
    }
}
