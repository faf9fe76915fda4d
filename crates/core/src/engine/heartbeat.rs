//! The heartbeat: what is asked of a master again and again, and what its answer proves. And the probe of one that does not
//! answer any more.

use std::sync::Arc;

use redis::Value;

use super::judge::Since;
use super::Engine;
use crate::link::Link;
use crate::redis::fault::Fault;
use crate::redis::session::Session;
use crate::redis::slots::Pulse;
use crate::redis::wire::Budget;

impl Engine {
    /// One heartbeat: reads the namespace's version (which keeps it warm), the server's clock, and new rules.
    pub(super) async fn beat(&self, link: &Link, session: &Arc<Session>) -> Result<(), Fault> {
        let Some(whole) = &self.link else { return Ok(()) };
        let is_home = self.is_home(link);
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME").cmd("INFO").arg("replication");
        if whole.cluster.is_some() {
            pipeline.cmd("CLUSTER").arg("INFO");
        }
        if is_home {
            pipeline.cmd("GET").arg(self.keys.versions(self.namespace.whole()));
            self.ask_rules(&mut pipeline, self.news.applied());
        }
        let mut budget = link.new_budget();
        let (since, signs) = (self.since(), self.news.signs());
        let beaten = match session.heartbeats().send(&pipeline, &mut budget).await {
            Ok(replies) => self.take_beat(&replies, link, session, since, &mut budget).await,
            Err(fault) => Err(fault),
        };
        match &beaten {
            Ok(()) => {
                if is_home {
                    self.news.deal(signs);
                }
                link.set_suspect(false);
                match &whole.cluster {
                    _ if session.coherence.is_none() => whole.note_latency(self.now() - since.start),
                    Some(cluster) => whole.set_basis_of(link, cluster, since.start, self.now()),
                    None => whole.set_basis(since.start, self.now()),
                }
            }
            Err(fault) => {
                self.metrics.redis_errors.add(1);
                if !matches!(fault, Fault::Timeout | Fault::Silent | Fault::Unsettled(_)) {
                    session.give_up();
                }
            }
        }
        beaten
    }

    async fn take_beat(
        &self,
        replies: &[Value],
        link: &Link,
        session: &Arc<Session>,
        since: Since,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        // Not fit any more: demoted, locked, loading. Its answers prove nothing.
        let [time, replication, rest @ ..] = replies else {
            return Err(Fault::Unfit("replies are missing".into()));
        };
        if let Some(fault) = [time].into_iter().chain(rest).find_map(|reply| self.beat_fault(reply)) {
            return Err(fault);
        }
        session.check_history(replication)?;
        session.set_time(time, since.start, &*self.clock);
        let cluster = self.link.as_ref().and_then(|link| link.cluster.as_ref());
        let rest = match (cluster, rest) {
            (Some(cluster), [info, rest @ ..]) => {
                let pulse = Pulse::read(info).ok_or_else(|| Fault::Unfit("CLUSTER INFO tells nothing".into()))?;
                cluster.take_pulse(link, pulse);
                rest
            }
            (_, rest) => rest,
        };
        match rest {
            // What it tells of rules takes effect before it proves anything.
            [namespace, rules @ ..] => self.check_namespace((namespace, rules), session, since, budget).await,
            [] => Ok(()),
        }
    }

    pub(super) async fn probe_redis(&self, link: &Arc<Link>, session: &Arc<Session>) -> bool {
        link.breaker.probe();
        let mut budget = link.new_budget();
        let ping = session.data.all(redis::pipe().cmd("PING"), &mut budget).await;
        if let Err(Fault::Disconnected(_) | Fault::Unfit(_)) = ping {
            session.give_up();
        }
        let alive = ping.is_ok();
        // Closed only after the drain: until then reads must not reach Redis.
        link.breaker
            .probed(alive && self.drain_for(link, session).await.is_ok());
        alive
    }
}
