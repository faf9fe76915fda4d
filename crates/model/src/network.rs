//! The network: connections that keep their order, the server's turns, and what arrives at a process.
//!
//! A connection may be cut (both ends learn it), black-holed (nobody does) or frozen (what is sent arrives after the thaw).
//! What was sent is executed even if the sender has given up.

use crate::command::{Command, ConnId, Push, Reply};
use crate::held::Link;
use crate::mutant::Mutant;
use crate::names::{is_pattern, Dep, Mode, NAMESPACE};
use crate::server::Effects;
use crate::sim::{Due, Promise, Time};
use crate::world::{Call, Conn, Event, Part, Trouble, Wire, World, RULES};

impl World {
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

    pub fn send_down(&mut self, conn: ConnId, event: Event) {
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
        let process = self.conns[conn].process;
        if self.processes[process].coherence.is_some_and(|link| link.conn == conn) {
            self.wake_beats(process);
        }
        let process = &mut self.processes[process];
        for link in [&mut process.data, &mut process.coherence] {
            if link.is_some_and(|link| link.conn == conn) {
                *link = None;
            }
        }
    }

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
        if is_pattern(change.dep) && self.rng.chance(self.config.lost_rules_percent) {
            let dice = self.rng.between(0, 100);
            if dice < 70 {
                self.evict(RULES);
            }
            if dice >= 50 {
                self.evict(NAMESPACE);
            }
        }
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
            Push::Rule(_) if self.is(Mutant::RulePushIgnored) => {}
            // One's own took effect when it was made.
            Push::Rule(by) if by == self.processes[process].id => {}
            Push::Rule(_) => {
                let now = self.sim.now;
                self.processes[process].rule_signed(now);
                self.wake_beats(process);
            }
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
        self.note(|| format!("  bump in {process}: {dep} {mode:?}"));
        for (key, token) in self.processes[process].bump(dep, mode) {
            self.post(process, Command::Release { key, token });
        }
    }

    /// A heartbeat is wanted now, or there is nothing to beat on any more.
    pub fn wake_beats(&mut self, process: usize) {
        let wake = std::mem::take(&mut self.processes[process].beat_wake);
        wake.complete(&mut self.sim, ());
    }

    /// Sends a command whose reply nobody needs.
    pub fn post(&mut self, process: usize, command: Command) {
        if let Some(Link { conn, .. }) = self.processes[process].data {
            self.send(conn, vec![command]);
        }
    }
}
