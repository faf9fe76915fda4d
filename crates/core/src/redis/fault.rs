//! What can go wrong with Redis, sorted by what the caller does about it.

use redis::{RedisError, ServerError, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No answer in time, though bytes arrived, or after too short a wait to tell.
    Timeout,
    /// No answer, and not a byte: nobody is there.
    Silent,
    /// The connection is gone.
    Disconnected(String),
    /// The server cannot serve now (LOADING, MASTERDOWN, NOAUTH, READONLY …): the session is given up.
    Unfit(String),
    /// A cluster is changing: what was asked for moves, or is nobody's. Nothing was run; it may be asked for again.
    Unsettled(String),
    /// This one command was refused (OOM, MISCONF, NOREPLICAS, NOPERM, a script's error).
    Refused(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout | Self::Silent => f.write_str("Redis did not answer in time"),
            Self::Disconnected(why) => write!(f, "no connection to Redis: {why}"),
            Self::Unfit(why) => write!(f, "Redis cannot serve now: {why}"),
            Self::Unsettled(why) => write!(f, "the cluster is changing: {why}"),
            Self::Refused(why) => write!(f, "Redis refused a command: {why}"),
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        if error.is_io_error() || error.is_unrecoverable_error() || error.is_connection_dropped() {
            return Self::Disconnected(error.to_string());
        }
        match error.code() {
            Some(code) => by_code(code, error.detail().unwrap_or_default()),
            None => Self::Refused(error.to_string()),
        }
    }
}

impl From<&ServerError> for Fault {
    fn from(error: &ServerError) -> Self {
        by_code(error.code(), error.details().unwrap_or_default())
    }
}

impl Fault {
    /// Takes the place of the reply that did not come; [`fault_of`] reads it back.
    #[must_use]
    pub fn into_value(self) -> Value {
        let (code, why) = match self {
            Self::Timeout | Self::Silent => (UNANSWERED, String::new()),
            Self::Disconnected(why) | Self::Unfit(why) => (UNREACHED, why),
            Self::Unsettled(why) => (UNSETTLED, why),
            Self::Refused(why) => ("ERR", why),
        };
        let why = why.replace(['\r', '\n'], " ");
        redis::parse_redis_value(format!("-{code} {why}\r\n").as_bytes()).expect("an error line is well-formed")
    }
}

/// Codes of our own, of no server: see [`Fault::into_value`].
const UNANSWERED: &str = "UNANSWERED";
const UNREACHED: &str = "UNREACHED";
const UNSETTLED: &str = "UNSETTLED";

/// The error of a reply, if it is one.
#[must_use]
pub fn fault_of(value: &Value) -> Option<Fault> {
    match value {
        Value::ServerError(error) => Some(error.into()),
        _ => None,
    }
}

/// Whether a refusal says that a slot is elsewhere, or on its way there.
#[must_use]
pub fn has_moved(why: &str) -> bool {
    ["MOVED", "ASK", "TRYAGAIN"].iter().any(|code| why.starts_with(code))
}

/// Whether what a server refuses now it may take in a moment: it lacks replicas, disk or memory, or runs a script.
#[must_use]
pub fn passes(why: &str) -> bool {
    ["NOREPLICAS", "MISCONF", "OOM", "BUSY"]
        .iter()
        .any(|code| why.starts_with(code))
}

fn by_code(code: &str, detail: &str) -> Fault {
    let text = format!("{code} {detail}");
    match code {
        UNANSWERED => Fault::Timeout,
        UNREACHED => Fault::Disconnected(detail.into()),
        UNSETTLED => Fault::Unsettled(detail.into()),
        "LOADING" | "MASTERDOWN" | "NOAUTH" | "WRONGPASS" | "READONLY" | "CLUSTERDOWN" => Fault::Unfit(text),
        _ => Fault::Refused(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_way_through_a_reply() {
        let why = || "127.0.0.1:7000 went\r\naway".to_owned();
        for fault in [Fault::Timeout, Fault::Disconnected(why()), Fault::Unsettled(why())] {
            let read = fault_of(&fault.clone().into_value()).expect("it is an error");

            assert_eq!(std::mem::discriminant(&read), std::mem::discriminant(&fault));
        }
    }
}
