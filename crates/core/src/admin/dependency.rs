//! What an entry depends on, in words for people: a name, and how it stands against what the entry carries.

use serde_json::{json, Value as Json};

use crate::envelope::Version;

/// What a dependency is to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    Namespace,
    View(String),
    /// The bare key of one with a version.
    Key,
    Tag(String),
    /// A rule that came after it; `None`: those that would judge it are no longer kept.
    Pattern(Option<String>),
    /// A hash that no name was kept for.
    Unknown,
}

/// How a dependency stands against what the entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    Same,
    /// Marked stale since, at that µs of the server's clock.
    Staled(u64),
    /// Invalidated since.
    Removed(u64),
    /// Its version is gone: evicted, flushed or expired.
    Missing,
}

#[derive(Clone, Debug)]
pub struct Dependency {
    pub label: Label,
    pub matches: Match,
}

/// Loads are not stored until then: the source of what has this name settles.
#[derive(Clone, Debug)]
pub struct Wait {
    pub label: Label,
    /// µs of the server's clock.
    pub until: u64,
}

impl Label {
    /// `kind` and `name`.
    fn words(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Namespace => ("namespace", None),
            Self::View(path) => ("view", Some(path.trim_start_matches('/'))),
            Self::Key => ("key", None),
            Self::Tag(tag) => ("tag", Some(tag)),
            Self::Pattern(pattern) => ("pattern", pattern.as_deref()),
            Self::Unknown => ("unknown", None),
        }
    }
}

impl Match {
    #[must_use]
    pub fn of(carried: Version, now: Option<Version>) -> Self {
        match now {
            None => Self::Missing,
            Some(now) if now.removed != carried.removed => Self::Removed(now.removed),
            Some(now) if now.staled != carried.staled => Self::Staled(now.staled),
            Some(_) => Self::Same,
        }
    }
}

impl Dependency {
    /// `{ kind, name, matches, at }`, `at` in µs of the server's clock.
    #[must_use]
    pub fn told(&self) -> Json {
        let (kind, name) = self.label.words();
        let (matches, at) = match self.matches {
            Match::Same => ("same", None),
            Match::Staled(at) => ("staled", Some(at)),
            Match::Removed(at) => ("removed", Some(at)),
            Match::Missing => ("missing", None),
        };
        json!({ "kind": kind, "name": name, "matches": matches, "at": at })
    }
}

impl Wait {
    /// `{ kind, name, left }`, `left` in ms.
    #[must_use]
    pub fn told(&self, now: u64) -> Json {
        let (kind, name) = self.label.words();
        json!({ "kind": kind, "name": name, "left": (self.until / 1_000).saturating_sub(now) })
    }
}
