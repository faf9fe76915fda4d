//! Shards: where a name lives, and how many of them are asked at once. Everything that the engine asks of Redis on the
//! data connections goes through here, by key: to the one server there is, or by way of the router.

use std::sync::Arc;

use redis::{Cmd, Pipeline, Value};
use tokio::sync::SemaphorePermit;

use crate::clock::Clock;
use crate::envelope::Reign;
use crate::journal::Journal;
use crate::key::{slot_of, NameHash};
use crate::link::Link;
use crate::redis::chunk;
use crate::redis::fault::{has_moved, Fault};
use crate::redis::script::ScriptCall;
use crate::redis::session::Session;
use crate::redis::wire::Budget;
use crate::router::{Asked, Router};
use crate::versions::{parse_version, Kept};

/// The sessions of the moment.
#[derive(Debug)]
pub enum Shards {
    /// One server has everything.
    Alone(Arc<Session>),
    Many(Router),
}

/// Replies in the order of what was asked; one that is an error comes as a value.
#[derive(Debug, Default)]
pub struct Answers {
    pub values: Vec<Value>,
    /// Those that another master gave than the one a slot belongs to, and its reign.
    pub strays: Vec<(usize, Reign)>,
}

impl Shards {
    #[must_use]
    pub fn is_many(&self) -> bool {
        matches!(self, Self::Many(_))
    }

    /// The session, where there is but one server.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Alone(session) => Some(session),
            Self::Many(_) => None,
        }
    }

    /// The session with a master of a cluster.
    #[must_use]
    pub fn at(&self, master: &Link) -> Option<&Arc<Session>> {
        match self {
            Self::Alone(_) => None,
            Self::Many(router) => {
                let mut seats = router.seats.iter();
                seats
                    .find(|seat| std::ptr::eq(Arc::as_ptr(&seat.link), master))?
                    .session
                    .as_ref()
            }
        }
    }

    /// The link to the master of a name, in a cluster.
    #[must_use]
    pub fn link(&self, name: NameHash) -> Option<&Arc<Link>> {
        match self {
            Self::Alone(_) => None,
            Self::Many(router) => Some(&router.seats[router.place(name.slot())?].link),
        }
    }

    /// The session with the master that a name belongs to; `None`: there is none now.
    #[must_use]
    pub fn of(&self, name: NameHash) -> Option<&Arc<Session>> {
        match self {
            Self::Alone(session) => Some(session),
            Self::Many(router) => router.session(name.slot()),
        }
    }

    /// Whether what is in this slot of a cluster is sent to this session.
    #[must_use]
    pub fn is_home(&self, slot: u16, session: &Arc<Session>) -> bool {
        match self {
            Self::Alone(_) => true,
            Self::Many(router) => router.session(slot).is_some_and(|home| Arc::ptr_eq(home, session)),
        }
    }

    /// Whose these names are, in a cluster, and the map that says so.
    #[must_use]
    pub fn owners(&self, names: impl Iterator<Item = NameHash>) -> Option<(u64, u64)> {
        match self {
            Self::Alone(_) => None,
            Self::Many(router) => router.owners(names.map(NameHash::slot)),
        }
    }

    /// By master; what is nobody's now comes last.
    #[must_use]
    pub fn parts<T>(&self, items: Vec<T>, name: impl Fn(&T) -> NameHash) -> Vec<Vec<T>> {
        let Self::Many(router) = self else {
            return vec![items];
        };
        let mut parts: Vec<Vec<T>> = Vec::new();
        parts.resize_with(router.seats.len() + 1, Vec::new);
        for item in items {
            let place = router.place(name(&item).slot());
            parts[place.unwrap_or(router.seats.len())].push(item);
        }
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// Nothing may be asked of it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self {
            Self::Alone(session) => session.is_over(),
            Self::Many(router) => router.sessions().next().is_none(),
        }
    }

    /// Gives all sessions up.
    pub fn give_up(&self) {
        match self {
            Self::Alone(session) => session.give_up(),
            Self::Many(router) => router.sessions().for_each(|session| session.give_up()),
        }
    }

    /// Whether pushes come from every master there is a session with.
    #[must_use]
    pub fn has_pushes(&self) -> bool {
        match self {
            Self::Alone(session) => session.coherence.is_some(),
            Self::Many(router) => router.sessions().all(|session| session.coherence.is_some()),
        }
    }

    /// The clock of the master of a name, ms.
    #[must_use]
    pub fn server_time(&self, name: NameHash, clock: &dyn Clock) -> u64 {
        self.of(name).map_or(0, |session| session.server_time(clock))
    }

    /// GET of each key. In a cluster, a master that `journal` holds something for is not asked.
    ///
    /// # Errors
    /// As [`crate::redis::wire::Wire::send`], of the one server; of several each answers for itself.
    pub async fn gets(
        &self,
        keys: impl ExactSizeIterator<Item = String>,
        journal: &Journal,
        budget: &mut Budget,
    ) -> Result<Answers, Fault> {
        self.read(keys, get, journal, budget).await
    }

    /// The first chunk of each entry; as `gets`.
    ///
    /// # Errors
    /// As [`Shards::gets`].
    pub async fn heads(
        &self,
        keys: impl ExactSizeIterator<Item = String>,
        journal: &Journal,
        budget: &mut Budget,
    ) -> Result<Answers, Fault> {
        self.read(keys, chunk::first, journal, budget).await
    }

    async fn read(
        &self,
        keys: impl ExactSizeIterator<Item = String>,
        command: fn(&str) -> Cmd,
        journal: &Journal,
        budget: &mut Budget,
    ) -> Result<Answers, Fault> {
        match self {
            Self::Alone(session) => {
                let mut pipeline = Pipeline::with_capacity(keys.len());
                for key in keys {
                    pipeline.add_command(command(&key));
                }
                session.data.send(&pipeline, budget).await.map(Answers::from)
            }
            Self::Many(router) => {
                let reads: Vec<_> = keys.map(|key| (slot_of(&key), command(&key))).collect();
                Ok(router.ask(Asked::Reads(&reads), Some(journal), budget).await)
            }
        }
    }

    /// Runs scripts that read or fill, in the order in which each server is given its own. As to the journal, as `gets`.
    ///
    /// # Errors
    /// As [`Shards::gets`].
    pub async fn scripts(
        &self,
        calls: &[ScriptCall],
        journal: &Journal,
        budget: &mut Budget,
    ) -> Result<Answers, Fault> {
        self.run(calls, Some(journal), budget).await
    }

    /// Runs scripts that only take away: nothing holds them back.
    ///
    /// # Errors
    /// As [`Shards::gets`].
    pub async fn orders(&self, calls: &[ScriptCall], budget: &mut Budget) -> Result<Answers, Fault> {
        self.run(calls, None, budget).await
    }

    async fn run(
        &self,
        calls: &[ScriptCall],
        journal: Option<&Journal>,
        budget: &mut Budget,
    ) -> Result<Answers, Fault> {
        match self {
            Self::Alone(session) => session.data.scripts(calls, budget).await.map(Answers::from),
            Self::Many(router) => Ok(router.ask(Asked::Scripts(calls), journal, budget).await),
        }
    }

    /// Sends a pipeline to the master of a name; every reply must be good.
    ///
    /// # Errors
    /// As [`crate::redis::wire::Wire::all`]; in a cluster [`Fault::Unsettled`] where the name is another's by now.
    pub async fn all(&self, name: NameHash, pipeline: &Pipeline, budget: &mut Budget) -> Result<Vec<Value>, Fault> {
        let router = match self {
            Self::Alone(session) => return session.data.all(pipeline, budget).await,
            Self::Many(router) => router,
        };
        let Some(place) = router.place(name.slot()) else {
            return Err(router.moved("a slot is nobody's"));
        };
        let seat = &router.seats[place];
        match seat.note(seat.usable(true)?.data.all(pipeline, budget).await) {
            Err(Fault::Refused(why)) if has_moved(&why) => Err(router.moved(&why)),
            replies => replies,
        }
    }

    /// The turn of a long entry on the connection to the master of its name.
    ///
    /// # Errors
    /// As [`crate::redis::wire::Wire::turn`]; in a cluster [`Fault::Unsettled`] where nobody has the name.
    pub async fn turn(&self, name: NameHash, budget: &mut Budget) -> Result<SemaphorePermit<'_>, Fault> {
        let router = match self {
            Self::Alone(session) => return session.data.turn(budget).await,
            Self::Many(router) => router,
        };
        let Some(place) = router.place(name.slot()) else {
            return Err(router.moved("a slot is nobody's"));
        };
        let seat = &router.seats[place];
        let turn = seat.usable(true)?.data.turn(budget).await;
        turn.inspect_err(|fault| seat.note_fault(fault))
    }

    /// Every master answers.
    ///
    /// # Errors
    /// What the first said that does not.
    pub async fn ping(&self, budget: &mut Budget) -> Result<(), Fault> {
        let ping = redis::cmd("PING");
        let mut pipeline = redis::pipe();
        pipeline.add_command(ping);
        match self {
            Self::Alone(session) => session.data.all(&pipeline, budget).await.map(|_| ()),
            Self::Many(router) => {
                let budget = *budget;
                let pings = router.seats.iter().map(|seat| {
                    let (pipeline, mut budget) = (&pipeline, budget);
                    async move { seat.note(seat.usable(false)?.data.all(pipeline, &mut budget).await) }
                });
                let replies = futures_util::future::join_all(pings).await;
                replies.into_iter().find_map(Result::err).map_or(Ok(()), Err)
            }
        }
    }

    /// Waits until every push of before now, for any of the names, has arrived. `false`: that cannot be known.
    pub async fn barrier(&self, names: &[NameHash], budget: &mut Budget) -> bool {
        let mut homes: Vec<&Arc<Session>> = Vec::new();
        for name in names {
            match self.of(*name) {
                Some(home) if homes.iter().any(|known| Arc::ptr_eq(known, home)) => {}
                Some(home) => homes.push(home),
                None => return false,
            }
        }
        for home in homes {
            let Some(pushes) = &home.coherence else { return false };
            if pushes.all(redis::pipe().cmd("PING"), budget).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Whose answer the n-th is.
    #[must_use]
    pub fn reign(&self, answers: &Answers, n: usize, name: NameHash) -> Option<Reign> {
        let stray = answers.strays.iter().find(|(stray, _)| *stray == n);
        stray.map(|(_, reign)| *reign).or_else(|| Some(self.home(name)?.reign))
    }

    /// The session that a name's answers came from, also when it has ended since.
    fn home(&self, name: NameHash) -> Option<&Arc<Session>> {
        match self {
            Self::Alone(session) => Some(session),
            Self::Many(router) => router.seats[router.place(name.slot())?].session.as_ref(),
        }
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

fn get(key: &str) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(key);
    command
}

impl From<Vec<Value>> for Answers {
    fn from(values: Vec<Value>) -> Self {
        Self {
            values,
            strays: Vec::new(),
        }
    }
}
