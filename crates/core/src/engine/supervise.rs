//! The link's life: connect, arm, keep proving, replace. One task per engine; it holds the engine only while
//! it works, and ends with it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::timeout;

use super::Engine;
use crate::cluster::Cluster;
use crate::config::RedisConfig;
use crate::endpoint;
use crate::key::Kind;
use crate::link::{Link, LinkState};
use crate::notice::Change;
use crate::owners::Bit;
use crate::redis::fault::Fault;
use crate::redis::sentinel::{self, Master};
use crate::redis::session::{Canaries, Listener, Pushed, Session};
use crate::shards::Shards;

/// Between heartbeats while memory is read.
const BEAT: Duration = Duration::from_millis(150);
/// Between probes of a Redis that stopped answering.
const PROBE: Duration = Duration::from_millis(100);
/// Heartbeats without an answer, and without a single byte, that end a session.
const SILENCE: u32 = 3;
/// Why a session ended.
const CLOSED: &str = "the cache was closed";
const UNANSWERED: &str = "Redis does not answer";
/// Longest pause between attempts to connect, ms: what is left of two seconds is enough for the rest, also on a busy machine.
const LONGEST_PAUSE: u64 = 500;

/// Keeps one link until the engine is gone: the only one, or that to a master of a cluster.
pub(super) async fn run(engine: Weak<Engine>, link: Arc<Link>) {
    let mut failures = 0_u32;
    loop {
        let Some(this) = engine.upgrade().filter(|e| !e.is_closed()) else {
            return;
        };
        match this.establish(&link).await {
            Ok(session) => {
                failures = 0;
                drop(this);
                let why = live(&engine, &link, &session).await;
                let Some(this) = engine.upgrade() else { return };
                this.link_lost(&link, &session, why);
            }
            Err(fault) => {
                failures += 1;
                this.link_down(&link, &fault.to_string());
            }
        }
        pause(&engine, failures).await;
    }
}

/// Full jitter, so that the processes of a fleet do not come back at the same moment. The first attempt after a
/// loss is at once.
async fn pause(engine: &Weak<Engine>, failures: u32) {
    if failures == 0 {
        return;
    }
    let longest = (50_u64 << failures.min(6)).min(LONGEST_PAUSE);
    let Some(random) = engine.upgrade().map(|e| e.jitter()) else {
        return;
    };
    tokio::time::sleep(Duration::from_millis(10 + random % longest)).await;
}

/// Keeps a session proven until it is over; tells why it is.
async fn live(engine: &Weak<Engine>, link: &Arc<Link>, session: &Arc<Session>) -> &'static str {
    // Of each connection: either may be the one that is dead.
    let (mut of_data, mut of_heartbeats) = (Silence::default(), Silence::default());
    loop {
        let Some(this) = engine.upgrade().filter(|e| !e.is_closed()) else {
            return CLOSED;
        };
        let Some(whole) = &this.link else { return CLOSED };
        if session.is_over() {
            return "the connection ended";
        }
        this.tell_breaker(link);

        // 1. Redis stopped answering: probe until it does.
        if link.breaker.is_open() {
            let alive = this.probe_redis(link, session).await;
            this.tell_breaker(link);
            this.review(link);
            if of_data.heard(alive, session.data.arrived()) >= SILENCE {
                return UNANSWERED;
            }
            if !alive {
                tokio::time::sleep(PROBE).await;
                continue;
            }
        }
        // 2. Invalidations first: until they are applied, Redis is not trusted.
        let undrained = this.drain_for(link, session).await.is_err();
        if let Some(shards) = whole.shards().filter(|_| !undrained) {
            this.give_owed(&shards).await;
        }
        // 3. A heartbeat, while somebody reads.
        if whole.is_active(this.now()) {
            let heard = session.data.arrived();
            let beaten = this.beat(link, session).await;
            if beaten.is_err() {
                link.set_suspect(true);
                this.doubt_unheard(whole);
            }
            if beaten == Err(Fault::Silent) && session.data.arrived() == heard {
                endpoint::is_silent(link);
            }
            this.review(link);
            if of_heartbeats.heard(beaten.is_ok(), session.heartbeats().arrived()) >= SILENCE {
                return UNANSWERED;
            }
        } else {
            // Woken by a rule, and nobody reads any more.
            this.doubt_unheard(whole);
        }
        // 4. Sleep, without keeping the engine alive: until the next beat, somebody's demand, or the end.
        let nap = match (undrained || link.breaker.is_open(), whole.is_active(this.now())) {
            (true, _) => PROBE,
            (false, true) => BEAT,
            (false, false) => Duration::from_secs(3_600),
        };
        drop(this);
        tokio::select! {
            () = link.wake.notified() => {}
            () = session.ended() => {}
            () = tokio::time::sleep(nap) => {}
        }
    }
}

#[derive(Default)]
struct Silence {
    beats: u32,
    arrived: u64,
}

impl Silence {
    /// Counts unanswered beats on a link on which nothing arrives.
    fn heard(&mut self, answered: bool, arrived: u64) -> u32 {
        if answered || arrived != self.arrived {
            self.beats = 0;
        } else {
            self.beats += 1;
        }
        self.arrived = arrived;
        self.beats
    }
}

impl Engine {
    /// Connects and arms a session, applies what is noted, and only then lets anyone trust it.
    async fn establish(self: &Arc<Self>, link: &Arc<Link>) -> Result<Arc<Session>, Fault> {
        let whole = self.link.as_ref().ok_or(Fault::Timeout)?;
        let (weak, bit) = (Arc::downgrade(self), link.bit);
        let listener: Listener = Arc::new(move |pushed| {
            if let Some(engine) = weak.upgrade() {
                engine.heard(pushed, bit);
            }
        });
        let RedisConfig { connect_timeout, .. } = link.config;
        // In a cluster a canary must be the master's own.
        let layout = whole.cluster.as_ref().map(Cluster::layout);
        let is_own = |slot: u16| layout.as_ref().is_some_and(|layout| layout.is_of(slot, link));
        let canaries = match &layout {
            None => Canaries::Anywhere,
            Some(layout) if layout.has_slots(link) => Canaries::Within(&is_own),
            Some(_) => Canaries::Nowhere,
        };
        let connecting = async {
            let Some(sentinels) = &link.config.sentinels else {
                let session = Session::connect(&link.config, &self.keys, &*self.clock, listener, canaries).await?;
                return Ok(Arc::new(session));
            };
            let master = sentinel::find(&link.config, sentinels, &link.elections).await?;
            let config = master.config(&link.config);
            let session = Session::connect(&config, &self.keys, &*self.clock, listener, canaries).await?;
            let session = Arc::new(session);
            self.watch_sentinels(link, master, &session);
            Ok::<_, Fault>(session)
        };
        let session = timeout(connect_timeout, connecting)
            .await
            .map_err(|_| Fault::Timeout)??;

        // 1. Tracking is armed and proven: what was read before has perhaps missed a push.
        //    Rules made from here on are this channel's to hear of: the latest before it is asked for first.
        if self.is_home(link) {
            self.begin_rules(&session, &mut link.new_budget()).await?;
        }
        //    The channel first: what somebody still takes from the session of before must not stay in the table.
        whole.next_channel(link.bit);
        self.versions.clear();
        // 2. The first basis is from after that.
        self.beat(link, &session).await?;
        // 3. Invalidations that Redis missed come before anything is read from it.
        self.drain_for(link, &session).await?;
        link.breaker.close();
        link.set_suspect(false);
        link.set_state(LinkState::Up(Arc::new(Shards::Alone(Arc::clone(&session)))));
        self.came_up(link, &session);
        Ok(session)
    }

    /// A session on a server that is no master any more ends when the Sentinels say so, also one that nobody uses.
    fn watch_sentinels(&self, link: &Link, master: Master, session: &Arc<Session>) {
        let Some(sentinels) = link.config.sentinels.clone() else {
            return;
        };
        let engine = self.myself.clone();
        let is_active = move || {
            engine
                .upgrade()
                .is_some_and(|e| e.link.as_ref().is_some_and(|l| l.is_active(e.now())))
        };
        let (config, elections) = (link.config.clone(), Arc::clone(&link.elections));
        let session = Arc::clone(session);
        self.runtime
            .spawn(async move { sentinel::watch(config, sentinels, &elections, master, session, is_active).await });
    }

    /// A push arrived; runs inline, in the order of the wire.
    fn heard(&self, pushed: Pushed, bit: Bit) {
        let Some(link) = &self.link else { return };
        match pushed {
            // One's own: its local effect was complete before its caller was told.
            Pushed::Invalidated(_, process) if process == self.process => {}
            // Which pattern, the next heartbeat asks; it is due now.
            Pushed::Invalidated(push, _) if push.kind == Kind::Pattern => {
                self.epochs.bump(push);
                self.versions.remove(self.namespace.whole());
                self.news.sign();
                if link.is_active(self.now()) {
                    link.rouse();
                } else {
                    // Nobody reads: the next one who does has a heartbeat prove memory first.
                    link.doubt(self.now());
                }
            }
            Pushed::Invalidated(push, _) => {
                self.metrics.invalidations_received.add(1);
                self.bump(push);
            }
            Pushed::Everything => {
                link.next_channel(bit);
                self.news.copy.clear();
                self.versions.clear();
                link.watches.all_changed();
            }
            Pushed::Lease(name) => link.watches.changed(name),
        }
    }

    fn link_lost(&self, link: &Link, session: &Session, why: &str) {
        session.give_up();
        let Some(whole) = &self.link else { return };
        link.set_state(LinkState::Down(why.to_owned()));
        self.doubt_unheard(whole);
        whole.watches.all_changed();
        if whole.cluster.is_some() {
            return self.master_lost(link, why);
        }
        self.tell_down(link, why);
    }

    /// A rule was made, and which one nobody tells now: memory may match it.
    fn doubt_unheard(&self, whole: &Link) {
        if self.news.is_due() {
            whole.doubt(self.now());
        }
    }

    fn link_down(&self, link: &Link, why: &str) {
        let Some(whole) = &self.link else { return };
        link.set_state(LinkState::Down(why.to_owned()));
        if whole.cluster.is_some() {
            return self.master_lost(link, why);
        }
        self.tell_lost(link, why);
    }

    /// The one server, or the whole cluster.
    pub(super) fn tell_lost(&self, link: &Link, why: &str) {
        self.tell_down(link, why);
        if link.tell(true) {
            self.tell(Change::Warning(format!(
                "Redis cannot be reached ({why}); values come from memory and from loaders until it is back"
            )));
        }
    }

    fn came_up(&self, link: &Arc<Link>, session: &Session) {
        if self.link.as_ref().is_some_and(|whole| whole.cluster.is_some()) {
            self.review(link);
        } else {
            self.tell_up(link, session);
        }
    }

    pub(super) fn tell_down(&self, link: &Link, why: &str) {
        if link.note_down(true) {
            self.tell(Change::Down { reason: why.to_owned() });
        }
    }

    pub(super) fn tell_up(&self, link: &Link, session: &Session) {
        let (first, told) = (link.is_first(), link.tell(false));
        link.note_down(false);
        self.tell_breaker(link);
        self.tell(Change::Up {
            first,
            server: session.server.clone(),
            topology: link.config.topology(),
            tracking: session.coherence.is_some(),
            told,
        });
        // Once, and again after a loss that was told: not at every reconnect.
        if let Some(why) = session.tracking_refused.as_ref().filter(|_| first || told) {
            self.tell(Change::Warning(format!(
                "Redis sends no pushes ({why}); memory is served at most `maxUnverified` old"
            )));
        }
    }

    fn tell_breaker(&self, link: &Link) {
        if let Some(open) = link.breaker_change() {
            self.tell(Change::Breaker { open });
        }
    }

    pub(super) fn jitter(&self) -> u64 {
        let token = self.token();
        xxhash_rust::xxh3::xxh3_64(&token)
    }
}
