//! Who a server is: of which run, of which history, and how its clock goes. By what it tells in INFO and TIME.

use redis::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::fault::{fault_of, Fault};
use super::wire::{Budget, Wire};
use crate::clock::{Clock, MS};
use crate::envelope::Reign;

/// Who a server is.
pub(crate) struct Identity {
    pub reign: Reign,
    pub history: String,
    /// Server time minus local time, ms.
    pub offset: i64,
    pub server: String,
}

pub(crate) async fn identify(wire: &Wire, clock: &dyn Clock, budget: &mut Budget) -> Result<Identity, Fault> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("INFO").arg("server");
    pipeline.cmd("INFO").arg("replication");
    pipeline.cmd("TIME");
    let sent = clock.now();
    let replies = wire.all(&pipeline, budget).await?;
    let of_server = |name: &str| text(&replies[0]).and_then(|info| field(&info, name));
    let history = history(&replies[1])?;
    let run = of_server("run_id").ok_or_else(|| Fault::Unfit("INFO tells no run_id".into()))?;
    let offset = offset_of(&replies[2], sent, clock.now()).ok_or_else(|| Fault::Unfit("TIME tells no time".into()))?;
    let server = match (of_server("valkey_version"), of_server("redis_version")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => "Redis".into(),
    };
    Ok(Identity {
        reign: xxh3_64(format!("{run}:{history}").as_bytes()),
        history,
        offset,
        server,
    })
}

/// The id of the data set that a server is master of, by INFO replication.
pub(super) fn history(info: &Value) -> Result<String, Fault> {
    if let Some(fault) = fault_of(info) {
        return Err(fault);
    }
    let info = text(info).unwrap_or_default();
    match field(&info, "role").as_deref() {
        Some("master") => {}
        role => {
            let role = role.unwrap_or("unknown");
            return Err(Fault::Unfit(format!("the server's role is {role}, not master")));
        }
    }
    field(&info, "master_replid").ok_or_else(|| Fault::Unfit("INFO tells no master_replid".into()))
}

pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// A line `name:value` of INFO or CLUSTER INFO.
pub(super) fn field(info: &str, name: &str) -> Option<String> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(|value| value.trim().to_owned())
}

/// Server time minus local time (ms), taken at the middle of the round trip.
pub(super) fn offset_of(time: &Value, sent: u64, received: u64) -> Option<i64> {
    let Value::Array(parts) = time else {
        return None;
    };
    let number = |n: usize| text(parts.get(n)?)?.parse::<i64>().ok();
    let server = number(0)? * 1_000 + number(1)? / 1_000;
    let local = (sent + (received - sent) / 2) / MS;
    Some(server - local as i64)
}
