//! What memory may be served, by what was heard of Redis.
//!
//! `channel` numbers the armed coherence connections: an entry of an older one has not seen every push.
//! `basis` is the send time of the last answered heartbeat: every invalidation before it has been seen.

use std::sync::atomic::Ordering::SeqCst;

use tokio::time::{timeout, timeout_at, Instant as Deadline};

use super::{Link, ALONE};
use crate::clock::{Instant, MS};
use crate::cluster::Cluster;
use crate::owners::Bit;
use crate::redis::wire::GRACE;

impl Link {
    #[must_use]
    pub fn channel(&self) -> u64 {
        self.channel.load(SeqCst)
    }

    /// What was read before is unverified from here on: everything, or what this master of a cluster owns.
    pub fn next_channel(&self, bit: Bit) {
        let channel = self.channel.fetch_add(1, SeqCst) + 1;
        if let Some(cluster) = &self.cluster {
            cluster.owners.raise(bit, channel);
        }
    }

    #[must_use]
    pub fn basis(&self) -> Instant {
        self.basis_word.load(SeqCst)
    }

    /// A heartbeat sent at `sent` was answered.
    pub fn set_basis(&self, sent: Instant, now: Instant) {
        self.basis_word.fetch_max(sent, SeqCst);
        self.basis.send_replace(sent);
        self.note_latency(now - sent);
    }

    /// Nothing in memory is proven until a heartbeat that is sent from now on.
    pub fn doubt(&self, now: Instant) {
        self.doubt.fetch_max(now, SeqCst);
    }

    pub fn note_latency(&self, ns: u64) {
        self.latency.store(ns, SeqCst);
    }

    /// Last round trip, ns.
    #[must_use]
    pub fn latency(&self) -> Option<u64> {
        Some(self.latency.load(SeqCst)).filter(|ns| *ns != u64::MAX)
    }

    /// How long memory is served without proof now, ns.
    #[must_use]
    pub fn allowance(&self) -> u64 {
        self.allowance_while(self.is_known_down())
    }

    fn allowance_while(&self, is_down: bool) -> u64 {
        let unverified = self.config.max_unverified.as_nanos() as u64;
        if !self.tracking.load(SeqCst) || !is_down {
            return unverified;
        }
        match self.config.isolated {
            Some(isolated) => unverified.max(isolated.as_nanos() as u64),
            None => u64::MAX,
        }
    }

    /// Whether what was proven at `proof` under `channel`, and has these owners, may be served at `now`.
    #[must_use]
    pub fn proves(&self, channel: u64, owners: u64, proof: Instant, now: Instant) -> bool {
        // The basis is read before the channel: one of a newer channel must never prove an older entry.
        let proven = if channel & ALONE == 0 {
            proof.max(self.basis())
        } else {
            proof
        };
        let is_of_now = channel & !ALONE == self.channel();
        if is_of_now && proven >= self.doubt.load(SeqCst) && now.saturating_sub(proven) <= self.allowance() {
            return true;
        }
        match &self.cluster {
            Some(cluster) => self.proves_by_owners(cluster, channel, owners, proof, now),
            None => false,
        }
    }

    #[cold]
    fn proves_by_owners(&self, cluster: &Cluster, channel: u64, owners: u64, proof: Instant, now: Instant) -> bool {
        // What all masters prove, its own do; it is read first, as above.
        let basis = self.basis();
        let Some(heard) = cluster.owners.proven(owners, channel & !ALONE) else {
            return false;
        };
        let proven = if channel & ALONE == 0 {
            proof.max(heard).max(basis)
        } else {
            proof
        };
        let is_down = cluster.owners.down() & owners != 0;
        proven >= self.doubt.load(SeqCst) && now.saturating_sub(proven) <= self.allowance_while(is_down)
    }

    /// The heartbeats vouch for the local table now.
    #[must_use]
    pub fn is_coherent(&self, now: Instant) -> bool {
        let basis = self.basis();
        let is_recent = now.saturating_sub(basis) <= self.config.max_unverified.as_nanos() as u64;
        is_recent && basis >= self.doubt.load(SeqCst) && !self.is_known_down()
    }

    /// Asks for a heartbeat and waits until one proves the channel.
    pub async fn prove(&self, now: impl Fn() -> Instant, until: Deadline) -> bool {
        let mut basis = self.basis.subscribe();
        while !self.is_coherent(now()) {
            self.rouse();
            match self.unless_silent(timeout_at(until, basis.changed())).await {
                Some(Ok(Ok(()))) => {}
                Some(Err(_)) => {
                    // As for every answer: what has arrived is read first.
                    let _ = timeout(GRACE, basis.changed()).await;
                    return self.is_coherent(now());
                }
                _ => return self.is_coherent(now()),
            }
        }
        true
    }

    // --- activity: heartbeats go on while somebody reads --------------------------------------------------

    pub fn note_activity(&self, now: Instant) {
        if now.saturating_sub(self.activity.load(SeqCst)) > 100 * MS {
            self.activity.store(now, SeqCst);
        }
    }

    #[must_use]
    pub fn is_active(&self, now: Instant) -> bool {
        now.saturating_sub(self.activity.load(SeqCst)) < 5_000 * MS
    }
}
