//! The asynchronous half of a read: what memory could not answer, all that was asked in one tick at once. Where it is looked
//! for is in `read`.

use std::sync::Arc;
use std::time::Duration;

use super::admit::Overload;
use super::{Engine, Read, Refreshing};
use crate::gate::{Group, Place};
use crate::key::NameHash;
use crate::loads::{LoadId, LoadKind, Older, OwnerId, Passage};
use crate::memory::Entry;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    Memory,
    Redis,
}

/// A stale value that exists beside a load.
#[derive(Clone, Debug)]
pub struct Previous {
    pub entry: Entry,
    /// Whether it may be served if the loader fails (`staleIfError`).
    pub on_error: bool,
}

#[derive(Clone, Debug)]
pub struct Hit {
    pub entry: Entry,
    pub tier: Tier,
    pub stale: bool,
    /// It was loaded by another process while this caller waited.
    pub joined: bool,
    /// The refresh that is now the caller's to run in the background.
    pub refresh: Option<LoadId>,
}

#[derive(Clone, Debug)]
pub enum Found {
    Hit(Hit),
    /// Run the loader; the load is yours.
    Lead {
        previous: Option<Previous>,
        /// What it asks for may find no place: that has to be told.
        is_pressed: bool,
    },
    /// Too many loads run and wait.
    Overload(Overload, Option<Previous>),
    /// Another process is loading it, and this waits for that; the answer follows.
    Held,
    /// Another process refreshes it.
    Denied,
    /// Look again: what this waited for has ended.
    Retry,
    /// `get`: there is nothing.
    Miss,
}

/// What one load (or one `get`) wants to know.
#[derive(Clone, Debug)]
pub struct Request {
    /// The load, or for `get` any number of the caller's.
    pub id: LoadId,
    /// `get`: the key; a load has its own.
    pub get: Option<Box<str>>,
    /// `inspect`: a `get` that leaves no trace, neither in counters nor in memory.
    pub inspects: bool,
    /// Declared tags.
    pub tags: Vec<Box<str>>,
    pub ttl: Option<u64>,
    pub refresh: Refreshing,
    /// Whether to say so when it waits for another process.
    pub tells_held: bool,
    /// How long to wait for another process's load.
    pub wait: Duration,
    pub owner: OwnerId,
    /// The first of the loads that it counts as one with; 0: it is alone.
    pub group: LoadId,
    /// The loader of another load waits for it.
    pub nested: bool,
}

pub type Answer = Arc<dyn Fn(LoadId, Found) + Send + Sync>;

/// A request on its way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub id: LoadId,
    pub name: NameHash,
    pub key: Box<str>,
    pub kind: Option<LoadKind>,
    pub tags: Vec<NameHash>,
    pub bad: Vec<u8>,
    pub inspects: bool,
    pub tells_held: bool,
    pub read: Read,
    pub wait_until: tokio::time::Instant,
    pub waited: bool,
    /// How often the cluster was found changed on the way.
    pub moves: u32,
    /// How often it came upon an entry of several chunks.
    pub pulls: u32,
    pub group: Group,
    pub place: Option<Arc<Place>>,
}

impl Engine {
    /// Answers every request, each exactly once, in any order.
    pub async fn lookup(self: Arc<Self>, requests: Vec<Request>, answer: Answer) {
        let mut pending = Vec::with_capacity(requests.len());
        for request in requests {
            match self.take_in(&request) {
                None => answer(request.id, Found::Retry),
                Some((one, _)) if one.read.refresh == Refreshing::Bypass => {
                    for one in self.admitted(vec![one], &answer) {
                        self.lead_bypassing(&one, &answer);
                    }
                }
                Some((one, Some(older))) => {
                    if request.nested {
                        self.hasten(older.id);
                    }
                    self.wait_for_older(one, older, &answer);
                }
                Some((one, None)) => pending.push(one),
            }
        }
        self.read_tiers(pending, &answer).await;
    }

    /// Takes a request in; with it the older load it must wait for.
    fn take_in(&self, request: &Request) -> Option<(Pending, Option<Older>)> {
        let mut one = Pending {
            id: request.id,
            name: NameHash(0),
            key: Box::default(),
            kind: None,
            tags: Vec::new(),
            bad: Vec::new(),
            inspects: request.inspects,
            tells_held: request.tells_held,
            read: Read {
                ttl: request.ttl,
                refresh: request.refresh,
                loads: request.get.is_none(),
                owner: request.owner,
            },
            wait_until: tokio::time::Instant::now() + request.wait,
            waited: false,
            moves: 0,
            pulls: 0,
            group: if request.group == 0 { request.id } else { request.group },
            place: None,
        };
        if let Some(key) = &request.get {
            one.name = self.namespace.key(key);
            one.key = key.clone();
            return Some((one, None));
        }
        let after = self.loads.with(request.id, |load| {
            if request.nested {
                load.passage = Passage::Urgent;
            }
            one.tags = self.dependencies(&load.key, &request.tags);
            load.tags.clone_from(&one.tags);
            one.name = load.name;
            one.key = load.key.clone();
            one.kind = Some(load.kind);
            one.bad = load.bad.clone().unwrap_or_default();
            load.after.clone()
        })?;
        Some((one, after))
    }

    fn wait_for_older(&self, one: Pending, mut older: Older, answer: &Answer) {
        if one.tells_held {
            answer(one.id, Found::Held);
        }
        let (engine, answer) = (self.me(), Arc::clone(answer));
        self.runtime.spawn(async move {
            let done = older.done.wait_for(|done| *done);
            let _ = tokio::time::timeout_at(one.wait_until, done).await;
            engine.read_tiers(vec![one], &answer).await;
        });
    }
}
