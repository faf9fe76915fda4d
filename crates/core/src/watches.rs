//! Leases of other processes that somebody here waits for, by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::key::NameHash;

#[derive(Debug, Default)]
pub struct Watches(Mutex<HashMap<NameHash, Vec<Arc<Notify>>>>);

impl Watches {
    /// A wake-up when the lease of `name` changes. Asked for before the lease is read.
    #[must_use]
    pub fn watch(&self, name: NameHash) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        self.waiters().entry(name).or_default().push(Arc::clone(&wake));
        wake
    }

    pub fn unwatch(&self, name: NameHash, wake: &Arc<Notify>) {
        let mut waiters = self.waiters();
        if let Some(list) = waiters.get_mut(&name) {
            list.retain(|other| !Arc::ptr_eq(other, wake));
            if list.is_empty() {
                waiters.remove(&name);
            }
        }
    }

    pub fn changed(&self, name: NameHash) {
        if let Some(list) = self.waiters().get(&name) {
            for wake in list {
                wake.notify_one();
            }
        }
    }

    /// No push will come any more on the old connection.
    pub fn all_changed(&self) {
        for wake in self.waiters().values().flatten() {
            wake.notify_one();
        }
    }

    fn waiters(&self) -> MutexGuard<'_, HashMap<NameHash, Vec<Arc<Notify>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
