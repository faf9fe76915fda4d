//! The fence behind a load, and the fill: what was overtaken is not stored.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, Entry, Pair, Reply, Tag};
use crate::held::{Attempt, MemoryEntry};
use crate::load::{tag_gets, tags_of, Flying, Loaded};
use crate::mutant::Mutant;
use crate::names::{Dep, Token, NAMESPACE};
use crate::node::Node;
use crate::rules::Ruling;

/// What an entry is stored under.
pub struct Stamps {
    pub pairs: BTreeMap<Dep, Pair>,
    /// The latest rule at the start of its load.
    pub n: u64,
}

impl Node {
    /// What this load may be stored under; `None`: something was invalidated since it began.
    pub async fn fence(&self, flying: &Flying, at: &Attempt, loaded: &Loaded) -> Option<Stamps> {
        let key = flying.key;
        let fixed = self.certain_deps(key);
        let all: BTreeSet<Dep> = fixed.union(&loaded.named).copied().collect();
        let (s, chan) = self.me(|me| (me.seq, me.chan));
        if !self.still_stands(at, key, &all) {
            return None;
        }
        let tags = tags_of(self.call(tag_gets(key, &all)).await?.replies);
        for (dep, tag) in &tags {
            self.me(|me| me.install(s, chan, *dep, *tag));
        }
        // Tags the caller gave: nothing between the start of the load and now.
        let pair = |tags: &BTreeMap<Dep, Tag>, dep: &Dep| tags.get(dep).map(|tag| tag.pair);
        let mut given = fixed.iter().filter(|dep| **dep != key);
        let same = given.all(|dep| pair(&at.versions, dep) == pair(&tags, dep));
        if !same && !self.is(Mutant::TagSnapshotAfterLoad) {
            return None;
        }
        // Tags the loader named: their versions are younger than the load, so every push up to them must have come.
        let late: BTreeSet<Dep> = loaded.named.difference(&fixed).copied().collect();
        if !late.is_empty() && !self.late_tags_stand(at, &late, &tags).await {
            return None;
        }
        let granted = at.versions.get(&NAMESPACE)?;
        let fetched = tags.get(&NAMESPACE)?;
        let n = if self.is(Mutant::RulesStampAfterLoad) {
            fetched.head
        } else {
            granted.head
        };
        let pairs = tags.iter().map(|(dep, tag)| (*dep, tag.pair)).collect();
        self.still_stands(at, key, &all).then_some(Stamps { pairs, n })
    }

    fn still_stands(&self, at: &Attempt, key: usize, deps: &BTreeSet<Dep>) -> bool {
        self.me(|me| {
            let ruled = me.ruling(at.s, key) == Ruling::Removed;
            me.stands(at.s, deps) && !ruled && me.journal.is_empty()
        }) && !self.settled_after(at, key, deps)
    }

    /// It began in a window that this process has heard of.
    pub fn settled_after(&self, at: &Attempt, key: usize, deps: &BTreeSet<Dep>) -> bool {
        let until = self.me(|me| me.windows.until(at.start, key, |dep| deps.contains(&dep)));
        until.is_some() && !self.is(Mutant::NoLocalWindow)
    }

    async fn late_tags_stand(&self, at: &Attempt, late: &BTreeSet<Dep>, tags: &BTreeMap<Dep, Tag>) -> bool {
        // Its window may have ended meanwhile: what counts is when the load began.
        let lags = |tag: &Tag| match () {
            () if self.is(Mutant::LateTagIgnoresSettle) => false,
            () if self.is(Mutant::LateTagJudgedAtEnd) => tag.settles,
            () => tag.until > at.start,
        };
        if late.iter().any(|dep| tags.get(dep).is_none_or(lags)) {
            return false;
        }
        if !self.is(Mutant::DynamicTagsWithoutBarrier) {
            let Some(link) = self.me(|me| me.coherence) else {
                return false;
            };
            if self.call_on(link.conn, vec![Command::Ping]).await.is_none() {
                return false;
            }
        }
        let stand = self.me(|me| {
            let armed = me.coherence.is_some() && me.chan == at.chan;
            armed && me.stands(at.s, late) && me.unmarked(at.s, late)
        });
        stand || self.is(Mutant::DynamicTagsWithoutCheck)
    }

    /// Sends FILL, and keeps the value in memory if Redis took it.
    pub async fn fill(&self, key: usize, token: Token, at: &Attempt, value: usize, stamps: Stamps) -> bool {
        let Stamps { pairs, n } = stamps;
        let Some(reign) = self.me(|me| me.data.map(|link| link.reign)) else {
            return false;
        };
        let (soft, hard) = self.with(|world| {
            let now = world.sim.now;
            (now + world.config.ttl, now + world.config.life)
        });
        let deps = pairs.keys().copied().chain([key]).collect();
        let entry = Entry {
            id: token,
            value,
            reign,
            marked: false,
            soft,
            hard,
            pairs,
            n,
        };
        let filled = self.call(vec![Command::Fill { key, token, entry }]).await;
        let kept = filled.is_some_and(|answer| answer.replies == [Reply::Filled(true)]);
        if kept {
            let (s, chan, proof) = (at.s, at.chan, at.start);
            let entry = MemoryEntry {
                value,
                id: token,
                s,
                ruled: s,
                chan,
                deps,
                proof,
                soft,
                hard,
                stale: false,
                alone: false,
            };
            self.me(|me| me.keep(key, entry));
        }
        kept
    }
}
