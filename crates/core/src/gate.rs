//! The gate: how many loads run at once in this process, and how many may wait for that.
//!
//! A load enters after the tiers had nothing and before it takes a lease: hits never wait here, and nobody holds a lease while he
//! waits. Those of one `getOrSetMany` enter as one. First come, first served.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Loads that count as one: the number of the first of them.
pub type Group = u64;

/// Opens for so many at once.
#[derive(Debug)]
pub struct Gate {
    most: usize,
    most_queued: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// With how many places each.
    inside: HashMap<Group, usize>,
    /// In the order in which they came.
    queue: BTreeMap<u64, Waiting>,
    tickets: HashMap<Group, u64>,
    last_ticket: u64,
}

#[derive(Debug)]
struct Waiting {
    group: Group,
    members: Vec<oneshot::Sender<Place>>,
}

/// What becomes of one who asks to enter.
#[derive(Debug)]
pub enum Entry {
    In(Place),
    /// The place follows; who does not want it any more drops this.
    Queued(oneshot::Receiver<Place>),
    Full,
}

/// A place inside, until it is dropped.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    /// `None`: beside the others, it is not counted.
    group: Option<Group>,
    /// Half of the places were taken: a load that its loader asks for may find none.
    pub is_pressed: bool,
}

impl State {
    /// Counts those of a group who still want to come in.
    fn let_in(&mut self, waiting: Waiting) -> Vec<oneshot::Sender<Place>> {
        let members: Vec<_> = waiting.members.into_iter().filter(|one| !one.is_closed()).collect();
        if !members.is_empty() {
            *self.inside.entry(waiting.group).or_default() += members.len();
        }
        members
    }

    /// Who has stopped waiting leaves the queue.
    fn forget_gone(&mut self) {
        let Self { queue, tickets, .. } = self;
        queue.retain(|_, waiting| {
            waiting.members.retain(|member| !member.is_closed());
            let waits = !waiting.members.is_empty();
            if !waits {
                tickets.remove(&waiting.group);
            }
            waits
        });
    }
}

impl Gate {
    #[must_use]
    pub fn new(most: usize, most_queued: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_queued,
            state: Mutex::default(),
        })
    }

    /// A place, if there is one now.
    pub fn try_enter(self: &Arc<Self>, group: Group) -> Option<Place> {
        self.take(&mut self.lock(), group)
    }

    /// A place now, or later, or never.
    pub fn enter(self: &Arc<Self>, group: Group) -> Entry {
        let mut state = self.lock();
        if let Some(place) = self.take(&mut state, group) {
            return Entry::In(place);
        }
        let (sender, receiver) = oneshot::channel();
        if let Some(ticket) = state.tickets.get(&group).copied() {
            if let Some(waiting) = state.queue.get_mut(&ticket) {
                waiting.members.push(sender);
                return Entry::Queued(receiver);
            }
        }
        if state.queue.len() >= self.most_queued {
            state.forget_gone();
            if state.queue.len() >= self.most_queued {
                return Entry::Full;
            }
        }
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        state.tickets.insert(group, ticket);
        let members = vec![sender];
        state.queue.insert(ticket, Waiting { group, members });
        Entry::Queued(receiver)
    }

    /// A place beside the others: what a load asks for must not wait for that load to end.
    pub fn beside(self: &Arc<Self>) -> Place {
        Place {
            gate: Arc::clone(self),
            group: None,
            is_pressed: true,
        }
    }

    /// Lets a group that waits in at once, though it be one too many.
    pub fn hasten(self: &Arc<Self>, group: Group) {
        let members = {
            let mut state = self.lock();
            let ticket = state.tickets.remove(&group);
            let waiting = ticket.and_then(|ticket| state.queue.remove(&ticket));
            waiting.map(|waiting| state.let_in(waiting)).unwrap_or_default()
        };
        self.hand_out(group, members);
    }

    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Who waits now.
    #[must_use]
    pub fn queued(&self) -> usize {
        let mut state = self.lock();
        state.forget_gone();
        state.queue.len()
    }

    fn take(self: &Arc<Self>, state: &mut State, group: Group) -> Option<Place> {
        let is_inside = state.inside.contains_key(&group);
        if !is_inside && (state.inside.len() >= self.most || !state.queue.is_empty()) {
            return None;
        }
        let is_pressed = state.inside.len() >= self.most / 2;
        *state.inside.entry(group).or_default() += 1;
        Some(Place {
            gate: Arc::clone(self),
            group: Some(group),
            is_pressed,
        })
    }

    fn leave(self: &Arc<Self>, group: Group) {
        let mut let_in = Vec::new();
        {
            let mut state = self.lock();
            if let Some(count) = state.inside.get_mut(&group) {
                *count -= 1;
                if *count == 0 {
                    state.inside.remove(&group);
                }
            }
            while state.inside.len() < self.most {
                let Some((_, waiting)) = state.queue.pop_first() else {
                    break;
                };
                state.tickets.remove(&waiting.group);
                let_in.push((waiting.group, state.let_in(waiting)));
            }
        }
        for (group, members) in let_in {
            self.hand_out(group, members);
        }
    }

    /// Not under the lock: a place that nobody takes is given back.
    fn hand_out(self: &Arc<Self>, group: Group, members: Vec<oneshot::Sender<Place>>) {
        for member in members {
            let place = Place {
                gate: Arc::clone(self),
                group: Some(group),
                is_pressed: true,
            };
            let _ = member.send(place);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            self.gate.leave(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(entry: Entry) -> oneshot::Receiver<Place> {
        match entry {
            Entry::Queued(receiver) => receiver,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_who_waits_is_the_first_let_in_and_past_the_queue_nobody_waits() {
        let gate = Gate::new(1, 2);
        let first = gate.try_enter(1).expect("it is empty");
        let (mut second, mut third) = (queued(gate.enter(2)), queued(gate.enter(3)));

        assert!(matches!(gate.enter(4), Entry::Full));
        assert!(second.try_recv().is_err());

        drop(first);
        let second = second.try_recv().expect("its turn");
        assert!(third.try_recv().is_err());
        assert_eq!(gate.queued(), 1);

        drop(second);
        drop(third.try_recv().expect("its turn"));
        assert!(gate.try_enter(5).is_some());
    }

    #[test]
    fn who_has_left_the_queue_is_passed_over_and_takes_no_room() {
        let gate = Gate::new(1, 1);
        let first = gate.try_enter(1).expect("it is empty");
        drop(queued(gate.enter(2)));
        let mut third = queued(gate.enter(3));

        drop(first);

        assert!(third.try_recv().is_ok());
    }

    #[test]
    fn a_group_enters_as_one_and_leaves_with_its_last() {
        let gate = Gate::new(1, 8);
        let first = gate.try_enter(1).expect("it is empty");
        let (mut a, mut b) = (queued(gate.enter(2)), queued(gate.enter(2)));
        let mut other = queued(gate.enter(3));
        assert_eq!(gate.queued(), 2);

        drop(first);
        let (a, b) = (a.try_recv().expect("its turn"), b.try_recv().expect("its turn"));
        let c = gate.try_enter(2).expect("it is inside");
        drop((a, b));
        assert!(other.try_recv().is_err());

        drop(c);
        assert!(other.try_recv().is_ok());
    }

    #[test]
    fn what_is_hastened_does_not_wait_and_lets_nobody_past() {
        let gate = Gate::new(1, 8);
        let first = gate.try_enter(1).expect("it is empty");
        let (mut second, mut third) = (queued(gate.enter(2)), queued(gate.enter(3)));

        gate.hasten(3);
        drop(third.try_recv().expect("at once"));

        assert!(second.try_recv().is_err());
        drop(first);
        assert!(second.try_recv().is_ok());
    }
}
