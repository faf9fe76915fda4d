//! What an entry is worth now: the engine's rule, with every reason kept, for people.

use std::time::{Duration, Instant};

use redis::Cmd;
use serde_json::{json, Value as Json};

use super::dependency::{Dependency, Label, Match, Wait};
use super::facts;
use super::visit::Visit;
use crate::engine::rules::fetched;
use crate::envelope::{tag_names, Envelope, Stamp};
use crate::freshness::{freshness, Freshness, Lifetimes};
use crate::glob::Glob;
use crate::key::{HashedMap, Mode, NameHash, Namespace};
use crate::path::{implicit, Path};
use crate::redis::fault::Fault;
use crate::rules::{Judgement, Latest, Rule, RuleCopy};
use crate::versions::{parse_version, Kept};

/// How long what Redis said of a name is believed: a long listing must not show what fell meanwhile.
const BELIEVED: Duration = Duration::from_secs(1);

/// What Redis says of names and of rules, as far as it was asked.
#[derive(Debug)]
pub struct Judge {
    namespace: Namespace,
    versions: HashedMap<NameHash, Option<Kept>>,
    /// When the oldest of them was asked for.
    asked: Instant,
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
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            versions: HashedMap::default(),
            asked: Instant::now(),
            rules: RuleCopy::default(),
        }
    }

    /// Learns what entries are judged by. An entry falls only by what was asked for after it was read: what is known
    /// may be older than the entry.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn learn(&mut self, entries: &[&Envelope<'_>], visit: &Visit) -> Result<(), Fault> {
        if self.asked.elapsed() > BELIEVED {
            self.versions.clear();
            self.asked = Instant::now();
        }
        let differs = |stamp: &&Stamp| self.kept(stamp.name).map(|kept| kept.version) != Some(stamp.version);
        let stamps = entries.iter().flat_map(|entry| &entry.stamps);
        let names = stamps.filter(differs).map(|stamp| stamp.name).collect();
        self.ask(names, visit).await
    }

    async fn ask(&mut self, mut names: Vec<NameHash>, visit: &Visit) -> Result<(), Fault> {
        names.sort_unstable();
        names.dedup();
        let get = |name: &NameHash| (*name, Cmd::get(visit.keys.versions(*name)));
        let replies = visit.all(&names.iter().map(get).collect::<Vec<_>>()).await?;
        for (name, reply) in names.into_iter().zip(replies) {
            let read = |bytes| parse_version(bytes, visit.reign(name)?);
            let kept = facts::bytes(&reply).and_then(read);
            self.versions.insert(name, kept);
        }
        self.learn_rules(visit).await
    }

    /// Whether loads of a stored key are not stored for now: by what waits the longest. Tags as in stored keys.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn wait(&mut self, stored: &str, tags: &[&str], visit: &Visit) -> Result<Option<Wait>, Fault> {
        let mut names = implicit(&self.namespace, stored);
        names.extend([self.namespace.whole(), self.namespace.key(stored)]);
        names.extend(tags.iter().map(|tag| self.namespace.tag(tag)));
        self.ask(names.clone(), visit).await?;
        let labels = self.labels(stored, tags);
        let by_name = names.into_iter().filter_map(|name| {
            let label = labels.get(&name).cloned().unwrap_or(Label::Unknown);
            let until = self.kept(name)?.until;
            Some(Wait { label, until })
        });
        let now = visit.now(self.namespace.key(stored)) * 1_000;
        let patterns = self.rules.waits.after(now).into_iter();
        let by_pattern = patterns.filter(|(_, rule)| is_of(rule, stored)).map(|(until, rule)| {
            let label = pattern_label(&rule);
            Wait { label, until }
        });
        let waits = by_name.chain(by_pattern).filter(|wait| wait.until > now);
        Ok(waits.max_by_key(|wait| wait.until))
    }

    fn kept(&self, name: NameHash) -> Option<Kept> {
        self.versions.get(&name).copied().flatten()
    }

    fn latest_rule(&self) -> Option<Latest> {
        self.kept(self.namespace.whole()).map(|kept| kept.latest_rule())
    }

    /// Fetches the rules that are not known yet.
    async fn learn_rules(&self, visit: &Visit) -> Result<(), Fault> {
        let Some(latest) = self.latest_rule().filter(|latest| !self.rules.covers(0, *latest)) else {
            return Ok(());
        };
        let after = self.rules.fetch_after(0, latest);
        let home = self.namespace.whole();
        let key = visit.keys.rules(home);
        let range = Cmd::zrangebyscore_withscores(&key, format!("({after}"), "+inf");
        // The floor after the rules: what is trimmed between the two falls.
        let replies = visit.all(&[(home, range), (home, Cmd::zscore(&key, "floor"))]).await?;
        self.rules.merge(fetched(after, &replies)?, latest);
        Ok(())
    }

    /// Judges an entry whose versions were learnt, at a time of its server's clock (ms).
    #[must_use]
    pub fn judge(&self, entry: &Envelope<'_>, now: u64, visit: &Visit) -> Verdict {
        let labels = self.labels(entry.key, &tag_names(entry.names));
        let dependency = |stamp: &Stamp| Dependency {
            label: labels.get(&stamp.name).cloned().unwrap_or(Label::Unknown),
            matches: Match::of(stamp.version, self.kept(stamp.name).map(|kept| kept.version)),
        };
        let mut dependencies: Vec<_> = entry.stamps.iter().map(dependency).collect();
        dependencies.extend(self.by_rules(entry));
        let staled = dependencies.iter().any(|d| matches!(d.matches, Match::Staled(_)));
        Verdict {
            freshness: freshness(&lifetimes(entry), None, entry.marked_stale || staled, now),
            is_of_this_reign: visit.reign(self.namespace.key(entry.key)) == Some(entry.reign),
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
                label: pattern_label(&rule),
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

    /// What the names that a stored key depends on are to a person; tags as in stored keys.
    fn labels(&self, stored: &str, tags: &[&str]) -> HashedMap<NameHash, Label> {
        let mut labels = HashedMap::default();
        labels.insert(self.namespace.whole(), Label::Namespace);
        let path = Path::of(stored);
        for view in path.views() {
            labels.insert(self.namespace.tag(view), Label::View(view.replace("\0v", "/")));
        }
        for key in [stored, &path.bare()] {
            labels.insert(self.namespace.key(key), Label::Key);
        }
        for tag in tags {
            labels.insert(self.namespace.tag(tag), Label::Tag(Path::of(tag).key.to_owned()));
        }
        labels
    }
}

fn pattern_label(rule: &Rule) -> Label {
    Label::Pattern(Some(Path::of(&rule.pattern).key.to_owned()))
}

/// Whether a rule is about this stored key.
fn is_of(rule: &Rule, stored: &str) -> bool {
    let (pattern, path) = (Path::of(&rule.pattern), Path::of(stored));
    pattern.views == path.views && Glob::new(pattern.key).map_or(true, |glob| glob.is_match(path.key))
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
