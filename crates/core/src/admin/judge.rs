//! What an entry is worth now: the engine's rule, with every reason kept, for people.

use serde_json::{json, Value as Json};

use super::facts;
use super::visit::Visit;
use crate::engine::rules::fetched;
use crate::envelope::{tag_names, Envelope, Reign, Version};
use crate::freshness::{freshness, Freshness, Lifetimes};
use crate::glob::Glob;
use crate::key::{HashedMap, Mode, NameHash, Namespace};
use crate::path::Path;
use crate::redis::fault::Fault;
use crate::rules::{Judgement, Latest, Rule, RuleCopy};
use crate::versions::{parse_version, Kept};

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

/// The versions of one visit: each asked for once.
#[derive(Debug)]
pub struct Judge {
    namespace: Namespace,
    reign: Reign,
    versions: HashedMap<NameHash, Option<Kept>>,
    rules: RuleCopy,
}

/// What was found of one entry.
#[derive(Debug)]
pub struct Verdict {
    pub freshness: Freshness,
    pub is_of_this_reign: bool,
    pub dependencies: Vec<Dependency>,
}

impl Verdict {
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let falls = |d: &Dependency| matches!(d.matches, Match::Removed(_) | Match::Missing);
        self.is_of_this_reign && !self.dependencies.iter().any(falls)
    }

    /// One word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.freshness {
            _ if !self.is_valid() => "invalid",
            Freshness::Fresh => "fresh",
            Freshness::Stale => "stale",
            Freshness::StaleIfError => "stale-if-error",
            Freshness::Expired => "expired",
        }
    }
}

impl Judge {
    #[must_use]
    pub fn new(namespace: Namespace, reign: Reign) -> Self {
        Self {
            namespace,
            reign,
            versions: HashedMap::default(),
            rules: RuleCopy::default(),
        }
    }

    /// Asks for those versions that are not known yet.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn learn(&mut self, mut names: Vec<NameHash>, visit: &Visit) -> Result<(), Fault> {
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !self.versions.contains_key(name));
        let mut pipeline = redis::pipe();
        for name in &names {
            pipeline.cmd("GET").arg(visit.keys.versions(*name));
        }
        let replies = visit.all(&pipeline).await?;
        for (name, reply) in names.into_iter().zip(replies) {
            let kept = facts::bytes(&reply).and_then(|bytes| parse_version(bytes, self.reign));
            self.versions.insert(name, kept);
        }
        self.learn_rules(visit).await
    }

    fn kept(&self, name: NameHash) -> Option<Kept> {
        self.versions.get(&name).copied().flatten()
    }

    fn latest_rule(&self) -> Option<Latest> {
        self.kept(self.namespace.whole()).map(|kept| kept.latest_rule())
    }

    /// Fetches all rules, once.
    async fn learn_rules(&self, visit: &Visit) -> Result<(), Fault> {
        let Some(latest) = self.latest_rule().filter(|latest| !self.rules.covers(0, *latest)) else {
            return Ok(());
        };
        let key = visit.keys.rules(self.namespace.whole());
        let mut pipeline = redis::pipe();
        let range = pipeline
            .cmd("ZRANGEBYSCORE")
            .arg(&key)
            .arg("-inf")
            .arg("+inf")
            .arg("WITHSCORES");
        // The floor after the rules: what is trimmed between the two falls.
        range.cmd("ZSCORE").arg(&key).arg("floor");
        let replies = visit.all(&pipeline).await?;
        self.rules.merge(fetched(0, &replies)?, latest);
        Ok(())
    }

    /// Judges an entry whose versions were learnt, at a time of the server's clock (ms).
    #[must_use]
    pub fn judge(&self, entry: &Envelope<'_>, now: u64) -> Verdict {
        let labels = self.labels(entry);
        let dependency = |stamp: &crate::envelope::Stamp| Dependency {
            label: labels.get(&stamp.name).cloned().unwrap_or(Label::Unknown),
            matches: compare(stamp.version, self.kept(stamp.name).map(|kept| kept.version)),
        };
        let mut dependencies: Vec<_> = entry.stamps.iter().map(dependency).collect();
        dependencies.extend(self.by_rules(entry));
        let staled = dependencies.iter().any(|d| matches!(d.matches, Match::Staled(_)));
        Verdict {
            freshness: freshness(&lifetimes(entry), None, entry.marked_stale || staled, now),
            is_of_this_reign: entry.reign == self.reign,
            dependencies,
        }
    }

    /// The rule that the entry falls by, if one came after it and matches.
    fn by_rules(&self, entry: &Envelope<'_>) -> Option<Dependency> {
        self.latest_rule().filter(|latest| latest.number > entry.rules)?;
        let judgement = self.rules.book.judge(entry.key, entry.rules).0;
        if judgement == Judgement::Stands {
            return None;
        }
        let mode = if judgement == Judgement::Removed {
            Mode::Remove
        } else {
            Mode::Stale
        };
        let matching = |(_, rule): &(u64, Rule)| rule.mode == mode && is_of(rule, entry.key);
        let found = self.rules.book.after(entry.rules).into_iter().rev().find(matching);
        Some(match found {
            Some((at, rule)) => Dependency {
                label: Label::Pattern(Some(Path::of(&rule.pattern).key.to_owned())),
                matches: if mode == Mode::Remove {
                    Match::Removed(at)
                } else {
                    Match::Staled(at)
                },
            },
            None => Dependency {
                label: Label::Pattern(None),
                matches: Match::Missing,
            },
        })
    }

    fn labels(&self, entry: &Envelope<'_>) -> HashedMap<NameHash, Label> {
        let mut labels = HashedMap::default();
        labels.insert(self.namespace.whole(), Label::Namespace);
        let path = Path::of(entry.key);
        for view in path.views() {
            labels.insert(self.namespace.tag(view), Label::View(view.replace("\0v", "/")));
        }
        labels.insert(self.namespace.key(&path.bare()), Label::Key);
        for tag in tag_names(entry.names) {
            labels.insert(self.namespace.tag(tag), Label::Tag(Path::of(tag).key.to_owned()));
        }
        labels
    }
}

/// Whether a rule is about this stored key.
fn is_of(rule: &Rule, stored: &str) -> bool {
    let (pattern, path) = (Path::of(&rule.pattern), Path::of(stored));
    pattern.views == path.views && Glob::new(pattern.key).map_or(true, |glob| glob.is_match(path.key))
}

fn compare(stamp: Version, now: Option<Version>) -> Match {
    match now {
        None => Match::Missing,
        Some(now) if now.removed != stamp.removed => Match::Removed(now.removed),
        Some(now) if now.staled != stamp.staled => Match::Staled(now.staled),
        Some(_) => Match::Same,
    }
}

/// What an entry depends on.
pub fn names<'a>(entry: &'a Envelope<'_>) -> impl Iterator<Item = NameHash> + 'a {
    entry.stamps.iter().map(|stamp| stamp.name)
}

/// On the server's clock, ms: the rule only compares.
#[must_use]
pub fn lifetimes(entry: &Envelope<'_>) -> Lifetimes {
    let fresh_until = entry.created.saturating_add(entry.policy.ttl);
    Lifetimes {
        created: entry.created,
        fresh_until,
        revalidate_until: fresh_until.saturating_add(entry.policy.stale_while_revalidate),
        error_until: fresh_until.saturating_add(entry.policy.stale_if_error),
    }
}

/// Where a stored key lives: its view, version and the user's key.
#[must_use]
pub fn place(stored: &str) -> Json {
    let path = Path::of(stored);
    let views: Vec<&str> = path.views.split("\0v").skip(1).collect();
    json!({ "key": path.key, "view": views, "version": path.version })
}

/// A dependency as JSON: `{ kind, name, matches, at }`, `at` in µs of the server's clock.
#[must_use]
pub fn told(dependency: &Dependency) -> Json {
    let (kind, name) = match &dependency.label {
        Label::Namespace => ("namespace", None),
        Label::View(path) => ("view", Some(path.trim_start_matches('/'))),
        Label::Key => ("key", None),
        Label::Tag(tag) => ("tag", Some(&**tag)),
        Label::Pattern(pattern) => ("pattern", pattern.as_deref()),
        Label::Unknown => ("unknown", None),
    };
    let (matches, at) = match dependency.matches {
        Match::Same => ("same", None),
        Match::Staled(at) => ("staled", Some(at)),
        Match::Removed(at) => ("removed", Some(at)),
        Match::Missing => ("missing", None),
    };
    json!({ "kind": kind, "name": name, "matches": matches, "at": at })
}
