//! Owners: the masters of a cluster that vouch for an entry, as a mask, and what each of them vouches for.
//!
//! While all masters are heard of, one word (`Link::basis`) proves all memory. While some are lost, an entry is proven by those
//! of its own dependencies, if a majority of all masters is heard of: fewer could not put another one in the place of one of
//! them. A master that is armed anew, that has lost or gained a slot, or is none any more makes unverified what it owns, and
//! nothing else. Words alone: readers take no lock.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::clock::Instant;

/// A master's place in a mask: the same for as long as the engine lives.
pub type Bit = u8;

/// Those that come later share the last place: it is raised for each of them, and vouches for none.
pub const LAST: Bit = 63;

#[derive(Debug)]
pub struct Owners {
    /// The channel from which on what a master owns is verified.
    raised: [AtomicU64; 64],
    /// The send time of its last heartbeat that proved.
    heard: [AtomicU64; 64],
    /// What the majority of masters has been heard of since.
    majority: AtomicU64,
    /// The channel of the last map of slots.
    mapped: AtomicU64,
    /// Masters that are known not to answer.
    down: AtomicU64,
}

impl Default for Owners {
    fn default() -> Self {
        Self {
            raised: [const { AtomicU64::new(0) }; 64],
            heard: [const { AtomicU64::new(0) }; 64],
            majority: AtomicU64::new(0),
            mapped: AtomicU64::new(0),
            down: AtomicU64::new(0),
        }
    }
}

impl Owners {
    /// What this master owns, and was read under an older channel, is unverified.
    pub fn raise(&self, bit: Bit, channel: u64) {
        self.raised[usize::from(bit.min(LAST))].fetch_max(channel, SeqCst);
    }

    /// There is another map of slots.
    pub fn map(&self, channel: u64) {
        self.mapped.fetch_max(channel, SeqCst);
    }

    /// Whether a map is that of now, and was so when what has this channel began.
    #[must_use]
    pub fn is_current(&self, map: u64, channel: u64) -> bool {
        map == self.mapped.load(SeqCst) && map <= channel
    }

    /// A heartbeat of this master, sent then, was answered; `words`: when the last one of each was sent.
    pub fn hear(&self, bit: Bit, sent: Instant, mut words: Vec<Instant>) {
        words.sort_unstable();
        if let Some(word) = words.get(words.len().saturating_sub(1) / 2) {
            self.majority.fetch_max(*word, SeqCst);
        }
        if bit < LAST {
            self.heard[usize::from(bit)].fetch_max(sent, SeqCst);
        }
    }

    pub fn set_down(&self, mask: u64) {
        self.down.store(mask, SeqCst);
    }

    #[must_use]
    pub fn down(&self) -> u64 {
        self.down.load(SeqCst)
    }

    /// Up to when what has these owners is proven by their heartbeats; `None`: it is unverified, or nobody knows whose it is.
    #[must_use]
    pub fn proven(&self, owners: u64, channel: u64) -> Option<Instant> {
        if owners == 0 {
            return None;
        }
        // As with one server: heartbeats are read before what was raised, and so never prove what is older.
        let mut proven = self.majority.load(SeqCst);
        for bit in bits(owners) {
            proven = proven.min(self.heard[bit].load(SeqCst));
        }
        let is_raised = |bit: usize| self.raised[bit].load(SeqCst) > channel;
        (!bits(owners).any(is_raised)).then_some(proven)
    }
}

fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u64 = 1;
    const B: u64 = 2;
    const C: u64 = 4;

    /// Three masters, armed under the channels 2, 3 and 4, heard of at 100.
    fn three() -> Owners {
        let owners = Owners::default();
        for (bit, channel) in [(0, 2), (1, 3), (2, 4)] {
            owners.raise(bit, channel);
            owners.hear(bit, 100, vec![100; 3]);
        }
        owners
    }

    #[test]
    fn a_lost_master_holds_back_what_it_owns_and_nothing_else() {
        let owners = three();

        owners.hear(0, 200, vec![200, 100, 100]);
        owners.hear(1, 210, vec![200, 210, 100]);

        assert_eq!(owners.proven(A | B, 4), Some(200));
        assert_eq!(owners.proven(A | C, 4), Some(100));
        owners.raise(2, 5);
        assert_eq!(owners.proven(A | C, 4), None);
        assert_eq!(owners.proven(A | C, 5), Some(100));
        assert_eq!(owners.proven(B, 4), Some(200));
    }

    #[test]
    fn a_master_alone_is_not_believed_without_a_majority() {
        let owners = three();

        owners.hear(0, 300, vec![300, 100, 100]);

        assert_eq!(owners.proven(A, 4), Some(100));
    }

    #[test]
    fn of_two_masters_neither_is_a_majority_and_of_four_three_are() {
        let owners = Owners::default();
        owners.hear(0, 300, vec![300, 100]);
        assert_eq!(owners.proven(A, 1), Some(100));
        owners.hear(0, 300, vec![300, 200, 250, 100]);
        assert_eq!(owners.proven(A, 1), Some(200));
    }

    #[test]
    fn what_nobody_is_known_to_own_is_not_proven_by_owners_and_the_shared_place_proves_nothing() {
        let owners = three();
        owners.hear(LAST, 500, vec![500; 3]);

        assert_eq!(owners.proven(0, 4), None);
        assert_eq!(owners.proven(1 << LAST, 4), Some(0));
    }

    #[test]
    fn a_map_counts_for_what_began_under_it_alone() {
        let owners = three();
        owners.map(5);

        assert!(owners.is_current(5, 5) && owners.is_current(5, 7));
        assert!(!owners.is_current(5, 4), "it began before the map");
        owners.map(8);
        assert!(!owners.is_current(5, 8), "sent by an old map");
    }
}
