//! One visit to a namespace: a connection to its master, whose history and clock are known.

use std::time::Duration;

use redis::{Pipeline, Value};

use super::connect;
use super::needs::user_of;
use crate::clock::{Clock, SystemClock, MS};
use crate::config::RedisConfig;
use crate::envelope::Reign;
use crate::key::{Namespace, RedisKeys};
use crate::redis::fault::Fault;
use crate::redis::sentinel::locate;
use crate::redis::session::{identify, Identity};
use crate::redis::wire::{Budget, Wire};

/// What one batch may take without a byte arriving: an operator waits longer than an application does.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Visit {
    pub keys: RedisKeys,
    pub namespace: Namespace,
    pub reign: Reign,
    wire: Wire,
    user: String,
    clock: SystemClock,
    /// Server time minus local time, ms.
    offset: i64,
}

impl Visit {
    /// Connects, and learns who the server is.
    ///
    /// # Errors
    /// A sentence.
    pub async fn begin(config: &RedisConfig, namespace: &str) -> Result<Self, String> {
        let config = &locate(config)
            .await
            .map_err(|why| format!("the Sentinels tell of no master: {why}"))?;
        let place = config.place();
        let wire = connect::open(config, |_| {})
            .await
            .map_err(|why| format!("cannot use Redis at {place}: {why} (tidecache doctor tells more)"))?;
        let clock = SystemClock;
        let mut budget = Budget::new(config.connect_timeout);
        let user = user_of(config).to_owned();
        let Identity { reign, offset, .. } = identify(&wire, &clock, &mut budget)
            .await
            .map_err(|fault| sentence(&fault, &user, namespace))?;
        Ok(Self {
            keys: RedisKeys::new(namespace),
            namespace: Namespace::new(namespace),
            reign,
            wire,
            user,
            clock,
            offset,
        })
    }

    /// Sends a pipeline of which every reply must be good.
    ///
    /// # Errors
    /// As [`Wire::all`].
    pub async fn all(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Fault> {
        self.wire.all(pipeline, &mut Budget::new(PATIENCE)).await
    }

    /// Sends a pipeline; replies that are errors come as values.
    ///
    /// # Errors
    /// As [`Wire::send`].
    pub async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Fault> {
        self.wire.send(pipeline, &mut Budget::new(PATIENCE)).await
    }

    /// The server's clock, ms.
    #[must_use]
    pub fn now(&self) -> u64 {
        ((self.clock.now() / MS) as i64 + self.offset).max(0) as u64
    }

    /// A fault as a sentence, with the rule that mends it where it is one of the ACL.
    #[must_use]
    pub fn tell(&self, fault: &Fault) -> String {
        sentence(fault, &self.user, self.namespace.name())
    }
}

fn sentence(fault: &Fault, user: &str, namespace: &str) -> String {
    let Fault::Refused(why) = fault else {
        return fault.to_string();
    };
    match why.split('\'').nth(1) {
        _ if !why.starts_with("NOPERM") => fault.to_string(),
        Some(command) => format!("user {user} may not run {command}; the rule is: ACL SETUSER {user} +{command}"),
        None => format!("user {user} may not use {namespace}:*; the rule is: ACL SETUSER {user} ~{namespace}:*"),
    }
}
