//! Admission: a load passes the gate after the tiers had nothing, and before it takes a lease or is loaded without Redis.
//!
//! What it is loaded under (the point it is judged from, its versions, its lease) is taken when it really starts. A refresh does
//! not wait: a stale value was served. What the loader of another load asks for passes at once, because that one would wait
//! for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::lookup::{Answer, Found, Pending};
use super::{Engine, Refreshing};
use crate::gate::{Entry, Place, Ticket};
use crate::loads::{LoadId, LoadKind, Passage, Run, Stamps, Storage};
use crate::redis::wire::Budget;

/// Why a load is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// As many wait as may.
    Full,
    /// It waited as long as its caller wants to.
    TooLong,
}

/// Whether a load has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    No,
    Yes,
    /// And what its loader asks for may find no place.
    Pressed,
}

/// What the wait at the gate came to.
enum Waited {
    Placed(Place),
    /// Nobody wants it any more.
    Gone,
    Overloaded(Overload),
}

impl Engine {
    /// Those that may be loaded now. The others wait, or are told that they cannot be.
    pub(super) fn admitted(&self, pending: Vec<Pending>, answer: &Answer) -> Vec<Pending> {
        let mut inside = Vec::with_capacity(pending.len());
        for mut one in pending {
            if one.place.is_some() || !one.read.loads {
                inside.push(one);
                continue;
            }
            match self.ask_to_enter(&one) {
                Entry::In(place) => {
                    one.place = Some(Arc::new(place));
                    inside.push(one);
                }
                Entry::Full => self.overloaded(&one, Overload::Full, answer),
                Entry::Queued(ticket) => {
                    let (engine, answer) = (self.me(), Arc::clone(answer));
                    self.runtime.spawn(async move {
                        let waited = engine.await_place(&one, ticket).await;
                        if engine.place(&mut one, waited, &answer) {
                            engine.resume(one, answer).await;
                        }
                    });
                }
            }
        }
        inside
    }

    /// Passes the gate once more, where waiting for another process was no reason to keep a place. `false`: it was answered.
    pub(super) async fn enter_again(&self, one: &mut Pending, answer: &Answer) -> bool {
        let waited = match self.ask_to_enter(one) {
            Entry::In(place) => Waited::Placed(place),
            Entry::Full => Waited::Overloaded(Overload::Full),
            Entry::Queued(ticket) => self.await_place(one, ticket).await,
        };
        self.place(one, waited, answer)
    }

    fn ask_to_enter(&self, one: &Pending) -> Entry {
        if one.kind == Some(LoadKind::Refresh) {
            return self.gate.try_enter(one.group).map_or(Entry::Full, Entry::In);
        }
        // Told before the gate is asked and looked at again after it: who hastens it meanwhile is seen here, or finds it in the queue.
        let is_urgent = || {
            let passage = self.loads.with(one.id, |load| {
                if load.passage == Passage::Unasked {
                    load.passage = Passage::Asked(one.group);
                }
                load.passage
            });
            passage == Some(Passage::Urgent)
        };
        if is_urgent() {
            return Entry::In(self.gate.beside(one.group));
        }
        let entry = self.gate.enter(one.group);
        if matches!(entry, Entry::Queued(_)) {
            if is_urgent() {
                drop(entry);
                return Entry::In(self.gate.beside(one.group));
            }
            self.loads.with(one.id, |load| load.is_queued = true);
        }
        entry
    }

    async fn await_place(&self, one: &Pending, mut ticket: Ticket) -> Waited {
        let Some(mut done) = self.loads.with(one.id, crate::loads::Load::done) else {
            return Waited::Gone;
        };
        tokio::select! {
            biased;
            place = ticket.place() => place.map_or(Waited::Gone, Waited::Placed),
            // An error means that the load is gone: ended, too.
            _ = done.wait_for(|done| *done) => Waited::Gone,
            () = tokio::time::sleep_until(one.wait_until) => Waited::Overloaded(Overload::TooLong),
        }
    }

    fn place(&self, one: &mut Pending, waited: Waited, answer: &Answer) -> bool {
        match waited {
            Waited::Placed(place) => {
                one.place = Some(Arc::new(place));
                self.begin_anew(one.id);
            }
            Waited::Gone => answer(one.id, Found::Retry),
            Waited::Overloaded(why) => self.overloaded(one, why, answer),
        }
        one.place.is_some()
    }

    /// Who has joined a load in the queue has what was not looked for before that. From here on it is a load as any other.
    fn begin_anew(&self, id: LoadId) {
        self.loads.with(id, |load| {
            load.is_queued = false;
            load.since = self.epochs.now();
            load.channel = self.channel();
            load.began = self.now();
        });
    }

    /// Its turn has come: somebody may have brought it to memory meanwhile. Boxed: it leads back to where it came from.
    fn resume(self: Arc<Self>, one: Pending, answer: Answer) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if one.read.refresh == Refreshing::Bypass {
                return self.lead_bypassing(&one, &answer);
            }
            let rest = self.answer_from_memory(vec![one], &answer);
            match self.trusted_shards() {
                Some(shards) => self.lease(rest, &shards, self.new_budget(), &answer).await,
                None => self.load_without_redis(rest, &answer),
            }
        })
    }

    /// Of all that one operation asks of Redis.
    pub(super) fn new_budget(&self) -> Budget {
        let link = self.link.as_ref();
        link.map_or_else(|| Budget::new(Duration::ZERO), |link| link.new_budget())
    }

    fn overloaded(&self, one: &Pending, why: Overload, answer: &Answer) {
        if one.kind == Some(LoadKind::Refresh) {
            return self.denied(one, answer);
        }
        self.metrics.loads_rejected.add(1);
        self.metrics.count_miss();
        let previous = self.loads.with(one.id, |load| load.previous.take()).flatten();
        self.loads.lock().end(one.id);
        let previous = self.still_good(previous, &one.key);
        answer(one.id, Found::Overload(why, previous));
    }

    /// A load that is neither read nor stored.
    pub(super) fn lead_bypassing(&self, one: &Pending, answer: &Answer) {
        self.lead(one, Storage::Nowhere, Stamps::default(), self.since(), answer);
    }

    /// Begins a load that is neither read nor stored, if there is a place for it. Else it is to be looked up.
    pub fn begin_at_once(&self, id: LoadId, group: LoadId, nested: bool) -> Begun {
        let place = if nested {
            Some(self.gate.beside(group))
        } else {
            self.gate.try_enter(group)
        };
        let Some(place) = place else { return Begun::No };
        let is_pressed = place.is_pressed;
        let begun = self.loads.with(id, |load| {
            load.place = Some(Arc::new(place));
            load.run = Run::Started;
        });
        if begun.is_some() {
            self.metrics.loads_started.add(1);
            self.metrics.count_miss();
        }
        if is_pressed {
            Begun::Pressed
        } else {
            Begun::Yes
        }
    }

    /// The loader of another load waits for this one, and so for the one that it waits for.
    pub fn hasten(&self, id: LoadId) {
        let mut next = Some(id);
        while let Some(id) = next {
            let found = self.loads.with(id, |load| {
                let passage = std::mem::replace(&mut load.passage, Passage::Urgent);
                (passage, load.after.as_ref().map(|older| older.id))
            });
            if let Some((Passage::Asked(group), _)) = found {
                self.gate.hasten(group);
            }
            next = found.and_then(|(_, older)| older);
        }
    }
}
