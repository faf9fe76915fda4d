//! Redis Sentinel: where the master is, and when it is another one.
//!
//! All Sentinels are asked, and the answer of the latest election (`config-epoch`) counts as soon as a majority has
//! answered: one that was cut off tells of a master that was. While a session lives, each of them tells of a switch by a
//! push, and is asked each second as long as somebody reads.
//!
//! Sentinels hear of an election one after the other, up to two seconds late. Whoever has followed one does not go back to the
//! master of before, which may be there again and knows nothing of what was written since: [`Elections`].
//! <https://redis.io/docs/latest/develop/reference/sentinel-clients/>

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::fault::Fault;
use super::identity::text;
use super::session::{dial, Session};
use super::wire::{Budget, Wire};
use crate::config::{Node, RedisConfig, Sentinels};

/// Between questions while somebody reads, and between attempts to reach a Sentinel that is gone.
const PAUSE: Duration = Duration::from_secs(1);

/// For how long an earlier election than one that was heard of is not believed. Sentinels have told each other by then; whoever
/// still tells of an earlier one was set up anew, and counts from 0.
const SPREADING: Duration = Duration::from_secs(10);

/// The latest election that this process has heard of, and when it last did.
#[derive(Debug, Default)]
pub struct Elections(Mutex<Option<(u64, Instant)>>);

impl Elections {
    /// Takes note of where the master is said to be; `false`: by an earlier election than was heard of just now.
    pub fn hear(&self, epoch: u64, now: Instant) -> bool {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_past = latest.is_some_and(|(known, heard)| epoch < known && now - heard < SPREADING);
        if !is_past {
            *latest = Some((epoch, now));
        }
        !is_past
    }
}

/// What a Sentinel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    pub host: String,
    pub port: u16,
    /// Of the election that made it the master.
    pub epoch: u64,
}

impl Master {
    /// The configuration to connect to it.
    #[must_use]
    pub fn config(&self, config: &RedisConfig) -> RedisConfig {
        RedisConfig {
            sentinels: None,
            ..config.at(&(self.host.clone(), self.port))
        }
    }

    fn is_replaced_by(&self, other: &Self) -> bool {
        other.epoch >= self.epoch && (&other.host, other.port) != (&self.host, self.port)
    }
}

/// The configuration to connect to a Sentinel.
fn sentinel(config: &RedisConfig, sentinels: &Sentinels, node: &Node) -> RedisConfig {
    RedisConfig {
        username: sentinels.username.clone(),
        password: sentinels.password.clone(),
        db: 0,
        ..config.at(node)
    }
}

/// Where the master is. The caller bounds its time.
///
/// # Errors
/// What the last Sentinel said, when none knows the master, or none has heard of the latest election yet.
pub async fn find(config: &RedisConfig, sentinels: &Sentinels, elections: &Elections) -> Result<Master, Fault> {
    let ask = |node| async move {
        let config = sentinel(config, sentinels, node);
        let asking = async {
            let wire = dial(&config, |_: &PushInfo| ()).await?;
            let mut budget = Budget::new(config.connect_timeout / 2);
            // Who may not hear of a switch is told so at once, not when there is one.
            subscribe(&wire, &mut budget).await?;
            ask(&wire, &sentinels.master, &mut budget).await
        };
        let answered = timeout(config.connect_timeout / 2, asking).await;
        answered.unwrap_or(Err(Fault::Timeout)).map_err(|fault| (node, fault))
    };
    let mut asked: FuturesUnordered<_> = sentinels.nodes.iter().map(ask).collect();
    let majority = sentinels.nodes.len() / 2 + 1;
    let (mut answers, mut best): (usize, Option<Master>) = (0, None);
    let mut why = Fault::Disconnected("no Sentinel is named".into());
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(master) => {
                answers += 1;
                if elections.hear(master.epoch, Instant::now()) {
                    best = best.into_iter().chain([master]).max_by_key(|master| master.epoch);
                } else {
                    why = Fault::Unsettled("the Sentinels have not heard of the latest election yet".into());
                }
            }
            Err(((host, port), fault)) => why = Fault::Disconnected(format!("Sentinel {host}:{port}: {fault}")),
        }
        if answers >= majority && best.is_some() {
            break;
        }
    }
    best.ok_or(why)
}

/// The configuration to connect to the server itself, wherever it is now.
///
/// # Errors
/// As [`find`].
pub async fn locate(config: &RedisConfig) -> Result<RedisConfig, Fault> {
    match &config.sentinels {
        Some(sentinels) => Ok(find(config, sentinels, &Elections::default()).await?.config(config)),
        None => Ok(config.clone()),
    }
}

/// Ends the session when the Sentinels have another master. Runs until it is over.
pub async fn watch(
    config: RedisConfig,
    sentinels: Sentinels,
    elections: &Elections,
    master: Master,
    session: Arc<Session>,
    is_active: impl Fn() -> bool,
) {
    let watching = sentinels.nodes.iter().map(|node| {
        watch_by(
            sentinel(&config, &sentinels, node),
            &sentinels.master,
            elections,
            &master,
            &is_active,
        )
    });
    let mut watching: FuturesUnordered<_> = watching.collect();
    tokio::select! {
        () = session.ended() => {}
        _ = watching.next() => session.give_up(),
    }
}

/// Returns when this Sentinel has another master.
async fn watch_by(
    config: RedisConfig,
    name: &str,
    elections: &Elections,
    master: &Master,
    is_active: &impl Fn() -> bool,
) {
    loop {
        let switched = Arc::new(Notify::new());
        let wake = Arc::clone(&switched);
        let on_push = move |info: &PushInfo| {
            if matches!(info.kind, PushKind::Message | PushKind::Disconnection) {
                wake.notify_one();
            }
        };
        if let Ok(Ok(wire)) = timeout(config.connect_timeout, dial(&config, on_push)).await {
            let following = follow(&wire, &config, name, elections, master, &switched, is_active);
            if following.await.is_ok() {
                return;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Asks at first, after each push, and each second while somebody reads. `Ok`: there is another master.
async fn follow(
    wire: &Wire,
    config: &RedisConfig,
    name: &str,
    elections: &Elections,
    master: &Master,
    switched: &Notify,
    is_active: &impl Fn() -> bool,
) -> Result<(), Fault> {
    subscribe(wire, &mut Budget::new(config.connect_timeout)).await?;
    let mut is_asked = true;
    loop {
        if is_asked {
            match ask(wire, name, &mut Budget::new(config.connect_timeout)).await {
                Ok(now) => {
                    elections.hear(now.epoch, Instant::now());
                    if master.is_replaced_by(&now) {
                        return Ok(());
                    }
                }
                // It tells when it is over.
                Err(Fault::Unsettled(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        is_asked = tokio::select! {
            () = switched.notified() => true,
            () = sleep(PAUSE) => is_active(),
        };
    }
}

async fn subscribe(wire: &Wire, budget: &mut Budget) -> Result<(), Fault> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("SUBSCRIBE").arg("+switch-master");
    wire.all(&pipeline, budget).await.map(drop)
}

async fn ask(wire: &Wire, name: &str, budget: &mut Budget) -> Result<Master, Fault> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("SENTINEL").arg("MASTER").arg(name);
    let replies = wire.all(&pipeline, budget).await?;
    let reply = &replies[0];
    // It counts the new election already, and goes on naming the master of before until its replicas follow.
    if field(reply, "flags").is_some_and(|flags| flags.contains("failover_in_progress")) {
        return Err(Fault::Unsettled("an election is under way".into()));
    }
    parse(reply).ok_or_else(|| Fault::Unfit("it tells no address of the master".into()))
}

fn field(reply: &Value, name: &str) -> Option<String> {
    let Value::Map(fields) = reply else { return None };
    let (_, value) = fields.iter().find(|(key, _)| text(key).as_deref() == Some(name))?;
    text(value)
}

fn parse(reply: &Value) -> Option<Master> {
    let field = |name| field(reply, name);
    Some(Master {
        host: field("ip")?,
        port: field("port")?.parse().ok()?,
        epoch: field("config-epoch")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(port: u16, epoch: u64) -> Master {
        Master {
            host: "10.0.0.1".into(),
            port,
            epoch,
        }
    }

    #[test]
    fn a_master_is_replaced_by_another_one_of_no_earlier_election() {
        let now = master(1, 5);

        assert!(now.is_replaced_by(&master(2, 6)));
        assert!(now.is_replaced_by(&master(2, 5)));
        assert!(!now.is_replaced_by(&master(2, 4)));
        assert!(!now.is_replaced_by(&master(1, 6)));
    }

    #[test]
    fn nobody_goes_back_to_an_earlier_election_before_all_can_have_heard_of_the_later_one() {
        let (elections, start) = (Elections::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);

        assert!(elections.hear(5, start) && elections.hear(6, after(1)));
        assert!(!elections.hear(5, after(1)));
        assert!(elections.hear(6, after(9)), "it is heard of again");
        assert!(!elections.hear(5, after(18)));
        assert!(elections.hear(0, after(19)), "the Sentinels have begun anew");
    }

    #[test]
    fn an_answer_without_an_address_is_none() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let pair = |name: &str, value: &str| (text(name), text(value));
        let whole = vec![pair("ip", "10.0.0.1"), pair("port", "7"), pair("config-epoch", "3")];

        assert_eq!(parse(&Value::Map(whole.clone())), Some(master(7, 3)));
        assert_eq!(parse(&Value::Map(whole[1..].to_vec())), None);
        assert_eq!(parse(&Value::Nil), None);
    }
}
