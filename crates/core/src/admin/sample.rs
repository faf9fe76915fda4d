//! `top`: one look at the server, and a little of the namespace each time.
//!
//! Counting entries means walking all keys; so each look walks some pages of them, in the order of their hashes, which is
//! as good as drawn by lot, and the share of ours among them tells how many there are. A small database is walked whole
//! each time, and the count is exact.

use std::time::{Duration, Instant};

use redis::Value;
use serde_json::{json, Map, Value as Json};

use super::facts::{self, Info};
use super::visit::Visit;
use crate::redis::fault::{fault_of, Fault};

const SECTIONS: [&str; 5] = ["server", "clients", "memory", "stats", "commandstats"];
const PAGE: usize = 1_000;
/// What one look may walk: pages, and time.
const PAGES: usize = 10;
const WALK: Duration = Duration::from_millis(150);
/// Keys of ours whose size is asked for in one look.
const SIZED: usize = 32;
/// Sizes that are remembered: older looks count less.
const REMEMBERED: f64 = 512.0;

#[derive(Debug, Default)]
pub struct Sampler {
    /// The master that is walked, and where.
    cursor: (usize, String),
    walk: Walk,
    /// The walk before this one, whole.
    last: Option<Walk>,
    sizes: Sizes,
    own: Own,
}

/// Commands of one look: what `top` itself asks is no news of the servers. The same pipeline of INFO, TIME and DBSIZE
/// goes to each.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    masters: usize,
    scans: usize,
    sized: usize,
}

/// What was met on a walk.
#[derive(Clone, Copy, Debug, Default)]
struct Walk {
    keys: u64,
    entries: u64,
    leases: u64,
    versions: u64,
    is_whole: bool,
}

/// A mean that forgets.
#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    weight: f64,
    sum: f64,
}

impl Sampler {
    /// # Errors
    /// When Redis does not answer, or refuses.
    pub async fn sample(&mut self, visit: &Visit) -> Result<Json, Fault> {
        self.own.masters = visit.masters();
        let mut report = servers(visit).await?;
        let walked = self.walk(visit).await?;
        self.weigh(&walked, visit).await?;
        report["namespace"] = self.told();
        report["own"] = self.own.told();
        Ok(report)
    }

    /// Walks some pages; names of ours that were met.
    async fn walk(&mut self, visit: &Visit) -> Result<Vec<(usize, String)>, Fault> {
        let began = Instant::now();
        let mut ours = Vec::new();
        self.own.scans = 0;
        for _ in 0..PAGES {
            self.own.scans += 1;
            let (master, cursor) = &self.cursor;
            let from = if cursor.is_empty() { "0" } else { cursor };
            let mut pipeline = redis::pipe();
            pipeline.cmd("SCAN").arg(from).arg("COUNT").arg(PAGE);
            let reply = visit.send_to(*master, &pipeline).await?.pop().unwrap_or(Value::Nil);
            let (cursor, names) = facts::page(&reply)?;
            let met = self.walk.note(names, visit);
            ours.extend(met.into_iter().map(|name| (*master, name)));
            self.cursor = match cursor {
                Some(cursor) => (*master, cursor),
                None => ((master + 1) % visit.masters(), String::new()),
            };
            if self.cursor == <(usize, String)>::default() {
                self.walk.is_whole = true;
                self.last = Some(std::mem::take(&mut self.walk));
                break;
            }
            if began.elapsed() > WALK {
                break;
            }
        }
        Ok(ours)
    }

    async fn weigh(&mut self, ours: &[(usize, String)], visit: &Visit) -> Result<(), Fault> {
        let step = (ours.len() / SIZED).max(1);
        let mut pipelines = vec![redis::pipe(); visit.masters()];
        for (master, name) in ours.iter().step_by(step).take(SIZED) {
            pipelines[*master].cmd("MEMORY").arg("USAGE").arg(name);
        }
        self.own.sized = pipelines.iter().map(redis::Pipeline::len).sum();
        for (master, pipeline) in pipelines.iter().enumerate().filter(|(_, asked)| !asked.is_empty()) {
            // One that is refused, or has gone meanwhile, tells nothing.
            for reply in visit.send_to(master, pipeline).await? {
                if let Value::Int(size) = reply {
                    self.sizes.add(size as f64);
                }
            }
        }
        Ok(())
    }

    /// The share of ours among the keys that were met; the tool knows how many keys there are.
    fn told(&self) -> Json {
        let walk = match self.last {
            Some(last) if self.walk.keys < (PAGE * PAGES) as u64 => last,
            _ => self.walk,
        };
        json!({
            "keys": walk.keys,
            "entries": walk.entries,
            "leases": walk.leases,
            "versions": walk.versions,
            "isWhole": walk.is_whole,
            "meanSize": self.sizes.mean(),
        })
    }
}

impl Own {
    fn told(self) -> Json {
        json!({
            "info": SECTIONS.len() * self.masters,
            "time": self.masters,
            "dbsize": self.masters,
            "scan": self.scans,
            "memory|usage": self.sized,
        })
    }
}

impl Walk {
    /// Those that are ours.
    fn note(&mut self, names: Vec<String>, visit: &Visit) -> Vec<String> {
        self.keys += names.len() as u64;
        let mut ours = Vec::new();
        let whole = visit.keys.versions(visit.namespace.whole());
        for name in names {
            match visit.keys.kind_of(&name) {
                Some('e') => self.entries += 1,
                Some('l') => self.leases += 1,
                // The namespace itself is no tag of anybody's.
                Some('t') if name.starts_with(&whole) => {}
                Some('t') => self.versions += 1,
                _ => continue,
            }
            ours.push(name);
        }
        ours
    }
}

impl Sizes {
    fn add(&mut self, size: f64) {
        let keep = 1.0 - 1.0 / REMEMBERED;
        self.weight = self.weight * keep + 1.0;
        self.sum = self.sum * keep + size;
    }

    fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// Counters of the servers since their start, and their state: of several all together.
async fn servers(visit: &Visit) -> Result<Json, Fault> {
    let mut pipeline = redis::pipe();
    for section in SECTIONS {
        pipeline.cmd("INFO").arg(section);
    }
    pipeline.cmd("TIME").cmd("DBSIZE");
    let mut told = Vec::new();
    for replies in visit.send_to_all(&pipeline).await? {
        if let Some(fault) = replies.iter().find_map(fault_of) {
            return Err(fault);
        }
        told.push(server(&replies));
    }
    Ok(told.into_iter().reduce(together).unwrap_or_default())
}

/// Sums, but for what is no count: of that the first counts.
fn together(one: Json, other: Json) -> Json {
    match (one, other) {
        (Json::Object(mut sum), Json::Object(more)) => {
            for (name, value) in more {
                let known = sum.remove(&name).unwrap_or_default();
                let is_count = !["time", "version", "uptime"].contains(&name.as_str());
                let value = match (known, is_count) {
                    (Json::Null, _) => value,
                    (known, false) => known,
                    (known, true) => together(known, value),
                };
                sum.insert(name, value);
            }
            Json::Object(sum)
        }
        (one, other) => match (one.as_u64(), other.as_u64()) {
            (Some(a), Some(b)) => json!(a + b),
            _ => one,
        },
    }
}

fn server(replies: &[Value]) -> Json {
    let info = Info::of(&replies[..SECTIONS.len()]);
    let number = |name| info.number(name);
    let commands: Map<String, Json> = info.fields().filter_map(calls).collect();
    json!({
        "time": facts::time(&replies[SECTIONS.len()]),
        "version": info.get("valkey_version").or(info.get("redis_version")),
        "uptime": number("uptime_in_seconds"),
        "clients": number("connected_clients"),
        "tracking": number("tracking_clients"),
        "memoryUsed": number("used_memory"),
        "memoryMax": number("maxmemory"),
        "commandCount": number("total_commands_processed"),
        "hits": number("keyspace_hits"),
        "misses": number("keyspace_misses"),
        "evicted": number("evicted_keys"),
        "expired": number("expired_keys"),
        "keys": facts::number(&replies[SECTIONS.len() + 1]),
        "commands": commands,
    })
}

/// `cmdstat_get:calls=12,usec=…`; a subcommand is named with a bar.
fn calls((name, value): (&str, &str)) -> Option<(String, Json)> {
    let command = name.strip_prefix("cmdstat_")?;
    let calls = value.strip_prefix("calls=")?.split(',').next()?;
    Some((command.to_owned(), json!(calls.parse::<u64>().ok()?)))
}
