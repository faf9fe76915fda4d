//! Slots of a Redis Cluster: which one a key is in, and whose they are, as a node tells it.

use redis::Value;

use super::fault::{fault_of, Fault};
use super::identity::{field, text};
use super::session::dial;
use super::wire::{Budget, Wire};
use crate::config::{Node, RedisConfig};
use crate::key::SLOTS;

/// A master and its slots, first and last of each range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub node: Node,
    pub slots: Vec<(u16, u16)>,
    /// Of two that say a slot is theirs, the one with the greater epoch has it.
    pub epoch: u64,
    /// It speaks of itself.
    pub is_asked: bool,
}

/// What one node knows of its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chart {
    /// Masters that have slots, and those that could be given some.
    pub owners: Vec<Owner>,
    /// Grows with every failover and every slot that moves; the younger of two charts has the greater one.
    pub epoch: u64,
    pub is_ok: bool,
    pub known_nodes: u64,
}

impl Chart {
    /// Reads the replies to CLUSTER INFO and CLUSTER NODES; `asked` is where they come from: a node may not know its own address.
    ///
    /// # Errors
    /// What the node refused; a node that is in no cluster.
    pub fn read(replies: &[Value], asked: &Node, names: Names) -> Result<Self, Fault> {
        if let Some(fault) = replies.iter().find_map(fault_of) {
            return Err(fault);
        }
        let [info, nodes] = replies else {
            return Err(Fault::Unfit("replies are missing".into()));
        };
        let (Some(pulse), Some(nodes)) = (Pulse::read(info), text(nodes)) else {
            return Err(Fault::Unfit("CLUSTER INFO and NODES tell nothing".into()));
        };
        let owners = nodes.lines().filter_map(|line| owner(line, asked, names)).collect();
        Ok(Self {
            owners,
            epoch: pulse.epoch,
            is_ok: pulse.is_ok,
            known_nodes: pulse.known_nodes,
        })
    }

    /// Of several nodes' charts the youngest, in which every node that was asked speaks for itself: the others hear of a slot
    /// that has moved a little later.
    #[must_use]
    pub fn merge(charts: &[Self]) -> Option<Self> {
        let best = charts.iter().max_by_key(|chart| (chart.is_ok, chart.epoch))?;
        let mut merged = best.clone();
        let asked = charts
            .iter()
            .flat_map(|chart| &chart.owners)
            .filter(|owner| owner.is_asked);
        for owner in asked {
            if let Some(known) = merged.owners.iter_mut().find(|known| known.node == owner.node) {
                known.clone_from(owner);
            }
        }
        // Who comes later has what two say is theirs.
        merged.owners.sort_by_key(|owner| owner.epoch);
        Some(merged)
    }

    /// How many slots are somebody's.
    #[must_use]
    pub fn covered(&self) -> u32 {
        let ranges = self.owners.iter().flat_map(|owner| &owner.slots);
        ranges.map(|(first, last)| u32::from(last - first) + 1).sum()
    }
}

/// Asks one node over a connection of its own.
///
/// # Errors
/// What the socket, the greeting or the node said.
pub async fn ask_node(config: &RedisConfig, node: &Node, names: Names) -> Result<Chart, Fault> {
    let at = config.at(node);
    let wire = dial(&at, |_| {}).await.map_err(|fault| match fault {
        Fault::Disconnected(why) => Fault::Disconnected(format!("{}: {why}", at.place())),
        fault => fault,
    })?;
    ask_over(&wire, node, names, &mut Budget::new(at.connect_timeout)).await
}

/// Asks the node at the other end.
///
/// # Errors
/// As [`Wire::send`] and [`Chart::read`].
pub async fn ask_over(wire: &Wire, node: &Node, names: Names, budget: &mut Budget) -> Result<Chart, Fault> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("NODES");
    Chart::read(&wire.send(&pipeline, budget).await?, node, names)
}

/// By what nodes are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Address,
    /// Where a node announces one: certificates are made out to names.
    Host,
}

/// The few numbers of CLUSTER INFO that change whenever something does that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    pub is_ok: bool,
    pub known_nodes: u64,
    pub size: u64,
    pub epoch: u64,
    /// Slots whose master is not thought to be lost. Its vote is in the epoch; that another is in its place, here alone.
    pub slots_ok: u64,
}

impl Pulse {
    #[must_use]
    pub fn read(info: &Value) -> Option<Self> {
        let info = text(info)?;
        let number = |name| field(&info, name)?.parse().ok();
        Some(Self {
            is_ok: field(&info, "cluster_state")? == "ok",
            known_nodes: number("cluster_known_nodes")?,
            size: number("cluster_size")?,
            epoch: number("cluster_current_epoch")?,
            slots_ok: number("cluster_slots_ok")?,
        })
    }
}

/// A line of CLUSTER NODES: `id ip:port@bus[,host] flags master ping pong epoch link slot…`. `None`: no master, or one that
/// is gone and has nothing.
fn owner(line: &str, asked: &Node, names: Names) -> Option<Owner> {
    let mut words = line.split_ascii_whitespace();
    let address = words.nth(1)?;
    let flags: Vec<&str> = words.next()?.split(',').collect();
    let epoch = words.nth(3)?.parse().ok()?;
    let slots: Vec<(u16, u16)> = words.skip(1).filter_map(range).collect();
    let is_gone = ["fail", "handshake", "noaddr"].iter().any(|flag| flags.contains(flag));
    if !flags.contains(&"master") || (is_gone && slots.is_empty()) {
        return None;
    }
    let (place, host) = match address.split_once(',') {
        Some((place, host)) => (place, host.split(',').next().unwrap_or_default()),
        None => (address, ""),
    };
    let (ip, port) = place.split('@').next()?.rsplit_once(':')?;
    let named = match names {
        Names::Host if !host.is_empty() && host != "?" => host,
        _ => ip,
    };
    let is_asked = flags.contains(&"myself");
    let node = match (named.is_empty(), is_asked) {
        (true, true) => asked.clone(),
        (true, false) => return None,
        _ => (named.to_owned(), port.parse().ok()?),
    };
    Some(Owner {
        node,
        slots,
        epoch,
        is_asked,
    })
}

/// `5` or `0-5460`; a slot on its way (`[5->-id]`) is still its owner's, and named before.
fn range(word: &str) -> Option<(u16, u16)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let range = (first.parse().ok()?, last.parse().ok()?);
    (range.0 <= range.1 && range.1 < SLOTS).then_some(range)
}

/// Where a refusal sends a command: `MOVED 1234 host:port`. A host that is left out is that of who answered.
#[must_use]
pub fn target(detail: &str) -> Option<(u16, &str, u16)> {
    let (slot, place) = detail.split_once(' ')?;
    let (host, port) = place.trim().rsplit_once(':')?;
    Some((slot.parse().ok()?, host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_masters_their_slots_and_the_way_to_them() {
        let info = "cluster_state:ok\r\ncluster_slots_ok:16384\r\ncluster_known_nodes:6\r\ncluster_size:2\r\ncluster_current_epoch:9\r\n";
        let nodes = "\
            a :7000@17000 myself,master - 0 0 1 connected 0-99 200 [5->-b]\n\
            b 10.0.0.2:7001@17001,b.example master - 0 0 2 connected 100-199\n\
            c 10.0.0.3:7002@17002 slave a 0 0 1 connected\n\
            d 10.0.0.4:7003@17003 master,fail - 0 0 3 disconnected\n\
            e 10.0.0.5:7004@17004 master - 0 0 4 connected\n\
            f 10.0.0.6:7005@17005 master,fail - 0 0 5 disconnected 300-301\n";
        let replies = [info, nodes].map(|text| Value::BulkString(text.into()));
        let asked = ("here".to_owned(), 7_000);

        let chart = Chart::read(&replies, &asked, Names::Host).unwrap();

        let owner = |host: &str, port, epoch, slots: &[(u16, u16)]| Owner {
            node: (host.into(), port),
            slots: slots.to_vec(),
            epoch,
            is_asked: host == "here",
        };
        assert_eq!(
            chart.owners,
            [
                owner("here", 7_000, 1, &[(0, 99), (200, 200)]),
                owner("b.example", 7_001, 2, &[(100, 199)]),
                owner("10.0.0.5", 7_004, 4, &[]),
                owner("10.0.0.6", 7_005, 5, &[(300, 301)]),
            ]
        );
        assert_eq!((chart.epoch, chart.is_ok, chart.covered()), (9, true, 203));
    }

    #[test]
    fn each_node_that_was_asked_speaks_for_itself_and_the_greater_epoch_has_the_slot() {
        let owner = |port, epoch, slots, is_asked| Owner {
            node: ("h".to_owned(), port),
            slots: vec![slots],
            epoch,
            is_asked,
        };
        let chart = |epoch, owners: [Owner; 2]| Chart {
            owners: owners.to_vec(),
            epoch,
            is_ok: true,
            known_nodes: 2,
        };
        // Slot 9 has moved from node 1 to node 2; the third has only heard that something is new.
        let giver = chart(7, [owner(1, 1, (0, 8), true), owner(2, 7, (9, 19), false)]);
        let third = chart(7, [owner(1, 1, (0, 9), false), owner(2, 2, (10, 19), false)]);
        let taker = chart(7, [owner(1, 1, (0, 9), false), owner(2, 7, (9, 19), true)]);

        for charts in [[giver.clone(), taker.clone(), third.clone()], [third, taker, giver]] {
            let merged = Chart::merge(&charts).expect("there are some");

            assert_eq!(merged.owners, [owner(1, 1, (0, 8), true), owner(2, 7, (9, 19), true)]);
        }
        assert_eq!(Chart::merge(&[]), None);
    }

    #[test]
    fn a_server_without_a_cluster_is_refused() {
        let refusal = redis::parse_redis_value(b"-ERR This instance has cluster support disabled\r\n");
        let replies = [refusal.unwrap(), Value::Nil];

        assert!(Chart::read(&replies, &("here".into(), 1), Names::Address).is_err());
    }
}
