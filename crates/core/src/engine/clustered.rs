//! A cluster's masters: found, kept, and found again. One task looks at the cluster; each master has a task of its own, which
//! keeps its link as that of a single server is kept (`supervise`).
//!
//! It is looked at when the engine begins, when a heartbeat brings another pulse, when a reply says that a slot has moved,
//! while a master is lost, and now and then.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::{join_all, select_ok};
use redis::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant as Deadline;

use super::{supervise, Engine};
use crate::cluster::{Cluster, Layout, Survey};
use crate::endpoint;
use crate::key::SLOTS;
use crate::link::masters::lost;
use crate::link::{Link, LinkState};
use crate::notice::Change;
use crate::redis::fault::{fault_of, has_moved, Fault};
use crate::redis::session::Session;
use crate::redis::slots::{ask_node, ask_over, Chart};
use crate::router::Router;
use crate::shards::Shards;

/// Between looks while all is well and somebody reads.
const POLL: Duration = Duration::from_secs(5);
/// While a master is lost.
const HURRY: Duration = Duration::from_millis(200);
/// Between two looks, at least.
const BREATH: Duration = Duration::from_millis(20);
/// How long a new master is waited for before the others are used.
const FIRST: Duration = Duration::from_millis(500);

/// The tasks of the masters.
type Keepers = Vec<(Arc<Link>, JoinHandle<()>)>;

/// Runs until the engine is gone.
pub(super) async fn run(engine: Weak<Engine>) {
    let mut keepers = Keepers::new();
    loop {
        let Some(this) = engine.upgrade().filter(|engine| !engine.is_closed()) else {
            break;
        };
        let Some((link, cluster)) = this.cluster() else { break };
        let survey = Arc::clone(&cluster.survey);
        let wanted = survey.wanted();
        let nap = match this.look(link, cluster).await {
            Ok(chart) => {
                this.seat(link, cluster, &chart, &mut keepers).await;
                survey.done(wanted);
                this.open_cluster(link, cluster);
                if link.is_known_down() || !chart.is_ok {
                    HURRY
                } else {
                    POLL
                }
            }
            Err(fault) => {
                this.cluster_lost(link, cluster, &fault);
                drop(this);
                tokio::time::sleep(HURRY).await;
                continue;
            }
        };
        drop(this);
        tokio::time::sleep(BREATH).await;
        rest(&engine, &survey, nap).await;
    }
    for (_, keeper) in keepers {
        keeper.abort();
    }
}

/// Until there is a reason to look again. While nobody reads only a word that something has changed is one.
async fn rest(engine: &Weak<Engine>, survey: &Survey, nap: Duration) {
    while survey.is_done() {
        tokio::select! {
            () = survey.wake.notified() => {}
            () = tokio::time::sleep(nap) => {
                let is_wanted = |engine: &Engine| nap < POLL || engine.link.as_ref().is_some_and(|link| link.is_active(engine.now()));
                if engine.upgrade().is_none_or(|engine| engine.is_closed() || is_wanted(&engine)) {
                    return;
                }
            }
        }
    }
}

impl Engine {
    fn cluster(&self) -> Option<(&Arc<Link>, &Cluster)> {
        let link = self.link.as_ref()?;
        Some((link, link.cluster.as_ref()?))
    }

    /// Asks the masters that are connected, and believes the youngest; while none of them says that all is well, also the nodes
    /// that are known otherwise.
    async fn look(&self, link: &Link, cluster: &Cluster) -> Result<Chart, Fault> {
        let layout = cluster.layout();
        let asked = layout.masters.iter().map(|master| async move {
            let shards = master.shards()?;
            let mut budget = link.new_budget();
            let node = node_of(master)?;
            let chart = ask_over(&shards.only()?.data, &node, cluster.names, &mut budget).await;
            chart.ok()
        });
        let charts: Vec<Chart> = join_all(asked).await.into_iter().flatten().collect();
        let best = Chart::merge(&charts);
        if let Some(chart) = best.as_ref().filter(|chart| chart.is_ok) {
            return Ok(chart.clone());
        }
        let known = layout.masters.iter().filter_map(|master| node_of(master));
        let mut nodes: Vec<_> = link.config.nodes.iter().cloned().chain(known).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let asking = nodes.iter().map(|node| {
            let chart = ask_node(&link.config, node, cluster.names);
            Box::pin(async move {
                let chart = tokio::time::timeout(link.config.connect_timeout, chart);
                let chart = chart.await.unwrap_or(Err(Fault::Timeout))?;
                // One that sees no whole cluster may be on the wrong side of a partition.
                let is_whole = chart.is_ok && chart.covered() == u32::from(SLOTS);
                is_whole
                    .then_some(chart)
                    .ok_or(Fault::Unsettled("the cluster's state is not ok".into()))
            })
        });
        let first = select_ok(asking).await.map(|(chart, _)| chart);
        match (first, best) {
            // The latter where `cluster-require-full-coverage` is off: some slots are served.
            (Ok(chart), _) | (Err(_), Some(chart)) => Ok(chart),
            (Err(fault), None) => Err(fault),
        }
    }

    /// Gives every master a keeper and takes it from those that are none any more; waits for the first word of new ones.
    async fn seat(&self, link: &Link, cluster: &Cluster, chart: &Chart, keepers: &mut Keepers) {
        let before = cluster.layout();
        let layout = link.take_map(cluster, Layout::of(chart, &before, &link.config));
        keepers.retain(|(master, keeper)| {
            let stays = layout.has(master);
            if !stays {
                keeper.abort();
                retire(master);
            }
            stays
        });
        let mut new = Vec::new();
        for master in &layout.masters {
            if !keepers.iter().any(|(known, _)| Arc::ptr_eq(known, master)) {
                endpoint::join(master);
                let keeper = self
                    .runtime
                    .spawn(supervise::run(self.myself.clone(), Arc::clone(master)));
                keepers.push((Arc::clone(master), keeper));
                new.push(master);
            }
        }
        let until = Deadline::now() + FIRST.min(link.config.connect_timeout);
        join_all(new.into_iter().map(|master| master.first_session(until))).await;
    }

    /// What was found may be used.
    fn open_cluster(&self, link: &Arc<Link>, cluster: &Cluster) {
        cluster.is_open.store(true, SeqCst);
        self.review_all(link, cluster);
        // Heartbeats prove again.
        link.rouse();
    }

    fn cluster_lost(&self, link: &Arc<Link>, cluster: &Cluster, fault: &Fault) {
        let why = fault.to_string();
        if cluster.is_open.load(SeqCst) {
            return self.review_all(link, cluster);
        }
        link.set_state(LinkState::Down(why.clone()));
        self.tell_lost(link, &why);
    }

    /// A master of a cluster was lost, or could not be reached: perhaps another one is in its place.
    pub(super) fn master_lost(&self, master: &Link, why: &str) {
        let Some((link, cluster)) = self.cluster() else { return };
        cluster.survey.want();
        self.review_all(link, cluster);
        if cluster.is_open.load(SeqCst) && link.tell(true) {
            self.tell(Change::Warning(format!(
                "the master {} cannot be reached ({why}); what it has comes from memory and from loaders until it is back, or \
                 another is in its place",
                master.config.place()
            )));
        }
    }

    /// Something about a master has changed, or may have.
    pub(super) fn review(&self, master: &Link) {
        if let Some((link, cluster)) = self.cluster() {
            if link.is_stale(cluster, master) {
                self.review_all(link, cluster);
            }
        }
    }

    fn review_all(&self, link: &Link, cluster: &Cluster) {
        link.publish(cluster);
        if !cluster.is_open.load(SeqCst) {
            return;
        }
        let layout = cluster.layout();
        if let Some((place, why)) = lost(&layout) {
            link.note_all_up(false);
            return self.tell_down(link, &format!("{place}: {why}"));
        }
        let mut sessions = layout.masters.iter().filter_map(|master| master.shards());
        if let Some(session) = sessions.next().as_ref().and_then(|shards| shards.only()) {
            if link.note_all_up(true) {
                self.tell_up(link, session);
            }
        }
    }

    /// Whether the namespace's versions and rules are this link's to tell.
    pub(super) fn is_home(&self, link: &Link) -> bool {
        let Some((_, cluster)) = self.cluster() else {
            return true;
        };
        cluster.layout().is_of(self.namespace.whole().slot(), link)
    }

    /// Applies what is noted for the master of this session, which need not be known to others yet.
    pub(super) async fn drain_for(&self, link: &Arc<Link>, session: &Arc<Session>) -> Result<(), Fault> {
        let shards = match self.cluster() {
            _ if self.journal.is_empty() => return Ok(()),
            None => Shards::Alone(Arc::clone(session)),
            Some((_, cluster)) => {
                let router = Router::new(cluster.layout(), Arc::clone(&cluster.survey));
                Shards::Many(router.with(link, session))
            }
        };
        let shards = Arc::new(shards);
        self.drain(&shards, |slot| shards.is_home(slot, session)).await
    }

    /// What is wrong with a reply to a heartbeat.
    pub(super) fn beat_fault(&self, reply: &Value) -> Option<Fault> {
        let fault = fault_of(reply)?;
        let Some((_, cluster)) = self.cluster() else {
            return Some(fault);
        };
        Some(match fault {
            Fault::Refused(why) | Fault::Unfit(why) if is_of_change(&why) => {
                cluster.survey.want();
                Fault::Unsettled(why)
            }
            fault => fault,
        })
    }
}

/// What a node says while the cluster changes around it; it is fit all the same.
fn is_of_change(why: &str) -> bool {
    has_moved(why) || why.starts_with("CLUSTERDOWN")
}

fn retire(master: &Arc<Link>) {
    endpoint::leave(master);
    if let Some(shards) = master.shards() {
        shards.give_up();
    }
    master.set_state(LinkState::Down("it is no master any more".into()));
}

fn node_of(master: &Link) -> Option<(String, u16)> {
    match &master.config.address {
        crate::config::Address::Tcp { host, port, .. } => Some((host.clone(), *port)),
        crate::config::Address::Unix(_) => None,
    }
}
