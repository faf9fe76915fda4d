//! `get` and `inspect`: one entry, whole, with everything that decides about it.

use redis::Value;
use serde_json::{json, Value as Json};

use super::facts;
use super::judge::{names, place, told, Judge};
use super::visit::Visit;
use crate::envelope::{tag_names, Envelope, Malformed};
use crate::path::Path;
use crate::redis::fault::Fault;

/// What was found: a report, and the value as it was stored.
#[derive(Debug)]
pub struct Found {
    pub report: Json,
    pub payload: Option<Vec<u8>>,
}

/// Looks for the first of these stored keys that has an entry.
///
/// # Errors
/// When Redis does not answer, or refuses.
pub async fn find(stored: &[String], visit: &Visit) -> Result<Found, Fault> {
    let mut pipeline = redis::pipe();
    for key in stored {
        pipeline.cmd("GET").arg(visit.keys.entry(visit.namespace.key(key)));
    }
    let replies = visit.all(&pipeline).await?;
    let at = replies.iter().position(|reply| facts::bytes(reply).is_some());
    let key = &stored[at.unwrap_or(0)];
    let lease = lease(key, visit).await?;
    let Some(bytes) = at.and_then(|at| facts::bytes(&replies[at])) else {
        let report = json!({ "found": false, "place": place(key), "lease": lease });
        return Ok(Found { report, payload: None });
    };
    let mut report = json!({
        "found": true,
        "place": place(key),
        "lease": lease,
        "redisKey": visit.keys.entry(visit.namespace.key(key)),
        "size": bytes.len(),
        "expires": expiry(key, visit).await?,
    });
    match Envelope::decode(bytes) {
        Ok(entry) => {
            report["entry"] = describe(&entry, key, visit).await?;
            Ok(Found {
                report,
                payload: Some(entry.payload.to_vec()),
            })
        }
        Err(Malformed(why)) => {
            report["unreadable"] = json!(why);
            Ok(Found { report, payload: None })
        }
    }
}

async fn describe(entry: &Envelope<'_>, asked: &str, visit: &Visit) -> Result<Json, Fault> {
    let mut judge = Judge::new(visit.namespace.clone(), visit.reign);
    judge.learn(names(entry).collect(), visit).await?;
    let now = visit.now();
    let verdict = judge.judge(entry, now);
    let tags: Vec<&str> = tag_names(entry.names)
        .into_iter()
        .map(|tag| Path::of(tag).key)
        .collect();
    Ok(json!({
        "state": verdict.state(),
        "isItsKey": entry.key == asked,
        "isOfThisReign": verdict.is_of_this_reign,
        "markedStale": entry.marked_stale,
        "now": now,
        "created": entry.created,
        "ttl": entry.policy.ttl,
        "staleWhileRevalidate": entry.policy.stale_while_revalidate,
        "staleIfError": entry.policy.stale_if_error,
        "tags": tags,
        "dependencies": verdict.dependencies.iter().map(told).collect::<Vec<_>>(),
        "id": format!("{:032x}", u128::from_be_bytes(entry.id)),
        "codec": entry.codec,
        "bytes": entry.payload.len(),
    }))
}

/// Until when Redis keeps it, ms; -1: forever.
async fn expiry(key: &str, visit: &Visit) -> Result<Option<i64>, Fault> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("PTTL").arg(visit.keys.entry(visit.namespace.key(key)));
    Ok(visit.all(&pipeline).await?.first().and_then(facts::number))
}

/// Who loads it: `{ kind: none | held | failed | settling, left }`.
async fn lease(key: &str, visit: &Visit) -> Result<Json, Fault> {
    let name = visit.keys.lease(visit.namespace.key(key));
    let mut pipeline = redis::pipe();
    pipeline.cmd("GET").arg(&name).cmd("PTTL").arg(&name);
    let replies = visit.all(&pipeline).await?;
    Ok(match facts::bytes(&replies[0]) {
        None => json!({ "kind": "none" }),
        Some(token) => json!({ "kind": kind(token), "left": left(&replies[1]) }),
    })
}

fn kind(token: &[u8]) -> &'static str {
    match token {
        b"S" => "settling",
        [b'F', ..] if token.len() != 16 => "failed",
        _ => "held",
    }
}

fn left(reply: &Value) -> i64 {
    facts::number(reply).unwrap_or(0).max(0)
}
