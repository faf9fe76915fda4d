//! The links of a cluster's masters, taken together.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError};

use super::{Link, LinkState};
use crate::breaker::BreakerState;
use crate::clock::Instant;
use crate::cluster::{Cluster, Layout};
use crate::redis::slots::Pulse;
use crate::router::Router;
use crate::shards::Shards;

impl Link {
    /// What can be asked of its masters now, told to all who look; and whether any of them is known to be down.
    pub fn publish(&self, cluster: &Cluster) {
        if !cluster.is_open.load(SeqCst) {
            return;
        }
        self.state.send_modify(|state| {
            // Made under the lock of the state: of two at once the later one is the younger.
            let layout = cluster.layout();
            let router = Router::new(Arc::clone(&layout), Arc::clone(&cluster.survey));
            *state = match lost(&layout) {
                Some((_, why)) if router.sessions().next().is_none() => LinkState::Down(why),
                _ => LinkState::Up(Arc::new(Shards::Many(router))),
            };
            if let LinkState::Up(shards) = &*state {
                self.tracking.store(shards.has_pushes(), SeqCst);
            }
            cluster.owners.set_down(layout.down());
            self.down.store(layout.down() != 0, SeqCst);
        });
    }

    /// Whether what is published of a master is not as it is.
    #[must_use]
    pub fn is_stale(&self, cluster: &Cluster, master: &Link) -> bool {
        let known = match &*self.state.borrow() {
            LinkState::Up(shards) => shards.at(master).cloned(),
            _ => None,
        };
        let is = master.shards().and_then(|shards| shards.only().cloned());
        let is_same = match (&known, &is) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        !is_same || cluster.layout().down() != cluster.owners.down()
    }

    /// `true` when this is a change.
    pub fn note_all_up(&self, is_up: bool) -> bool {
        self.all_up.swap(is_up, SeqCst) != is_up
    }

    /// A heartbeat of one of its masters, sent at `sent`, was answered. Proven is what all of them prove, while the cluster is
    /// as it was last found to be.
    pub fn set_basis_of(&self, master: &Link, cluster: &Cluster, sent: Instant, now: Instant) {
        master.basis_word.fetch_max(sent, SeqCst);
        if cluster.survey.is_done() {
            let layout = cluster.layout();
            let word = |link: &Arc<Link>| link.basis();
            let words = layout.masters.iter().map(word);
            self.basis_word.fetch_max(words.min().unwrap_or_default(), SeqCst);
            if layout.has_slots(master) {
                // Those without a slot elect nobody.
                let voters = layout.masters.iter().filter(|link| layout.has_slots(link));
                cluster.owners.hear(master.bit, sent, voters.map(word).collect());
            }
        }
        self.basis.send_replace(self.basis());
        self.note_latency(now - sent);
    }

    pub fn replace_pulse(&self, pulse: Pulse) -> Option<Pulse> {
        let mut last = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        last.replace(pulse)
    }

    /// Wakes who keeps the link, or all links of a cluster.
    pub fn rouse(&self) {
        self.wake.notify_one();
        if let Some(cluster) = &self.cluster {
            for master in &cluster.layout().masters {
                master.wake.notify_one();
            }
        }
    }

    #[must_use]
    pub fn breaker_state(&self) -> BreakerState {
        let Some(cluster) = &self.cluster else {
            return self.breaker.state();
        };
        let layout = cluster.layout();
        let states = layout.masters.iter().map(|link| link.breaker.state());
        states
            .reduce(|a, b| if a == BreakerState::Closed { b } else { a })
            .unwrap_or(BreakerState::Closed)
    }

    /// Another map of slots: what has moved is unverified.
    pub fn take_map(&self, cluster: &Cluster, mut layout: Layout) -> Arc<Layout> {
        let before = cluster.layout();
        layout.since = before.since;
        if !layout.has_slots_of(&before) {
            // First: what is kept from here on by the map of before has no owners, and so is not missed by what is raised now.
            layout.since = self.channel.fetch_add(1, SeqCst) + 1;
            cluster.owners.map(layout.since);
        }
        for bit in layout.moved_since(&before) {
            self.next_channel(bit);
        }
        let layout = Arc::new(layout);
        cluster.set_layout(Arc::clone(&layout));
        layout
    }
}

/// The first master without a session, and why.
#[must_use]
pub fn lost(layout: &Layout) -> Option<(String, String)> {
    layout.masters.iter().find_map(|link| {
        let why = match link.state() {
            LinkState::Up(shards) if !shards.is_over() => return None,
            LinkState::Down(why) => why,
            _ => "not connected yet".into(),
        };
        Some((link.config.place(), why))
    })
}
