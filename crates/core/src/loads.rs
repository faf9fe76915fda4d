//! Loads of this process: who is loading what, who may join, and what a load still holds.
//!
//! One table for all JavaScript contexts of the process (worker threads, duplicated modules). A load is
//! joined only while it stands; it is found by its key while it is the latest of that key, and by its id
//! until it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::Instant;
use crate::envelope::{EntryId, Reign, Stamp};
use crate::epoch::Seq;
use crate::gate::{Group, Place};
use crate::key::{HashedMap, NameHash};
use crate::memory::Entry;

/// Identifies a load in its engine; from 1.
pub type LoadId = u64;

/// Identifies a JavaScript context.
pub type OwnerId = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadKind {
    /// Somebody waits for the value.
    Read,
    /// A stale value was served; nobody waits.
    Refresh,
    /// Load now and replace, whatever is there.
    Force,
}

/// What was found in the place that its value will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaces {
    Unknown,
    /// An entry that was too old for whoever asked, but had not fallen.
    TooOld,
}

/// Where a load's value may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Not decided yet: Redis is being asked.
    Undecided,
    /// Under this lease, in Redis and in memory.
    Lease(EntryId),
    /// Redis cannot be used now.
    MemoryOnly,
    /// Loaded beside somebody else's lease: returned, not kept.
    Nowhere,
}

/// What was counted of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Nothing: it is not known yet whether its loader has to be called.
    Asked,
    /// Its start: its loader was called.
    Started,
    /// Its end, too.
    Ended,
}

/// A load that another one waits for.
#[derive(Clone, Debug)]
pub struct Older {
    pub id: LoadId,
    pub done: watch::Receiver<bool>,
}

/// How a load comes to its place among those that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Unasked,
    /// With what it counts as one with.
    Asked(Group),
    /// The loader of another one waits for it.
    Urgent,
}

#[derive(Debug)]
pub struct Load {
    pub id: LoadId,
    pub name: NameHash,
    pub key: Box<str>,
    pub kind: LoadKind,
    pub owner: OwnerId,
    /// The count of invalidations, the channel and the time when it began.
    pub since: Seq,
    pub channel: u64,
    pub began: Instant,
    /// When its context last gave a sign of life.
    pub alive: Instant,
    pub run: Run,
    pub passage: Passage,
    /// It waits for a place: whatever it will bring is looked for after that.
    pub is_queued: bool,
    /// Among those that run at once; given back when it ends.
    pub place: Option<Arc<Place>>,
    /// A forced load began later: this one's value is not kept.
    pub fenced: bool,
    pub replaces: Replaces,
    /// What it depends on beside its key: its views, its bare key, the tags that the caller declared.
    pub tags: Vec<NameHash>,
    pub stamps: Stamps,
    /// Its source settles until then: the value is returned, not kept.
    pub settles: Option<Instant>,
    pub storage: Storage,
    /// An entry that must not be taken for the answer: the one that is to be replaced.
    pub bad: Option<Vec<u8>>,
    /// The stale value that exists, for `ctx.previous`, `staleAfter` and `staleIfError`.
    pub previous: Option<Entry>,
    /// An older load of the key in this process that may still turn out to be good, and is or was waited for. Nobody waits for
    /// this one in turn.
    pub after: Option<Older>,
    /// It depends on more than its key from its beginning: a view, a bare key.
    is_deep: bool,
    /// Made when somebody waits: most loads end unwatched.
    done: Option<watch::Sender<bool>>,
}

impl Load {
    /// Resolves to `true` when the load has ended.
    #[must_use]
    pub fn done(&mut self) -> watch::Receiver<bool> {
        let done = self.done.get_or_insert_with(|| watch::Sender::new(false));
        done.subscribe()
    }

    #[must_use]
    pub fn token(&self) -> Option<EntryId> {
        match self.storage {
            Storage::Lease(token) => Some(token),
            _ => None,
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(done) = &self.done {
            done.send_replace(true);
        }
    }
}

/// What was taken before the loader ran.
#[derive(Clone, Debug, Default)]
pub struct Stamps {
    /// Versions: the namespace's, then those of what the load depends on.
    pub list: Vec<Stamp>,
    /// The number of the latest pattern rule.
    pub rules: u64,
    /// Of the master that has the lease, and will have the entry.
    pub reign: Reign,
}

/// What a new load is made of.
#[derive(Debug)]
pub struct NewLoad {
    pub name: NameHash,
    pub key: Box<str>,
    /// What follows from where the key lives.
    pub tags: Vec<NameHash>,
    pub kind: LoadKind,
    pub owner: OwnerId,
    pub since: Seq,
    pub channel: u64,
    pub began: Instant,
    pub run: Run,
    pub bad: Option<Vec<u8>>,
    pub previous: Option<Entry>,
    pub after: Option<Older>,
}

#[derive(Debug, Default)]
pub struct Loads(Mutex<Table>);

#[derive(Debug, Default)]
pub struct Table {
    by_id: HashedMap<LoadId, Load>,
    latest: HashedMap<NameHash, LoadId>,
    last_id: LoadId,
    /// Loads that depend on more than their key from their beginning.
    deep: usize,
}

impl Loads {
    pub fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at or changes one load, if it has not ended.
    pub fn with<T>(&self, id: LoadId, look: impl FnOnce(&mut Load) -> T) -> Option<T> {
        self.lock().by_id.get_mut(&id).map(look)
    }
}

impl Table {
    /// The latest load of a key.
    #[must_use]
    pub fn latest(&mut self, name: NameHash) -> Option<&mut Load> {
        self.by_id.get_mut(self.latest.get(&name)?)
    }

    pub fn begin(&mut self, new: NewLoad) -> LoadId {
        self.last_id += 1;
        let id = self.last_id;
        self.latest.insert(new.name, id);
        let is_deep = !new.tags.is_empty();
        let load = Load {
            id,
            name: new.name,
            key: new.key,
            kind: new.kind,
            owner: new.owner,
            since: new.since,
            channel: new.channel,
            began: new.began,
            alive: new.began,
            run: new.run,
            passage: Passage::Unasked,
            is_queued: false,
            place: None,
            fenced: false,
            replaces: match new.kind {
                LoadKind::Refresh => Replaces::TooOld,
                LoadKind::Read | LoadKind::Force => Replaces::Unknown,
            },
            tags: new.tags,
            stamps: Stamps::default(),
            settles: None,
            storage: Storage::Undecided,
            bad: new.bad,
            is_deep,
            previous: new.previous,
            after: new.after,
            done: None,
        };
        self.deep += usize::from(load.is_deep);
        self.by_id.insert(id, load);
        id
    }

    /// Ends a load: nobody can join it any more, waiters are told.
    pub fn end(&mut self, id: LoadId) -> Option<Load> {
        let load = self.by_id.remove(&id)?;
        self.deep -= usize::from(load.is_deep);
        if self.latest.get(&load.name) == Some(&id) {
            self.latest.remove(&load.name);
        }
        Some(load)
    }

    /// Whether the invalidation of a key may reach loads of other names.
    #[must_use]
    pub fn has_deep(&self) -> bool {
        self.deep > 0
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Load> {
        self.by_id.values_mut()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Load> {
        self.by_id.values()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
