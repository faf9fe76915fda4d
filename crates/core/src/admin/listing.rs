//! `ls`: walks the namespace's entries, reading no more of each than lies before its value.
//!
//! The next page of names is asked for in the pipeline that reads the heads of this one; each answer is a batch of rows,
//! so the first is there after two round trips, however many entries there are.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use redis::Value;
use serde_json::{json, Value as Json};

use super::facts;
use super::judge::{place, Judge};
use super::visit::Visit;
use crate::envelope::{tag_names, Envelope};
use crate::glob::{BadGlob, Glob};
use crate::path::Path;
use crate::redis::fault::{fault_of, Fault};

/// Names asked for at a time: few at first, for a quick first line.
const FIRST_PAGE: usize = 100;
const PAGE: usize = 1_000;
/// Bytes that hold most heads; longer ones are asked for again.
const HEAD: usize = 384;
/// How long an answer without rows may take: the tool shows its progress.
const QUIET: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Listing {
    glob: Option<Glob>,
    /// The views to look in, as in stored keys; `None`: all of them.
    views: Option<String>,
    judge: Judge,
    /// The master that is walked, and where; `None`: the walk has ended.
    cursor: Option<(usize, String)>,
    /// All of one master.
    names: (usize, Vec<String>),
    page: usize,
    /// SCAN may tell a name twice.
    seen: HashSet<u64>,
    scanned: u64,
    unreadable: u64,
    total: Option<i64>,
}

impl Listing {
    /// # Errors
    /// When the pattern cannot be read.
    pub fn new(visit: &Visit, glob: Option<&str>, views: Option<String>) -> Result<Self, String> {
        let glob = glob.map(Glob::new).transpose().map_err(bad_glob)?;
        Ok(Self {
            glob,
            views,
            judge: Judge::new(visit.namespace.clone()),
            cursor: Some(beginning(0)),
            names: (0, Vec::new()),
            page: FIRST_PAGE,
            seen: HashSet::new(),
            scanned: 0,
            unreadable: 0,
            total: None,
        })
    }

    /// The next rows, perhaps none; `{ rows, scanned, total, unreadable, done }`.
    ///
    /// # Errors
    /// When Redis does not answer, or refuses.
    pub async fn next(&mut self, visit: &Visit) -> Result<Json, Fault> {
        let began = Instant::now();
        let mut rows = Vec::new();
        while rows.is_empty() && !self.is_done() && began.elapsed() < QUIET {
            let heads = self.turn(visit).await?;
            rows = self.rows(&heads, visit).await?;
        }
        Ok(json!({
            "rows": rows,
            "scanned": self.scanned,
            "total": self.total,
            "unreadable": self.unreadable,
            "done": self.is_done(),
        }))
    }

    fn is_done(&self) -> bool {
        self.cursor.is_none() && self.names.1.is_empty()
    }

    /// Reads the heads of the names at hand, and the next names with them.
    async fn turn(&mut self, visit: &Visit) -> Result<Vec<Value>, Fault> {
        if self.total.is_none() {
            self.total = Some(size(visit).await?);
        }
        let (master, names) = std::mem::take(&mut self.names);
        let mut pipeline = redis::pipe();
        for name in &names {
            pipeline.cmd("GETRANGE").arg(name).arg(0).arg(HEAD - 1);
        }
        let asked = async {
            let heads = visit.send_to(master, &pipeline).await?;
            // A name of another type, or one that has gone, is no entry; a right that is missing is missing for all.
            let denied = |reply: &Value| facts::error(reply).is_some_and(|error| error.starts_with("NOPERM"));
            if let Some(fault) = heads.iter().find(|reply| denied(reply)).and_then(fault_of) {
                return Err(fault);
            }
            complete(&names, heads, master, visit).await
        };
        let (heads, page) = futures_util::future::try_join(asked, self.page(visit)).await?;
        if let Some((master, next, names)) = page {
            self.take_page(master, next, names, visit);
        }
        Ok(heads)
    }

    /// The next names: the master that has them, and where its page after them begins.
    async fn page(&self, visit: &Visit) -> Result<Option<(usize, Option<String>, Vec<String>)>, Fault> {
        let Some((master, cursor)) = &self.cursor else {
            return Ok(None);
        };
        let mut pipeline = redis::pipe();
        pipeline.cmd("SCAN").arg(cursor).arg("MATCH");
        pipeline.arg(visit.keys.entries()).arg("COUNT").arg(self.page);
        let reply = visit.send_to(*master, &pipeline).await?.pop().unwrap_or(Value::Nil);
        let (next, names) = facts::page(&reply)?;
        Ok(Some((*master, next, names)))
    }

    fn take_page(&mut self, master: usize, next: Option<String>, mut names: Vec<String>, visit: &Visit) {
        self.cursor = match next {
            Some(cursor) => Some((master, cursor)),
            None => Some(master + 1).filter(|next| *next < visit.masters()).map(beginning),
        };
        names.retain(|name| self.seen.insert(xxhash_rust::xxh3::xxh3_64(name.as_bytes())));
        self.scanned += self.page as u64;
        self.page = PAGE;
        self.names = (master, names);
    }

    async fn rows(&mut self, heads: &[Value], visit: &Visit) -> Result<Vec<Json>, Fault> {
        let mut entries = Vec::with_capacity(heads.len());
        for bytes in heads.iter().filter_map(facts::bytes).filter(|bytes| !bytes.is_empty()) {
            match Envelope::head(bytes) {
                Ok((entry, size)) if self.wants(entry.key) => {
                    let head = Envelope::head_len(bytes).unwrap_or(size);
                    entries.push((entry, size - head));
                }
                Ok(_) => {}
                Err(_) => self.unreadable += 1,
            }
        }
        let heads: Vec<&Envelope<'_>> = entries.iter().map(|(entry, _)| entry).collect();
        self.judge.learn(&heads, visit).await?;
        let row = |(entry, size): &(Envelope<'_>, usize)| row(entry, *size, &self.judge, visit);
        Ok(entries.iter().map(row).collect())
    }

    /// By the view it is in, then by the user's key, or by the name that is shown.
    fn wants(&self, stored: &str) -> bool {
        let path = Path::of(stored);
        if self.views.as_ref().is_some_and(|views| path.views != views) {
            return false;
        }
        let Some(glob) = &self.glob else { return true };
        glob.is_match(path.key) || (self.views.is_none() && !path.views.is_empty() && glob.is_match(&shown(&path)))
    }
}

fn bad_glob(bad: BadGlob) -> String {
    let why = match bad {
        BadGlob::TrailingEscape => "it ends with a single \\",
        BadGlob::OpenSet => "a [ is not closed by ]",
        BadGlob::EmptySet => "[] is a set of nothing",
    };
    format!("the pattern cannot be read: {why}")
}

/// `a/b/key`
fn shown(path: &Path<'_>) -> String {
    let views = path.views.replace("\0v", "/");
    format!("{}/{}", views.trim_start_matches('/'), path.key)
}

fn beginning(master: usize) -> (usize, String) {
    (master, "0".to_owned())
}

/// How many keys there are, only for the progress: refused, it is not known.
async fn size(visit: &Visit) -> Result<i64, Fault> {
    let sizes = visit.send_to_all(redis::pipe().cmd("DBSIZE")).await?;
    let known: Option<Vec<i64>> = sizes.iter().map(|size| size.first().and_then(facts::number)).collect();
    Ok(known.map_or(-1, |sizes| sizes.iter().sum()))
}

/// Asks again for heads that were longer than expected.
async fn complete(names: &[String], mut heads: Vec<Value>, master: usize, visit: &Visit) -> Result<Vec<Value>, Fault> {
    let mut pipeline = redis::pipe();
    let mut short = Vec::new();
    for (n, head) in heads.iter().enumerate() {
        let Some(bytes) = facts::bytes(head) else { continue };
        let needed = Envelope::head_len(bytes).unwrap_or(0);
        if needed > bytes.len() && bytes.len() == HEAD {
            pipeline.cmd("GETRANGE").arg(&names[n]).arg(0).arg(needed - 1);
            short.push(n);
        }
    }
    for (n, head) in short.into_iter().zip(visit.send_to(master, &pipeline).await?) {
        heads[n] = head;
    }
    Ok(heads)
}

fn row(entry: &Envelope<'_>, size: usize, judge: &Judge, visit: &Visit) -> Json {
    let now = visit.now(visit.namespace.key(entry.key));
    let verdict = judge.judge(entry, now, visit);
    let mut row = place(entry.key);
    let fresh_until = entry.created.saturating_add(entry.policy.ttl);
    row["age"] = json!(now.saturating_sub(entry.created));
    row["left"] = json!(fresh_until.saturating_sub(now));
    row["state"] = json!(verdict.state());
    row["bytes"] = json!(size);
    row["tags"] = tag_names(entry.names)
        .into_iter()
        .map(|tag| Path::of(tag).key)
        .collect();
    row
}
