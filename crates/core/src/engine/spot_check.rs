//! Spot checks: now and then an entry that memory has just served is held against Redis, in the background.
//!
//! Memory is served on the strength of pushes and heartbeats; this looks whether they keep their word in production. What
//! Redis says is no proof against an entry yet: its push may be on the way. Only one that memory still serves when the
//! bound is over counts as a violation. Nor is it proof where memory may rightly outlive what Redis had: Redis has evicted
//! something meanwhile, a refresh has replaced the entry (neither is an invalidation), or an invalidation of our own that
//! was given up may have run late. That is counted as unclear.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::judge::Opened;
use super::{is_in_redis, Engine};
use crate::clock::{Instant, MS};
use crate::envelope::{Envelope, Reign};
use crate::freshness::Freshness;
use crate::key::{Kind, Mode, NameHash, Push};
use crate::memory::Entry;
use crate::notice::Change;
use crate::redis::chunk;
use crate::redis::wire::Budget;
use crate::shards::Shards;

/// Between two checks.
const PAUSE: u64 = 1_000 * MS;
/// Between two warnings.
const QUIET: u64 = 60_000 * MS;
/// So long after its caller has given it up a command may still run.
const LATE: u64 = 10_000 * MS;

#[derive(Debug, Default)]
pub(super) struct SpotChecks {
    next: AtomicU64,
    next_warning: AtomicU64,
    /// What each master says it has evicted so far, and since when it says so.
    evicted: Mutex<HashMap<Reign, (u64, Instant)>>,
    /// What has failed of all that was asked of Redis, and since when nothing more has.
    failed: Mutex<(u64, Instant)>,
}

impl SpotChecks {
    fn is_due(&self, now: Instant) -> bool {
        pass(&self.next, now, PAUSE)
    }

    /// Takes a reading of a master; gives back since when there has been no other.
    fn steady_since(&self, reign: Reign, evicted: u64, now: Instant) -> Instant {
        let mut known = self.evicted.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = known.entry(reign).or_insert((evicted, now));
        if reading.0 != evicted {
            *reading = (evicted, now);
        }
        reading.1
    }

    /// Masters that are none any more are forgotten: each failover brings another one.
    fn keep(&self, is_current: impl Fn(Reign) -> bool) {
        let mut known = self.evicted.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|reign, _| is_current(*reign));
    }

    fn calm_since(&self, failed: u64, now: Instant) -> Instant {
        let mut known = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != failed {
            *known = (failed, now);
        }
        known.1
    }

    fn knows(&self, reign: Reign) -> bool {
        let known = self.evicted.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains_key(&reign)
    }
}

/// `true` for one caller in each stretch of time.
fn pass(gate: &AtomicU64, now: Instant, pause: u64) -> bool {
    let open = gate.load(SeqCst);
    now >= open && gate.compare_exchange(open, now + pause, SeqCst, SeqCst).is_ok()
}

/// How Redis contradicts an entry of memory.
struct Contradiction {
    /// What this process should have heard of.
    missed: Push,
    /// A refresh has replaced the entry, or eviction explains as well why it differs.
    is_unclear: bool,
}

impl Engine {
    /// A fresh entry was served: holds it against Redis in the background, if it is time for that. Only where nothing else is the
    /// matter: a Redis that does not answer is not asked for this.
    pub(super) fn spot_check(&self, name: NameHash, entry: &Entry, now: Instant) {
        let Some(link) = &self.link else { return };
        let is_fit = is_in_redis(&entry.head().id) && !link.is_known_down() && !self.is_closed();
        if is_fit && self.spot_checks.is_due(now) {
            self.runtime.spawn(check(self.myself.clone(), name, entry.clone()));
        }
    }

    /// Holds an entry against what Redis has under its name. The outer `None`: they cannot be compared, because Redis has lost
    /// the entry or what it is judged by, was replaced itself, or does not answer.
    async fn contradiction(&self, name: NameHash, entry: &Entry) -> Option<Option<Contradiction>> {
        let link = self.link.as_ref().filter(|link| !link.is_known_down())?;
        let shards = self.trusted_shards()?;
        let mut budget = link.new_budget();
        self.calm_since();
        if !sessions(&shards)
            .iter()
            .all(|session| self.spot_checks.knows(session.reign))
        {
            self.steady_since(&shards, &mut budget).await;
        }
        let key = std::iter::once(self.keys.entry(name));
        let answers = shards.heads(key, &self.journal, &mut budget).await.ok()?;
        let reply = answers.values.first()?;
        let envelope = match (chunk::cut_off(reply), Opened::new(reply, &self.seal, self.max_entry())) {
            // All that is compared lies in its beginning.
            (Some((beginning, _)), _) => Envelope::head(beginning).ok()?.0,
            (None, Opened::Whole(envelope)) => envelope,
            _ => return None,
        };
        let is_same_history = Some(envelope.reign) == shards.reign(&answers, 0, name);
        if !is_same_history || !answers.strays.is_empty() || envelope.key.as_bytes() != entry.key() {
            return None;
        }
        let (missed, is_refreshed) = if envelope.id == entry.head().id {
            match self.missed(name, &envelope, &shards, &mut budget).await? {
                Some(missed) => (missed, false),
                None => return Some(None),
            }
        } else {
            (Push::key(name), envelope.is_refresh)
        };
        let steady = self.steady_since(&shards, &mut budget).await;
        let is_steady = steady.is_some_and(|since| since <= entry.head().proof);
        let is_steady = is_steady && self.calm_since() <= entry.head().proof;
        Some(Some(Contradiction {
            missed,
            is_unclear: is_refreshed || !is_steady,
        }))
    }

    /// The invalidation that an entry has fallen by in Redis: by its mark, by a version that was fetched now (the local table is
    /// as old as memory), or by a rule. One that is gone is none.
    async fn missed(
        &self,
        name: NameHash,
        envelope: &Envelope<'_>,
        shards: &Arc<Shards>,
        budget: &mut Budget,
    ) -> Option<Option<Push>> {
        if envelope.marked_stale {
            return Some(Some(Push::key(name)));
        }
        let keys = envelope.stamps.iter().map(|stamp| self.keys.versions(stamp.name));
        let answers = shards.gets(keys, &self.journal, budget).await.ok()?;
        let whole = self.namespace.whole();
        let mut latest = None;
        for (n, stamp) in envelope.stamps.iter().enumerate() {
            let kept = shards.version(&answers, n, stamp.name)?;
            if kept.version.reign != stamp.version.reign {
                return None;
            }
            if kept.version != stamp.version {
                let kind = if stamp.name == whole {
                    Kind::Namespace
                } else {
                    Kind::Tag
                };
                return Some(Some(Push {
                    name: stamp.name,
                    kind,
                    mode: Mode::Remove,
                }));
            }
            if stamp.name == whole {
                latest = Some(kept.latest_rule());
            }
        }
        let latest = latest?;
        if latest.number <= envelope.rules {
            return Some(None);
        }
        self.learn_rules(envelope.rules, latest, shards, budget).await.ok()?;
        let matching = self.news.copy.book.youngest_match(envelope.key, envelope.rules);
        Some(matching.map(|_| Push::key(name)))
    }

    /// Since when no master has evicted anything; `None`: that cannot be told.
    async fn steady_since(&self, shards: &Arc<Shards>, budget: &mut Budget) -> Option<Instant> {
        let mut since = 0;
        let sessions = sessions(shards);
        self.spot_checks
            .keep(|reign| sessions.iter().any(|session| session.reign == reign));
        for session in sessions {
            let evicted = session.evicted_keys(budget).await?;
            since = since.max(self.spot_checks.steady_since(session.reign, evicted, self.now()));
        }
        Some(since)
    }

    /// Since when nothing that failed before can run late.
    fn calm_since(&self) -> Instant {
        let failed = self.metrics.redis_errors.get() + self.metrics.invalidations_queued.get();
        let since = self.spot_checks.calm_since(failed, self.now());
        if failed == 0 {
            0
        } else {
            since + LATE
        }
    }

    /// The bound is over, counted from when Redis contradicted the entry. `None`: Redis could not be reached meanwhile, and
    /// another bound holds.
    fn is_still_served(&self, name: NameHash, entry: &Entry) -> Option<bool> {
        self.link.as_ref().filter(|link| !link.is_known_down())?;
        let key = std::str::from_utf8(entry.key()).ok()?;
        let served = self.servable(name, key, None, self.now());
        Some(served.is_some_and(|(now, fresh)| fresh == Freshness::Fresh && now.head().id == entry.head().id))
    }

    /// What should have been heard of takes its effect now; and it is told.
    fn make_up(&self, found: &Contradiction) {
        self.bump(found.missed);
        if found.is_unclear {
            return self.metrics.coherence_unclear.add(1);
        }
        self.metrics.coherence_violations.add(1);
        if pass(&self.spot_checks.next_warning, self.now(), QUIET) {
            let count = self.metrics.coherence_violations.get();
            self.tell(Change::Warning(format!(
                "memory has served an entry for longer than `maxUnverified` after it was invalidated or replaced in Redis; it was \
                 dropped ({count} found so far, by a check a second). Invalidations are lost on their way to this process, or \
                 somebody else writes to the keys of the namespace"
            )));
        }
    }
}

async fn check(engine: Weak<Engine>, name: NameHash, entry: Entry) {
    let Some(this) = engine.upgrade() else { return };
    let Some(found) = this.contradiction(name, &entry).await else {
        return;
    };
    let bound = this.link.as_ref().map(|link| link.config.max_unverified);
    let (Some(found), Some(bound)) = (found, bound) else {
        return this.metrics.coherence_checked.add(1);
    };
    // What has moved to another master is of another history there: who has heard of it loads it again, without an invalidation.
    // By the end this process has heard of it too, and no longer serves what has: until it has looked no heartbeat proves anything.
    if let Some(cluster) = this.link.as_ref().and_then(|link| link.cluster.as_ref()) {
        cluster.survey.want();
    }
    drop(this);
    tokio::time::sleep(bound + std::time::Duration::from_millis(1)).await;
    let Some(this) = engine.upgrade().filter(|this| !this.is_closed()) else {
        return;
    };
    let Some(is_served) = this.is_still_served(name, &entry) else {
        return;
    };
    this.metrics.coherence_checked.add(1);
    if is_served {
        this.make_up(&found);
    }
}

fn sessions(shards: &Shards) -> Vec<&Arc<crate::redis::session::Session>> {
    match shards {
        Shards::Alone(session) => vec![session],
        Shards::Many(router) => router.sessions().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_check_a_second_and_a_figure_that_stands_tells_since_when() {
        let checks = SpotChecks::default();
        let due = [5, 6, 5 + PAUSE - 1, 5 + PAUSE, 6 + PAUSE].map(|now| checks.is_due(now));
        assert_eq!(due, [true, false, false, true, false]);

        let since = [(7, 10), (7, 20), (8, 30), (8, 40), (0, 50)].map(|(n, now)| checks.steady_since(1, n, now));
        assert_eq!(since, [10, 10, 30, 30, 50]);
        assert!(checks.knows(1) && !checks.knows(2));

        checks.steady_since(2, 7, 60);
        checks.keep(|reign| reign == 2);
        assert!(checks.knows(2) && !checks.knows(1));

        let calm = [(0, 10), (3, 20), (3, 30)].map(|(failed, now)| checks.calm_since(failed, now));
        assert_eq!(calm, [0, 20, 20]);
    }
}
