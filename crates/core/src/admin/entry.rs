//! `get` and `inspect`: one entry, whole, with everything that decides about it.

use redis::{Cmd, Value};
use serde_json::{json, Value as Json};

use super::dependency::Dependency;
use super::facts;
use super::judge::{place, Judge};
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

/// A stored key that was asked for, and what lies under its name.
struct Candidate<'a> {
    key: &'a str,
    bytes: &'a [u8],
    entry: Result<Envelope<'a>, Malformed>,
}

impl Candidate<'_> {
    fn is_served(&self, judge: &Judge, visit: &Visit) -> bool {
        let state = |entry| state(entry, self.key, judge, visit);
        self.entry
            .as_ref()
            .is_ok_and(|entry| !matches!(state(entry), "invalid" | "expired"))
    }
}

/// Looks for the first of these stored keys that has an entry which is served; else the first that has one.
///
/// # Errors
/// When Redis does not answer, or refuses.
pub async fn find(stored: &[String], visit: &Visit) -> Result<Found, Fault> {
    let get = |key: &String| {
        let name = visit.namespace.key(key);
        (name, Cmd::get(visit.keys.entry(name)))
    };
    let replies = visit.all(&stored.iter().map(get).collect::<Vec<_>>()).await?;
    let candidates: Vec<_> = stored.iter().zip(&replies).filter_map(candidate).collect();
    let mut judge = Judge::new(visit.namespace.clone());
    let whole: Vec<_> = candidates.iter().filter_map(|one| one.entry.as_ref().ok()).collect();
    judge.learn(&whole, visit).await?;
    let served = candidates.iter().find(|one| one.is_served(&judge, visit));
    if let Some(found) = served.or(candidates.first()) {
        return report(found, &mut judge, visit).await;
    }
    let mut report = surroundings(&stored[0], &[], &mut judge, visit).await?;
    report["found"] = json!(false);
    Ok(Found { report, payload: None })
}

fn candidate<'a>((key, reply): (&'a String, &'a Value)) -> Option<Candidate<'a>> {
    let bytes = facts::bytes(reply)?;
    let entry = Envelope::decode(bytes);
    Some(Candidate { key, bytes, entry })
}

async fn report(
    Candidate { key, bytes, entry }: &Candidate<'_>,
    judge: &mut Judge,
    visit: &Visit,
) -> Result<Found, Fault> {
    // Judged by what was learnt for it, before more is asked.
    let described = entry.as_ref().map(|entry| describe(entry, key, judge, visit));
    let tags = entry
        .as_ref()
        .map_or_else(|_| Vec::new(), |entry| tag_names(entry.names));
    let mut report = surroundings(key, &tags, judge, visit).await?;
    report["found"] = json!(true);
    report["redisKey"] = json!(visit.keys.entry(visit.namespace.key(key)));
    report["size"] = json!(bytes.len());
    report["expires"] = json!(expiry(key, visit).await?);
    match described {
        Ok(described) => report["entry"] = described,
        Err(Malformed(why)) => report["unreadable"] = json!(why),
    }
    let payload = entry.as_ref().ok().map(|entry| entry.payload.to_vec());
    Ok(Found { report, payload })
}

/// What there is of a key beside its entry: its place, who loads it, whether its source settles.
async fn surroundings(key: &str, tags: &[&str], judge: &mut Judge, visit: &Visit) -> Result<Json, Fault> {
    let wait = judge.wait(key, tags, visit).await?;
    Ok(json!({
        "place": place(key),
        "lease": lease(key, visit).await?,
        "settling": wait.map(|wait| wait.told(visit.now(visit.namespace.key(key)))),
    }))
}

fn state(entry: &Envelope<'_>, asked: &str, judge: &Judge, visit: &Visit) -> &'static str {
    if entry.key == asked {
        let now = visit.now(visit.namespace.key(asked));
        judge.judge(entry, now, visit).state()
    } else {
        "invalid"
    }
}

fn describe(entry: &Envelope<'_>, asked: &str, judge: &Judge, visit: &Visit) -> Json {
    let now = visit.now(visit.namespace.key(asked));
    let verdict = judge.judge(entry, now, visit);
    let tags: Vec<&str> = tag_names(entry.names)
        .into_iter()
        .map(|tag| Path::of(tag).key)
        .collect();
    json!({
        "state": if entry.key == asked { verdict.state() } else { "invalid" },
        "isItsKey": entry.key == asked,
        "isOfThisReign": verdict.is_of_this_reign,
        "markedStale": entry.marked_stale,
        "now": now,
        "created": entry.created,
        "ttl": entry.policy.ttl,
        "staleWhileRevalidate": entry.policy.stale_while_revalidate,
        "staleIfError": entry.policy.stale_if_error,
        "tags": tags,
        "dependencies": verdict.dependencies.iter().map(Dependency::told).collect::<Vec<_>>(),
        "id": format!("{:032x}", u128::from_be_bytes(entry.id)),
        "codec": entry.codec,
        "bytes": entry.payload.len(),
    })
}

/// Until when Redis keeps it, ms; -1: forever.
async fn expiry(key: &str, visit: &Visit) -> Result<Option<i64>, Fault> {
    let name = visit.namespace.key(key);
    let replies = visit.all(&[(name, Cmd::pttl(visit.keys.entry(name)))]).await?;
    Ok(replies.first().and_then(facts::number))
}

/// Who loads it: `{ kind: none | held | failed, left }`.
async fn lease(key: &str, visit: &Visit) -> Result<Json, Fault> {
    let name = visit.namespace.key(key);
    let lease = visit.keys.lease(name);
    let replies = visit
        .all(&[(name, Cmd::get(&lease)), (name, Cmd::pttl(&lease))])
        .await?;
    Ok(match facts::bytes(&replies[0]) {
        None => json!({ "kind": "none" }),
        Some(token) => json!({ "kind": kind(token), "left": left(&replies[1]) }),
    })
}

fn kind(token: &[u8]) -> &'static str {
    match token {
        [b'F', ..] if token.len() != 16 => "failed",
        _ => "held",
    }
}

fn left(reply: &Value) -> i64 {
    facts::number(reply).unwrap_or(0).max(0)
}
