//! The hottest entries of one JavaScript context, in front of the store.
//!
//! A look into moka costs about 150 ns (an epoch pin, a queue of reads for the LRU order); here it is one compare, and
//! the store hears of every 32nd hit, which is enough to keep the entry recent. Only small entries, so that what an
//! evicted one still holds here stays under 1 MB; switched off for small tiers. A slot is believed while the store's
//! generation of its name has not moved: every insert, removal and eviction moves it.

use crate::key::NameHash;
use crate::memory::{Entry, Memory};

const SLOTS: usize = 512;
const MAX_BYTES: usize = 1_024;
const TOUCH_EVERY: u32 = 32;

#[derive(Debug, Default)]
pub struct Hot {
    slots: Vec<Option<Slot>>,
}

#[derive(Debug)]
struct Slot {
    name: NameHash,
    generation: u32,
    hits: u32,
    entry: Entry,
}

impl Hot {
    /// The entry of a name: from here, or from the store.
    pub fn get(&mut self, memory: &Memory, name: NameHash) -> Option<Entry> {
        if !memory.is_large() {
            return memory.get(name);
        }
        let at = (name.0 >> 32) as usize % SLOTS;
        // Read before the entry: an insert in between makes the slot unbelievable, not wrong.
        let generation = memory.generation(name);
        if let Some(Some(slot)) = self.slots.get_mut(at) {
            if slot.name == name && slot.generation == generation {
                slot.hits = slot.hits.wrapping_add(1);
                if slot.hits.is_multiple_of(TOUCH_EVERY) {
                    memory.get(name)?;
                }
                return Some(slot.entry.clone());
            }
        }
        let entry = memory.get(name)?;
        if entry.payload().len() <= MAX_BYTES {
            if self.slots.is_empty() {
                self.slots.resize_with(SLOTS, || None);
            }
            self.slots[at] = Some(Slot {
                name,
                generation,
                hits: 0,
                entry: entry.clone(),
            });
        }
        Some(entry)
    }
}
