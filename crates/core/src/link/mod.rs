//! The link: what is known of the connection to Redis. The supervisor (engine/supervise.rs) writes here; readers only look.
//!
//! Here its state, and what of it was told · [`proof`] what memory may therefore be served · [`masters`] the links of a cluster,
//! taken together

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use tokio::sync::{watch, Notify};
use tokio::time::{timeout_at, Instant as Deadline};

use crate::breaker::Breaker;
use crate::clock::Instant;
use crate::cluster::Cluster;
use crate::config::{CoherenceMode, RedisConfig};
use crate::owners::Bit;
use crate::redis::sentinel::Elections;
use crate::redis::slots::Pulse;
use crate::redis::wire::Budget;
use crate::shards::Shards;
use crate::watches::Watches;

pub mod masters;
pub mod proof;

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
    /// Of which the Sentinels have told.
    pub elections: Arc<Elections>,
    /// Its place in the masks of owners, of a master of a cluster.
    pub bit: Bit,
}

impl Link {
    /// Of all that one operation asks of Redis.
    #[must_use]
    pub fn new_budget(&self) -> Budget {
        Budget::new(self.config.command_timeout)
    }

    /// Of one that asks twice, and the second time depends on the first: a write.
    #[must_use]
    pub fn double_budget(&self) -> Budget {
        Budget::new(self.config.command_timeout * 2)
    }

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
            elections: Arc::default(),
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
}
