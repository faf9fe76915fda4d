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
    /// Those that were let in beside them, as many as came.
    beside: HashMap<Group, usize>,
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
    /// The place follows.
    Queued(Ticket),
    Full,
}

/// A place in the queue, until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    gate: Arc<Gate>,
    number: u64,
    place: oneshot::Receiver<Place>,
}

/// A place inside, until it is dropped.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    group: Group,
    door: Door,
    /// Half of the places were taken: a load that its loader asks for may find none.
    pub is_pressed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Main,
    /// Who came in by this one is not counted among the others.
    Side,
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

    /// Those of a group who wait now.
    fn call(&mut self, group: Group) -> Vec<oneshot::Sender<Place>> {
        let ticket = self.tickets.remove(&group);
        let waiting = ticket.and_then(|ticket| self.queue.remove(&ticket));
        waiting.map(|waiting| self.let_in(waiting)).unwrap_or_default()
    }

    /// Who has stopped waiting leaves the queue, and his group with its last.
    fn forget_gone(&mut self, ticket: u64) {
        let Some(waiting) = self.queue.get_mut(&ticket) else {
            return;
        };
        waiting.members.retain(|member| !member.is_closed());
        if waiting.members.is_empty() {
            self.tickets.remove(&waiting.group);
            self.queue.remove(&ticket);
        }
    }

    fn places(&mut self, door: Door) -> &mut HashMap<Group, usize> {
        match door {
            Door::Main => &mut self.inside,
            Door::Side => &mut self.beside,
        }
    }
}

impl Ticket {
    /// Resolves when its turn has come.
    ///
    /// # Cancel safety
    /// What was not taken is there the next time.
    pub async fn place(&mut self) -> Option<Place> {
        (&mut self.place).await.ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.place.close();
        self.gate.lock().forget_gone(self.number);
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
        let (sender, place) = oneshot::channel();
        let ticket = |number| Ticket {
            gate: Arc::clone(self),
            number,
            place,
        };
        if let Some(number) = state.tickets.get(&group).copied() {
            if let Some(waiting) = state.queue.get_mut(&number) {
                waiting.members.push(sender);
                return Entry::Queued(ticket(number));
            }
        }
        if state.queue.len() >= self.most_queued {
            return Entry::Full;
        }
        state.last_ticket += 1;
        let number = state.last_ticket;
        state.tickets.insert(group, number);
        let members = vec![sender];
        state.queue.insert(number, Waiting { group, members });
        Entry::Queued(ticket(number))
    }

    /// A place beside the others: what a load asks for must not wait for that load to end. All of its group come with it, those
    /// who wait and those who ask later: they are loaded in one go.
    pub fn beside(self: &Arc<Self>, group: Group) -> Place {
        let members = {
            let mut state = self.lock();
            *state.beside.entry(group).or_default() += 1;
            state.call(group)
        };
        self.hand_out(group, members);
        self.place(group, Door::Side, true)
    }

    /// Lets a group that waits in at once, though it be one too many.
    pub fn hasten(self: &Arc<Self>, group: Group) {
        let members = self.lock().call(group);
        self.hand_out(group, members);
    }

    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Who waits now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.lock().queue.len()
    }

    fn take(self: &Arc<Self>, state: &mut State, group: Group) -> Option<Place> {
        let is_inside = state.inside.contains_key(&group);
        let door = if !is_inside && state.beside.contains_key(&group) {
            Door::Side
        } else {
            Door::Main
        };
        let has_to_wait = state.inside.len() >= self.most || !state.queue.is_empty();
        if !is_inside && door == Door::Main && has_to_wait {
            return None;
        }
        let is_pressed = state.inside.len() >= self.most / 2;
        *state.places(door).entry(group).or_default() += 1;
        Some(self.place(group, door, is_pressed))
    }

    fn leave(self: &Arc<Self>, group: Group, door: Door) {
        let mut let_in = Vec::new();
        {
            let mut state = self.lock();
            let places = state.places(door);
            if let Some(count) = places.get_mut(&group) {
                *count -= 1;
                if *count == 0 {
                    places.remove(&group);
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
            let _ = member.send(self.place(group, Door::Main, true));
        }
    }

    fn place(self: &Arc<Self>, group: Group, door: Door, is_pressed: bool) -> Place {
        Place {
            gate: Arc::clone(self),
            group,
            door,
            is_pressed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.leave(self.group, self.door);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Ticket {
        fn try_recv(&mut self) -> Result<Place, oneshot::error::TryRecvError> {
            self.place.try_recv()
        }
    }

    fn queued(entry: Entry) -> Ticket {
        match entry {
            Entry::Queued(ticket) => ticket,
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
    fn who_is_let_in_beside_the_others_brings_all_of_his_group_and_takes_nobodys_place() {
        let gate = Gate::new(1, 8);
        let first = gate.try_enter(1).expect("it is empty");
        let (mut waits, mut other) = (queued(gate.enter(2)), queued(gate.enter(3)));

        let beside = gate.beside(2);
        let later = gate.try_enter(2).expect("its group is inside");
        drop(waits.try_recv().expect("its group was let in"));
        assert!(other.try_recv().is_err());

        drop((beside, later));
        assert!(gate.try_enter(2).is_none());
        drop(first);
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
