//! Sessions: two wires to one node, each in its own order; cut, or swallowed without a word.

use super::redis::{slot_of, Command, NodeId, Reply};
use super::world::{Client, World, TIMEOUT};
use crate::names::Dep;
use crate::sim::{Promise, Time};

pub const DATA: usize = 0;
pub const COHERENCE: usize = 1;

#[derive(Debug, Clone)]
pub struct Session {
    pub process: usize,
    pub node: NodeId,
    pub reign: u64,
    pub is_open: bool,
    pub is_hole: bool,
    pub tracks: bool,
    pub heard: Time,
    up: [Time; 2],
    down: [Time; 2],
}

type Answer = Promise<Reply>;

impl World {
    pub fn connect(&mut self, process: usize, node: NodeId) -> Option<usize> {
        if !self.nodes[node].is_alive || self.is_locked(process, node) {
            return None;
        }
        self.sessions.push(Session {
            process,
            node,
            reign: 0,
            is_open: true,
            is_hole: false,
            tracks: false,
            heard: self.sim.now,
            up: [0; 2],
            down: [0; 2],
        });
        Some(self.sessions.len() - 1)
    }

    pub fn close(&mut self, session: usize) {
        self.sessions[session].is_open = false;
        let (process, node) = (self.sessions[session].process, self.sessions[session].node);
        if let Some(link) = self.processes[process].links.get_mut(&node) {
            if link.session == Some(session) {
                link.session = None;
            }
        }
    }

    fn send(&mut self, session: usize, wire: usize, command: Command, is_asking: bool) -> Answer {
        let answer = Answer::default();
        let delay = self.rng.between(50, 400);
        let now = self.sim.now;
        let line = &mut self.sessions[session];
        if line.is_open && !line.is_hole {
            line.up[wire] = (now + delay).max(line.up[wire] + 1);
            let (at, told) = (line.up[wire], answer.clone());
            self.at(at, move |world| world.arrive(session, wire, command, is_asking, told));
        }
        answer
    }

    fn arrive(&mut self, session: usize, wire: usize, command: Command, is_asking: bool, answer: Answer) {
        let line = &self.sessions[session];
        let (now, node, process) = (self.sim.now, line.node, line.process);
        if line.is_hole || !self.nodes[node].is_alive {
            return;
        }
        if self.nodes[node].frozen > now {
            let thaw = self.nodes[node].frozen;
            self.at(thaw, move |world| {
                world.arrive(session, wire, command, is_asking, answer);
            });
            return;
        }
        if matches!(command, Command::Track) {
            self.sessions[session].tracks = true;
        }
        let (reply, pushed) = self.nodes[node].execute(now, &command, is_asking);
        self.note(|| format!("  node {node} for {process}: {command:?} -> {reply:?}"));
        if let (Command::Invalidate(_, change), Reply::Done) = (&command, &reply) {
            let at = self.history.moment(now);
            let is_replaced = self.owner(slot_of(&command)) != node;
            let change = &mut self.history.changes[*change];
            change.executed.get_or_insert(at);
            change.is_lost |= is_replaced;
        }
        if let Some(dep) = pushed {
            // Behind the replies of its turn.
            self.soon(5, 80, move |world| world.emit(node, dep));
        }
        self.come_down(session, wire, move |world| answer.complete(&mut world.sim, reply));
    }

    fn emit(&mut self, node: NodeId, dep: Dep) {
        if !self.nodes[node].is_alive {
            return;
        }
        for session in 0..self.sessions.len() {
            let line = &self.sessions[session];
            if line.node == node && line.tracks {
                let process = line.process;
                self.come_down(session, COHERENCE, move |world| {
                    world.note(|| format!("  push to {process}: {dep}"));
                    world.processes[process].bump(dep);
                });
            }
        }
    }

    fn come_down(&mut self, session: usize, wire: usize, act: impl FnOnce(&mut World) + 'static) {
        let delay = self.rng.between(50, 400);
        let now = self.sim.now;
        let line = &mut self.sessions[session];
        if !line.is_open || line.is_hole {
            return;
        }
        line.down[wire] = (now + delay).max(line.down[wire] + 1);
        let at = line.down[wire];
        self.at(at, move |world| {
            if world.sessions[session].is_open {
                world.sessions[session].heard = world.sim.now;
                act(world);
            }
        });
    }
}

impl Client {
    /// One round trip. `None`: no answer in time.
    pub async fn ask(&self, session: usize, wire: usize, command: Command, is_asking: bool) -> Option<Reply> {
        let answer = self.with(|world| world.send(session, wire, command, is_asking));
        let deadline = self.now() + TIMEOUT;
        self.wait(&answer, deadline).await
    }
}
