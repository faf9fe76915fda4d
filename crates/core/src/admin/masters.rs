//! The masters of a cluster, as its nodes tell and as an application would reach them.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{json, Value as Json};

use crate::clock::SystemClock;
use crate::config::{Address, Node, RedisConfig};
use crate::key::RedisKeys;
use crate::redis::fault::Fault;
use crate::redis::session::{Canaries, Session};
use crate::redis::slots::{ask_node, Chart, Names, Owner};

/// What the nodes say of their cluster; of several the youngest that any of them has.
///
/// # Errors
/// The place of the first node that could not be asked, and why, if none could.
pub async fn chart(config: &RedisConfig) -> Result<Chart, (Node, Fault)> {
    let is_tls = matches!(&config.address, Address::Tcp { tls: Some(_), .. });
    let names = if is_tls { Names::Host } else { Names::Address };
    let asking = config.nodes.iter().map(|node| async move {
        let asked = tokio::time::timeout(config.connect_timeout, ask_node(config, node, names)).await;
        asked
            .unwrap_or(Err(Fault::Timeout))
            .map_err(|fault| (node.clone(), fault))
    });
    let (charts, mut faults): (Vec<_>, Vec<_>) = join_all(asking).await.into_iter().partition(Result::is_ok);
    let charts: Vec<Chart> = charts.into_iter().flatten().collect();
    match (Chart::merge(&charts), faults.pop()) {
        (Some(chart), _) => Ok(chart),
        (None, Some(Err(fault))) => Err(fault),
        (None, _) => Err((config.nodes[0].clone(), Fault::Timeout)),
    }
}

#[must_use]
pub fn owns(owner: &Owner, slot: u16) -> bool {
    owner.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
}

/// Each master, its slots, and what a session with it comes to.
pub async fn report(chart: &Chart, config: &RedisConfig, keys: &RedisKeys) -> Json {
    let masters = chart.owners.iter().filter(|owner| !owner.slots.is_empty());
    let told = join_all(masters.map(|owner| one(owner, config, keys))).await;
    json!({ "isOk": chart.is_ok, "slots": chart.covered(), "masters": told })
}

async fn one(owner: &Owner, config: &RedisConfig, keys: &RedisKeys) -> Json {
    let at = config.at(&owner.node);
    let is_own = |slot| owns(owner, slot);
    let connecting = Session::connect(&at, keys, &SystemClock, Arc::new(|_| {}), Canaries::Within(&is_own));
    let session = tokio::time::timeout(at.connect_timeout, connecting).await;
    let slots: u32 = owner
        .slots
        .iter()
        .map(|(first, last)| u32::from(last - first) + 1)
        .sum();
    match session.unwrap_or(Err(Fault::Timeout)) {
        Ok(session) => json!({
            "place": at.place(),
            "slots": slots,
            "isTracking": session.coherence.is_some(),
            "error": null,
        }),
        Err(fault) => json!({ "place": at.place(), "slots": slots, "isTracking": false, "error": fault.to_string() }),
    }
}
