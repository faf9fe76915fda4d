//! The link: what is known of the connection to Redis, and what memory may therefore be served.
//!
//! `channel` numbers the armed coherence connections: an entry of an older one has not seen every push.
//! `basis` is the send time of the last answered heartbeat: every invalidation before it has been seen.
//! The supervisor (engine/supervise.rs) writes here; readers only look.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{watch, Notify};
use tokio::time::{timeout, timeout_at, Instant as Deadline};

use crate::breaker::{Breaker, BreakerState};
use crate::clock::{Instant, MS};
use crate::cluster::{Cluster, Layout};
use crate::config::{CoherenceMode, RedisConfig};
use crate::owners::Bit;
use crate::redis::slots::Pulse;
use crate::redis::wire::GRACE;
use crate::router::Router;
use crate::shards::Shards;
use crate::watches::Watches;

#[derive(Clone, Debug)]
pub enum LinkState {
    /// Nothing was asked of Redis yet.
    Idle,
    /// The first attempt is under way: a caller may wait for it.
    Connecting,
    Up(Arc<Shards>),
    Down(String),
}

/// Beside the channel of what was loaded without Redis: no heartbeat vouches for it, it was never told what settles.
pub const ALONE: u64 = 1 << 63;

#[derive(Debug)]
pub struct Link {
    pub config: RedisConfig,
    pub breaker: Breaker,
    state: watch::Sender<LinkState>,
    down: AtomicBool,
    /// A heartbeat was not answered in time.
    suspect: AtomicBool,
    channel: AtomicU64,
    basis: watch::Sender<Instant>,
    basis_word: AtomicU64,
    /// What was proven before this is proven no more.
    doubt: AtomicU64,
    /// Wakes the supervisor: a heartbeat is wanted, the breaker opened, an invalidation was noted, the end.
    pub wake: Notify,
    /// The user was warned that Redis is lost.
    told: AtomicBool,
    /// The last change that was told: down, and the breaker open.
    told_down: AtomicBool,
    told_open: AtomicBool,
    was_up: AtomicBool,
    /// Whether the last session had pushes.
    tracking: AtomicBool,
    activity: AtomicU64,
    latency: AtomicU64,
    /// Leases of others that are waited for.
    pub watches: Watches,
    /// Its masters, of a link to a cluster; each has a link of its own.
    pub cluster: Option<Cluster>,
    /// What its heartbeats tell, of a master of a cluster.
    pulse: Mutex<Option<Pulse>>,
    /// Every master of a cluster was there when it was last looked at.
    all_up: AtomicBool,
    /// Its place in the masks of owners, of a master of a cluster.
    pub bit: Bit,
}

impl Link {
    #[must_use]
    pub fn new(config: RedisConfig) -> Self {
        Self {
            tracking: AtomicBool::new(config.coherence != CoherenceMode::None),
            breaker: Breaker::default(),
            cluster: Cluster::of(&config),
            config,
            pulse: Mutex::default(),
            all_up: AtomicBool::new(false),
            state: watch::Sender::new(LinkState::Idle),
            down: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            channel: AtomicU64::new(1),
            basis: watch::Sender::new(0),
            basis_word: AtomicU64::new(0),
            doubt: AtomicU64::new(0),
            wake: Notify::new(),
            told: AtomicBool::new(false),
            told_down: AtomicBool::new(false),
            told_open: AtomicBool::new(false),
            was_up: AtomicBool::new(false),
            activity: AtomicU64::new(0),
            latency: AtomicU64::new(u64::MAX),
            watches: Watches::default(),
            bit: 0,
        }
    }

    /// A master of a cluster.
    #[must_use]
    pub fn of_master(config: RedisConfig, bit: Bit) -> Self {
        Self {
            bit,
            ..Self::new(config)
        }
    }

    // --- state -------------------------------------------------------------------------------------------

    /// `true` once: the caller starts the supervisor.
    pub fn start(&self) -> bool {
        self.state.send_if_modified(|state| {
            let idle = matches!(state, LinkState::Idle);
            if idle {
                *state = LinkState::Connecting;
            }
            idle
        })
    }

    #[must_use]
    pub fn is_connecting(&self) -> bool {
        matches!(*self.state.borrow(), LinkState::Connecting)
    }

    #[must_use]
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    pub fn set_state(&self, state: LinkState) {
        self.down.store(matches!(state, LinkState::Down(_)), SeqCst);
        if let LinkState::Up(shards) = &state {
            self.tracking.store(shards.has_pushes(), SeqCst);
        }
        self.state.send_replace(state);
    }

    /// What can be asked, if it is not over.
    #[must_use]
    pub fn shards(&self) -> Option<Arc<Shards>> {
        match &*self.state.borrow() {
            LinkState::Up(shards) if !shards.is_over() => Some(Arc::clone(shards)),
            _ => None,
        }
    }

    /// What `ask` comes to; `None`: it is not waited for any longer, the breaker is open.
    pub async fn unless_silent<T>(&self, ask: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            answer = ask => Some(answer),
            () = self.breaker.opened() => None,
        }
    }

    /// Waits while the very first attempt to connect is under way.
    pub async fn first_session(&self, until: Deadline) -> Option<Arc<Shards>> {
        let mut state = self.state.subscribe();
        let settled = |s: &LinkState| !matches!(s, LinkState::Idle | LinkState::Connecting);
        timeout_at(until, state.wait_for(settled)).await.ok()?.ok()?;
        self.shards()
    }

    /// Waits for a session, whatever the state is now.
    ///
    /// # Errors
    /// Why there is none, at the deadline.
    pub async fn any_session(&self, until: Deadline) -> Result<Arc<Shards>, String> {
        let mut state = self.state.subscribe();
        loop {
            let up = state.wait_for(|s| matches!(s, LinkState::Up(_)));
            let _ = timeout_at(until, up).await;
            match self.state() {
                LinkState::Up(shards) if !shards.is_over() => return Ok(shards),
                LinkState::Down(why) if Deadline::now() >= until => return Err(why),
                _ if Deadline::now() >= until => return Err("no answer in time".into()),
                // Over, and about to be replaced.
                _ => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
            }
        }
    }

    /// Waits until what can be asked is not this any more.
    pub async fn newer(&self, than: &Arc<Shards>, until: Deadline) -> bool {
        let mut state = self.state.subscribe();
        let is_newer = |s: &LinkState| matches!(s, LinkState::Up(shards) if !Arc::ptr_eq(shards, than));
        let found = timeout_at(until, state.wait_for(is_newer)).await;
        found.is_ok_and(|state| state.is_ok())
    }

    /// The first attempt has taken too long; what comes of it is told when it comes.
    pub fn wait_no_longer(&self) {
        self.state.send_if_modified(|state| {
            let waits = matches!(state, LinkState::Connecting);
            if waits {
                *state = LinkState::Down("no node has answered yet".into());
            }
            waits
        });
    }

    // --- of a cluster ------------------------------------------------------------------------------------

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
            let words: Vec<Instant> = layout.masters.iter().map(|link| link.basis()).collect();
            self.basis_word
                .fetch_max(words.iter().min().copied().unwrap_or_default(), SeqCst);
            if layout
                .masters
                .iter()
                .any(|link| std::ptr::eq(Arc::as_ptr(link), master))
            {
                cluster.owners.hear(master.bit, sent, words);
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

    /// `true` when the user has not been told so yet: once per change, not per attempt.
    pub fn tell(&self, is_lost: bool) -> bool {
        self.told.swap(is_lost, SeqCst) != is_lost
    }

    /// `true` when this is a change.
    pub fn note_down(&self, is_down: bool) -> bool {
        self.told_down.swap(is_down, SeqCst) != is_down
    }

    /// Whether the breaker is open, if that has changed since the last time.
    pub fn breaker_change(&self) -> Option<bool> {
        let open = self.breaker.is_open();
        (self.told_open.swap(open, SeqCst) != open).then_some(open)
    }

    /// `true` for the first session.
    pub fn is_first(&self) -> bool {
        !self.was_up.swap(true, SeqCst)
    }

    /// An operation got its answer too late.
    pub fn timed_out(&self) {
        if self.breaker.timeout() {
            self.wake.notify_one();
        }
    }

    pub fn set_suspect(&self, is_suspect: bool) {
        self.suspect.store(is_suspect, SeqCst);
    }

    /// Redis is known not to answer: no connection, a silent heartbeat, or an open breaker.
    #[must_use]
    pub fn is_known_down(&self) -> bool {
        self.down.load(SeqCst) || self.suspect.load(SeqCst) || self.breaker.is_open()
    }

    // --- coherence ---------------------------------------------------------------------------------------

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

    /// Another map of slots: what has moved is unverified.
    pub fn take_map(&self, cluster: &Cluster, mut layout: Layout) -> Arc<Layout> {
        let before = cluster.layout();
        for bit in layout.moved_since(&before) {
            self.next_channel(bit);
        }
        layout.since = before.since;
        if !layout.has_slots_of(&before) {
            layout.since = self.channel.fetch_add(1, SeqCst) + 1;
            cluster.owners.map(layout.since);
        }
        let layout = Arc::new(layout);
        cluster.set_layout(Arc::clone(&layout));
        layout
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
