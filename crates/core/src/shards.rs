//! Shards: where a name lives, and how many of them are asked at once. Everything that the engine asks of Redis on the
//! data connections goes through here, by key; which server that is, is decided in this file alone.

use std::sync::Arc;

use redis::{Pipeline, Value};

use crate::clock::Clock;
use crate::envelope::Reign;
use crate::key::NameHash;
use crate::redis::fault::Fault;
use crate::redis::script::ScriptCall;
use crate::redis::session::Session;
use crate::redis::wire::Budget;
use crate::versions::{parse_version, Kept};

/// The sessions of the moment.
#[derive(Debug)]
pub struct Shards {
    session: Arc<Session>,
}

/// Replies in the order of what was asked; one that is an error comes as a value.
#[derive(Debug, Default)]
pub struct Answers {
    pub values: Vec<Value>,
}

impl Shards {
    /// One server has everything.
    #[must_use]
    pub fn alone(session: Arc<Session>) -> Self {
        Self { session }
    }

    /// The session with the master that a name belongs to; `None`: there is none now.
    #[must_use]
    pub fn of(&self, _name: NameHash) -> Option<&Arc<Session>> {
        Some(&self.session)
    }

    /// Nothing may be asked of it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.session.is_over()
    }

    /// Gives all sessions up.
    pub fn give_up(&self) {
        self.session.give_up();
    }

    /// Something went wrong with what was asked.
    pub fn failed(&self, fault: &Fault) {
        if let Fault::Disconnected(_) | Fault::Unfit(_) = fault {
            self.session.give_up();
        }
    }

    /// Whether pushes come from every master.
    #[must_use]
    pub fn has_pushes(&self) -> bool {
        self.session.coherence.is_some()
    }

    /// The clock of the master of a name, ms.
    #[must_use]
    pub fn server_time(&self, name: NameHash, clock: &dyn Clock) -> u64 {
        self.of(name).map_or(0, |session| session.server_time(clock))
    }

    /// GET of each key.
    ///
    /// # Errors
    /// As [`crate::redis::wire::Wire::send`].
    pub async fn gets(
        &self,
        keys: impl ExactSizeIterator<Item = String>,
        budget: &mut Budget,
    ) -> Result<Answers, Fault> {
        let mut pipeline = Pipeline::with_capacity(keys.len());
        for key in keys {
            pipeline.cmd("GET").arg(key);
        }
        let values = self.session.data.send(&pipeline, budget).await?;
        Ok(Answers { values })
    }

    /// Runs scripts, in the order in which each server is given its own.
    ///
    /// # Errors
    /// As [`crate::redis::wire::Wire::scripts`].
    pub async fn scripts(&self, calls: &[ScriptCall], budget: &mut Budget) -> Result<Answers, Fault> {
        let values = self.session.data.scripts(calls, budget).await?;
        Ok(Answers { values })
    }

    /// Every master answers.
    ///
    /// # Errors
    /// What the first said that does not.
    pub async fn ping(&self, budget: &mut Budget) -> Result<(), Fault> {
        let replies = self.session.data.all(redis::pipe().cmd("PING"), budget).await;
        replies.map(|_| ())
    }

    /// Waits until every push of before now, for any of the names, has arrived. `false`: that cannot be known.
    pub async fn barrier(&self, _names: &[NameHash], budget: &mut Budget) -> bool {
        let Some(pushes) = &self.session.coherence else {
            return false;
        };
        pushes.all(redis::pipe().cmd("PING"), budget).await.is_ok()
    }

    /// Whose answer the n-th is.
    #[must_use]
    pub fn reign(&self, _answers: &Answers, _n: usize, name: NameHash) -> Option<Reign> {
        Some(self.of(name)?.reign)
    }

    /// The version of a name in the n-th answer.
    #[must_use]
    pub fn version(&self, answers: &Answers, n: usize, name: NameHash) -> Option<Kept> {
        let Value::BulkString(bytes) = answers.values.get(n)? else {
            return None;
        };
        parse_version(bytes, self.reign(answers, n, name)?)
    }
}
