//! A session: the two connections of a process to one master, proven fit before anything trusts them.
//!
//! *Coherence* carries pushes and heartbeats and nothing else: a large reply before a heartbeat would make a
//! healthy link look dead. *Data* carries everything else. A session is replaced as a whole: when either
//! connection ends, so does it. redis-rs's own manager is not used: it cannot re-arm tracking before the
//! first reply is trusted, and it loses the order of pushes across a reconnect.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, Value};
use tokio::sync::{watch, Notify};
use xxhash_rust::xxh3::xxh3_64;

use super::fault::{fault_of, Fault};
use super::identity::{field, history, identify, offset_of, text, Identity};
use super::script::ScriptCall;
use super::stream;
use super::wire::{Budget, Wire};
use crate::clock::{Clock, MS};
use crate::config::{CoherenceMode, RedisConfig};
use crate::envelope::Reign;
use crate::key::{slot_of, NameHash, Push, RedisKeys, SLOTS};

/// What the server told without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// By which process.
    Invalidated(Push, u64),
    /// FLUSHALL or FLUSHDB: nothing that was known holds.
    Everything,
    /// A lease that somebody here waits for changed.
    Lease(NameHash),
}

pub type Listener = Arc<dyn Fn(Pushed) + Send + Sync>;

/// Names tried for a canary in the slots of one master: one that has a single slot is found all the same.
const TRIES: u64 = SLOTS as u64 * 16;

#[derive(Debug)]
pub struct Session {
    pub data: Wire,
    /// `None`: Redis refuses tracking or the user asked for none.
    pub coherence: Option<Wire>,
    pub reign: Reign,
    history: String,
    /// Its name and version, as far as it tells.
    pub server: String,
    /// Server time minus local time, ms.
    offset: AtomicI64,
    ended: watch::Receiver<bool>,
    end: watch::Sender<bool>,
    /// Why tracking is off, when Redis refused it.
    pub tracking_refused: Option<String>,
}

impl Session {
    /// Connects, checks that the server is a master, and arms tracking. The caller bounds its time.
    ///
    /// # Errors
    /// What the socket, the server or the handshake said.
    pub async fn connect(
        config: &RedisConfig,
        keys: &RedisKeys,
        clock: &dyn Clock,
        listener: Listener,
        canaries: Canaries<'_>,
    ) -> Result<Self, Fault> {
        let (end, ended) = watch::channel(false);
        let canary = Canary::new(keys, clock.now(), canaries);
        let tap = Tap {
            keys: keys.clone(),
            listener,
            end: end.clone(),
            canary: Arc::clone(&canary),
        };
        let mut budget = Budget::new(config.connect_timeout);

        // 1. Data first: it tells whether this server is fit at all.
        let data = open(config, &tap).await?;
        let Identity {
            reign,
            history,
            offset,
            server,
        } = identify(&data, clock, &mut budget).await?;

        // 2. Tracking on both; where Redis refuses it, coherence is 'none'.
        let mut refused = None;
        let mut coherence = None;
        if config.coherence != CoherenceMode::None {
            match track(config, keys, &tap, &data, &mut budget).await {
                Ok(wire) => {
                    if identify(&wire, clock, &mut budget).await?.reign != reign {
                        return Err(Fault::Unfit("two connections reached two servers".into()));
                    }
                    coherence = Some(wire);
                }
                Err(Fault::Refused(why)) if config.coherence == CoherenceMode::Auto => {
                    refused = Some(why);
                }
                Err(fault) => return Err(fault),
            }
        }

        // 3. A push of our own must come through before silence means "nothing was invalidated".
        if coherence.is_some() && !canary.name.is_empty() {
            let mut patience = Budget::new(config.connect_timeout / 2);
            match canary.fly(&data, &mut patience).await {
                Err(Fault::Unfit(why)) if config.coherence == CoherenceMode::Auto => {
                    coherence = None;
                    refused = Some(why);
                }
                flown => flown?,
            }
        }
        Ok(Self {
            data,
            coherence,
            reign,
            history,
            server,
            offset: AtomicI64::new(offset),
            ended,
            end,
            tracking_refused: refused,
        })
    }

    /// How many keys the server has evicted since its start, if it tells.
    pub async fn evicted_keys(&self, budget: &mut Budget) -> Option<u64> {
        let replies = self
            .data
            .all(redis::pipe().cmd("INFO").arg("stats"), budget)
            .await
            .ok()?;
        field(&text(replies.first()?)?, "evicted_keys")?.parse().ok()
    }

    /// Resolves when one of the connections is gone or the session was given up.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the sender is gone, with the session.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Whether INFO replication tells of the same master, of the same history. It changes without a promotion, too: when a
    /// running master gets its first replica. A process that connected before would then condemn what one that connected
    /// after stores, and the other way round, for as long as both sessions last.
    ///
    /// # Errors
    /// What it is now.
    pub fn check_history(&self, info: &Value) -> Result<(), Fault> {
        if history(info)? == self.history {
            return Ok(());
        }
        Err(Fault::Unfit("it has another history than before".into()))
    }

    /// Gives the session up: it is not fit any more, whatever its sockets say.
    pub fn give_up(&self) {
        self.end.send_replace(true);
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.ended.borrow()
    }

    /// The connection that pushes come over, so that an answer to a heartbeat comes after them; without one, that for data.
    #[must_use]
    pub fn heartbeats(&self) -> &Wire {
        self.coherence.as_ref().unwrap_or(&self.data)
    }

    /// Redis's clock now, ms.
    #[must_use]
    pub fn server_time(&self, clock: &dyn Clock) -> u64 {
        let local = (clock.now() / MS) as i64;
        (local + self.offset.load(SeqCst)).max(0) as u64
    }

    /// Takes the server's TIME of a reply to something sent at `sent`.
    pub fn set_time(&self, time: &Value, sent: u64, clock: &dyn Clock) {
        if let Some(offset) = offset_of(time, sent, clock.now()) {
            self.offset.store(offset, SeqCst);
        }
    }
}

/// Where the pushes of a connection go.
#[derive(Clone)]
struct Tap {
    keys: RedisKeys,
    listener: Listener,
    end: watch::Sender<bool>,
    canary: Arc<Canary>,
}

impl Tap {
    fn push(&self, info: &PushInfo) {
        match info.kind {
            PushKind::Disconnection => {
                self.end.send_replace(true);
            }
            PushKind::Invalidate => match info.data.first() {
                Some(Value::Array(names)) => names.iter().for_each(|name| self.name(name)),
                // Nil: FLUSHALL. Anything else is unknown, and the safe reading of unknown is "everything".
                _ => (self.listener)(Pushed::Everything),
            },
            _ => {}
        }
    }

    fn name(&self, name: &Value) {
        let Value::BulkString(name) = name else {
            return (self.listener)(Pushed::Everything);
        };
        let Ok(name) = std::str::from_utf8(name) else {
            return;
        };
        if let Some((push, process)) = self.keys.parse_vehicle(name) {
            (self.listener)(Pushed::Invalidated(push, process));
        } else if let Some(lease) = self.keys.parse_lease(name) {
            (self.listener)(Pushed::Lease(lease));
        } else if name == self.canary.name {
            self.canary.land();
        }
    }
}

/// Where a canary may be written.
#[derive(Clone, Copy)]
pub enum Canaries<'a> {
    Anywhere,
    /// In these slots of a cluster.
    Within(&'a (dyn Fn(u16) -> bool + Sync)),
    /// A master without slots takes no keys.
    Nowhere,
}

/// A push that a process sends to itself.
#[derive(Debug)]
struct Canary {
    name: String,
    seen: AtomicBool,
    landed: Notify,
}

impl Canary {
    fn new(keys: &RedisKeys, nonce: u64, canaries: Canaries<'_>) -> Arc<Self> {
        let nonce = xxh3_64(format!("{nonce}:{}", std::process::id()).as_bytes());
        let mut names = (0..TRIES).map(|n| keys.canary(nonce.wrapping_add(n)));
        let name = match canaries {
            Canaries::Anywhere => names.next(),
            Canaries::Nowhere => None,
            Canaries::Within(slots) => names.find(|name| slots(slot_of(name))),
        };
        Arc::new(Self {
            name: name.unwrap_or_default(),
            seen: AtomicBool::new(false),
            landed: Notify::new(),
        })
    }

    fn land(&self) {
        self.seen.store(true, SeqCst);
        self.landed.notify_one();
    }

    async fn fly(&self, data: &Wire, budget: &mut Budget) -> Result<(), Fault> {
        let call = ScriptCall::push_alone(&self.name);
        let replies = data.scripts(&[call], budget).await?;
        if let Some(fault) = replies.iter().find_map(fault_of) {
            return Err(fault);
        }
        while !self.seen.load(SeqCst) {
            tokio::time::timeout_at(budget.until(), self.landed.notified())
                .await
                .map_err(|_| Fault::Unfit("no push arrives on a tracked connection".into()))?;
        }
        Ok(())
    }
}

/// What a connection says first: who it is, and which database it means.
pub(crate) fn connection_info(config: &RedisConfig, protocol: ProtocolVersion) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default()
        .set_protocol(protocol)
        .set_db(config.db)
        .set_skip_set_lib_name();
    if let Some(username) = &config.username {
        info = info.set_username(username);
    }
    if let Some(password) = &config.password {
        info = info.set_password(password);
    }
    info
}

async fn open(config: &RedisConfig, tap: &Tap) -> Result<Wire, Fault> {
    let tap = tap.clone();
    dial(config, move |info: &PushInfo| tap.push(info)).await
}

/// Opens a connection whose pushes go to `on_push`, inline, in the order of the wire.
pub(crate) async fn dial(
    config: &RedisConfig,
    on_push: impl Fn(&PushInfo) + Send + Sync + 'static,
) -> Result<Wire, Fault> {
    let (stream, arrived) = stream::open(config)
        .await
        .map_err(|error| Fault::Disconnected(error.to_string()))?;
    let info = connection_info(config, ProtocolVersion::RESP3);
    let settings = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_pipeline_buffer_size(1_024)
        .set_push_sender(move |info: PushInfo| {
            on_push(&info);
            Ok::<(), ()>(())
        });
    let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, settings).await?;
    Ok(Wire::new(connection, arrived, tokio::spawn(driver)))
}

async fn track(
    config: &RedisConfig,
    keys: &RedisKeys,
    tap: &Tap,
    data: &Wire,
    budget: &mut Budget,
) -> Result<Wire, Fault> {
    let mut optin = redis::pipe();
    optin.cmd("CLIENT").arg("TRACKING").arg("ON").arg("OPTIN");
    data.all(&optin, budget).await?;
    let wire = open(config, tap).await?;
    let mut broadcast = redis::pipe();
    broadcast
        .cmd("CLIENT")
        .arg(&["TRACKING", "ON", "BCAST", "PREFIX"])
        .arg(keys.push_prefix());
    wire.all(&broadcast, budget).await?;
    Ok(wire)
}
