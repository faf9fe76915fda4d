//! What goes wrong: processes stop, die and come back, connections break, servers are replaced.

use std::collections::BTreeMap;

use crate::command::ConnId;
use crate::history::Lost;
use crate::server::Server;
use crate::sim::{Due, Time};
use crate::world::{Conn, Event, Trouble, Wire, World};

impl World {
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
            let mut at = self.sim.now + self.rng.between(0, 2_000);
            if let Due::Event(Event::ReplyAt { conn, .. } | Event::PushAt { conn, .. } | Event::Cut { conn }) = &due {
                let previous = last.entry(*conn).or_insert(self.sim.now);
                at = *previous + self.rng.between(0, 1_000);
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
        self.history.forgotten.push((self.sim.now, Lost::Everything));
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
        self.history.forgotten.push((self.sim.now, Lost::Everything));
        if let Some(server) = self.servers.last_mut() {
            for (conn, push) in server.flush_all() {
                self.send_down(conn, Event::PushAt { conn, push });
            }
        }
    }

    /// Brings trouble over one wire: 0 refused, 1 swallowed, 2 frozen up, 3 frozen down, 4 frozen both ways.
    pub fn break_link(&mut self, process: usize, wire: Wire, kind: u64, until: Time) {
        let now = self.sim.now;
        self.note(|| format!("TROUBLE {kind} {process} {wire:?} until {until}"));
        let (refused, hole, frozen_up, frozen_down) = match kind {
            0 => (until, 0, 0, 0),
            1 => (0, until, 0, 0),
            2 => (0, 0, until, 0),
            3 => (0, 0, 0, until),
            _ => (0, 0, until, until),
        };
        self.trouble[process][wire as usize] = Trouble {
            refused,
            hole,
            frozen_up,
            frozen_down,
        };
        let theirs = |conn: &Conn| conn.open && conn.process == process && conn.wire == wire;
        let conns: Vec<usize> = (0..self.conns.len())
            .filter(|conn| theirs(&self.conns[*conn]))
            .collect();
        for conn in conns {
            if refused > now {
                let notice = self.rng.between(1, 2_000);
                self.break_conn(conn, Some(notice));
            } else if hole > now {
                self.break_conn(conn, None);
            }
        }
    }
}
