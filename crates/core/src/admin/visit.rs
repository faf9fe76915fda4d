//! One visit to a namespace: a connection to its master, or to each of a cluster's, whose history and clock are known.

use std::time::Duration;

use futures_util::future::{try_join_all, OptionFuture};
use redis::{Cmd, Pipeline, Value};

use super::connect;
use super::masters::{chart, owns};
use super::needs::user_of;
use crate::clock::{Clock, SystemClock, MS};
use crate::config::RedisConfig;
use crate::envelope::Reign;
use crate::key::{NameHash, Namespace, RedisKeys};
use crate::redis::fault::{has_moved, Fault};
use crate::redis::identity::{identify, Identity};
use crate::redis::sentinel::locate;
use crate::redis::slots::Owner;
use crate::redis::wire::{Budget, Wire};

/// What one batch may take without a byte arriving: an operator waits longer than an application does.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Visit {
    pub keys: RedisKeys,
    pub namespace: Namespace,
    /// At least one.
    masters: Vec<Master>,
    user: String,
    clock: SystemClock,
}

#[derive(Debug)]
struct Master {
    /// What it has of a cluster; `None`: it has all that there is.
    owner: Option<Owner>,
    reign: Reign,
    wire: Wire,
    /// Server time minus local time, ms.
    offset: i64,
}

/// A command, and the name of what it is about.
pub type Question = (NameHash, Cmd);

impl Visit {
    /// Connects, and learns who the servers are.
    ///
    /// # Errors
    /// A sentence.
    pub async fn begin(config: &RedisConfig, namespace: &str) -> Result<Self, String> {
        let masters = if config.nodes.is_empty() {
            let config = locate(config)
                .await
                .map_err(|why| format!("the Sentinels tell of no master: {why}"))?;
            vec![Master::reach(&config, None, namespace).await?]
        } else {
            Self::reach_all(config, namespace).await?
        };
        Ok(Self {
            keys: RedisKeys::new(namespace),
            namespace: Namespace::new(namespace),
            masters,
            user: user_of(config).to_owned(),
            clock: SystemClock,
        })
    }

    async fn reach_all(config: &RedisConfig, namespace: &str) -> Result<Vec<Master>, String> {
        let chart = chart(config).await.map_err(|(node, why)| {
            format!(
                "no node of the cluster tells of it; {}: {why}",
                config.at(&node).place()
            )
        })?;
        let owners = chart.owners.into_iter().filter(|owner| !owner.slots.is_empty());
        let reaching = owners.map(|owner| {
            let at = config.at(&owner.node);
            async move { Master::reach(&at, Some(owner), namespace).await }
        });
        let masters = try_join_all(reaching).await?;
        if masters.is_empty() {
            return Err("no master of the cluster has slots".into());
        }
        Ok(masters)
    }

    /// How many masters there are.
    #[must_use]
    pub fn masters(&self) -> usize {
        self.masters.len()
    }

    /// Asks each question of the master that its name belongs to; every reply must be good.
    ///
    /// # Errors
    /// As [`Wire::all`].
    pub async fn all(&self, questions: &[Question]) -> Result<Vec<Value>, Fault> {
        let mut pipelines = vec![(redis::pipe(), Vec::new()); self.masters.len()];
        for (n, (name, command)) in questions.iter().enumerate() {
            let master = self.position(*name).ok_or_else(|| unowned(*name))?;
            pipelines[master].0.add_command(command.clone());
            pipelines[master].1.push(n);
        }
        let asked = self.masters.iter().zip(&pipelines).map(|(master, (pipeline, of))| {
            let asking = (!of.is_empty()).then_some(async move { master.all(pipeline).await });
            async move { OptionFuture::from(asking).await.unwrap_or_else(|| Ok(Vec::new())) }
        });
        let answers = try_join_all(asked).await?;
        let mut replies = vec![Value::Nil; questions.len()];
        for (answers, (_, of)) in answers.into_iter().zip(&pipelines) {
            for (answer, n) in answers.into_iter().zip(of) {
                replies[*n] = answer;
            }
        }
        Ok(replies)
    }

    /// Sends a pipeline to one of the masters, by its number; replies that are errors come as values.
    ///
    /// # Errors
    /// As [`Wire::send`].
    pub async fn send_to(&self, master: usize, pipeline: &Pipeline) -> Result<Vec<Value>, Fault> {
        let wire = &self.masters[master].wire;
        wire.send(pipeline, &mut Budget::new(PATIENCE)).await
    }

    /// The same to each of them.
    ///
    /// # Errors
    /// As [`Wire::send`].
    pub async fn send_to_all(&self, pipeline: &Pipeline) -> Result<Vec<Vec<Value>>, Fault> {
        try_join_all((0..self.masters.len()).map(|master| self.send_to(master, pipeline))).await
    }

    /// The reign of the master that a name belongs to; `None`: nobody has its slot.
    #[must_use]
    pub fn reign(&self, name: NameHash) -> Option<Reign> {
        self.position(name).map(|master| self.masters[master].reign)
    }

    /// The clock of the master that a name belongs to, ms.
    #[must_use]
    pub fn now(&self, name: NameHash) -> u64 {
        let offset = self.position(name).map_or(0, |master| self.masters[master].offset);
        ((self.clock.now() / MS) as i64 + offset).max(0) as u64
    }

    fn position(&self, name: NameHash) -> Option<usize> {
        let slot = name.slot();
        self.masters.iter().position(|master| master.has(slot))
    }

    /// A fault as a sentence, with the rule that mends it where it is one of the ACL.
    #[must_use]
    pub fn tell(&self, fault: &Fault) -> String {
        sentence(fault, &self.user, self.namespace.name())
    }
}

impl Master {
    async fn reach(config: &RedisConfig, owner: Option<Owner>, namespace: &str) -> Result<Self, String> {
        let place = config.place();
        let wire = connect::open(config, |_| {})
            .await
            .map_err(|why| format!("cannot use Redis at {place}: {why} (tidecache doctor tells more)"))?;
        let mut budget = Budget::new(config.connect_timeout);
        let Identity { reign, offset, .. } = identify(&wire, &SystemClock, &mut budget)
            .await
            .map_err(|fault| sentence(&fault, user_of(config), namespace))?;
        Ok(Self {
            owner,
            reign,
            wire,
            offset,
        })
    }

    fn has(&self, slot: u16) -> bool {
        self.owner.as_ref().is_none_or(|owner| owns(owner, slot))
    }

    async fn all(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Fault> {
        self.wire.all(pipeline, &mut Budget::new(PATIENCE)).await
    }
}

fn unowned(name: NameHash) -> Fault {
    Fault::Refused(format!("CLUSTERDOWN no master has slot {}", name.slot()))
}

fn sentence(fault: &Fault, user: &str, namespace: &str) -> String {
    let Fault::Refused(why) = fault else {
        return fault.to_string();
    };
    match why.split('\'').nth(1) {
        _ if has_moved(why) => "slots of the cluster are moving to other masters: ask again".into(),
        _ if !why.starts_with("NOPERM") => fault.to_string(),
        Some(command) => format!("user {user} may not run {command}; the rule is: ACL SETUSER {user} +{command}"),
        None => format!("user {user} may not use {namespace}:*; the rule is: ACL SETUSER {user} ~{namespace}:*"),
    }
}
