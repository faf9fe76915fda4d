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

    /// Another step if bytes arrived.
    ///
    /// # Errors
    /// The time is up: [`Fault::Silent`] when nothing came for at least half a step, in which a server that is there answers.
    fn renew(&mut self, progress: bool, since: Instant) -> Result<(), Fault> {
        let now = Instant::now();
        if progress && now < self.last {
            self.until = (now + self.step).min(self.last);
            return Ok(());
        }
        let is_silent = !progress && now.duration_since(since) * 2 >= self.step;
        Err(if is_silent { Fault::Silent } else { Fault::Timeout })
    }
}

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
        self.within(budget, reply).await?.map_err(Fault::from)
    }

    /// What comes over this connection, or has to do with what comes.
    async fn within<T>(&self, budget: &mut Budget, awaited: impl Future<Output = T>) -> Result<T, Fault> {
        tokio::pin!(awaited);
        loop {
            let (seen, since) = (self.arrived(), Instant::now());
            if let Ok(result) = timeout_at(budget.until(), &mut awaited).await {
                return Ok(result);
            }
            // This process may have been held up itself: what lies in the socket is read before anything is judged.
            if let Ok(result) = timeout(GRACE, &mut awaited).await {
                budget.progress();
                return Ok(result);
            }
            budget.renew(self.arrived() != seen, since)?;
        }
    }

    /// The turn of a long entry; `None`: not within the budget. What the others wait for arrives meanwhile, and renews it.
    pub async fn turn(&self, budget: &mut Budget) -> Option<SemaphorePermit<'_>> {
        self.within(budget, self.turns.acquire()).await.ok()?.ok()
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
