//! Every script of ours, run once on names that nobody else has: what an application would be refused shows here
//! first. The names live in the namespace (so its ACL applies), for seconds at most, and are removed after. The vehicle
//! is a canary: peers hear its push and know that it means nothing.

use redis::Value;
use serde_json::{json, Value as Json};

use super::facts;
use crate::key::{NameHash, RedisKeys, SLOTS};
use crate::redis::fault::Fault;
use crate::redis::script::{Script, ScriptCall};
use crate::redis::wire::{Budget, Wire};

/// Long enough for the run on a slow link; what a killed run leaves is gone after it.
const LIFE: u64 = 20_000;

const TOKEN: &[u8; 16] = b"tidecache-doctor";

/// Whether a slot of a cluster is that of the server that is asked; of a single server all are.
pub type Slots<'a> = &'a (dyn Fn(u16) -> bool + Sync);

/// The names that a run writes to: all in one slot of a cluster.
pub struct Scratch {
    pub entry: String,
    pub lease: String,
    pub versions: String,
    pub rules: String,
    pub vehicle: String,
}

impl Scratch {
    #[must_use]
    pub fn new(keys: &RedisKeys, slots: Slots<'_>) -> Self {
        let names = std::iter::repeat_with(|| NameHash(u128::from_le_bytes(random())));
        let tried = names.take(usize::from(SLOTS) * 16);
        // A master that has no slot at all refuses whatever name is tried.
        let name = tried.into_iter().find(|name| slots(name.slot())).unwrap_or(NameHash(0));
        Self {
            entry: keys.entry(name),
            lease: keys.lease(name),
            versions: keys.versions(name),
            rules: keys.rules(name),
            vehicle: keys.canary_of(name),
        }
    }

    /// Removes everything; what is refused lapses by itself.
    pub async fn remove(&self, wire: &Wire, budget: &mut Budget) {
        for verb in ["UNLINK", "DEL"] {
            let mut pipeline = redis::pipe();
            pipeline
                .cmd(verb)
                .arg(&[&self.entry, &self.lease, &self.versions, &self.rules, &self.vehicle]);
            // A refusal or a lost link: the names have a short life.
            let _ = wire.send(&pipeline, budget).await;
        }
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without the system's randomness, zeros: the names are still of no user's key.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

struct Step {
    name: &'static str,
    call: ScriptCall,
    /// Whether the reply is what a working server gives.
    expects: fn(&Value) -> bool,
}

/// Runs them one after the other; `[{ name, error | unexpected }]` of those that failed, and how many there are.
///
/// # Errors
/// When the link is lost meanwhile.
pub async fn dry_run(wire: &Wire, scratch: &Scratch, budget: &mut Budget) -> Result<Json, Fault> {
    let steps = steps(scratch);
    let mut failed = Vec::new();
    for step in &steps {
        let replies = wire.scripts(std::slice::from_ref(&step.call), budget).await?;
        if let Some(error) = facts::error(&replies[0]) {
            failed.push(json!({ "name": step.name, "error": error }));
        } else if !(step.expects)(&replies[0]) {
            failed.push(json!({ "name": step.name, "unexpected": true }));
        }
    }
    Ok(json!({ "count": steps.len(), "failed": failed }))
}

/// In an order in which each finds what it needs: a lease is taken before it is renewed.
fn steps(scratch: &Scratch) -> Vec<Step> {
    let with_lease = |script| {
        ScriptCall::new(script)
            .key(scratch.entry.clone())
            .key(scratch.lease.clone())
    };
    let with_vehicle = |script| with_lease(script).key(scratch.vehicle.clone());
    let with_versions = |script| with_vehicle(script).key(scratch.versions.clone());
    let lease_alone = |script| ScriptCall::new(script).key(scratch.lease.clone());
    let versions = |script| ScriptCall::new(script).key(scratch.versions.clone());
    let one = |reply: &Value| facts::number(reply) == Some(1);
    let step = |name, call, expects| Step { name, call, expects };
    let read = |token: &[u8]| {
        let script = with_lease(Script::Read).key(scratch.versions.clone());
        script.arg(token).number(LIFE).arg("").arg("doctor").number(63)
    };
    vec![
        step("TAGGET", versions(Script::TagGet).number(LIFE).number(0), |reply| {
            facts::text(reply).is_some_and(|pair| pair.contains(' '))
        }),
        step("READ", read(TOKEN), |reply| answered(reply, 2)),
        step("RENEW", lease_alone(Script::Renew).arg(&TOKEN[..]).number(LIFE), one),
        step(
            "FILL",
            with_vehicle(Script::Fill)
                .arg(&TOKEN[..])
                .arg("a scratch entry of tidecache doctor")
                .number(LIFE)
                .arg("p"),
            one,
        ),
        step("READ", read(TOKEN), |reply| answered(reply, 1)),
        step("STALE", with_versions(Script::StaleKey).number(LIFE), one),
        step(
            "TAKE",
            with_versions(Script::Take).arg(&TOKEN[..]).number(LIFE).arg("r"),
            one,
        ),
        step(
            "RELEASE",
            lease_alone(Script::Release).arg(&TOKEN[..]).arg("F").number(LIFE),
            one,
        ),
        step(
            "INVALIDATE",
            with_versions(Script::InvalidateKey).number(LIFE).number(0),
            one,
        ),
        step(
            "INVALIDATE TAG",
            versions(Script::InvalidateTag)
                .key(scratch.vehicle.clone())
                .arg("r")
                .number(LIFE)
                .number(0),
            |reply| facts::text(reply).is_some_and(|pair| pair.contains(' ')),
        ),
        step(
            "INVALIDATE PATTERN",
            versions(Script::InvalidatePattern)
                .key(scratch.rules.clone())
                .key(scratch.vehicle.clone())
                .arg("rdoctor")
                .number(LIFE)
                .number(0)
                .number(10)
                .number(LIFE),
            |reply| facts::number(reply).is_some(),
        ),
    ]
}

/// READ's answers begin with their kind.
fn answered(reply: &Value, kind: i64) -> bool {
    matches!(reply, Value::Array(parts) if parts.first().and_then(facts::number) == Some(kind))
}
