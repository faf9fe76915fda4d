//! Virtual time: an event queue, tasks and the one thing a task can wait for.
//!
//! Protocol code is written as `async fn`, so that it reads like the text it models; this file is the whole
//! runtime. A task runs until it waits; nothing else happens meanwhile. Ties in time go by order of scheduling.

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// Microseconds since the history began.
pub type Time = u64;
pub type TaskId = usize;
pub type Job = Pin<Box<dyn Future<Output = ()>>>;

/// What the queue hands out when its time has come.
#[derive(Debug)]
pub enum Due<E> {
    Wake(TaskId),
    Event(E),
}

struct Scheduled<E> {
    at: Time,
    order: u64,
    due: Due<E>,
}

impl<E> PartialEq for Scheduled<E> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl<E> Eq for Scheduled<E> {}

impl<E> PartialOrd for Scheduled<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Scheduled<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The clock, the queue, and the tasks that are ready to run.
pub struct Sim<E> {
    pub now: Time,
    order: u64,
    queue: BinaryHeap<Reverse<Scheduled<E>>>,
    ready: VecDeque<TaskId>,
    /// The process a task belongs to; `None` for the scenario itself.
    owners: Vec<Option<usize>>,
    spawned: Vec<(TaskId, Job)>,
    killed: Vec<TaskId>,
    current: TaskId,
}

impl<E> Default for Sim<E> {
    fn default() -> Self {
        Self {
            now: 0,
            order: 0,
            queue: BinaryHeap::new(),
            ready: VecDeque::new(),
            owners: Vec::new(),
            spawned: Vec::new(),
            killed: Vec::new(),
            current: 0,
        }
    }
}

impl<E> Sim<E> {
    pub fn schedule(&mut self, at: Time, due: Due<E>) {
        self.order += 1;
        let at = at.max(self.now);
        let order = self.order;
        self.queue.push(Reverse(Scheduled { at, order, due }));
    }

    /// Moves the clock to the next thing due and hands it out.
    pub fn advance(&mut self) -> Option<Due<E>> {
        let Reverse(next) = self.queue.pop()?;
        self.now = next.at;
        Some(next.due)
    }

    pub fn spawn(&mut self, owner: Option<usize>, job: Job) {
        let id = self.owners.len();
        self.owners.push(owner);
        self.spawned.push((id, job));
        self.ready.push_back(id);
    }

    #[must_use]
    pub fn owner(&self, task: TaskId) -> Option<usize> {
        self.owners[task]
    }

    pub fn make_ready(&mut self, task: TaskId) {
        self.ready.push_back(task);
    }

    /// Drops every task of a process: it was killed.
    pub fn kill(&mut self, process: usize) {
        for (task, owner) in self.owners.iter_mut().enumerate() {
            if *owner == Some(process) {
                *owner = None;
                self.killed.push(task);
            }
        }
    }
}

/// The tasks themselves, outside of the world they borrow while they run.
#[derive(Default)]
pub struct Executor {
    jobs: Vec<Option<Job>>,
}

impl Executor {
    /// Runs what is ready until everything waits.
    pub fn settle<E>(&mut self, sim: impl Fn(&mut dyn FnMut(&mut Sim<E>))) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            let (mut spawned, mut killed, mut task) = (Vec::new(), Vec::new(), None);
            sim(&mut |sim| {
                spawned = std::mem::take(&mut sim.spawned);
                killed = std::mem::take(&mut sim.killed);
                task = sim.ready.pop_front();
                sim.current = task.unwrap_or_default();
            });
            for (id, job) in spawned {
                self.jobs.resize_with(id + 1, || None);
                self.jobs[id] = Some(job);
            }
            for id in killed {
                self.jobs[id] = None;
            }
            let Some(task) = task else { return };
            if let Some(job) = &mut self.jobs[task] {
                if job.as_mut().poll(&mut context).is_ready() {
                    self.jobs[task] = None;
                }
            }
        }
    }
}

struct Slot<T> {
    value: Option<T>,
    waiting: Vec<TaskId>,
}

/// A value that arrives once and that any number of tasks may wait for.
pub struct Promise<T>(Rc<RefCell<Slot<T>>>);

impl<T> Clone for Promise<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Default for Promise<T> {
    fn default() -> Self {
        let slot = Slot {
            value: None,
            waiting: Vec::new(),
        };
        Self(Rc::new(RefCell::new(slot)))
    }
}

impl<T: Clone> Promise<T> {
    /// Stores the value and wakes who waits; a second value is ignored.
    pub fn complete<E>(&self, sim: &mut Sim<E>, value: T) {
        let mut slot = self.0.borrow_mut();
        if slot.value.is_none() {
            slot.value = Some(value);
            for task in slot.waiting.drain(..) {
                sim.make_ready(task);
            }
        }
    }

    /// The value if it is there or the deadline has passed (`None`); otherwise the running task is woken for either.
    pub fn poll<E>(&self, sim: &mut Sim<E>, deadline: Time) -> std::task::Poll<Option<T>> {
        let mut slot = self.0.borrow_mut();
        if slot.value.is_some() || sim.now >= deadline {
            return std::task::Poll::Ready(slot.value.clone());
        }
        if !slot.waiting.contains(&sim.current) {
            slot.waiting.push(sim.current);
            if deadline < Time::MAX {
                sim.schedule(deadline, Due::Wake(sim.current));
            }
        }
        std::task::Poll::Pending
    }
}
