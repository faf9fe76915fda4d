//! invalidate, set, and the journal of what could not be sent.
//!
//! Bump, send, bump again on the reply or when it is given up, resolve. What is queued is sent before this process
//! reads or fills Redis again.

use crate::history::Change;
use crate::load::{pairs_of, tag_gets, ATTEMPT_LEASE};
use crate::mutant::Mutant;
use crate::node::Node;
use crate::process::{Attempt, Queued};
use crate::server::{Command, Dep, Entry, Mode, NAMESPACE};
use crate::sim::Time;
use crate::world::{World, TIMEOUT};

/// How often a queue that could not be sent is tried again.
const DRAIN_PAUSE: Time = 2_000;

impl Node {
    pub async fn invalidate(&self, dep: Dep, mode: Mode) {
        let change = self.begin(dep, mode);
        self.bump(dep, mode);
        let chosen = self.with(|world| world.moment().1);
        let until = self.now() + 2 * TIMEOUT;
        while self.now() < until {
            if self
                .call(vec![Command::Invalidate {
                    dep,
                    mode,
                    change,
                    chosen,
                }])
                .await
                .is_some()
            {
                if !self.is(Mutant::NoSecondBump) {
                    self.bump(dep, mode);
                }
                return self.applied(change);
            }
            let pause = self.with(|world| world.rng.between(500, 8_000));
            self.sleep(pause).await;
        }
        self.queue(Queued { change, dep, mode });
    }

    /// Stores a value of the caller's.
    pub async fn set(&self, key: usize) {
        let change = self.begin(key, Mode::Remove);
        let mut tags = self.with(|world| world.config.tags[key].clone());
        tags.insert(NAMESPACE);
        let deps = tags.iter().copied().chain([key]).collect();
        let value = self.with(|world| world.value(deps));
        let queued = Queued {
            change,
            dep: key,
            mode: Mode::Remove,
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
        let mut commands = tag_gets(&tags);
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
        let pairs = pairs_of(answer.replies);
        let stands = self.me(|me| me.stands(at.s, &tags) && me.unmarked(at.s, &tags));
        let drained = self.me(|me| me.journal.is_empty());
        at.s = self.me(|me| me.seq);
        if drained && (stands || self.is(Mutant::SetWithoutTagCheck)) {
            self.fill(key, token, &at, value, pairs).await;
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
            let (soft, hard, pairs) = (now + config.ttl, now + config.life, at.versions.clone());
            let entry = Entry {
                id: token,
                value,
                reign: link.reign,
                marked: false,
                soft,
                hard,
                pairs,
            };
            world.post(self.process, Command::Fill { key, token, entry });
        });
    }

    fn begin(&self, dep: Dep, mode: Mode) -> usize {
        self.with(|world| {
            let (who, called) = (world.who(self.process), world.moment());
            let change = Change {
                who,
                dep,
                mode,
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
        self.me(|me| me.journal.push_back(queued));
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
            if let Some(Queued { change, dep, mode }) = oldest {
                let chosen = self.with(|world| world.moment().1);
                let sent = self.is(Mutant::JournalDropped)
                    || self
                        .call(vec![Command::Invalidate {
                            dep,
                            mode,
                            change,
                            chosen,
                        }])
                        .await
                        .is_some();
                if sent {
                    self.bump(dep, mode);
                    self.me(|me| me.journal.pop_front());
                    self.applied(change);
                    continue;
                }
            }
            self.sleep(DRAIN_PAUSE).await;
        }
    }
}
