//! The engine: one per process and (namespace, Redis). It owns the tiers and takes every decision.
//!
//! Files in the order of a call: `probe` (memory, synchronous) → `lookup` (in batches) → `read` (Redis) → `large` (what is
//! read in pieces) → `judge` (what an entry is worth) → `admit` (how many at once) → `lease` (who may load) → `wait` (for
//! another process) → `answer` → `hold` (renew, release) → `fill` (the value back) · `end` (no value) · `write` (set) ·
//! `invalidate` · `fall` (its effect here) · `rules` (patterns) · `supervise` (the link's life) · `heartbeat` · `clustered` (many masters) ·
//! `spot_check` (memory against Redis) · `report` (metrics, health).

mod admit;
mod answer;
mod clustered;
mod end;
mod fall;
mod fill;
mod heartbeat;
mod hold;
mod invalidate;
mod judge;
mod large;
mod lease;
mod lookup;
mod probe;
mod read;
mod report;
pub(crate) mod rules;
mod spot_check;
mod supervise;
mod wait;
mod write;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use tokio::runtime::Handle;

pub use admit::{Begun, Overload};
pub use end::LoadEnd;
use fall::slots;
pub use fill::FillRequest;
pub use invalidate::{Receipt, Target};
pub use lookup::{Answer, Found, Hit, Previous, Request, Tier};
pub use probe::{Probe, Read, Refreshing};
pub use report::{Coherence, Health};
pub use write::SetRequest;

use crate::clock::{Clock, Instant};
use crate::config::Config;
use crate::endpoint;
use crate::envelope::EntryId;
use crate::epoch::Epochs;
use crate::gate::Gate;
use crate::journal::Journal;
use crate::key::{NameHash, Namespace, RedisKeys};
use crate::link::{Link, ALONE};
use crate::loads::{Loads, OwnerId};
use crate::memory::{Entry, Memory, Trim};
use crate::metrics::Metrics;
use crate::notice::{Change, Watcher, Watchers};
use crate::path;
use crate::retry::Retries;
use crate::rules::RuleBook;
use crate::seal::Seal;
use crate::settling::Settling;
use crate::shards::Shards;
use crate::versions::VersionTable;

/// Versions live at least this long: longer than almost every entry, and renewed with each fill.
const SHORTEST_VERSION_LIFE: u64 = 3_600_000;
/// Last byte of an id that no token has.
const OURS: u8 = b'M';

#[derive(Debug)]
pub struct Engine {
    pub config: Config,
    pub namespace: Namespace,
    pub metrics: Metrics,
    keys: RedisKeys,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    epochs: Epochs,
    memory: Option<Memory>,
    link: Option<Arc<Link>>,
    versions: VersionTable,
    /// Pattern rules by our own epochs: for what is in memory, and for loads.
    rules: RuleBook,
    /// What is known of Redis's rules: for what comes from there.
    news: rules::News,
    settling: Settling,
    journal: Arc<Journal>,
    loads: Loads,
    gate: Arc<Gate>,
    retries: Retries,
    owed: hold::Owed,
    /// First half of every token: this process; second half: a count.
    process: u64,
    tokens: AtomicU64,
    owners: AtomicU64,
    living: std::sync::Mutex<std::collections::HashSet<OwnerId>>,
    longest_hard_ttl: AtomicU64,
    /// Invalidations that were asked for and have no receipt yet.
    invalidating: AtomicU64,
    /// Once is enough: it is the same right each time.
    has_told_refusal: AtomicBool,
    seal: Seal,
    has_told_seal: AtomicBool,
    has_told_size: AtomicBool,
    spot_checks: spot_check::SpotChecks,
    watchers: Watchers,
    closed: AtomicBool,
    myself: Weak<Engine>,
}

impl Engine {
    /// Makes an engine. Never waits: the first operation that needs Redis starts to connect. `journal`: what is to be sent then.
    #[must_use]
    pub fn new(config: Config, clock: Arc<dyn Clock>, runtime: Handle, journal: Arc<Journal>) -> Arc<Self> {
        let namespace = Namespace::new(&config.namespace);
        let mut seed = [0; 16];
        // Without randomness from the system, the address space and the time still differ per process.
        if getrandom::fill(&mut seed).is_err() {
            let salt = [clock.now(), u64::from(std::process::id())];
            seed[..8].copy_from_slice(&salt[0].to_le_bytes());
            seed[8..].copy_from_slice(&salt[1].to_le_bytes());
        }
        let half = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&seed[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Arc::new_cyclic(|myself| Self {
            keys: RedisKeys::new(namespace.name()),
            namespace,
            journal,
            clock,
            runtime,
            epochs: Epochs::default(),
            memory: (config.memory_bytes > 0).then(|| Memory::new(config.memory_bytes)),
            link: config.redis.clone().map(|redis| Arc::new(Link::new(redis))),
            versions: VersionTable::default(),
            rules: RuleBook::default(),
            news: rules::News::default(),
            settling: Settling::default(),
            loads: Loads::default(),
            gate: Gate::new(config.max_loads, config.max_queued_loads),
            retries: Retries::default(),
            owed: hold::Owed::default(),
            process: half(0),
            tokens: AtomicU64::new(half(8)),
            owners: AtomicU64::new(0),
            living: std::sync::Mutex::default(),
            longest_hard_ttl: AtomicU64::new(0),
            metrics: Metrics::default(),
            invalidating: AtomicU64::new(0),
            has_told_refusal: AtomicBool::new(false),
            seal: Seal::new(
                config.redis.as_ref().and_then(|redis| redis.integrity_key.as_deref()),
                &config.namespace,
            ),
            has_told_seal: AtomicBool::new(false),
            has_told_size: AtomicBool::new(false),
            spot_checks: spot_check::SpotChecks::default(),
            watchers: Watchers::default(),
            closed: AtomicBool::new(false),
            myself: myself.clone(),
            config,
        })
    }

    /// A new handle of a JavaScript context; `None`: the engine has just ended with its last one.
    pub fn new_owner(&self) -> Option<OwnerId> {
        let mut living = self.living();
        if self.is_closed() {
            return None;
        }
        let owner = self.owners.fetch_add(1, SeqCst) + 1;
        living.insert(owner);
        Some(owner)
    }

    /// A handle is closed or its context has ended. The engine ends with the last one.
    pub fn remove_owner(&self, owner: OwnerId) {
        self.watchers.remove(owner);
        let mut living = self.living();
        if living.remove(&owner) && living.is_empty() {
            self.close();
        }
    }

    fn living(&self) -> std::sync::MutexGuard<'_, std::collections::HashSet<OwnerId>> {
        self.living.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Every refresh may be tried again at once.
    pub fn forget_failures(&self) {
        self.retries.clear();
    }

    fn me(&self) -> Arc<Self> {
        self.myself
            .upgrade()
            .expect("called through a reference that keeps the engine alive")
    }

    /// A token that no other attempt anywhere has: the process, a count, and a byte that READ may mark.
    fn token(&self) -> EntryId {
        let mut token = [0; 16];
        token[..8].copy_from_slice(&self.process.to_be_bytes());
        let count = self.tokens.fetch_add(1, SeqCst);
        token[8..15].copy_from_slice(&count.to_be_bytes()[1..]);
        token
    }

    /// The id of an entry that memory alone has, as far as is known.
    fn id_of_our_own(&self) -> EntryId {
        let mut id = self.token();
        id[15] = OURS;
        id
    }

    /// The link, started.
    fn link(&self) -> Option<&Arc<Link>> {
        let link = self.link.as_ref()?;
        if !self.closed.load(SeqCst) && link.start() {
            let engine = self.myself.clone();
            if link.cluster.is_some() {
                self.runtime.spawn(clustered::run(engine));
            } else {
                endpoint::join(link);
                self.runtime.spawn(supervise::run(engine, Arc::clone(link)));
            }
        }
        Some(link)
    }

    /// What may be read and filled now: connected, answering, every invalidation applied.
    fn trusted_shards(&self) -> Option<Arc<Shards>> {
        let link = self.link()?;
        let shards = link.shards()?;
        (!link.breaker.is_open() && !self.owes(&shards)).then_some(shards)
    }

    /// Whether an invalidation is noted that what is asked of Redis could be from before. In a cluster that is so for each
    /// master apart: the router does not ask one that lacks some.
    fn owes(&self, shards: &Shards) -> bool {
        !shards.is_many() && !self.journal.is_empty()
    }

    /// What an entry of this key depends on beside its name: what follows from where it lives, then its tags.
    fn dependencies(&self, key: &str, tags: &[Box<str>]) -> Vec<NameHash> {
        let mut names = path::implicit(&self.namespace, key);
        names.extend(tags.iter().map(|tag| self.namespace.tag(tag)));
        names
    }

    /// The masters that vouch for what began under this channel and depends on these names, as these shards have them. 0: all
    /// together, or it began under another map.
    fn owners(&self, shards: Option<&Shards>, channel: u64, name: NameHash, tags: &[NameHash]) -> u64 {
        let Some(cluster) = self.link.as_ref().and_then(|link| link.cluster.as_ref()) else {
            return 0;
        };
        let names = [self.namespace.whole(), name].into_iter().chain(tags.iter().copied());
        match shards.and_then(|shards| shards.owners(names)) {
            Some((owners, map)) if cluster.owners.is_current(map, channel & !ALONE) => owners,
            _ => 0,
        }
    }

    /// Life of version keys, ms: twice the longest entry.
    fn version_life(&self) -> u64 {
        (self.longest_hard_ttl.load(SeqCst) * 2).max(SHORTEST_VERSION_LIFE)
    }

    fn remember(&self, name: NameHash, entry: Entry) {
        let Some(memory) = &self.memory else { return };
        let size = entry.payload().len() as u64;
        memory.insert(name, entry);
        match memory.trim(size) {
            Trim::No => {}
            Trim::Soon => {
                let engine = self.me();
                self.runtime.spawn(async move { engine.give_pages_back() });
            }
            Trim::Now => self.give_pages_back(),
        }
    }

    /// Asks glibc to return free pages; other allocators do it by themselves. A few ms.
    fn give_pages_back(&self) {
        if let Some(memory) = &self.memory {
            memory.trimmed();
        }
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: no arguments that could be wrong; it takes the allocator's own locks.
        unsafe {
            libc::malloc_trim(0);
        }
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Ends the connections. What is asked of the engine after that is answered without Redis.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        if let Some(memory) = &self.memory {
            memory.clear();
        }
        if let Some(link) = &self.link {
            if link.cluster.is_none() {
                endpoint::leave(link);
            }
            if let Some(shards) = link.shards() {
                shards.give_up();
            }
            link.rouse();
            if let Some(cluster) = &link.cluster {
                cluster.survey.want();
            }
        }
    }

    /// Tells a handle of every change of Redis's state, until its owner is removed. The watcher must not wait.
    pub fn watch(&self, owner: OwnerId, watcher: Watcher) {
        self.watchers.add(owner, watcher);
    }

    fn tell(&self, change: Change) {
        if !self.is_closed() {
            self.watchers.tell(change);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether Redis has confirmed the entry of this id.
fn is_in_redis(id: &EntryId) -> bool {
    id[15] != OURS
}
