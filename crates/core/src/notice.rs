//! Notices: changes of Redis's state, told to every handle of an engine.
//!
//! A warning about such a change goes to each handle's logger; those without a logger share the process's own
//! output, where each line belongs once: the first of them to ask gets it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{json, Value as Json};

use crate::loads::OwnerId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The connection is lost, or the first one failed. Not repeated while it stays so.
    Down {
        reason: String,
    },
    /// A connection is armed and trusted.
    Up {
        /// The engine's first.
        first: bool,
        /// Name and version, as far as the server tells.
        server: String,
        /// As in metrics.
        topology: &'static str,
        tracking: bool,
        /// A warning about the loss was given before.
        told: bool,
    },
    /// Operations stop, or go on, asking a Redis that does not answer.
    Breaker {
        open: bool,
    },
    Warning(String),
}

#[derive(Debug)]
pub struct Notice {
    change: Change,
    taken: AtomicBool,
}

impl Notice {
    /// `true` for the first who asks.
    fn take(&self) -> bool {
        !self.taken.swap(true, SeqCst)
    }

    /// `mine`: whether the reader is the one to print it for the process.
    fn json(&self, mine: bool) -> Json {
        match &self.change {
            Change::Down { reason } => json!({ "event": "redisDown", "reason": reason }),
            Change::Up {
                first,
                server,
                topology,
                tracking,
                told,
            } => json!({
                "event": "redisUp",
                "first": first,
                "server": server,
                "topology": topology,
                "coherence": if *tracking { "tracking" } else { "none" },
                "told": told,
                "mine": mine,
            }),
            Change::Breaker { open } => {
                json!({ "event": "breaker", "state": if *open { "open" } else { "closed" } })
            }
            Change::Warning(message) => json!({ "event": "warning", "message": message, "mine": mine }),
        }
    }
}

/// An array as `lib/log.js` reads it. `prints`: the reader prints what nobody has taken yet.
#[must_use]
pub fn to_json(notices: &[Arc<Notice>], prints: bool) -> String {
    let list = notices.iter().map(|notice| notice.json(prints && notice.take()));
    Json::Array(list.collect()).to_string()
}

pub type Watcher = Box<dyn Fn(&Arc<Notice>) + Send + Sync>;

/// Who is told.
#[derive(Default)]
pub struct Watchers(Mutex<Vec<(OwnerId, Watcher)>>);

impl std::fmt::Debug for Watchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watchers").field(&self.lock().len()).finish()
    }
}

impl Watchers {
    pub fn add(&self, owner: OwnerId, watcher: Watcher) {
        self.lock().push((owner, watcher));
    }

    pub fn remove(&self, owner: OwnerId) {
        self.lock().retain(|(other, _)| *other != owner);
    }

    /// Tells all; a watcher only keeps what it is told.
    pub fn tell(&self, change: Change) {
        let notice = Arc::new(Notice {
            change,
            taken: AtomicBool::new(false),
        });
        for (_, watcher) in self.lock().iter() {
            watcher(&notice);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(OwnerId, Watcher)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(watchers: &Watchers, owner: OwnerId) -> Arc<Mutex<Vec<Arc<Notice>>>> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        watchers.add(
            owner,
            Box::new(move |notice| kept.lock().expect("not poisoned").push(Arc::clone(notice))),
        );
        heard
    }

    #[test]
    fn all_who_watch_are_told_and_one_of_them_prints() {
        let watchers = Watchers::default();
        let (one, other, gone) = (watch(&watchers, 1), watch(&watchers, 2), watch(&watchers, 3));
        watchers.remove(3);

        watchers.tell(Change::Warning("lost".into()));

        let json = |of: &Mutex<Vec<Arc<Notice>>>, prints| to_json(&of.lock().expect("not poisoned"), prints);
        let line = |mine| format!(r#"[{{"event":"warning","message":"lost","mine":{mine}}}]"#);
        assert_eq!(json(&one, false), line(false), "it has a logger of its own");
        assert_eq!(json(&other, true), line(true));
        assert_eq!(json(&one, true), line(false), "printed already");
        assert!(gone.lock().expect("not poisoned").is_empty());
    }
}
