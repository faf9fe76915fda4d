//! Chunks: an entry is read by its first bytes, which for nearly all is the whole; a longer one goes on in pieces, each a
//! command of its own, so that what others ask in between is not kept waiting.

use std::ops::Range;

use redis::{Cmd, Value};

use crate::envelope::Envelope;
use crate::seal;

/// Bytes read of an entry at once: of all that is asked in one tick.
pub const FIRST: usize = 64 * 1024;
/// Bytes of each further piece.
pub const PIECE: usize = 128 * 1024;
/// Long entries that are on their way at once over one connection.
pub const AT_ONCE: usize = 2;

/// GETRANGE of a first chunk. What is missing is an empty one.
#[must_use]
pub fn first(key: &str) -> Cmd {
    range(key, 0, FIRST)
}

/// GETRANGE of so many bytes.
#[must_use]
pub fn range(key: &str, from: usize, len: usize) -> Cmd {
    let mut command = redis::cmd("GETRANGE");
    command.arg(key).arg(from).arg(from + len - 1);
    command
}

/// GETRANGE of an entry's id.
#[must_use]
pub fn id(key: &str) -> Cmd {
    let Range { start, end } = Envelope::ID;
    range(key, start, end - start)
}

/// How long the envelope is, if this is but the first chunk of its entry. A seal may follow, also where nobody has its key.
#[must_use]
pub fn whole_of(first: &[u8]) -> Option<usize> {
    if first.len() != FIRST {
        return None;
    }
    let envelope = Envelope::size(first).ok()?;
    (envelope + seal::LEN > FIRST).then_some(envelope)
}

/// As [`whole_of`], of a reply.
#[must_use]
pub fn cut_off(reply: &Value) -> Option<(&[u8], usize)> {
    match reply {
        Value::BulkString(bytes) => Some((bytes, whole_of(bytes)?)),
        _ => None,
    }
}
