//! A process's own view: its state, its clock, its connections; and the loop that runs the world.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use crate::command::{Command, ConnId, Reply};
use crate::held::Link;
use crate::mutant::Mutant;
use crate::process::Process;
use crate::sim::{Executor, Promise, Sim, Time};
use crate::world::{Event, World, TIMEOUT};

/// A process's code: a handle on the world and the index of the process.
#[derive(Clone)]
pub struct Node {
    pub world: Rc<RefCell<World>>,
    pub process: usize,
}

/// The replies of one pipeline and the reign that gave them.
#[derive(Debug, Clone)]
pub struct Answered {
    pub replies: Vec<Reply>,
    pub reign: u64,
}

impl Node {
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
        self.world.borrow().is(mutant)
    }

    /// Runs a task that dies with this process.
    pub fn spawn(&self, job: impl Future<Output = ()> + 'static) {
        self.with(|world| world.sim.spawn(Some(self.process), Box::pin(job)));
    }

    /// Waits for a promise until a deadline.
    pub async fn wait<T: Clone>(&self, promise: &Promise<T>, deadline: Time) -> Option<T> {
        std::future::poll_fn(|_| promise.poll(&mut self.world.borrow_mut().sim, deadline)).await
    }

    pub async fn sleep(&self, time: Time) {
        let deadline = self.now() + time;
        self.wait(&Promise::<()>::default(), deadline).await;
    }

    /// One round trip on a connection. A connection that is silent for a whole timeout is given up.
    pub async fn call_on(&self, conn: ConnId, commands: Vec<Command>) -> Option<Vec<Reply>> {
        let sent = self.now();
        let done = self.with(|world| world.send(conn, commands));
        let replies = self.wait(&done, sent + TIMEOUT).await.flatten();
        if replies.is_none() {
            self.with(|world| {
                if world.conns[conn].heard <= sent {
                    world.close(conn);
                }
            });
        }
        replies
    }

    /// One round trip on the data connection, if there is one. An error counts as no answer.
    pub async fn call(&self, commands: Vec<Command>) -> Option<Answered> {
        let Link { conn, reign } = self.me(|me| me.data)?;
        let replies = self.call_on(conn, commands).await?;
        (!replies.contains(&Reply::Refused)).then_some(Answered { replies, reign })
    }
}

/// Runs the world until `end`.
pub fn run(world: &Rc<RefCell<World>>, end: Time) {
    let mut executor = Executor::default();
    loop {
        executor.settle(|f: &mut dyn FnMut(&mut Sim<Event>)| f(&mut world.borrow_mut().sim));
        let due = world.borrow_mut().sim.advance();
        match due {
            Some(due) if world.borrow().sim.now <= end && !world.borrow().over => world.borrow_mut().dispatch(due),
            _ => return,
        }
    }
}
