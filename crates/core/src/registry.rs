//! One engine per process and (namespace, Redis): however often the package is loaded (worker threads, hot
//! reload, duplicated module graphs), memory, loads and connections are shared.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use tokio::runtime::Handle;

use crate::clock::{Clock, ManualClock, SystemClock};
use crate::config::{Config, RedisConfig};
use crate::engine::Engine;
use crate::journal::Journal;
use crate::key::Namespace;
use crate::loads::OwnerId;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    namespace: String,
    redis: Option<(String, i64, Option<String>)>,
}

/// An engine, and what it has not sent yet: the next one of the same identity sends that before it reads Redis.
type Known = (Weak<Engine>, Arc<Journal>);

static ENGINES: LazyLock<Mutex<HashMap<Identity, Known>>> = LazyLock::new(Mutex::default);

/// Another engine of the same identity runs with another setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub option: &'static str,
    pub running: String,
    pub wanted: String,
}

/// What to do when an engine of the same identity runs with other settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    Refuse,
    /// Development: the newest settings win; the old engine ends with its last handle.
    Replace,
}

/// The engine of a configuration, the running one or a new one, with a new handle on it.
///
/// # Errors
/// [`Conflict`] when the running one differs in a setting that belongs to the engine.
pub fn open(config: Config, on_conflict: OnConflict, runtime: Handle) -> Result<(Arc<Engine>, OwnerId), Conflict> {
    let mut engines = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    engines.retain(|_, (engine, journal)| engine.strong_count() > 0 || !journal.is_empty());
    let identity = identity(&config);
    let (running, journal) = match engines.get(&identity) {
        Some((engine, journal)) => (engine.upgrade(), Arc::clone(journal)),
        None => (None, journal_of(&config)),
    };
    if let Some(running) = running {
        let difference = difference(&running.config, &config);
        match (difference, on_conflict) {
            _ if running.is_closed() => {}
            (Some(conflict), OnConflict::Refuse) => return Err(conflict),
            (Some(_), OnConflict::Replace) => {}
            (None, _) => {
                if let Some(owner) = running.new_owner() {
                    return Ok((running, owner));
                }
            }
        }
    }
    let (engine, owner) = begin(config, Arc::new(SystemClock), runtime, Arc::clone(&journal));
    engines.insert(identity, (Arc::downgrade(&engine), journal));
    Ok((engine, owner))
}

/// An engine of its caller's own, on a clock that stands still: nobody else is ever given it.
#[must_use]
pub fn open_alone(config: Config, clock: Arc<ManualClock>, runtime: Handle) -> (Arc<Engine>, OwnerId) {
    let journal = journal_of(&config);
    begin(config, clock, runtime, journal)
}

fn begin(config: Config, clock: Arc<dyn Clock>, runtime: Handle, journal: Arc<Journal>) -> (Arc<Engine>, OwnerId) {
    let engine = Engine::new(config, clock, runtime, journal);
    let owner = engine
        .new_owner()
        .expect("nobody has had it yet, so nobody has closed it");
    (engine, owner)
}

/// Every engine gives back what its contexts hold: the process is about to end.
pub async fn leave_all() {
    let engines: Vec<Arc<Engine>> = ENGINES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .values()
        .filter_map(|(engine, _)| engine.upgrade())
        .collect();
    let leaving = engines.iter().map(|engine| engine.leave(engine.abandon_all()));
    futures_util::future::join_all(leaving).await;
}

fn journal_of(config: &Config) -> Arc<Journal> {
    Arc::new(Journal::new(Namespace::new(&config.namespace).whole()))
}

fn identity(config: &Config) -> Identity {
    let endpoint = |redis: &RedisConfig| (redis.endpoint(), redis.db, redis.username.clone());
    Identity {
        namespace: config.namespace.clone(),
        redis: config.redis.as_ref().map(endpoint),
    }
}

fn difference(running: &Config, wanted: &Config) -> Option<Conflict> {
    let pair = |option, of: fn(&Config) -> u64| (option, of(running).to_string(), of(wanted).to_string());
    let mut pairs = vec![
        pair("memory.maxBytes", |config| config.memory_bytes),
        pair("maxLoads", |config| config.max_loads as u64),
        pair("maxQueuedLoads", |config| config.max_queued_loads as u64),
    ];
    if let (Some(a), Some(b)) = (&running.redis, &wanted.redis) {
        let ms = |d: std::time::Duration| format!("{} ms", d.as_millis());
        let isolated = |c: &RedisConfig| c.isolated.map_or("ttl".into(), ms);
        pairs.extend([
            ("redis.connectTimeout", ms(a.connect_timeout), ms(b.connect_timeout)),
            ("redis.commandTimeout", ms(a.command_timeout), ms(b.command_timeout)),
            ("redis.maxUnverified", ms(a.max_unverified), ms(b.max_unverified)),
            ("redis.isolated", isolated(a), isolated(b)),
            (
                "redis.coherence",
                format!("{:?}", a.coherence),
                format!("{:?}", b.coherence),
            ),
        ]);
        let bytes = |c: &RedisConfig| c.max_entry_bytes.to_string();
        pairs.push(("redis.maxEntryBytes", bytes(a), bytes(b)));
        if a.password != b.password {
            pairs.push(("redis.password", "(hidden)".into(), "(hidden, another)".into()));
        }
        if a.integrity_key != b.integrity_key {
            pairs.push(("redis.integrityKey", "(hidden)".into(), "(hidden, another)".into()));
        }
        if a.address != b.address {
            pairs.push(("redis.tls", format!("{:?}", a.address), format!("{:?}", b.address)));
        }
    }
    pairs
        .into_iter()
        .find(|(_, running, wanted)| running != wanted)
        .map(|(option, running, wanted)| Conflict {
            option,
            running,
            wanted,
        })
}
