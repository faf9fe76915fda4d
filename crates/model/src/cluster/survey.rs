//! Looks at the cluster: whose the slots are, as its masters tell; and what follows from another map.

use std::collections::{BTreeMap, BTreeSet};

use super::proof::Layout;
use super::redis::{Chart, Command, Epoch, NodeId, Reply, DEPS};
use super::wires::DATA;
use super::world::Client;
use crate::names::Dep;

impl Client {
    /// Runs as long as the process does.
    pub async fn survey(&self) {
        loop {
            let wanted = self.me(|me| me.wanted);
            let charts = self.charts().await;
            if let Some(best) = charts.iter().max_by_key(|chart| (chart.pulse.is_ok, chart.pulse.epoch)) {
                self.take(map(best, &charts));
                self.me(|me| me.surveyed = me.surveyed.max(wanted));
                // Told only now: those that are new were tried.
                self.sleep(0, 1_000).await;
                self.me(|me| me.router = me.layout.clone());
            }
            self.sleep(300, 1_000).await;
            let wake = self.me(|me| me.survey_wake.clone());
            let is_whole = self.me(|me| me.up().len() == me.layout.epochs.len());
            if self.me(|me| me.is_surveyed()) {
                let nap = if is_whole { 600_000 } else { 5_000 };
                let until = self.now() + nap;
                self.wait(&wake, until).await;
            }
        }
    }

    /// Of the masters that are connected; while none says that all is well, of every node there is.
    async fn charts(&self) -> Vec<Chart> {
        let sessions: Vec<usize> = self.me(|me| me.links.values().filter_map(|link| link.session).collect());
        let mut charts = Vec::new();
        for session in sessions {
            if let Some(Reply::Chart(chart)) = self.ask(session, DATA, Command::Chart, false).await {
                charts.push(chart);
            }
        }
        if charts.iter().any(|chart| chart.pulse.is_ok) {
            return charts;
        }
        for node in 0..self.with(|world| world.nodes.len()) {
            if let Some(session) = self.with(|world| world.connect(self.process, node)) {
                let reply = self.ask(session, DATA, Command::Chart, false).await;
                self.with(|world| world.close(session));
                if let Some(Reply::Chart(chart)) = reply {
                    charts.push(chart);
                }
            }
        }
        charts
    }

    fn take(&self, mut layout: Layout) {
        let new: Vec<NodeId> = self.with(|world| {
            let me = &mut world.processes[self.process];
            let before = me.layout.clone();
            me.proof.mapped(&before, &mut layout, me.mutant);
            me.layout = layout.clone();
            let gone: Vec<usize> = me
                .links
                .iter()
                .filter(|(node, _)| !layout.epochs.contains_key(node))
                .filter_map(|(_, link)| link.session)
                .collect();
            for session in gone {
                world.close(session);
            }
            let me = &mut world.processes[self.process];
            me.links.retain(|node, _| layout.epochs.contains_key(node));
            let new = layout.masters().filter(|node| me.kept.insert(*node)).collect();
            let process = self.process;
            if before.owners != layout.owners {
                world.note(|| format!("  map of {process}: {:?}", layout.owners));
            }
            new
        });
        for node in new {
            let client = self.clone();
            self.spawn(async move { client.keep(node).await });
        }
    }
}

/// The younger chart's, in which each node that was asked speaks for itself; who has the greater epoch has a slot.
fn map(best: &Chart, charts: &[Chart]) -> Layout {
    let mut owners: BTreeMap<NodeId, (Epoch, BTreeSet<Dep>)> = BTreeMap::new();
    for (slot, (node, epoch)) in best.view.iter().enumerate() {
        let owner = owners.entry(*node).or_insert((*epoch, BTreeSet::new()));
        owner.0 = owner.0.max(*epoch);
        owner.1.insert(slot);
    }
    for chart in charts {
        let own = (0..DEPS).filter(|slot| chart.view[*slot].0 == chart.node).collect();
        if let Some(owner) = owners.get_mut(&chart.node) {
            *owner = (chart.config, own);
        }
    }
    let mut by_epoch: Vec<(NodeId, (Epoch, BTreeSet<Dep>))> = owners.into_iter().collect();
    by_epoch.sort_by_key(|(_, (epoch, _))| *epoch);
    let mut layout = Layout::default();
    for (node, (epoch, slots)) in by_epoch {
        layout.epochs.insert(node, epoch);
        for slot in slots {
            layout.owners[slot] = Some(node);
        }
    }
    layout
}
