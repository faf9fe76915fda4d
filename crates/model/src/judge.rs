//! What an entry found in Redis is worth: of this reign, of the current versions, and not hit by a newer rule.

use std::collections::BTreeSet;

use crate::command::{Command, Entry, Latest, Pair, Reply};
use crate::held::{Attempt, MemoryEntry, Served};
use crate::load::{tag_gets, tags_of};
use crate::mutant::Mutant;
use crate::names::{Dep, NAMESPACE};
use crate::node::Node;
use crate::rules::Ruling;

/// What is thought of an entry found in Redis.
pub enum Verdict {
    Valid(Served),
    Invalid,
    Unreachable,
}

impl Node {
    /// GET, with the versions the table does not know. `None`: no answer.
    #[allow(clippy::option_option, reason = "no answer, and an answer that there is nothing")]
    pub async fn get(&self, key: usize, at: &mut Attempt) -> Option<Option<Entry>> {
        let mut commands = vec![Command::Get { key }];
        let unknown = |dep: &&Dep| !at.versions.contains_key(dep);
        commands.extend(tag_gets(key, self.certain_deps(key).iter().filter(unknown)));
        let answer = self.call(commands).await?;
        let found = answer.replies.iter().find_map(|reply| match reply {
            Reply::Entry(entry) => Some(entry.clone()),
            _ => None,
        });
        self.learn(at, answer.replies);
        found
    }

    /// Takes fetched versions over, for this attempt and, if no push can have been missed, for the table.
    pub fn learn(&self, at: &mut Attempt, replies: Vec<Reply>) {
        for (dep, tag) in tags_of(replies) {
            at.versions.insert(dep, tag);
            at.fetched.insert(dep);
            self.me(|me| me.install(at.s, at.chan, dep, tag));
        }
    }

    /// Compares an entry's versions with the believed ones; only fetched ones condemn.
    pub async fn judge(&self, key: usize, entry: &Entry, at: &mut Attempt) -> Verdict {
        loop {
            if self.be_sure(key, entry, at).await.is_none() {
                return Verdict::Unreachable;
            }
            // The table may have become too old while something else was fetched.
            if self.believes_table() || entry.pairs.keys().all(|dep| at.fetched.contains(dep)) {
                break;
            }
        }
        let Some(link) = self.me(|me| me.data) else {
            return Verdict::Unreachable;
        };
        let ruling = match at.versions.get(&NAMESPACE) {
            Some(tag) => self.me(|me| me.rules.judge(key, entry.id, entry.n, tag.latest())),
            None => Ruling::Removed,
        };
        let ignored = self.is(Mutant::ReignIgnored);
        let pair = |dep: &Dep| at.versions.get(dep).map(|tag| tag.pair);
        let removed = entry.pairs.iter().any(|(dep, old)| {
            pair(dep).is_none_or(|now| now.removed != old.removed || (now.reign != old.reign && !ignored))
        });
        let (now, serves_stale) = self.with(|world| (world.sim.now, world.config.serves_stale));
        let fallen = removed || ruling == Ruling::Removed;
        if fallen || (entry.reign != link.reign && !ignored) || now >= entry.hard {
            return Verdict::Invalid;
        }
        let differs = |(dep, old): (&Dep, &Pair)| pair(dep).is_none_or(|now| now.staled != old.staled);
        let ruled = ruling == Ruling::Staled && !self.is(Mutant::StaleRuleIgnored);
        let staled = entry.pairs.iter().any(differs) || ruled;
        let stale = entry.marked || staled || now >= entry.soft;
        if stale && !serves_stale {
            return Verdict::Invalid;
        }
        self.remember(key, entry, at, entry.marked || staled);
        Verdict::Valid(if stale {
            Served::Stale(entry.value)
        } else {
            Served::Fresh(entry.value)
        })
    }

    fn believes_table(&self) -> bool {
        let now = self.now();
        let careless = self.is(Mutant::TableWhileIncoherent) || self.is(Mutant::CondemnByTable);
        careless || self.me(|me| me.coherent(now))
    }

    /// Fetches what the table would condemn the entry by, then the rules between it and the latest.
    async fn be_sure(&self, key: usize, entry: &Entry, at: &mut Attempt) -> Option<()> {
        let differs =
            |at: &Attempt, dep: &Dep| at.versions.get(dep).map(|tag| tag.pair) != entry.pairs.get(dep).copied();
        let believed = |at: &Attempt, dep: &Dep| self.is(Mutant::CondemnByTable) && at.versions.contains_key(dep);
        let sure = self.believes_table();
        let doubtful = |dep: &&Dep| (differs(at, dep) || !sure) && !at.fetched.contains(dep) && !believed(at, dep);
        let doubtful: BTreeSet<Dep> = entry.pairs.keys().filter(doubtful).copied().collect();
        if !doubtful.is_empty() {
            let replies = self.call(tag_gets(key, &doubtful)).await?.replies;
            self.learn(at, replies);
        }
        let latest = at.versions.get(&NAMESPACE)?.latest();
        if entry.n < latest.n {
            self.learn_rules(entry.n, latest).await?;
        }
        Some(())
    }

    /// Makes sure that what began at the number `since` can be judged by the rules up to the latest.
    pub async fn learn_rules(&self, since: u64, latest: Latest) -> Option<()> {
        if self.me(|me| me.rules.covers(since, latest)) {
            return Some(());
        }
        let after = self.me(|me| me.rules.fetch_after(since, latest));
        let mutant = self.with(|world| world.mutant);
        let replies = self.call(vec![Command::Rules { after }]).await?.replies;
        let Some(Reply::Rules(set)) = replies.first() else {
            return None;
        };
        self.me(|me| me.rules.merge(after, latest, set.as_ref(), mutant));
        Some(())
    }

    fn remember(&self, key: usize, entry: &Entry, at: &Attempt, stale: bool) {
        let believed = entry.pairs.keys().any(|dep| !at.fetched.contains(dep)) && !self.is(Mutant::ProofIgnoresBasis);
        let proof = if believed { at.start.min(at.basis) } else { at.start };
        let deps = entry.pairs.keys().copied().chain([key]).collect();
        let (value, id, soft, hard) = (entry.value, entry.id, entry.soft, entry.hard);
        let entry = MemoryEntry {
            value,
            id,
            s: at.s,
            ruled: at.s,
            chan: at.chan,
            deps,
            proof,
            soft,
            hard,
            stale,
            alone: false,
        };
        self.me(|me| me.keep(key, entry));
    }
}
