//! Everything there is: servers, processes, and the network between them.
//!
//! A connection keeps its order in both directions and may be cut (both ends learn it), black-holed (nobody does) or
//! frozen (what is sent arrives after the thaw). What was sent is executed even if the sender has given up.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;

use crate::history::{History, Moment, Value, Who};
use crate::mutant::Mutant;
use crate::process::{Link, Process};
use crate::rng::Rng;
use crate::server::{Command, ConnId, Dep, Effects, Mode, Push, Reply, Server};
use crate::sim::{Due, Executor, Promise, Sim, Time};

pub const PROCESSES: usize = 3;
/// How long a command is waited for.
pub const TIMEOUT: Time = 20_000;

/// Which of a process's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Data,
    Coherence,
}

/// What is wrong between a process and Redis, per wire, until when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trouble {
    pub refused: Time,
    pub hole: Time,
    pub frozen_up: Time,
    pub frozen_down: Time,
}

pub struct Conn {
    pub process: usize,
    life: u32,
    pub wire: Wire,
    pub server: usize,
    pub open: bool,
    /// Nothing gets through any more, and nobody is told.
    pub hole: bool,
    /// What is on its way to the server is lost.
    pub lost_up: bool,
    last_up: Time,
    last_down: Time,
    /// When the client last received anything.
    pub heard: Time,
    pub closed: Promise<()>,
    pub canary: Promise<()>,
}

#[derive(Debug)]
pub struct Part {
    call: u64,
    index: usize,
    command: Command,
    sent: Moment,
}

pub enum Event {
    AtServer {
        conn: ConnId,
        parts: Vec<Part>,
    },
    Turn {
        server: usize,
    },
    ReplyAt {
        conn: ConnId,
        replies: Vec<(u64, usize, Reply)>,
    },
    PushAt {
        conn: ConnId,
        push: Push,
    },
    Cut {
        conn: ConnId,
    },
}

struct Call {
    conn: ConnId,
    replies: Vec<Option<Reply>>,
    done: Promise<Option<Vec<Reply>>>,
}

/// How a history is set up.
#[derive(Debug, Clone)]
pub struct Config {
    pub faulty: bool,
    pub ttl: Time,
    pub life: Time,
    pub serves_stale: bool,
    pub failing_percent: u64,
    pub slow_loader_percent: u64,
    /// How many of the changes that callers might make they make.
    pub change_percent: u64,
    /// Tags that callers give, and tags that loaders may name, per key.
    pub tags: Vec<BTreeSet<Dep>>,
    pub may_name: Vec<BTreeSet<Dep>>,
}

pub struct World {
    pub sim: Sim<Event>,
    pub rng: Rng,
    pub config: Config,
    pub mutant: Option<Mutant>,
    pub servers: Vec<Server>,
    inboxes: Vec<Vec<(ConnId, Vec<Part>)>>,
    pub conns: Vec<Conn>,
    pub trouble: Vec<[Trouble; 2]>,
    pub processes: Vec<Process>,
    pub lives: Vec<u32>,
    /// Since when a process is stopped, and what waits for it.
    stopped: Vec<Option<(Time, Vec<Due<Event>>)>>,
    pub history: History,
    calls: BTreeMap<u64, Call>,
    tokens: u64,
    pub log: Option<Vec<String>>,
    /// Nothing more will happen that is looked at.
    pub over: bool,
}

impl World {
    #[must_use]
    pub fn new(rng: Rng, config: Config, mutant: Option<Mutant>, server: Server, processes: Vec<Process>) -> Self {
        let count = processes.len();
        Self {
            sim: Sim::default(),
            rng,
            config,
            mutant,
            servers: vec![server],
            inboxes: vec![Vec::new()],
            conns: Vec::new(),
            trouble: vec![[Trouble::default(); 2]; count],
            processes,
            lives: vec![0; count],
            stopped: (0..count).map(|_| None).collect(),
            history: History::default(),
            calls: BTreeMap::new(),
            tokens: 1,
            log: None,
            over: false,
        }
    }

    #[must_use]
    pub fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.sim.now;
        if let Some(log) = &mut self.log {
            log.push(format!("{now:>8} {}", line()));
        }
    }

    #[must_use]
    pub fn who(&self, process: usize) -> Who {
        (process, self.lives[process])
    }

    pub fn moment(&mut self) -> Moment {
        self.history.moment(self.sim.now)
    }

    pub fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    /// Records a value that is true now.
    pub fn value(&mut self, deps: BTreeSet<Dep>) -> usize {
        let born = self.moment();
        self.history.values.push(Value { born, deps });
        self.history.values.len() - 1
    }

    /// A process that lives has a read that has not ended.
    #[must_use]
    pub fn reads_are_open(&self) -> bool {
        let mut reads = self.history.reads.iter();
        reads.any(|read| read.ended.is_none() && read.who == self.who(read.who.0))
    }

    // ---- network -------------------------------------------------------------------------------------------------

    fn delay(&mut self) -> Time {
        if self.config.faulty && self.rng.chance(2) {
            return self.rng.between(3_000, 30_000);
        }
        self.rng.between(50, 400)
    }

    fn trouble_of(&self, conn: ConnId) -> Trouble {
        let conn = &self.conns[conn];
        self.trouble[conn.process][conn.wire as usize]
    }

    /// Opens a connection to the current server, unless it is refused.
    pub fn open(&mut self, process: usize, wire: Wire) -> Option<ConnId> {
        let (now, trouble) = (self.sim.now, self.trouble[process][wire as usize]);
        let server = self.servers.len() - 1;
        if trouble.refused > now || trouble.hole > now || !self.servers[server].alive {
            return None;
        }
        self.conns.push(Conn {
            process,
            life: self.lives[process],
            wire,
            server,
            open: true,
            hole: false,
            lost_up: false,
            last_up: 0,
            last_down: 0,
            heard: now,
            closed: Promise::default(),
            canary: Promise::default(),
        });
        Some(self.conns.len() - 1)
    }

    /// Sends a pipeline; the promise holds its replies, or `None` if the connection ends first.
    pub fn send(&mut self, conn: ConnId, commands: Vec<Command>) -> Promise<Option<Vec<Reply>>> {
        let done = Promise::default();
        if !self.conns[conn].open {
            done.complete(&mut self.sim, None);
            return done;
        }
        let (call, sent) = (self.token(), self.moment());
        self.calls.insert(
            call,
            Call {
                conn,
                replies: vec![None; commands.len()],
                done: done.clone(),
            },
        );
        let mut parts: Vec<Part> = commands
            .into_iter()
            .enumerate()
            .map(|(index, command)| Part {
                call,
                index,
                command,
                sent,
            })
            .collect();
        // A pipeline is no transaction: it may arrive in two pieces.
        let rest = if self.rng.chance(40) {
            parts.split_off(self.rng.index(parts.len()))
        } else {
            Vec::new()
        };
        for parts in [parts, rest] {
            if !parts.is_empty() {
                self.send_up(conn, parts);
            }
        }
        done
    }

    fn send_up(&mut self, conn: ConnId, parts: Vec<Part>) {
        let delay = self.delay();
        let frozen = self.trouble_of(conn).frozen_up;
        let link = &mut self.conns[conn];
        if !link.hole {
            link.last_up = (self.sim.now.max(frozen) + delay).max(link.last_up + 1);
            let at = link.last_up;
            self.sim.schedule(at, Due::Event(Event::AtServer { conn, parts }));
        }
    }

    fn send_down(&mut self, conn: ConnId, event: Event) {
        let delay = self.delay();
        let frozen = self.trouble_of(conn).frozen_down;
        let link = &mut self.conns[conn];
        if !link.hole && link.open {
            link.last_down = (self.sim.now.max(frozen) + delay).max(link.last_down + 1);
            let at = link.last_down;
            self.sim.schedule(at, Due::Event(event));
        }
    }

    /// The client's end is closed: replies still to come are lost, what was sent may yet be executed.
    pub fn close(&mut self, conn: ConnId) {
        if !std::mem::replace(&mut self.conns[conn].open, false) {
            return;
        }
        let closed = self.conns[conn].closed.clone();
        closed.complete(&mut self.sim, ());
        let pending: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, call)| call.conn == conn)
            .map(|(id, _)| *id)
            .collect();
        for call in pending {
            if let Some(call) = self.calls.remove(&call) {
                call.done.complete(&mut self.sim, None);
            }
        }
        let process = &mut self.processes[self.conns[conn].process];
        for link in [&mut process.data, &mut process.coherence] {
            if link.is_some_and(|link| link.conn == conn) {
                *link = None;
            }
        }
    }

    // ---- events --------------------------------------------------------------------------------------------------

    /// Handles what is due, or keeps it for a process that is stopped.
    pub fn dispatch(&mut self, due: Due<Event>) {
        let target = match &due {
            Due::Wake(task) => self.sim.owner(*task),
            Due::Event(Event::ReplyAt { conn, .. } | Event::PushAt { conn, .. } | Event::Cut { conn }) => {
                Some(self.conns[*conn].process)
            }
            Due::Event(_) => None,
        };
        if let Some((_, held)) = target.and_then(|process| self.stopped[process].as_mut()) {
            held.push(due);
            return;
        }
        match due {
            Due::Wake(task) => self.sim.make_ready(task),
            Due::Event(Event::AtServer { conn, parts }) => self.arrive(conn, parts),
            Due::Event(Event::Turn { server }) => self.turn(server),
            Due::Event(Event::ReplyAt { conn, replies }) => self.replies(conn, replies),
            Due::Event(Event::PushAt { conn, push }) => self.push(conn, push),
            Due::Event(Event::Cut { conn }) => self.close(conn),
        }
    }

    fn arrive(&mut self, conn: ConnId, parts: Vec<Part>) {
        let (link, now) = (&self.conns[conn], self.sim.now);
        let server = link.server;
        if link.lost_up || link.hole || !self.servers[server].alive {
            return;
        }
        self.inboxes[server].push((conn, parts));
        if !std::mem::replace(&mut self.servers[server].turn_due, true) {
            let at = now + self.rng.between(5, 80);
            self.sim.schedule(at, Due::Event(Event::Turn { server }));
        }
    }

    /// One turn of the event loop: commands, then pushes behind the replies, then the flush.
    fn turn(&mut self, server: usize) {
        self.servers[server].turn_due = false;
        let inbox = std::mem::take(&mut self.inboxes[server]);
        if !self.servers[server].alive {
            return;
        }
        let mut out = Vec::new();
        let mut pushes = Vec::new();
        for (conn, parts) in inbox {
            let mut replies = Vec::new();
            for part in parts {
                let mut effects = Effects::default();
                self.witness(conn, &part);
                let reply = self.servers[server].execute(self.sim.now, conn, part.command, &mut effects);
                replies.push((part.call, part.index, reply));
                if let Some(change) = effects.executed {
                    self.executed(change);
                }
                pushes.extend(effects.pushes);
                out.extend(
                    effects
                        .told
                        .into_iter()
                        .map(|(conn, push)| (conn, Event::PushAt { conn, push })),
                );
            }
            out.push((conn, Event::ReplyAt { conn, replies }));
        }
        for push in pushes {
            out.extend(
                self.servers[server]
                    .trackers
                    .iter()
                    .map(|conn| (*conn, Event::PushAt { conn: *conn, push })),
            );
        }
        for (conn, event) in out {
            self.send_down(conn, event);
        }
    }

    fn witness(&mut self, conn: ConnId, part: &Part) {
        let (process, life) = (self.conns[conn].process, self.conns[conn].life);
        let asks = matches!(
            part.command,
            Command::Get { .. } | Command::Read { .. } | Command::Fill { .. }
        );
        if asks {
            self.history.redis_asked((process, life), part.sent, self.sim.now);
        }
        self.note(|| format!("  redis {process}.{life} {:?}", part.command));
    }

    fn executed(&mut self, change: usize) {
        let moment = self.moment();
        let change = &mut self.history.changes[change];
        change.executed = change.executed.or(Some(moment));
    }

    fn replies(&mut self, conn: ConnId, replies: Vec<(u64, usize, Reply)>) {
        if !self.conns[conn].open {
            return;
        }
        self.conns[conn].heard = self.sim.now;
        for (id, index, reply) in replies {
            let Some(call) = self.calls.get_mut(&id) else { continue };
            call.replies[index] = Some(reply);
            if call.replies.iter().all(Option::is_some) {
                let call = self.calls.remove(&id).expect("it was just there");
                let replies = call.replies.into_iter().flatten().collect();
                call.done.complete(&mut self.sim, Some(replies));
            }
        }
    }

    fn push(&mut self, conn: ConnId, push: Push) {
        if !self.conns[conn].open {
            return;
        }
        self.conns[conn].heard = self.sim.now;
        let process = self.conns[conn].process;
        self.note(|| format!("  push to {process}: {push:?}"));
        match push {
            Push::Vehicle(_, Mode::Stale) if self.is(Mutant::StalePushIgnored) => {}
            Push::Vehicle(dep, mode) => self.bump(process, dep, mode),
            Push::Canary(sender) if sender == conn => self.conns[conn].canary.clone().complete(&mut self.sim, ()),
            Push::Canary(_) => {}
            Push::Everything => self.processes[process].new_channel(),
            Push::Lease(key) => {
                for waiter in self.processes[process].lease_wakes.remove(&key).unwrap_or_default() {
                    waiter.complete(&mut self.sim, ());
                }
            }
        }
    }

    /// Bumps in one process, and gives back the leases of loads that no longer stand.
    pub fn bump(&mut self, process: usize, dep: Dep, mode: Mode) {
        for (key, token) in self.processes[process].bump(dep, mode) {
            self.post(process, Command::Release { key, token });
        }
    }

    /// Sends a command whose reply nobody needs.
    pub fn post(&mut self, process: usize, command: Command) {
        if let Some(Link { conn, .. }) = self.processes[process].data {
            self.send(conn, vec![command]);
        }
    }

    // ---- faults --------------------------------------------------------------------------------------------------

    pub fn stop(&mut self, process: usize) {
        self.stopped[process].get_or_insert((self.sim.now, Vec::new()));
        self.note(|| format!("STOP {process}"));
    }

    /// Resumes a process: what waited for it comes in any order that keeps each connection's own.
    pub fn resume(&mut self, process: usize) {
        let Some((since, held)) = self.stopped[process].take() else {
            return;
        };
        self.note(|| format!("CONTINUE {process}"));
        self.history.stops.push((process, since, self.sim.now));
        let mut last: BTreeMap<ConnId, Time> = BTreeMap::new();
        for due in held {
            let mut at = self.sim.now + self.rng.between(0, 300);
            if let Due::Event(Event::ReplyAt { conn, .. } | Event::PushAt { conn, .. } | Event::Cut { conn }) = &due {
                let previous = last.entry(*conn).or_insert(self.sim.now);
                at = (*previous + self.rng.between(0, 60)).max(*previous);
                *previous = at;
            }
            self.sim.schedule(at, due);
        }
        // What arrives from now on comes behind what waited.
        for (conn, at) in last {
            self.conns[conn].last_down = self.conns[conn].last_down.max(at);
        }
    }

    #[must_use]
    pub fn is_stopped(&self, process: usize) -> bool {
        self.stopped[process].is_some()
    }

    /// Ends a process in the middle of whatever it does.
    pub fn kill(&mut self, process: usize) {
        self.resume(process);
        self.note(|| format!("KILL {process}"));
        self.processes[process].alive = false;
        self.sim.kill(process);
        for conn in 0..self.conns.len() {
            if self.conns[conn].process == process {
                self.close(conn);
            }
        }
    }

    /// Breaks a connection: the client is told after `notice`, or never.
    pub fn break_conn(&mut self, conn: ConnId, notice: Option<Time>) {
        self.conns[conn].lost_up = self.rng.chance(50);
        match notice {
            Some(after) => self.sim.schedule(self.sim.now + after, Due::Event(Event::Cut { conn })),
            None => self.conns[conn].hole = true,
        }
    }

    /// Another server takes over; connections to the one before break, each in its own way.
    pub fn replace_server(&mut self, next: Server) {
        for server in &mut self.servers {
            server.alive = false;
        }
        self.note(|| format!("NEW REIGN {}", next.reign));
        self.servers.push(next);
        self.inboxes.push(Vec::new());
        for conn in 0..self.conns.len() {
            if self.conns[conn].open {
                let notice = self.rng.chance(70).then(|| self.rng.between(10, 5_000));
                self.break_conn(conn, notice);
            }
        }
    }

    pub fn flush_all(&mut self) {
        self.note(|| "FLUSHALL".to_owned());
        if let Some(server) = self.servers.last_mut() {
            for (conn, push) in server.flush_all() {
                self.send_down(conn, Event::PushAt { conn, push });
            }
        }
    }
}

/// A process's code: a handle on the world and the index of the process.
#[derive(Clone)]
pub struct Node {
    pub world: Rc<RefCell<World>>,
    pub process: usize,
}

/// The replies of one pipeline and the reign that gave them.
#[derive(Debug, Clone)]
pub struct Answered {
    pub replies: Vec<Reply>,
    pub reign: u64,
}

impl Node {
    pub fn with<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        f(&mut self.world.borrow_mut())
    }

    pub fn me<R>(&self, f: impl FnOnce(&mut Process) -> R) -> R {
        f(&mut self.world.borrow_mut().processes[self.process])
    }

    #[must_use]
    pub fn now(&self) -> Time {
        self.world.borrow().sim.now
    }

    #[must_use]
    pub fn is(&self, mutant: Mutant) -> bool {
        self.world.borrow().is(mutant)
    }

    /// Runs a task that dies with this process.
    pub fn spawn(&self, job: impl Future<Output = ()> + 'static) {
        self.with(|world| world.sim.spawn(Some(self.process), Box::pin(job)));
    }

    /// Waits for a promise until a deadline.
    pub async fn wait<T: Clone>(&self, promise: &Promise<T>, deadline: Time) -> Option<T> {
        std::future::poll_fn(|_| promise.poll(&mut self.world.borrow_mut().sim, deadline)).await
    }

    pub async fn sleep(&self, time: Time) {
        let deadline = self.now() + time;
        self.wait(&Promise::<()>::default(), deadline).await;
    }

    /// One round trip on a connection. A connection that is silent for a whole timeout is given up.
    pub async fn call_on(&self, conn: ConnId, commands: Vec<Command>) -> Option<Vec<Reply>> {
        let sent = self.now();
        let done = self.with(|world| world.send(conn, commands));
        let replies = self.wait(&done, sent + TIMEOUT).await.flatten();
        if replies.is_none() {
            self.with(|world| {
                if world.conns[conn].heard <= sent {
                    world.close(conn);
                }
            });
        }
        replies
    }

    /// One round trip on the data connection, if there is one.
    pub async fn call(&self, commands: Vec<Command>) -> Option<Answered> {
        let Link { conn, reign } = self.me(|me| me.data)?;
        let replies = self.call_on(conn, commands).await?;
        Some(Answered { replies, reign })
    }
}

/// Runs the world until `end`.
pub fn run(world: &Rc<RefCell<World>>, end: Time) {
    let mut executor = Executor::default();
    loop {
        executor.settle(|f: &mut dyn FnMut(&mut Sim<Event>)| f(&mut world.borrow_mut().sim));
        let due = world.borrow_mut().sim.next();
        match due {
            Some(due) if world.borrow().sim.now <= end && !world.borrow().over => world.borrow_mut().dispatch(due),
            _ => return,
        }
    }
}
