//! getOrSet and invalidate, over several masters.

use std::collections::BTreeSet;

use super::check::{Read, Value};
use super::mutant::Mutant;
use super::process::{Kept, Since};
use super::proof::{BySome, Layout};
use super::redis::{slot_of, Command, Entry, Reply, NAMESPACE};
use super::wires::DATA;
use super::world::{Client, TIMEOUT};
use crate::names::Dep;
use crate::sim::Time;

/// When the callers stop.
pub const CALLS_END: Time = 300_000;
const TRIES: usize = 6;

/// What an entry needs: of each tag and the namespace a version, and whose it is.
type Stamps = Vec<(Dep, u64, u64)>;

impl Client {
    pub async fn calls(&self) {
        loop {
            self.sleep(100, 9_000).await;
            if self.now() > CALLS_END {
                return;
            }
            let (dice, key, dep) =
                self.with(|world| (world.rng.between(0, 100), world.rng.index(2), world.rng.index(5)));
            if dice < self.with(|world| world.changes[self.process]) {
                self.invalidate(dep).await;
            }
            self.get_or_set(key, false).await;
        }
    }

    pub async fn get_or_set(&self, key: usize, is_last: bool) {
        let index = self.with(|world| {
            let started = world.history.moment(world.sim.now);
            let read = Read {
                process: self.process,
                key,
                started,
                served: None,
                is_last,
                by: None,
            };
            world.history.reads.push(read);
            world.history.reads.len() - 1
        });
        let (value, by) = self.serve(key).await;
        self.with(|world| {
            world.note(|| format!("{} read {key}: value {value} by {by:?}", self.process));
            let read = &mut world.history.reads[index];
            (read.served, read.by) = (Some(value), by);
        });
    }

    async fn serve(&self, key: usize) -> (usize, Option<BySome>) {
        for _ in 0..TRIES {
            let now = self.now();
            if let Some((value, by)) = self.me(|me| me.probe(key, now)) {
                return (value, Some(by));
            }
            let router = self.me(|me| me.router.clone());
            let since = self.me(|me| me.since(now));
            if let Some((entry, reign)) = self.find(key, &router).await {
                if self.judge(key, &entry, reign, since, &router).await {
                    return (entry.value, None);
                }
            }
            let now = self.now();
            let since = self.me(|me| me.since(now));
            let token = self.with(super::world::World::token);
            match self.via(&router, Command::Read(key, token)).await {
                Some((Reply::Granted, reign)) => return (self.load(key, token, reign, since, &router).await, None),
                Some(_) => self.sleep(1_000, 4_000).await,
                None => break,
            }
        }
        let since = {
            let now = self.now();
            self.me(|me| me.since(now))
        };
        let value = self.run_loader(key).await;
        let router = self.me(|me| me.router.clone());
        self.keep_value(key, value, since, &router, true);
        (value, None)
    }

    async fn find(&self, key: usize, router: &Layout) -> Option<(Entry, u64)> {
        match self.via(router, Command::Get(key)).await? {
            (Reply::Entry(Some(entry)), reign) => Some((entry, reign)),
            _ => None,
        }
    }

    /// Whether an entry is of this reign, and of the current versions; it is kept then. Where the version that is known differs
    /// it is asked for: only what was fetched condemns.
    async fn judge(&self, key: usize, entry: &Entry, reign: u64, mut since: Since, router: &Layout) -> bool {
        let now = self.now();
        let known = self.me(|me| me.known(now)).filter(|((version, reign), _)| {
            let stamp = (NAMESPACE, *version, *reign);
            entry.stamps.contains(&stamp)
        });
        let Some(now) = self.stamps(key, reign, known.map(|(known, _)| known), router).await else {
            return false;
        };
        if let Some((_, proven)) = known {
            since.start = since.start.min(proven);
        }
        if entry.reign != reign || entry.stamps != now {
            return false;
        }
        self.keep_value(key, entry.value, since, router, false);
        true
    }

    async fn stamps(&self, key: usize, reign: u64, known: Option<(u64, u64)>, router: &Layout) -> Option<Stamps> {
        let mut stamps = Vec::new();
        for dep in deps(key).into_iter().filter(|dep| *dep != key) {
            if let Some((version, own)) = known.filter(|_| dep == NAMESPACE) {
                stamps.push((dep, version, own));
                continue;
            }
            let (Reply::Version(version), own) = self.via(router, Command::TagGet(dep)).await? else {
                return None;
            };
            let own = if self.is(Mutant::ReignOfKeysMaster) { reign } else { own };
            stamps.push((dep, version, own));
        }
        Some(stamps)
    }

    async fn load(&self, key: usize, token: u64, reign: u64, since: Since, router: &Layout) -> usize {
        let stamps = self.stamps(key, reign, None, router).await;
        let value = self.run_loader(key).await;
        let deps = deps(key);
        let Some(stamps) = stamps.filter(|_| self.me(|me| me.stands(since.seq, &deps))) else {
            self.via(router, Command::Release(key, token)).await;
            return value;
        };
        let router = self.me(|me| me.router.clone());
        let is_same = self
            .stamps(key, reign, None, &router)
            .await
            .is_some_and(|now| now == stamps);
        let entry = Entry {
            id: token,
            value,
            reign,
            stamps,
        };
        let filled = self.via(&router, Command::Fill(key, token, entry)).await;
        if matches!(filled, None | Some((Reply::Filled(true), _))) && is_same {
            self.keep_value(key, value, since, &router, filled.is_none());
        }
        value
    }

    async fn run_loader(&self, key: usize) -> usize {
        self.sleep(100, 6_000).await;
        let value = self.with(|world| {
            let born = world.history.moment(world.sim.now);
            world.history.values.push(Value { born, deps: deps(key) });
            let value = world.history.values.len() - 1;
            world.note(|| format!("{} loads {key}: value {value}", self.process));
            value
        });
        self.sleep(100, 6_000).await;
        value
    }

    fn keep_value(&self, key: usize, value: usize, since: Since, router: &Layout, is_alone: bool) {
        let deps = deps(key);
        self.me(|me| {
            if me.stands(since.seq, &deps) {
                let mut claim = me.claim(key, &deps, since, router);
                claim.is_alone = is_alone;
                me.memory[key] = Some(Kept {
                    value,
                    seq: since.seq,
                    deps,
                    claim,
                });
            }
        });
    }

    /// One command by way of the router; `None`: it was not run, or nobody knows. With the reign of who answered.
    async fn via(&self, router: &Layout, command: Command) -> Option<(Reply, u64)> {
        let slot = slot_of(&command);
        let node = router.owners[slot]?;
        let is_order = matches!(command, Command::Invalidate(..) | Command::Release(..));
        let owes = self.me(|me| (0..me.owed.len()).any(|dep| me.owed[dep] > 0 && router.owners[dep] == Some(node)));
        let session = self.me(|me| me.links.get(&node).and_then(|link| link.session))?;
        if owes && !is_order {
            return None;
        }
        let reign = self.with(|world| world.sessions[session].reign);
        match self.ask(session, DATA, command.clone(), false).await? {
            Reply::Moved => {
                self.with(|world| world.want_survey(self.process));
                None
            }
            Reply::Ask(to) => {
                let session = self.me(|me| me.links.get(&to).and_then(|link| link.session))?;
                let asked = self.with(|world| world.sessions[session].reign);
                let reply = self.ask(session, DATA, command, true).await?;
                (!is_refusal(&reply)).then_some((reply, asked))
            }
            reply => (!is_refusal(&reply)).then_some((reply, reign)),
        }
    }

    pub async fn invalidate(&self, dep: Dep) {
        let change = self.with(|world| {
            let called = world.history.moment(world.sim.now);
            world.note(|| format!("{} invalidates {dep}", self.process));
            world.history.begin(self.process, dep, called)
        });
        self.me(|me| me.bump(dep));
        let until = self.now() + 2 * TIMEOUT;
        while self.now() < until {
            if self.tell(dep, change).await {
                self.me(|me| me.bump(dep));
                self.with(|world| {
                    let at = world.history.moment(world.sim.now);
                    let change = &mut world.history.changes[change];
                    (change.resolved, change.applied) = (Some(at), Some(at));
                });
                return;
            }
            self.sleep(500, 3_000).await;
        }
        // Noted before it falls once more; sent until it has arrived.
        self.me(|me| {
            me.owed[dep] += 1;
            me.bump(dep);
        });
        self.with(|world| {
            let at = world.history.moment(world.sim.now);
            world.history.changes[change].resolved = Some(at);
        });
        let client = self.clone();
        self.spawn(async move {
            while !client.tell(dep, change).await {
                client.sleep(500, 3_000).await;
            }
            client.me(|me| {
                me.bump(dep);
                me.owed[dep] -= 1;
            });
            client.with(|world| {
                let at = world.history.moment(world.sim.now);
                world.history.changes[change].applied = Some(at);
            });
        });
    }

    async fn tell(&self, dep: Dep, change: usize) -> bool {
        let router = self.me(|me| me.router.clone());
        matches!(
            self.via(&router, Command::Invalidate(dep, change)).await,
            Some((Reply::Done, _))
        )
    }
}

/// A key has one tag and the namespace.
fn deps(key: usize) -> BTreeSet<Dep> {
    [key, 2 + key, NAMESPACE].into()
}

fn is_refusal(reply: &Reply) -> bool {
    matches!(reply, Reply::Moved | Reply::Ask(_) | Reply::TryAgain | Reply::Unfit)
}
