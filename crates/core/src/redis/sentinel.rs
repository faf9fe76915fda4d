//! Redis Sentinel: where the master is, and when it is another one.
//!
//! All Sentinels are asked, and the answer of the latest election (`config-epoch`) counts as soon as a majority has
//! answered: one that was cut off tells of a master that was. While a session lives, each of them tells of a switch by a
//! push, and is asked each second as long as somebody reads.
//! <https://redis.io/docs/latest/develop/reference/sentinel-clients/>

use std::sync::Arc;
use std::time::Duration;

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
/// What the last Sentinel said, when none knows the master.
pub async fn find(config: &RedisConfig, sentinels: &Sentinels) -> Result<Master, Fault> {
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
    let mut answers: Vec<Master> = Vec::new();
    let mut why = Fault::Disconnected("no Sentinel is named".into());
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(master) => answers.push(master),
            Err(((host, port), fault)) => why = Fault::Disconnected(format!("Sentinel {host}:{port}: {fault}")),
        }
        if answers.len() >= majority {
            break;
        }
    }
    answers.into_iter().max_by_key(|master| master.epoch).ok_or(why)
}

/// The configuration to connect to the server itself, wherever it is now.
///
/// # Errors
/// As [`find`].
pub async fn locate(config: &RedisConfig) -> Result<RedisConfig, Fault> {
    match &config.sentinels {
        Some(sentinels) => Ok(find(config, sentinels).await?.config(config)),
        None => Ok(config.clone()),
    }
}

/// Ends the session when the Sentinels have another master. Runs until it is over.
pub async fn watch(
    config: RedisConfig,
    sentinels: Sentinels,
    master: Master,
    session: Arc<Session>,
    is_active: impl Fn() -> bool,
) {
    let watching = sentinels.nodes.iter().map(|node| {
        watch_by(
            sentinel(&config, &sentinels, node),
            &sentinels.master,
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
async fn watch_by(config: RedisConfig, name: &str, master: &Master, is_active: &impl Fn() -> bool) {
    loop {
        let switched = Arc::new(Notify::new());
        let wake = Arc::clone(&switched);
        let on_push = move |info: &PushInfo| {
            if matches!(info.kind, PushKind::Message | PushKind::Disconnection) {
                wake.notify_one();
            }
        };
        if let Ok(Ok(wire)) = timeout(config.connect_timeout, dial(&config, on_push)).await {
            if follow(&wire, &config, name, master, &switched, is_active).await.is_ok() {
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
    master: &Master,
    switched: &Notify,
    is_active: &impl Fn() -> bool,
) -> Result<(), Fault> {
    subscribe(wire, &mut Budget::new(config.connect_timeout)).await?;
    let mut is_asked = true;
    loop {
        if is_asked {
            let now = ask(wire, name, &mut Budget::new(config.connect_timeout)).await?;
            if master.is_replaced_by(&now) {
                return Ok(());
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
    parse(&replies[0]).ok_or_else(|| Fault::Unfit("it tells no address of the master".into()))
}

fn parse(reply: &Value) -> Option<Master> {
    let Value::Map(fields) = reply else { return None };
    let field = |name: &str| {
        let (_, value) = fields.iter().find(|(key, _)| text(key).as_deref() == Some(name))?;
        text(value)
    };
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
    fn an_answer_without_an_address_is_none() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let pair = |name: &str, value: &str| (text(name), text(value));
        let whole = vec![pair("ip", "10.0.0.1"), pair("port", "7"), pair("config-epoch", "3")];

        assert_eq!(parse(&Value::Map(whole.clone())), Some(master(7, 3)));
        assert_eq!(parse(&Value::Map(whole[1..].to_vec())), None);
        assert_eq!(parse(&Value::Nil), None);
    }
}
