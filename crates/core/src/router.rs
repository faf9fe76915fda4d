//! The router: what is asked of several masters, split by slot, sent at once, and merged in order.
//!
//! A master that cannot be asked costs only what it owns: the place of each reply of its own is taken by an error. Nothing is
//! ever sent twice, but for what a node said that it did not run: ASK sends that one command to where its slot is moving.
//! What has moved for good (MOVED) is the caller's to ask again, when the cluster was looked at: versions and reigns would
//! otherwise be taken for those of another master.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Cmd, Value};

use crate::cluster::{Layout, Survey};
use crate::endpoint;
use crate::envelope::Reign;
use crate::journal::Journal;
use crate::link::Link;
use crate::redis::fault::{fault_of, Fault};
use crate::redis::script::ScriptCall;
use crate::redis::session::Session;
use crate::redis::slots::target;
use crate::redis::wire::Budget;
use crate::shards::Answers;

/// A master, and the session with it, if there was one.
#[derive(Debug)]
pub struct Seat {
    pub link: Arc<Link>,
    pub session: Option<Arc<Session>>,
}

/// The masters of a cluster as they are reached at one moment.
#[derive(Debug)]
pub struct Router {
    pub seats: Box<[Seat]>,
    layout: Arc<Layout>,
    survey: Arc<Survey>,
}

/// What is asked of it.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// Commands that change nothing, each with its slot.
    Reads(&'a [(u16, Cmd)]),
    Scripts(&'a [ScriptCall]),
}

impl Asked<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Reads(reads) => reads.len(),
            Self::Scripts(calls) => calls.len(),
        }
    }

    fn slot(&self, n: usize) -> u16 {
        match self {
            Self::Reads(reads) => reads[n].0,
            Self::Scripts(calls) => calls[n].slot(),
        }
    }

    /// One of them alone, whole: a script with its text.
    fn command(&self, n: usize) -> Cmd {
        match self {
            Self::Reads(reads) => reads[n].1.clone(),
            Self::Scripts(calls) => calls[n].script.by_text(&calls[n]),
        }
    }

    async fn send(&self, members: &[usize], session: &Session, budget: &mut Budget) -> Result<Vec<Value>, Fault> {
        match self {
            Self::Reads(reads) => {
                let mut pipeline = redis::Pipeline::with_capacity(members.len());
                for n in members {
                    pipeline.add_command(reads[*n].1.clone());
                }
                session.data.send(&pipeline, budget).await
            }
            Self::Scripts(calls) => {
                let calls: Vec<&ScriptCall> = members.iter().map(|n| &calls[*n]).collect();
                session.data.scripts(&calls, budget).await
            }
        }
    }
}

impl Router {
    #[must_use]
    pub fn new(layout: Arc<Layout>, survey: Arc<Survey>) -> Self {
        let seat = |link: &Arc<Link>| Seat {
            link: Arc::clone(link),
            session: link.shards().and_then(|shards| shards.only().cloned()),
        };
        Self {
            seats: layout.masters.iter().map(seat).collect(),
            layout,
            survey,
        }
    }

    /// The same, with a session that nobody else may use yet.
    #[must_use]
    pub fn with(mut self, link: &Arc<Link>, session: &Arc<Session>) -> Self {
        for seat in self.seats.iter_mut().filter(|seat| Arc::ptr_eq(&seat.link, link)) {
            seat.session = Some(Arc::clone(session));
        }
        self
    }

    /// The place of a slot's master.
    #[must_use]
    pub fn place(&self, slot: u16) -> Option<usize> {
        self.layout.place(slot)
    }

    /// Whose these slots are, and the map that says so.
    #[must_use]
    pub fn owners(&self, slots: impl Iterator<Item = u16>) -> Option<(u64, u64)> {
        Some((self.layout.owners(slots)?, self.layout.since))
    }

    /// The session with a slot's master.
    #[must_use]
    pub fn session(&self, slot: u16) -> Option<&Arc<Session>> {
        let seat = &self.seats[self.place(slot)?];
        seat.session.as_ref().filter(|session| !session.is_over())
    }

    pub fn sessions(&self) -> impl Iterator<Item = &Arc<Session>> {
        let sessions = self.seats.iter().filter_map(|seat| seat.session.as_ref());
        sessions.filter(|session| !session.is_over())
    }

    /// Asks every master for its part. Where `journal` is given, one that it holds something for is not asked.
    pub async fn ask(&self, asked: Asked<'_>, journal: Option<&Journal>, budget: &mut Budget) -> Answers {
        let mut values = vec![Value::Nil; asked.len()];
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); self.seats.len()];
        for (n, value) in values.iter_mut().enumerate() {
            match self.place(asked.slot(n)) {
                Some(place) => parts[place].push(n),
                None => *value = self.moved("a slot is nobody's").into_value(),
            }
        }
        let owing = journal.map(|journal| self.owing(journal)).unwrap_or_default();
        let is_owing = |place| owing.get(place).is_some_and(|owes| *owes);
        let parts = parts.iter().enumerate().filter(|(_, members)| !members.is_empty());
        let (started, is_trusting) = (*budget, journal.is_some());
        let sent = parts.map(|(place, members)| async move {
            let mut budget = started;
            let seat = &self.seats[place];
            let replies = if is_owing(place) {
                Err(Fault::Disconnected(format!(
                    "{} lacks invalidations",
                    seat.link.config.place()
                )))
            } else {
                seat.ask(asked, members, is_trusting, &mut budget).await
            };
            (members, replies, budget)
        });
        for (members, replies, spent) in join_all(sent).await {
            if spent.until() > budget.until() {
                *budget = spent;
            }
            match replies {
                Ok(replies) => members.iter().zip(replies).for_each(|(n, reply)| values[*n] = reply),
                Err(fault) => members.iter().for_each(|n| values[*n] = fault.clone().into_value()),
            }
        }
        self.redirect(asked, values, budget).await
    }

    /// Which masters lack something that the journal holds.
    fn owing(&self, journal: &Journal) -> Vec<bool> {
        let mut owing = vec![false; self.seats.len()];
        journal.each_slot(|slot| {
            if let Some(place) = self.place(slot) {
                owing[place] = true;
            }
        });
        owing
    }

    /// Deals with replies that tell of another place: they say that nothing was run.
    async fn redirect(&self, asked: Asked<'_>, mut values: Vec<Value>, budget: &mut Budget) -> Answers {
        let mut strays = Vec::new();
        for (n, value) in values.iter_mut().enumerate() {
            let Value::ServerError(error) = &*value else { continue };
            let detail = error.details().unwrap_or_default();
            *value = match error.code() {
                "ASK" => match self.follow(asked.command(n), detail, budget).await {
                    Ok((reply, reign)) => {
                        strays.push((n, reign));
                        reply
                    }
                    Err(fault) => fault.into_value(),
                },
                "TRYAGAIN" => Fault::Unsettled(format!("TRYAGAIN {detail}")).into_value(),
                code @ ("MOVED" | "CLUSTERDOWN") => self.moved(&format!("{code} {detail}")).into_value(),
                _ => continue,
            };
        }
        Answers { values, strays }
    }

    /// Asks the master that a slot is moving to.
    async fn follow(&self, command: Cmd, detail: &str, budget: &mut Budget) -> Result<(Value, Reign), Fault> {
        let seat = target(detail).and_then(|(_, host, port)| {
            let place = self.layout.find(host, port)?;
            self.seats.get(place)
        });
        let Some(seat) = seat else {
            return Err(self.moved(&format!("ASK {detail}")));
        };
        let mut pipeline = redis::pipe();
        pipeline.cmd("ASKING").add_command(command);
        let session = seat.usable(true)?;
        let replies = seat.note(session.data.send(&pipeline, budget).await)?;
        let reply = replies.into_iter().next_back().unwrap_or(Value::Nil);
        match &reply {
            Value::ServerError(error) if ["ASK", "MOVED", "TRYAGAIN", "CLUSTERDOWN"].contains(&error.code()) => {
                Err(Fault::Unsettled(format!("{} after ASK", error.code())))
            }
            _ => Ok((reply, session.reign)),
        }
    }

    /// The cluster is not as it was: it is to be looked at.
    pub fn moved(&self, why: &str) -> Fault {
        self.survey.want();
        Fault::Unsettled(why.to_owned())
    }
}

impl Seat {
    /// The session, if it may be asked. A breaker holds reads and fills back, never invalidations.
    ///
    /// # Errors
    /// [`Fault::Disconnected`], with the master's place.
    pub fn usable(&self, is_trusting: bool) -> Result<&Arc<Session>, Fault> {
        let why = || Fault::Disconnected(self.link.config.place());
        let session = self.session.as_ref().filter(|session| !session.is_over());
        match session {
            Some(_) if is_trusting && self.link.breaker.is_open() => Err(why()),
            session => session.ok_or_else(why),
        }
    }

    async fn ask(
        &self,
        asked: Asked<'_>,
        members: &[usize],
        is_trusting: bool,
        budget: &mut Budget,
    ) -> Result<Vec<Value>, Fault> {
        let session = self.usable(is_trusting)?;
        let asking = asked.send(members, session, budget);
        if !is_trusting {
            return self.note(asking.await);
        }
        let replies = self.link.unless_silent(asking).await;
        self.note(replies.unwrap_or(Err(Fault::Silent)))
    }

    /// Takes note of what an answer, or its lack, says of the master.
    ///
    /// # Errors
    /// That of the replies.
    pub fn note(&self, replies: Result<Vec<Value>, Fault>) -> Result<Vec<Value>, Fault> {
        match &replies {
            Ok(values) => {
                self.link.breaker.success();
                if values.iter().filter_map(fault_of).any(|fault| is_unfit(&fault)) {
                    self.give_up();
                }
            }
            Err(fault) => self.note_fault(fault),
        }
        replies
    }

    /// Takes note of what the lack of an answer says of the master.
    pub fn note_fault(&self, fault: &Fault) {
        match fault {
            Fault::Timeout => self.link.timed_out(),
            Fault::Silent => endpoint::is_silent(&self.link),
            fault if is_unfit(fault) => self.give_up(),
            _ => {}
        }
    }

    fn give_up(&self) {
        if let Some(session) = &self.session {
            session.give_up();
        }
    }
}

fn is_unfit(fault: &Fault) -> bool {
    match fault {
        Fault::Disconnected(_) => true,
        // Without a quorum it says so, and is fit again by itself.
        Fault::Unfit(why) => !why.starts_with("CLUSTERDOWN"),
        _ => false,
    }
}
