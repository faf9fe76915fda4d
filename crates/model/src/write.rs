//! invalidate, set, and the journal of what could not be sent.
//!
//! Bump, send, bump again on the reply or when it is given up, resolve. What is queued is sent before this process
//! reads or fills Redis again.

use crate::command::{Command, Entry, Invalidation, Reply};
use crate::fill::Stamps;
use crate::held::{Attempt, Queued};
use crate::history::Change;
use crate::load::{tag_gets, tags_of, ATTEMPT_LEASE};
use crate::mutant::Mutant;
use crate::names::{is_pattern, Dep, Mode, NAMESPACE};
use crate::node::Node;
use crate::rules::Ruling;
use crate::sim::Time;
use crate::world::{World, TIMEOUT};

/// How often a queue that could not be sent is tried again.
const DRAIN_PAUSE: Time = 2_000;

impl Node {
    pub async fn invalidate(&self, dep: Dep, mode: Mode, settle: Time) {
        let now = self.now();
        let change = self.begin(dep, mode, settle);
        let item = Queued {
            change,
            dep,
            mode,
            settle,
            chosen: self.with(|world| world.moment().1),
        };
        self.wait_for(item);
        self.bump(dep, mode);
        while self.now() < now + 2 * TIMEOUT {
            if self.tell_redis(item, settle).await {
                self.wait_for(item);
                let once = self.is(Mutant::NoSecondBump) || (is_pattern(dep) && self.is(Mutant::NoSecondBumpOfRule));
                if !once {
                    self.bump(dep, mode);
                }
                return self.applied(change);
            }
            let pause = self.with(|world| world.rng.between(500, 8_000));
            self.sleep(pause).await;
        }
        self.queue(item);
    }

    /// One attempt to have Redis carry an invalidation out.
    async fn tell_redis(&self, item: Queued, settle: Time) -> bool {
        let invalidation = Invalidation {
            by: self.me(|me| me.id),
            dep: item.dep,
            mode: item.mode,
            settle,
            change: item.change,
            chosen: item.chosen,
        };
        let Some(answer) = self.call(vec![Command::Invalidate(invalidation)]).await else {
            return false;
        };
        if let Some(Reply::Ruled(n)) = answer.replies.first() {
            self.me(|me| me.rules.note_own(*n));
        }
        true
    }

    /// What is loaded here while its source lags is not kept, whatever Redis knows.
    fn wait_for(&self, item: Queued) {
        let until = if item.settle > 0 { self.now() + item.settle } else { 0 };
        self.me(|me| me.windows.note(item.dep, until));
    }

    /// Stores a value of the caller's.
    pub async fn set(&self, key: usize) {
        let change = self.begin(key, Mode::Remove, 0);
        let deps = self.certain_deps(key);
        let tags: Vec<Dep> = deps.iter().filter(|dep| **dep != key).copied().collect();
        let value = self.with(|world| {
            world.history.changes[change].by_set = true;
            world.value(key, deps)
        });
        let queued = Queued {
            change,
            dep: key,
            mode: Mode::Remove,
            settle: 0,
            chosen: self.with(|world| world.moment().1),
        };
        // 1. Nothing from before is served here any more.
        let now = self.now();
        let mut at = self.me(|me| me.attempt(now));
        self.bump(key, Mode::Remove);
        if !self.me(|me| me.journal.is_empty()) {
            return self.queue(queued);
        }
        // 2. Every older load is fenced in Redis, and only then may the value be sent.
        let token = self.with(World::token);
        let mut commands = tag_gets(key, &tags);
        commands.push(Command::Take {
            key,
            token,
            px: ATTEMPT_LEASE,
            change,
        });
        let answer = self.call(commands).await;
        let Some(answer) = answer else {
            if self.is(Mutant::LateTakeFilled) {
                self.fill_behind(key, token, value, &at);
            }
            return self.queue(queued);
        };
        self.bump(key, Mode::Remove);
        self.with(|world| {
            if let Some(executed) = world.history.changes[change].executed {
                world.history.values[value].born = executed;
            }
        });
        // 3. The value is as young as the reply; its tags are as old as the call.
        let fetched = tags_of(answer.replies);
        let ruled = self.me(|me| me.ruling(at.s, key) != Ruling::Stands);
        let stands = self.me(|me| me.stands(at.s, &tags) && me.unmarked(at.s, &tags)) && !ruled;
        let drained = self.me(|me| me.journal.is_empty());
        // It is no load: windows do not concern it, and it is younger than every rule.
        let stamps = Stamps {
            n: fetched.get(&NAMESPACE).map_or(0, |tag| tag.head),
            pairs: fetched.iter().map(|(dep, tag)| (*dep, tag.pair)).collect(),
        };
        at.s = self.me(|me| me.seq);
        if drained && (stands || self.is(Mutant::SetWithoutTagCheck)) {
            self.fill(key, token, &at, value, stamps).await;
        } else {
            self.with(|world| world.post(self.process, Command::Release { key, token }));
        }
        self.applied(change);
    }

    /// What a mutant does: the value follows a TAKE that may or may not be executed.
    fn fill_behind(&self, key: usize, token: u64, value: usize, at: &Attempt) {
        self.with(|world| {
            world.history.values[value].born = world.moment();
            let (now, config) = (world.sim.now, world.config.clone());
            let Some(link) = world.processes[self.process].data else {
                return;
            };
            let (soft, hard) = (now + config.ttl, now + config.life);
            let pairs = at.versions.iter().map(|(dep, tag)| (*dep, tag.pair)).collect();
            let n = at.versions.get(&NAMESPACE).map_or(0, |tag| tag.head);
            let entry = Entry {
                id: token,
                value,
                reign: link.reign,
                marked: false,
                soft,
                hard,
                pairs,
                n,
            };
            world.post(self.process, Command::Fill { key, token, entry });
        });
    }

    fn begin(&self, dep: Dep, mode: Mode, settle: Time) -> usize {
        self.with(|world| {
            let (who, called) = (world.who(self.process), world.moment());
            let change = Change {
                who,
                dep,
                mode,
                settle,
                by_set: false,
                called,
                executed: None,
                resolved: None,
                queued: false,
                applied: None,
            };
            world.history.changes.push(change);
            let index = world.history.changes.len() - 1;
            world.note(|| format!("{} begins change {index}: {dep} {mode:?}", self.process));
            index
        })
    }

    fn bump(&self, dep: Dep, mode: Mode) {
        self.with(|world| world.bump(self.process, dep, mode));
    }

    fn applied(&self, change: usize) {
        self.with(|world| {
            let moment = world.moment();
            let record = &mut world.history.changes[change];
            record.applied = Some(moment);
            record.resolved = record.resolved.or(Some(moment));
            world.note(|| format!("{} change {change} applied", self.process));
        });
    }

    /// Gives up for now: the local effect holds from here on, the rest when Redis is back.
    fn queue(&self, queued: Queued) {
        if !self.is(Mutant::NoBumpWhenQueued) {
            self.bump(queued.dep, queued.mode);
        }
        if !(is_pattern(queued.dep) && self.is(Mutant::JournalForgetsRules)) {
            self.me(|me| me.journal.push_back(queued));
        }
        self.with(|world| {
            let moment = world.moment();
            let record = &mut world.history.changes[queued.change];
            record.queued = true;
            record.resolved = Some(moment);
            world.note(|| format!("{} change {} queued", self.process, queued.change));
        });
    }

    /// Sends what is queued, oldest first, as long as the process lives.
    pub async fn drain(&self) {
        loop {
            let oldest = self.me(|me| me.journal.front().copied());
            if let Some(item) = oldest {
                let forgets = self.is(Mutant::JournalForgetsSettle);
                let settle = if forgets { 0 } else { item.settle };
                if self.is(Mutant::JournalDropped) || self.tell_redis(item, settle).await {
                    self.wait_for(item);
                    self.bump(item.dep, item.mode);
                    self.me(|me| me.journal.pop_front());
                    self.applied(item.change);
                    continue;
                }
            }
            self.sleep(DRAIN_PAUSE).await;
        }
    }
}
