//! The local table of tag and namespace versions: what the coherence channel keeps true.
//!
//! A version stays until its push removes it or the channel changes. One fetched over the data connection is
//! installed only if no push for it came since the fetch began: its reply and the push travel on different
//! connections and may arrive in any order.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::envelope::Version;
use crate::key::{HashedMap, NameHash};
use crate::rules::Latest;

/// Names kept; past it the table starts anew. A missing version is fetched.
const CAP: usize = 100_000;

/// What Redis keeps of a tag, a namespace, or a key with versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub version: Version,
    /// Until then (µs of Redis's clock) loads are not stored; in a stamp 0 unless it lies ahead.
    pub until: u64,
    /// The number of the latest pattern rule of a namespace.
    pub rules: u64,
    /// Until then a pattern of the namespace may say the same of keys that match.
    pub waits: u64,
}

impl Kept {
    #[must_use]
    pub fn latest_rule(&self) -> Latest {
        Latest {
            version: self.version.removed,
            number: self.rules,
        }
    }
}

#[derive(Debug, Default)]
pub struct VersionTable(Mutex<HashedMap<NameHash, Kept>>);

impl VersionTable {
    #[must_use]
    pub fn get(&self, name: NameHash) -> Option<Kept> {
        self.lock().get(&name).copied()
    }

    /// Installs what was fetched if `still` holds under the table's lock.
    pub fn install(&self, name: NameHash, kept: Kept, still: impl FnOnce() -> bool) {
        let mut table = self.lock();
        if !still() {
            return;
        }
        if table.len() >= CAP {
            table.clear();
        }
        table.insert(name, kept);
    }

    pub fn remove(&self, name: NameHash) {
        self.lock().remove(&name);
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashedMap<NameHash, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads "removed staled until rules waits" as Redis keeps it.
#[must_use]
pub fn parse_version(bytes: &[u8], reign: u64) -> Option<Kept> {
    let mut words = std::str::from_utf8(bytes)
        .ok()?
        .split(' ')
        .map(|word| word.parse().ok());
    let mut word = || words.next().flatten();
    Some(Kept {
        version: Version {
            removed: word()?,
            staled: word()?,
            reign,
        },
        until: word()?,
        rules: word()?,
        waits: word()?,
    })
}
