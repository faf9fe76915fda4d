//! The memory tier: entries off the JavaScript heap, under a hard ceiling.
//!
//! moka stores (concurrent map, LRU order); the rules are ours. Its weigher alone overshoots under a burst,
//! because evictions are batched: so an insert runs the evictions it causes before it returns, under one
//! lock (2 µs, and inserts are rare beside hits), and the bytes counted never pass the ceiling. LRU, because
//! moka's default policy may refuse an entry that was just stored. Nothing here decides what may be served.

use std::hash::BuildHasherDefault;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use triomphe::{HeaderSlice, HeaderWithLength, ThinArc, UniqueArc};

use crate::clock::Instant;
use crate::envelope::{EntryId, Payload};
use crate::epoch::{Seq, Slot};
use crate::freshness::Lifetimes;
use crate::key::{NameHash, PassThrough};
use crate::steps::steps;

/// What moka, its queues and the allocator cost beside the entry itself, bytes (measured: ~330).
const OVERHEAD: usize = 352;

/// From this size on a megabyte is set aside for `hot`.
const LARGE: u64 = 16 << 20;
const HOT: u64 = 1 << 20;

/// The fixed part of an entry.
#[derive(Debug)]
pub struct Head {
    pub life: Lifetimes,
    pub id: EntryId,
    /// The count of invalidations when its load or its read from Redis began.
    pub since: Seq,
    /// The coherence channel it was read under; another one has not seen everything since.
    pub channel: u64,
    /// The masters of a cluster that vouch for it; 0: all together, or it is not known.
    pub owners: u64,
    /// The latest moment at which it was known to be valid without help of the channel.
    pub proof: Instant,
    /// Up to which count of invalidations no pattern rule matched it; from `since` on.
    pub ruled: AtomicU64,
    /// The same, of one that a rule has made stale: it is held against the others at each look, but once against each. Or 0.
    pub staled: AtomicU64,
    pub marked_stale: bool,
    pub codec: u8,
    pub ascii: bool,
    slots: u16,
    names_len: u32,
    key_len: u32,
}

/// What an entry is made of.
#[derive(Debug)]
pub struct NewEntry<'a> {
    pub key: &'a str,
    pub payload: &'a [u8],
    pub codec: u8,
    pub ascii: bool,
    pub life: Lifetimes,
    pub id: EntryId,
    pub since: Seq,
    pub channel: u64,
    pub owners: u64,
    pub proof: Instant,
    pub marked_stale: bool,
    pub slots: &'a [Slot],
    /// Its tags' names as the envelope packs them.
    pub names: &'a [u8],
}

/// One entry: header, slots, tags' names, key and payload in one allocation.
#[derive(Clone, Debug)]
pub struct Entry(ThinArc<Head, u8>);

type Uninit = HeaderSlice<HeaderWithLength<Head>, [MaybeUninit<u8>]>;

/// Copies bytes to where there is room; returns what is left of it.
fn fill<'a>(room: &'a mut [MaybeUninit<u8>], bytes: &[u8]) -> &'a mut [MaybeUninit<u8>] {
    let (start, rest) = room.split_at_mut(bytes.len());
    // SAFETY: both are that long, and what was borrowed mutably does not overlap.
    unsafe {
        bytes
            .as_ptr()
            .copy_to_nonoverlapping(start.as_mut_ptr().cast(), bytes.len());
    }
    rest
}

impl Entry {
    #[must_use]
    pub fn new(parts: &NewEntry<'_>) -> Self {
        let body = parts.names.len() + parts.key.len() + parts.payload.len();
        let len = parts.slots.len() * 4 + body;
        let head = Head {
            life: parts.life,
            id: parts.id,
            since: parts.since,
            channel: parts.channel,
            owners: parts.owners,
            proof: parts.proof,
            ruled: AtomicU64::new(parts.since),
            staled: AtomicU64::new(0),
            marked_stale: parts.marked_stale,
            codec: parts.codec,
            ascii: parts.ascii,
            slots: parts.slots.len() as u16,
            names_len: parts.names.len() as u32,
            key_len: parts.key.len() as u32,
        };
        let head = HeaderWithLength::new(head, len);
        let mut entry: UniqueArc<Uninit> = UniqueArc::from_header_and_uninit_slice(head, len);
        let mut room = &mut entry.slice[..];
        for slot in parts.slots {
            room = fill(room, &slot.to_bytes());
        }
        room = fill(room, parts.names);
        room = fill(room, parts.key.as_bytes());
        for step in steps(parts.payload) {
            room = fill(room, step);
        }
        assert!(room.is_empty(), "an entry is as long as its parts");
        // SAFETY: `fill` has written what it took from the room, which is used up.
        let entry = unsafe { entry.assume_init_slice_with_header() };
        Self(triomphe::Arc::into_thin(entry.shareable()))
    }

    #[must_use]
    pub fn head(&self) -> &Head {
        &self.0.header.header
    }

    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let len = usize::from(self.head().slots) * 4;
        self.0.slice[..len]
            .chunks_exact(4)
            .map(|slot| Slot::from_bytes([slot[0], slot[1], slot[2], slot[3]]))
    }

    /// Its tags' names, packed.
    #[must_use]
    pub fn names(&self) -> &[u8] {
        let at = usize::from(self.head().slots) * 4;
        &self.0.slice[at..at + self.head().names_len as usize]
    }

    #[must_use]
    pub fn key(&self) -> &[u8] {
        let at = self.key_at();
        &self.0.slice[at..at + self.head().key_len as usize]
    }

    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0.slice[self.key_at() + self.head().key_len as usize..]
    }

    fn key_at(&self) -> usize {
        usize::from(self.head().slots) * 4 + self.head().names_len as usize
    }

    #[must_use]
    pub fn to_payload(&self) -> Payload {
        Payload {
            codec: self.head().codec,
            ascii: self.head().ascii,
            bytes: self.payload().into(),
        }
    }

    fn weight(&self) -> u32 {
        (OVERHEAD + size_of::<Head>() + self.0.slice.len())
            .try_into()
            .unwrap_or(u32::MAX)
    }
}

/// Counts what moka drops.
#[derive(Debug, Default)]
struct Ledger {
    bytes: AtomicU64,
    entries: AtomicU64,
    evictions: AtomicU64,
}

#[derive(Debug)]
pub struct Memory {
    store: Cache<u128, Entry, BuildHasherDefault<PassThrough>>,
    ledger: Arc<Ledger>,
    /// What the store may hold: `max_bytes` less what hot entries hold beside it.
    capacity: u64,
    max_bytes: u64,
    inserting: Mutex<()>,
    /// Bytes inserted since the allocator was last asked to give pages back.
    churned: AtomicU64,
    generations: Arc<Generations>,
}

/// Counts of changes by name, hashed: what is kept outside the store is good while its count stands.
type Generations = [AtomicU32; 4_096];

fn generation_of(generations: &Generations, name: u128) -> &AtomicU32 {
    &generations[(name >> 96) as usize % generations.len()]
}

/// What the tier holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryUse {
    pub entries: u64,
    pub bytes: u64,
    pub max_bytes: u64,
    pub evictions: u64,
}

/// Whether the allocator is to be asked to give pages back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    No,
    Soon,
    /// Soon was too late: the threads that could have done it are behind.
    Now,
}

impl Memory {
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        let capacity = if max_bytes >= LARGE { max_bytes - HOT } else { max_bytes };
        let ledger = Arc::new(Ledger::default());
        let books = Arc::clone(&ledger);
        let generations: Arc<Generations> = Arc::new([const { AtomicU32::new(0) }; 4_096]);
        let changes = Arc::clone(&generations);
        let store = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, entry: &Entry| entry.weight())
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |name, entry: Entry, cause| {
                generation_of(&changes, *name).fetch_add(1, SeqCst);
                books.bytes.fetch_sub(u64::from(entry.weight()), Relaxed);
                books.entries.fetch_sub(1, Relaxed);
                if cause == moka::notification::RemovalCause::Size {
                    books.evictions.fetch_add(1, Relaxed);
                }
            })
            .build_with_hasher(BuildHasherDefault::default());
        Self {
            store,
            ledger,
            capacity,
            max_bytes,
            inserting: Mutex::new(()),
            churned: AtomicU64::new(0),
            generations,
        }
    }

    /// Changes of the name so far.
    #[must_use]
    pub fn generation(&self, name: NameHash) -> u32 {
        generation_of(&self.generations, name.0).load(SeqCst)
    }

    /// Large enough that hot entries are worth a megabyte of it.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.max_bytes >= LARGE
    }

    #[must_use]
    pub fn get(&self, name: NameHash) -> Option<Entry> {
        self.store.get(&name.0)
    }

    /// Stores an entry and evicts the least recently used ones that no longer fit.
    /// One that is larger than the whole tier is not stored.
    pub fn insert(&self, name: NameHash, entry: Entry) {
        let weight = u64::from(entry.weight());
        if weight > self.capacity {
            self.remove(name);
            return;
        }
        let _one = self.inserting.lock().unwrap_or_else(PoisonError::into_inner);
        self.ledger.bytes.fetch_add(weight, Relaxed);
        self.ledger.entries.fetch_add(1, Relaxed);
        self.store.insert(name.0, entry);
        generation_of(&self.generations, name.0).fetch_add(1, SeqCst);
        // moka evicts in batches; a handful of rounds frees what one entry needs.
        for _ in 0..64 {
            self.store.run_pending_tasks();
            if self.ledger.bytes.load(Relaxed) <= self.capacity {
                return;
            }
        }
        self.store.invalidate(&name.0);
        self.store.run_pending_tasks();
    }

    /// What was evicted lies in holes that the allocator keeps, and the process would grow by half the ceiling and
    /// more: once per quarter of the ceiling that came in while the tier is full, its pages are to be given back.
    pub fn trim(&self, added: u64) -> Trim {
        if self.ledger.bytes.load(Relaxed) < self.capacity / 2 {
            return Trim::No;
        }
        let before = self.churned.fetch_add(added, Relaxed);
        let (quarter, half) = (self.capacity / 4, self.capacity / 2);
        match before + added {
            churned if churned > half => Trim::Now,
            churned if churned > quarter && before <= quarter => Trim::Soon,
            _ => Trim::No,
        }
    }

    /// The allocator is being asked to give pages back.
    pub fn trimmed(&self) {
        self.churned.store(0, Relaxed);
    }

    pub fn remove(&self, name: NameHash) {
        self.store.invalidate(&name.0);
    }

    pub fn clear(&self) {
        self.store.invalidate_all();
        self.store.run_pending_tasks();
    }

    #[must_use]
    pub fn usage(&self) -> MemoryUse {
        let _one = self.inserting.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.run_pending_tasks();
        MemoryUse {
            entries: self.ledger.entries.load(Relaxed),
            bytes: self.ledger.bytes.load(Relaxed),
            max_bytes: self.max_bytes,
            evictions: self.ledger.evictions.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, size: usize) -> Entry {
        Entry::new(&NewEntry {
            key,
            payload: &vec![b'x'; size],
            codec: 0,
            ascii: true,
            life: Lifetimes {
                created: 0,
                fresh_until: 1,
                revalidate_until: 1,
                error_until: 1,
            },
            id: [0; 16],
            since: 0,
            channel: 0,
            owners: 0,
            proof: 0,
            marked_stale: false,
            slots: &[Slot::namespace(), Slot::of(NameHash(5))],
            names: b"\x01\0t",
        })
    }

    #[test]
    fn an_entry_gives_back_its_parts() {
        let entry = entry("builds:1", 3);

        assert_eq!(entry.key(), b"builds:1");
        assert_eq!(entry.payload(), b"xxx");
        assert_eq!(entry.slots().count(), 2);
        assert_eq!(entry.names(), b"\x01\0t");
    }

    #[test]
    fn i8_bytes_never_pass_the_ceiling_and_the_entry_just_stored_is_there() {
        let memory = Memory::new(1 << 20);
        for n in 0..5_000_u128 {
            let size = 64 + (n as usize * 7_919) % 32_000;
            memory.insert(NameHash(n << 64 | n), entry("k", size));

            assert!(memory.get(NameHash(n << 64 | n)).is_some(), "entry {n}");
            assert!(memory.usage().bytes <= 1 << 20, "after entry {n}");
        }
        assert!(memory.usage().evictions > 4_000);
        assert!(memory.usage().bytes > 1 << 19, "the tier is used, not emptied");
    }

    #[test]
    fn an_entry_larger_than_the_tier_is_not_stored_and_throws_nobody_out() {
        let memory = Memory::new(1 << 16);
        memory.insert(NameHash(1), entry("small", 100));

        memory.insert(NameHash(2), entry("large", 1 << 17));

        assert!(memory.get(NameHash(1)).is_some());
        assert!(memory.get(NameHash(2)).is_none());
    }

    #[test]
    fn replacing_an_entry_counts_it_once() {
        let memory = Memory::new(1 << 20);
        for _ in 0..100 {
            memory.insert(NameHash(1), entry("same", 1_000));
        }

        assert_eq!(memory.usage().entries, 1);
        assert!(memory.usage().bytes < 2_000);
    }
}
