//! One multiplexed connection with a deadline on everything asked of it.

use std::borrow::Borrow;
use std::future::Future;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at, Instant};

use super::chunk;
use super::fault::{fault_of, Fault};
use super::script::ScriptCall;
use super::stream::Arrived;

/// For what has arrived and was not read yet: a few turns of the runtime.
pub const GRACE: Duration = Duration::from_millis(5);

/// What Redis may still cost one operation. Arriving bytes renew it, up to ten times: a large reply on a
/// slow link is progress, a silent link is not.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    until: Instant,
    last: Instant,
    step: Duration,
}

impl Budget {
    #[must_use]
    pub fn new(step: Duration) -> Self {
        let now = Instant::now();
        Self {
            until: now + step,
            last: now + step * 10,
            step,
        }
    }

    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// An answer came: what is left is a step again, if it was used up.
    pub fn progress(&mut self) {
        if self.is_over() {
            self.until = (Instant::now() + self.step).min(self.last);
        }
    }

    /// A piece of something longer came: the next one has a step of its own.
    pub fn piece(&mut self) {
        self.until = (Instant::now() + self.step).min(self.last);
    }

    /// Another step, counted from when bytes last arrived.
    ///
    /// # Errors
    /// The time is up: [`Fault::Silent`] when nothing came for at least half a step, in which a server that is there answers.
    fn renew(&mut self, heard: Heard) -> Result<(), Fault> {
        let now = Instant::now();
        let until = (heard.at + self.step).min(self.last);
        if heard.anything && now < until {
            self.until = until;
            return Ok(());
        }
        let is_silent = now.duration_since(heard.at) * 2 >= self.step;
        Err(if is_silent { Fault::Silent } else { Fault::Timeout })
    }
}

/// When bytes were last seen to arrive; until then, when the waiting began.
#[derive(Clone, Copy)]
struct Heard {
    bytes: u64,
    anything: bool,
    at: Instant,
}

impl Heard {
    fn nothing_yet(bytes: u64) -> Self {
        let (anything, at) = (false, Instant::now());
        Self { bytes, anything, at }
    }

    fn look(&mut self, bytes: u64) {
        if bytes != self.bytes {
            let (anything, at) = (true, Instant::now());
            *self = Self { bytes, anything, at };
        }
    }
}

/// How often in a step who waits for a turn looks for arrived bytes: what others wait for has come just before silence falls,
/// which is noticed that much later.
const LOOKS: u32 = 4;

#[derive(Debug)]
pub struct Wire {
    connection: MultiplexedConnection,
    arrived: Arrived,
    driver: JoinHandle<()>,
    /// For entries that take several commands each.
    turns: Semaphore,
}

impl Wire {
    #[must_use]
    pub fn new(connection: MultiplexedConnection, arrived: Arrived, driver: JoinHandle<()>) -> Self {
        Self {
            connection,
            arrived,
            driver,
            turns: Semaphore::new(chunk::AT_ONCE),
        }
    }

    /// Bytes that arrived so far: two equal looks mean silence.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Relaxed)
    }

    /// Sends a pipeline and waits for all replies. Replies that are errors come as values.
    ///
    /// # Errors
    /// [`Fault::Timeout`] or [`Fault::Silent`] after the budget without progress (the commands may still run later),
    /// [`Fault::Disconnected`].
    pub async fn send(&self, pipeline: &Pipeline, budget: &mut Budget) -> Result<Vec<Value>, Fault> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connection.clone();
        let reply = connection.send_packed_commands(pipeline, 0, pipeline.len());
        self.within(budget, 1, reply).await?.map_err(Fault::from)
    }

    /// What comes over this connection, or has to do with what comes; with so many looks for arrived bytes in a step.
    async fn within<T>(&self, budget: &mut Budget, looks: u32, awaited: impl Future<Output = T>) -> Result<T, Fault> {
        tokio::pin!(awaited);
        let mut heard = Heard::nothing_yet(self.arrived());
        loop {
            let look = (Instant::now() + budget.step / looks).min(budget.until());
            if let Ok(result) = timeout_at(look, &mut awaited).await {
                return Ok(result);
            }
            heard.look(self.arrived());
            if !budget.is_over() {
                continue;
            }
            // This process may have been held up itself: what lies in the socket is read before anything is judged.
            if let Ok(result) = timeout(GRACE, &mut awaited).await {
                budget.progress();
                return Ok(result);
            }
            heard.look(self.arrived());
            budget.renew(heard)?;
        }
    }

    /// The turn of a long entry. What the others wait for arrives meanwhile, and renews the budget.
    ///
    /// # Errors
    /// As [`Wire::send`].
    pub async fn turn(&self, budget: &mut Budget) -> Result<SemaphorePermit<'_>, Fault> {
        let turn = self.within(budget, LOOKS, self.turns.acquire()).await?;
        turn.map_err(|_| Fault::Disconnected("no turns are given any more".into()))
    }

    /// Runs scripts in one pipeline. Those that the server does not know yet go again: the first of each with its text, and
    /// by then it is known.
    ///
    /// # Errors
    /// As [`Wire::send`]; a script's own error comes as a value.
    pub async fn scripts<C>(&self, calls: &[C], budget: &mut Budget) -> Result<Vec<Value>, Fault>
    where
        C: Borrow<ScriptCall> + Sync,
    {
        let mut pipeline = Pipeline::with_capacity(calls.len());
        for call in calls.iter().map(Borrow::borrow) {
            pipeline.add_command(call.script.by_hash(call));
        }
        let mut replies = self.send(&pipeline, budget).await?;
        let unknown: Vec<usize> = (0..replies.len())
            .filter(|n| matches!(&replies[*n], Value::ServerError(e) if e.code() == "NOSCRIPT"))
            .collect();
        if !unknown.is_empty() {
            let mut pipeline = Pipeline::with_capacity(unknown.len());
            let mut told = Vec::new();
            for call in unknown.iter().map(|n| calls[*n].borrow()) {
                let is_told = told.contains(&call.script);
                if !is_told {
                    told.push(call.script);
                }
                let script = call.script;
                pipeline.add_command(if is_told {
                    script.by_hash(call)
                } else {
                    script.by_text(call)
                });
            }
            let again = self.send(&pipeline, budget).await?;
            for (n, reply) in unknown.into_iter().zip(again) {
                replies[n] = reply;
            }
        }
        Ok(replies)
    }

    /// Sends a pipeline of which every reply must be good.
    ///
    /// # Errors
    /// As [`Wire::send`], and the first reply that is an error.
    pub async fn all(&self, pipeline: &Pipeline, budget: &mut Budget) -> Result<Vec<Value>, Fault> {
        let replies = self.send(pipeline, budget).await?;
        match replies.iter().find_map(fault_of) {
            Some(fault) => Err(fault),
            None => Ok(replies),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
