//! Whether this Redis pushes: asked for, and waited for.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;

use redis::{PushInfo, PushKind};
use serde_json::{json, Value as Json};

use super::dryrun::{Scratch, Slots};
use super::facts;
use super::reach::ms;
use crate::config::RedisConfig;
use crate::key::RedisKeys;
use crate::redis::fault::Fault;
use crate::redis::script::ScriptCall;
use crate::redis::wire::{Budget, Wire};

/// Counts the pushes of invalidations.
#[derive(Debug, Default)]
pub struct Pushes {
    count: AtomicU64,
    more: tokio::sync::Notify,
}

impl Pushes {
    pub fn note(&self, info: &PushInfo) {
        if info.kind == PushKind::Invalidate {
            self.count.fetch_add(1, SeqCst);
            self.more.notify_one();
        }
    }

    fn seen(&self) -> u64 {
        self.count.load(SeqCst)
    }

    async fn more_than(&self, count: u64) {
        while self.seen() <= count {
            self.more.notified().await;
        }
    }
}

/// Whether pushes can be asked for, and whether one arrives: `{ optin, caching, bcast, push }`, errors or null.
///
/// # Errors
/// When the link is lost meanwhile.
pub async fn tracking(
    wire: &Wire,
    keys: &RedisKeys,
    pushes: &Pushes,
    config: &RedisConfig,
    slots: Slots<'_>,
) -> Result<Json, Fault> {
    let budget = || Budget::new(config.connect_timeout);
    let ask = |words: &'static [&'static str]| {
        let mut pipeline = redis::pipe();
        pipeline.cmd("CLIENT").arg(words);
        pipeline
    };
    let mut pipeline = ask(&["TRACKING", "ON", "OPTIN"]);
    pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
    let optin = wire.send(&pipeline, &mut budget()).await?;
    wire.send(&ask(&["TRACKING", "OFF"]), &mut budget()).await?;
    let mut broadcast = ask(&["TRACKING", "ON", "BCAST", "PREFIX"]);
    broadcast.arg(keys.push_prefix());
    let bcast = wire.send(&broadcast, &mut budget()).await?;
    let mut told = json!({
        "optin": facts::error(&optin[0]),
        "caching": facts::error(&optin[1]),
        "bcast": facts::error(&bcast[0]),
        "push": null,
    });
    if facts::error(&bcast[0]).is_none() {
        told["push"] = push(wire, keys, pushes, config, slots).await?;
        wire.send(&ask(&["TRACKING", "OFF"]), &mut budget()).await?;
    }
    Ok(told)
}

/// Sends a push to itself by the script of an invalidation, and waits for it.
async fn push(
    wire: &Wire,
    keys: &RedisKeys,
    pushes: &Pushes,
    config: &RedisConfig,
    slots: Slots<'_>,
) -> Result<Json, Fault> {
    let call = ScriptCall::push_alone(&Scratch::new(keys, slots).vehicle);
    let before = pushes.seen();
    let sent = Instant::now();
    let replies = wire.scripts(&[call], &mut Budget::new(config.connect_timeout)).await?;
    if let Some(error) = facts::error(&replies[0]) {
        return Ok(json!({ "error": error }));
    }
    let arrived = tokio::time::timeout(config.connect_timeout / 2, pushes.more_than(before)).await;
    Ok(match arrived {
        Ok(()) => json!({ "ms": ms(sent.elapsed()) }),
        Err(_) => json!({ "error": "none arrived" }),
    })
}
