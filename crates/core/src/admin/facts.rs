//! Replies of Redis as facts: text, numbers, fields of INFO, errors.

use redis::Value;

use crate::redis::fault::{fault_of, Fault};

/// Text of a reply, whichever form the protocol gave it.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

#[must_use]
pub fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

#[must_use]
pub fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => text(value)?.parse().ok(),
    }
}

/// What an error reply says; `None`: it is none.
#[must_use]
pub fn error(value: &Value) -> Option<String> {
    let Value::ServerError(error) = value else {
        return None;
    };
    Some(match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    })
}

/// A text of INFO.
#[derive(Clone, Debug, Default)]
pub struct Info(String);

impl Info {
    #[must_use]
    pub fn of(replies: &[Value]) -> Self {
        Self(replies.iter().filter_map(text).collect::<Vec<_>>().join("\r\n"))
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.parse().ok()
    }

    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
    }
}

/// Server time, µs, from a reply to TIME.
#[must_use]
pub fn time(value: &Value) -> Option<i64> {
    let Value::Array(parts) = value else {
        return None;
    };
    Some(number(parts.first()?)? * 1_000_000 + number(parts.get(1)?)?)
}

/// A page of SCAN: where the next one begins, `None` after the last, and the names.
///
/// # Errors
/// When it is an error, or no page.
pub fn page(reply: &Value) -> Result<(Option<String>, Vec<String>), Fault> {
    if let Some(fault) = fault_of(reply) {
        return Err(fault);
    }
    let Value::Array(parts) = reply else {
        return Err(Fault::Refused("SCAN answers no page".into()));
    };
    let next = parts.first().and_then(text).filter(|cursor| cursor != "0");
    let names = match parts.get(1) {
        Some(Value::Array(names)) => names.iter().filter_map(text).collect(),
        _ => Vec::new(),
    };
    Ok((next, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_info_are_read_by_their_whole_name() {
        let info = Info::of(&[Value::BulkString(
            b"# Memory\r\nused_memory:10\r\nused_memory_human:10B\r\nmaxmemory:0\r\n".to_vec(),
        )]);

        assert_eq!(info.number("used_memory"), Some(10.0));
        assert_eq!(info.get("maxmemory"), Some("0"));
        assert_eq!(info.get("memory"), None);
    }
}
