//! An entry of memory as `lib/next` looks at it: which one it is, how long it lives, and perhaps its value.

use napi_derive::napi;
use tidecache_core::clock::{Instant, MS};
use tidecache_core::envelope::names_as_json;
use tidecache_core::memory::Entry;

use crate::handle::NativeCache;
use crate::outbox::age;
use crate::text::Outgoing;

#[napi(object, object_from_js = false)]
pub struct Glimpse {
    /// Of the load or `set` that stored it: another entry of the key has another one, in every process.
    pub id: String,
    pub is_stale: bool,
    /// ms
    pub age: f64,
    /// How long it is still fresh, ms.
    pub fresh_for: f64,
    pub codec: u8,
    /// Tags as they are stored, JSON; with the value alone.
    pub tags: Option<String>,
    /// Nothing, unless it was asked for.
    #[napi(ts_type = "unknown")]
    pub data: Outgoing,
}

impl Glimpse {
    pub fn new(entry: Entry, is_stale: bool, now: Instant, with_value: bool) -> Self {
        let head = entry.head();
        Self {
            id: format!("{:032x}", u128::from_be_bytes(head.id)),
            is_stale,
            age: age(&entry, now),
            fresh_for: (head.life.fresh_until.saturating_sub(now) / MS) as f64,
            codec: head.codec,
            tags: with_value.then(|| names_as_json(entry.names())),
            data: if with_value {
                Outgoing::Entry(entry)
            } else {
                Outgoing::Nothing
            },
        }
    }
}

#[napi]
#[allow(clippy::needless_pass_by_value)] // As Node-API gives strings.
impl NativeCache {
    /// What memory would serve of a key now; it leaves no trace.
    #[napi(catch_unwind)]
    pub fn glimpse(&self, key: String, with_value: bool) -> Option<Glimpse> {
        let (entry, is_stale) = self.engine.glimpse(&key)?;
        Some(Glimpse::new(entry, is_stale, self.engine.now(), with_value))
    }

    /// The load of a key that runs here, or whose value is on its way to the tiers; 0: none.
    #[napi(catch_unwind)]
    pub fn running_load(&self, key: String) -> f64 {
        self.engine.running_load(&key).unwrap_or(0) as f64
    }
}
