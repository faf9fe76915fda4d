//! The end of loads that bring no value: skipped, failed, abandoned; and that of a context or a process, which gives its
//! leases back.

use std::sync::atomic::Ordering::SeqCst;

use super::Engine;
use crate::envelope::EntryId;
use crate::key::NameHash;
use crate::loads::{Load, LoadId, OwnerId, Run};
use crate::redis::script::ScriptCall;
use crate::redis::wire::Budget;

/// How a load ended without a value to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadEnd {
    /// The loader said so, or `ttl` 0.
    Skipped,
    Failed,
    TimedOut,
    /// Nobody is there any more to finish it.
    Abandoned,
}

impl Engine {
    /// Ends a load without a value.
    pub fn end_load(&self, id: LoadId, end: LoadEnd) {
        let Some(load) = self.loads.lock().end(id) else {
            return;
        };
        let now = self.now();
        let mut failures = 0;
        match end {
            LoadEnd::Skipped => self.metrics.loads_succeeded.add(1),
            LoadEnd::Failed => self.metrics.loads_failed.add(1),
            LoadEnd::TimedOut => self.metrics.loads_timed_out.add(1),
            LoadEnd::Abandoned => self.count_abandoned(&load),
        }
        if matches!(end, LoadEnd::Failed | LoadEnd::TimedOut) {
            self.metrics.load_latency.record(now - load.began);
            failures = self.retries.failed(load.name, now);
        }
        let Some(token) = load.token() else {
            return;
        };
        if end == LoadEnd::Failed {
            // Others need not queue up behind a loader that fails: they see the mark and load for themselves.
            let life = (200_u64 << failures.saturating_sub(1).min(5)).min(5_000);
            self.release_marked(load.name, token, self.failure_mark(), life);
        } else {
            self.release_soon(load.name, token);
        }
    }

    /// Nobody waits for it any more; what was only looked up was no load yet.
    fn count_abandoned(&self, load: &Load) {
        if load.run == Run::Started {
            self.metrics.loads_abandoned.add(1);
        }
    }

    /// A handle or its JavaScript context ends: its loads end with it. Returns the leases they held.
    pub fn abandon(&self, owner: OwnerId) -> Vec<(NameHash, EntryId)> {
        self.abandon_where(|load| load.owner == owner)
    }

    /// The process ends.
    pub fn abandon_all(&self) -> Vec<(NameHash, EntryId)> {
        self.abandon_where(|_| true)
    }

    fn abandon_where(&self, is_over: impl Fn(&Load) -> bool) -> Vec<(NameHash, EntryId)> {
        let mut loads = self.loads.lock();
        let ids: Vec<LoadId> = loads.iter().filter(|load| is_over(load)).map(|load| load.id).collect();
        ids.into_iter()
            .filter_map(|id| {
                let load = loads.end(id)?;
                self.count_abandoned(&load);
                Some((load.name, load.token()?))
            })
            .collect()
    }

    /// Resolves when a load has ended, or after five seconds.
    pub async fn await_load(&self, id: LoadId) {
        let done = self.loads.with(id, crate::loads::Load::done);
        if let Some(mut done) = done {
            // An error means that the load is gone: ended, too. After a while the caller looks whether its context
            // still lives.
            let ended = done.wait_for(|done| *done);
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), ended).await;
        }
    }

    /// Whether every invalidation that was asked for has reached Redis.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.journal.is_empty() && self.invalidating.load(SeqCst) == 0
    }

    /// Gives leases back and flushes the journal, before the process goes. The caller bounds its time.
    pub async fn leave(&self, leases: Vec<(NameHash, EntryId)>) {
        let Some(link) = &self.link else { return };
        if !self.is_settled() {
            // Asked for before the first connection was made: it is worth the wait.
            let soon = tokio::time::Instant::now() + std::time::Duration::from_millis(100);
            link.first_session(soon).await;
        }
        let Some(shards) = link.shards() else { return };
        let calls: Vec<ScriptCall> = leases
            .into_iter()
            .map(|(name, token)| self.release_call(name, token, Vec::new(), 0))
            .collect();
        let mut budget = Budget::new(std::time::Duration::from_millis(100));
        // Nothing more can be done when it fails: the leases lapse by themselves.
        let _ = shards.orders(&calls, &mut budget).await;
        while self.invalidating.load(SeqCst) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let _ = self.drain(&shards, |_| true).await;
    }
}
