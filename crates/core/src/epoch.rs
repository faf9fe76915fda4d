//! Epochs: how a reader sees, without a message or a lock, that something it depends on was invalidated.
//!
//! `seq` counts this engine's invalidations. A slot holds the seq of the last one of the names that hash to
//! it. An entry or a load carries the seq of its start and *stands* while no slot it depends on holds a
//! later one. It is checked when it is read, so an insert that comes late is harmless. A collision of slots
//! costs a reload, never a stale value.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::key::{Kind, Mode, NameHash, Push};

/// A count of this engine's invalidations.
pub type Seq = u64;

const HASHED: usize = 1 << 16;
/// The namespace has a slot of its own, outside the hashed ones: `all` must not collide with a busy tag.
const NAMESPACE: u32 = HASHED as u32;
/// News of a pattern rule: what the table says of the namespace may be from before it.
const RULES: u32 = NAMESPACE + 1;

/// What an entry or a load depends on, as a place in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    #[must_use]
    pub fn of(name: NameHash) -> Self {
        Self((name.0 as u32) & (HASHED as u32 - 1))
    }

    #[must_use]
    pub fn namespace() -> Self {
        Self(NAMESPACE)
    }

    #[must_use]
    pub fn rules() -> Self {
        Self(RULES)
    }

    fn of_push(push: Push) -> Self {
        match push.kind {
            Kind::Namespace => Self::namespace(),
            Kind::Pattern => Self::rules(),
            Kind::Key | Kind::Tag => Self::of(push.name),
        }
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    #[must_use]
    pub fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(bytes).min(NAMESPACE))
    }
}

/// How an entry or a load stands towards the invalidations since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Stands,
    /// Invalidated in mode `stale`: still servable inside `staleWhileRevalidate`.
    Staled,
    Removed,
}

#[derive(Debug)]
pub struct Epochs {
    seq: AtomicU64,
    removed: Box<[AtomicU64]>,
    staled: Box<[AtomicU64]>,
    /// The last invalidation of any tag or of the namespace: a load whose tags are not all known depends on it.
    last_group: AtomicU64,
}

impl Default for Epochs {
    fn default() -> Self {
        let table = || (0..=RULES).map(|_| AtomicU64::new(0)).collect();
        Self {
            seq: AtomicU64::new(1),
            removed: table(),
            staled: table(),
            last_group: AtomicU64::new(0),
        }
    }
}

impl Epochs {
    #[must_use]
    pub fn now(&self) -> Seq {
        self.seq.load(SeqCst)
    }

    /// Counts one invalidation; returns its seq.
    pub fn bump(&self, push: Push) -> Seq {
        let seq = self.seq.fetch_add(1, SeqCst) + 1;
        let table = match push.mode {
            Mode::Remove => &self.removed,
            Mode::Stale => &self.staled,
        };
        table[Slot::of_push(push).0 as usize].fetch_max(seq, SeqCst);
        if matches!(push.kind, Kind::Tag | Kind::Namespace) {
            self.last_group.fetch_max(seq, SeqCst);
        }
        seq
    }

    /// Judges what began at `since` and depends on `slots`.
    pub fn standing(&self, slots: impl Iterator<Item = Slot>, since: Seq) -> Standing {
        let mut standing = Standing::Stands;
        for Slot(slot) in slots {
            if self.removed[slot as usize].load(SeqCst) > since {
                return Standing::Removed;
            }
            if self.staled[slot as usize].load(SeqCst) > since {
                standing = Standing::Staled;
            }
        }
        standing
    }

    /// Whether any tag or the namespace was invalidated after `since`.
    #[must_use]
    pub fn any_group_since(&self, since: Seq) -> bool {
        self.last_group.load(SeqCst) > since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Namespace;

    fn push(name: NameHash, kind: Kind, mode: Mode) -> Push {
        Push { name, kind, mode }
    }

    #[test]
    fn what_began_before_an_invalidation_falls_and_what_began_after_stands() {
        let epochs = Epochs::default();
        let key = Namespace::new("app").key("a");
        let before = epochs.now();

        epochs.bump(push(key, Kind::Key, Mode::Remove));

        let slot = || [Slot::of(key)].into_iter();
        assert_eq!(epochs.standing(slot(), before), Standing::Removed);
        assert_eq!(epochs.standing(slot(), epochs.now()), Standing::Stands);
    }

    #[test]
    fn mode_stale_leaves_what_it_names_servable() {
        let epochs = Epochs::default();
        let tag = Namespace::new("app").tag("t");
        let before = epochs.now();

        epochs.bump(push(tag, Kind::Tag, Mode::Stale));

        let slots = [Slot::namespace(), Slot::of(tag)];
        assert_eq!(epochs.standing(slots.into_iter(), before), Standing::Staled);
        assert!(epochs.any_group_since(before));
    }

    #[test]
    fn all_reaches_every_entry_of_the_namespace() {
        let epochs = Epochs::default();
        let whole = Namespace::new("app").whole();
        let before = epochs.now();

        epochs.bump(push(whole, Kind::Namespace, Mode::Remove));

        assert_eq!(
            epochs.standing([Slot::namespace()].into_iter(), before),
            Standing::Removed
        );
    }
}
