//! A cluster: its masters, which slots are whose, and whether that has been looked at since it was last in doubt.
//!
//! Every master has a link of its own, with its breaker, its heartbeats and its session. While all are heard of, the one that was
//! heard of least proves all that memory holds; while some are lost, an entry is proven by the masters of what it depends on
//! (`owners`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::config::{Address, Node, RedisConfig};
use crate::key::SLOTS;
use crate::link::Link;
use crate::owners::{Bit, Owners, LAST};
use crate::redis::slots::{Chart, Names, Pulse};

/// No master's.
const NOBODY: u16 = u16::MAX;

/// The masters, and by slot the place of its own among them.
#[derive(Debug)]
pub struct Layout {
    pub masters: Box<[Arc<Link>]>,
    slots: Box<[u16]>,
    /// Of each master the epoch under which it has its slots: one that has lost some and got them back has another one.
    epochs: Box<[u64]>,
    /// Every node that was a master: its place here is its bit.
    known: Box<[Node]>,
    /// The channel that it came with.
    pub since: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            masters: Box::default(),
            slots: vec![NOBODY; usize::from(SLOTS)].into(),
            epochs: Box::default(),
            known: Box::default(),
            since: 0,
        }
    }
}

impl Layout {
    /// Of a chart; masters that were there keep their links.
    #[must_use]
    pub fn of(chart: &Chart, before: &Self, config: &RedisConfig) -> Self {
        let mut slots = vec![NOBODY; usize::from(SLOTS)];
        let mut masters = Vec::with_capacity(chart.owners.len());
        let mut nodes = before.known.to_vec();
        for (place, owner) in chart.owners.iter().enumerate() {
            for (first, last) in &owner.slots {
                slots[usize::from(*first)..=usize::from(*last)].fill(place as u16);
            }
            let known = before.masters.iter().find(|link| is_at(link, &owner.node));
            let bit = bit_of(&mut nodes, &owner.node);
            let link = || Arc::new(Link::of_master(config.at(&owner.node), bit));
            masters.push(known.map_or_else(link, Arc::clone));
        }
        Self {
            masters: masters.into(),
            slots: slots.into(),
            epochs: chart.owners.iter().map(|owner| owner.epoch).collect(),
            known: nodes.into(),
            since: 0,
        }
    }

    /// The masters, of those before, that have not the same slots any more, or have had others in between.
    #[must_use]
    pub fn moved_since(&self, before: &Self) -> Vec<Bit> {
        let mut moved = Vec::new();
        for (place, link) in before.masters.iter().enumerate() {
            let now = self.masters.iter().position(|master| Arc::ptr_eq(master, link));
            let is_same = now.is_some_and(|now| {
                let mut slots = before.slots.iter().zip(&self.slots);
                let keeps = slots.all(|(old, new)| (usize::from(*old) == place) == (usize::from(*new) == now));
                keeps && before.epochs.get(place) == self.epochs.get(now)
            });
            if !is_same {
                moved.push(link.bit);
            }
        }
        moved
    }

    /// Whether every slot is whose it was.
    #[must_use]
    pub fn has_slots_of(&self, before: &Self) -> bool {
        let bit = |layout: &Self, slot: u16| Some(layout.masters.get(layout.place(slot)?)?.bit);
        (0..SLOTS).all(|slot| bit(self, slot) == bit(before, slot))
    }

    /// The mask of whose the slots are; `None`: one is nobody's.
    #[must_use]
    pub fn owners(&self, slots: impl Iterator<Item = u16>) -> Option<u64> {
        let mut owners = 0;
        for slot in slots {
            owners |= 1 << self.masters.get(self.place(slot)?)?.bit;
        }
        Some(owners)
    }

    /// The mask of the masters that are known not to answer.
    #[must_use]
    pub fn down(&self) -> u64 {
        let down = self.masters.iter().filter(|link| link.is_known_down());
        down.fold(0, |mask, link| mask | 1 << link.bit)
    }

    #[must_use]
    pub fn place(&self, slot: u16) -> Option<usize> {
        let place = *self.slots.get(usize::from(slot))?;
        (place != NOBODY).then_some(usize::from(place))
    }

    /// Whether a slot is this master's.
    #[must_use]
    pub fn is_of(&self, slot: u16, link: &Link) -> bool {
        let owner = self.place(slot).and_then(|place| self.masters.get(place));
        owner.is_some_and(|owner| std::ptr::eq(Arc::as_ptr(owner), link))
    }

    #[must_use]
    pub fn has_slots(&self, link: &Link) -> bool {
        (0..SLOTS).any(|slot| self.is_of(slot, link))
    }

    #[must_use]
    pub fn has(&self, link: &Arc<Link>) -> bool {
        self.masters.iter().any(|master| Arc::ptr_eq(master, link))
    }

    /// The place of a node.
    #[must_use]
    pub fn find(&self, host: &str, port: u16) -> Option<usize> {
        let node = (host.to_owned(), port);
        self.masters.iter().position(|link| is_at(link, &node))
    }
}

/// The place of a node that may not have been a master before.
fn bit_of(nodes: &mut Vec<Node>, node: &Node) -> Bit {
    let place = nodes.iter().position(|known| known == node).unwrap_or_else(|| {
        nodes.push(node.clone());
        nodes.len() - 1
    });
    Bit::try_from(place).unwrap_or(LAST).min(LAST)
}

fn is_at(link: &Link, (host, port): &Node) -> bool {
    matches!(&link.config.address, Address::Tcp { host: h, port: p, .. } if h == host && p == port)
}

/// Looks at the cluster: how many were asked for, and up to which they are done.
#[derive(Debug, Default)]
pub struct Survey {
    wanted: AtomicU64,
    done: AtomicU64,
    pub wake: Notify,
}

impl Survey {
    /// Something is not as it was.
    pub fn want(&self) {
        self.wanted.fetch_add(1, SeqCst);
        self.wake.notify_one();
    }

    #[must_use]
    pub fn wanted(&self) -> u64 {
        self.wanted.load(SeqCst)
    }

    /// One that began when so many were asked for is over.
    pub fn done(&self, wanted: u64) {
        self.done.fetch_max(wanted, SeqCst);
    }

    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done.load(SeqCst) >= self.wanted()
    }
}

#[derive(Debug)]
pub struct Cluster {
    layout: Mutex<Arc<Layout>>,
    pub survey: Arc<Survey>,
    /// Its masters were found once, and tried.
    pub is_open: AtomicBool,
    /// Who vouches for what.
    pub owners: Owners,
    /// How nodes are named: certificates are made out to hosts.
    pub names: Names,
}

impl Cluster {
    /// `None`: the configuration is that of a single server.
    #[must_use]
    pub fn of(config: &RedisConfig) -> Option<Self> {
        let is_tls = matches!(&config.address, Address::Tcp { tls: Some(_), .. });
        (!config.nodes.is_empty()).then(|| Self {
            layout: Mutex::default(),
            survey: Arc::default(),
            is_open: AtomicBool::new(false),
            owners: Owners::default(),
            names: if is_tls { Names::Host } else { Names::Address },
        })
    }

    #[must_use]
    pub fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.layout.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set_layout(&self, layout: Arc<Layout>) {
        *self.layout.lock().unwrap_or_else(PoisonError::into_inner) = layout;
    }

    /// Takes the pulse that came with a heartbeat; one that differs from the last has the cluster looked at.
    pub fn take_pulse(&self, link: &Link, pulse: Pulse) {
        if link.replace_pulse(pulse) != Some(pulse) {
            self.survey.want();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CoherenceMode;
    use crate::redis::slots::Owner;
    use std::time::Duration;

    fn config() -> RedisConfig {
        RedisConfig {
            address: Address::Tcp {
                host: "seed".into(),
                port: 1,
                tls: None,
            },
            nodes: vec![("seed".into(), 1)],
            username: None,
            password: None,
            db: 0,
            connect_timeout: Duration::from_secs(1),
            command_timeout: Duration::from_secs(1),
            max_unverified: Duration::from_secs(1),
            isolated: None,
            coherence: CoherenceMode::Auto,
            sentinels: None,
            integrity_key: None,
            max_entry_bytes: 8 << 20,
        }
    }

    fn chart(owners: &[(u16, &[(u16, u16)])]) -> Chart {
        let owner = |(port, slots): &(u16, &[(u16, u16)])| Owner {
            node: ("h".into(), *port),
            slots: slots.to_vec(),
            epoch: 1,
            is_asked: false,
        };
        Chart {
            owners: owners.iter().map(owner).collect(),
            ..Chart::default()
        }
    }

    #[test]
    fn a_master_keeps_its_link_when_slots_move_and_a_slot_of_nobody_has_none() {
        let before = Layout::of(
            &chart(&[(1, &[(0, 99)]), (2, &[(100, 199)])]),
            &Layout::default(),
            &config(),
        );
        let after = Layout::of(
            &chart(&[(3, &[]), (2, &[(50, 199)]), (1, &[(0, 49)])]),
            &before,
            &config(),
        );

        let one = &before.masters[0];
        assert!(Arc::ptr_eq(one, &after.masters[2]));
        assert!(before.is_of(60, one) && !after.is_of(60, one));
        assert!(after.is_of(60, &before.masters[1]));
        assert_eq!(after.place(200), None);
        assert_eq!(after.find("h", 2), Some(1));
        assert!(!after.has_slots(&after.masters[0]));
    }

    #[test]
    fn a_look_that_began_before_it_was_asked_for_does_not_count() {
        let survey = Survey::default();
        survey.want();
        let began = survey.wanted();
        survey.want();

        survey.done(began);
        assert!(!survey.is_done());

        survey.done(survey.wanted());
        assert!(survey.is_done());
    }
}
