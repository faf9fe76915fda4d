//! The local table of tag and namespace versions: what the coherence channel keeps true.
//!
//! A version stays until its push removes it or the channel changes. One fetched over the data connection is
//! installed only if no push for it came since the fetch began: its reply and the push travel on different
//! connections and may arrive in any order.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::envelope::{Stamp, Version};
use crate::key::{HashedMap, NameHash};

/// Names kept; past it the table starts anew. A missing version is fetched.
const CAP: usize = 100_000;

#[derive(Debug, Default)]
pub struct VersionTable(Mutex<HashedMap<NameHash, Version>>);

impl VersionTable {
    #[must_use]
    pub fn get(&self, name: NameHash) -> Option<Version> {
        self.lock().get(&name).copied()
    }

    /// Installs a fetched version if `still` holds under the table's lock.
    pub fn install(&self, stamp: Stamp, still: impl FnOnce() -> bool) {
        let mut table = self.lock();
        if !still() {
            return;
        }
        if table.len() >= CAP {
            table.clear();
        }
        table.insert(stamp.name, stamp.version);
    }

    pub fn remove(&self, name: NameHash) {
        self.lock().remove(&name);
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashedMap<NameHash, Version>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads "removed staled" as Redis keeps it.
#[must_use]
pub fn parse_version(bytes: &[u8], reign: u64) -> Option<Version> {
    let (removed, staled) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
    Some(Version {
        removed: removed.parse().ok()?,
        staled: staled.parse().ok()?,
        reign,
    })
}
