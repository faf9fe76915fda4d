//! What there is to read, and what can be invalidated.

use crate::sim::Time;

/// A name that can fall: the keys, then the tags, then the namespace; patterns are numbered behind them.
pub type Dep = usize;
pub type Token = u64;
/// A process as Redis knows it: another one after each start.
pub type ProcessId = u64;

/// The entries: of the keys `aa` and `ab`, and of another version of `aa`.
pub const KEYS: usize = 3;
/// The entry that is a version of key 0.
pub const VERSIONED: usize = 2;
pub const TAGS: usize = 2;
pub const NAMESPACE: Dep = KEYS + TAGS;
pub const DEPS: usize = NAMESPACE + 1;
/// `a*`, `aa*` and `ab*`.
pub const PATTERNS: usize = 3;
/// No source is said to settle for longer.
pub const LONGEST_SETTLE: Time = 151_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Remove,
    Stale,
}

/// The key as the user knows it: all its versions fall with it.
#[must_use]
pub fn bare(key: usize) -> Dep {
    if key == VERSIONED {
        0
    } else {
        key
    }
}

#[must_use]
pub fn is_pattern(dep: Dep) -> bool {
    dep >= DEPS
}

#[must_use]
pub fn matches(pattern: Dep, key: usize) -> bool {
    match pattern - DEPS {
        0 => true,
        1 => bare(key) == 0,
        _ => bare(key) == 1,
    }
}
