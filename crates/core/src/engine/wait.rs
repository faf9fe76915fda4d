//! The wait for another process's load: for the push of its lease's end, with a timer beside it. A holder that died ends it
//! after the lease's life, a living one renews it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::time::Instant as Deadline;

use super::judge::bytes_of;
use super::lease::{is_failure, is_retry};
use super::lookup::{Answer, Pending};
use super::Engine;
use crate::redis::fault::Fault;
use crate::shards::Shards;

/// What the wait for another's load came to.
enum Waited {
    Free,
    /// Its load failed: no convoy, everyone loads for himself.
    Failed,
    TimedOut,
    Unreachable,
}

impl Engine {
    /// Boxed: it leads back to [`Engine::lease`].
    pub(super) fn await_holder(
        self: Arc<Self>,
        mut one: Pending,
        shards: Arc<Shards>,
        answer: Answer,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            one.waited = true;
            let waited = self.watch_holder(&one, &shards).await;
            let Some(link) = &self.link else { return };
            match waited {
                Waited::Free => {
                    let budget = link.new_budget();
                    self.lease(vec![one], &shards, budget, &answer).await;
                }
                Waited::Failed | Waited::TimedOut => {
                    if self.enter_again(&mut one, &answer).await {
                        self.beside_failed(&one, self.since(), &answer);
                    }
                }
                Waited::Unreachable if Deadline::now() >= one.wait_until => {
                    self.load_without_redis(vec![one], &answer);
                }
                Waited::Unreachable => {
                    // A connection is often back within a millisecond: one more try before the herd loads.
                    let until = Deadline::now() + link.config.command_timeout;
                    if link.any_session(until).await.is_ok() {
                        self.read_tiers(vec![one], &answer).await;
                    } else {
                        self.load_without_redis(vec![one], &answer);
                    }
                }
            }
        })
    }

    /// Sleeps until the lease of another process ends: by its push, by its life, by our patience.
    async fn watch_holder(&self, one: &Pending, shards: &Shards) -> Waited {
        let (Some(link), Some(home)) = (&self.link, shards.of(one.name)) else {
            return Waited::Unreachable;
        };
        let wake = link.watches.watch(one.name);
        let mut seen: Option<Vec<u8>> = None;
        let mut may_track = true;
        // No push comes over a link that is silent: only heartbeats tell that one from a loader that takes its time.
        link.wake.notify_one();
        let waited = loop {
            link.note_activity(self.now());
            // Tracking is one-shot, and every renewal pushes: so the lease is read, and tracked, again.
            let mut pipeline = redis::pipe();
            let tracked = home.coherence.is_some() && may_track;
            if tracked {
                pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
            }
            let lease = self.keys.lease(one.name);
            pipeline.cmd("GET").arg(&lease).cmd("PTTL").arg(&lease);
            let mut budget = link.new_budget();
            let replies = match shards.all(one.name, &pipeline, &mut budget).await {
                Ok(replies) => replies,
                Err(Fault::Refused(_)) if tracked => {
                    may_track = false;
                    continue;
                }
                Err(fault) => {
                    self.redis_failed(shards, &fault);
                    break match fault {
                        // It cannot be watched at all.
                        Fault::Refused(_) => Waited::TimedOut,
                        _ => Waited::Unreachable,
                    };
                }
            };
            let (lease, left) = match &replies[usize::from(tracked)..] {
                [lease, Value::Int(left)] => (bytes_of(lease), *left),
                _ => break Waited::Free,
            };
            match lease {
                None => break Waited::Free,
                Some(lease) if self.is_own_failure(lease) => break Waited::Free,
                Some(lease) if is_failure(lease) => break Waited::Failed,
                // The load that was waited for has failed, and its process tries again: no second wait.
                Some(lease) if is_retry(lease) && seen.as_deref().is_some_and(|s| s != lease) => {
                    break Waited::Failed;
                }
                Some(lease) => seen = Some(lease.to_vec()),
            }
            let jitter = self.jitter() % 50;
            let longest = if tracked { u64::MAX } else { 25 };
            let pause = (left.max(0) as u64 + jitter).min(longest);
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
                () = tokio::time::sleep_until(one.wait_until) => break Waited::TimedOut,
                () = home.ended() => break Waited::Unreachable,
                // Its end would not be heard of.
                () = shards.link(one.name).unwrap_or(link).breaker.opened() => break Waited::Unreachable,
            }
        };
        link.watches.unwatch(one.name, &wake);
        waited
    }

    fn is_own_failure(&self, lease: &[u8]) -> bool {
        lease.first() == Some(&b'F') && lease[1..] == self.process_id()[..]
    }
}
