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
    /// This one command was refused (OOM, MISCONF, NOREPLICAS, NOPERM, a script's error).
    Refused(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout | Self::Silent => f.write_str("Redis did not answer in time"),
            Self::Disconnected(why) => write!(f, "no connection to Redis: {why}"),
            Self::Unfit(why) => write!(f, "Redis cannot serve now: {why}"),
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

/// The error of a reply, if it is one.
#[must_use]
pub fn fault_of(value: &Value) -> Option<Fault> {
    match value {
        Value::ServerError(error) => Some(error.into()),
        _ => None,
    }
}

fn by_code(code: &str, detail: &str) -> Fault {
    let text = format!("{code} {detail}");
    match code {
        "LOADING" | "MASTERDOWN" | "NOAUTH" | "WRONGPASS" | "READONLY" | "CLUSTERDOWN" => Fault::Unfit(text),
        _ => Fault::Refused(text),
    }
}
