//! Large entries: read in several commands, and with a limit.
//!
//! The first chunk of an entry tells its length. A longer one goes on by itself, so that who asked for small ones in the same
//! tick has them at once; and piece by piece, so that small replies and large ones take turns on the connection. With each
//! piece comes the id of what lies there: what was replaced or removed meanwhile is begun anew. The point from which it is
//! judged stays that of the first command.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use redis::Value;

use super::judge::Since;
use super::lease::ATTEMPTS;
use super::lookup::{Answer, Pending};
use super::Engine;
use crate::envelope::Envelope;
use crate::loads::{Stamps, Storage};
use crate::notice::Change;
use crate::path::Path;
use crate::redis::chunk;
use crate::redis::fault::Fault;
use crate::redis::wire::Budget;
use crate::seal;
use crate::shards::{Answers, Shards};
use crate::steps::join;

/// How often an entry is begun that is replaced between two pieces, again and again; then it counts as malformed.
const BEGINNINGS: u32 = 3;
/// Characters of a key in a warning.
const SHOWN: usize = 100;

impl Engine {
    /// Bytes of the longest entry that is written or read.
    pub(super) fn max_entry(&self) -> usize {
        self.link
            .as_ref()
            .map_or(usize::MAX, |link| link.config.max_entry_bytes)
    }

    /// Counts an entry that is too long, and tells of the first one.
    pub(super) fn note_too_long(&self, key: &str, size: usize, what: &str) {
        self.metrics.redis_oversized.add(1);
        if !self.has_told_size.swap(true, SeqCst) {
            let key: String = Path::of(key).key.chars().take(SHOWN).collect();
            let most = self.max_entry();
            self.tell(Change::Warning(format!(
                "an entry of {size} bytes {what}: redis.maxEntryBytes is {most} (key '{key}'). Others are counted in \
                 redis.oversized of metrics(), and not told"
            )));
        }
    }

    /// Whether an entry is not too long for Redis; else that is told.
    pub(super) fn may_write(&self, key: &str, envelope: &Envelope<'_>) -> bool {
        let size = self.seal.entry_len(envelope.encoded_len());
        let may = size <= self.max_entry();
        if !may {
            self.note_too_long(key, size, "is not written to Redis, but kept in memory alone");
        }
        may
    }

    /// Takes out what goes on after its first chunk.
    pub(super) fn part_long(
        self: &Arc<Self>,
        pending: Vec<Pending>,
        mut answers: Answers,
        since: Since,
        shards: &Arc<Shards>,
        answer: &Answer,
    ) -> (Vec<Pending>, Answers) {
        let most = self.max_entry();
        // One that is too long is whoever's that judges it.
        let is_long = |reply: &Value| {
            let cut_off = chunk::cut_off(reply);
            cut_off.is_some_and(|(_, envelope)| self.seal.entry_len(envelope) <= most)
        };
        if !answers.values.iter().any(is_long) {
            return (pending, answers);
        }
        let (mut rest, mut whole) = (Vec::new(), Answers::default());
        let replies = std::mem::take(&mut answers.values);
        for (n, (mut one, reply)) in pending.into_iter().zip(replies).enumerate() {
            let stray = answers.strays.iter().find(|(stray, _)| *stray == n);
            if !is_long(&reply) {
                whole.strays.extend(stray.map(|(_, reign)| (rest.len(), *reign)));
                rest.push(one);
                whole.values.push(reply);
            } else if stray.is_some() {
                // Its pieces would come from where its slot is moving from.
                self.unreached(one, &Fault::Unsettled("an entry is moving".into()), shards, answer);
            } else {
                one.pulls += 1;
                let read = Arc::clone(self).read_long(one, since, Arc::clone(shards), Arc::clone(answer));
                self.runtime.spawn(read);
            }
        }
        (rest, whole)
    }

    /// Boxed: it leads back to where it came from.
    fn read_long(
        self: Arc<Self>,
        mut one: Pending,
        since: Since,
        shards: Arc<Shards>,
        answer: Answer,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let Some(link) = &self.link else { return };
            if one.pulls > ATTEMPTS {
                if one.place.is_none() && one.read.loads && !self.enter_again(&mut one, &answer).await {
                    return;
                }
                return self.lead(&one, Storage::Nowhere, Stamps::default(), self.since(), &answer);
            }
            let mut budget = link.new_budget();
            match self.pull(&one, since, &shards, &mut budget, &answer).await {
                Ok(Ok(misses)) => self.lease(misses, &shards, budget, &answer).await,
                Ok(Err(left)) => {
                    let left = self.answer_from_memory(left, &answer);
                    self.load_without_redis(left, &answer);
                }
                Err((one, fault)) if shards.is_many() => self.unreached(one, &fault, &shards, &answer),
                Err((one, fault)) => {
                    self.redis_failed(&shards, &fault);
                    let left = self.answer_from_memory(vec![one], &answer);
                    self.load_without_redis(left, &answer);
                }
            }
        })
    }

    /// Reads it when its turn has come, and answers with it; returns as `sort_entries`.
    async fn pull(
        self: &Arc<Self>,
        one: &Pending,
        since: Since,
        shards: &Arc<Shards>,
        budget: &mut Budget,
        answer: &Answer,
    ) -> Result<Result<Vec<Pending>, Vec<Pending>>, (Pending, Fault)> {
        let reading = async {
            let _turn = shards.turn(one.name, budget).await?;
            self.pieces(one, shards, budget).await
        };
        let pieces = match shards.link(one.name) {
            Some(master) => master.unless_silent(reading).await.unwrap_or(Err(Fault::Silent)),
            None => self.unless_silent(reading).await,
        };
        let pieces = pieces.map_err(|fault| (one.clone(), fault))?;
        // Joining, checking and copying megabytes is nothing for the thread that everybody's replies come through; nor is
        // giving them back.
        let (engine, runtime) = (Arc::clone(self), self.runtime.clone());
        let (read, shards, answer, mut budget) = (one.clone(), Arc::clone(shards), Arc::clone(answer), *budget);
        let sorted = self.runtime.spawn_blocking(move || {
            let bytes = join(&pieces);
            drop(pieces);
            let answers = Answers::from(vec![Value::BulkString(bytes)]);
            runtime.block_on(engine.sort_entries(vec![read], answers, since, &shards, &mut budget, &answer))
        });
        Ok(sorted.await.unwrap_or_else(|_| Err(vec![one.clone()])))
    }

    /// An entry, all of it from one time: beside each piece comes the id of what lies there then.
    async fn pieces(&self, one: &Pending, shards: &Shards, budget: &mut Budget) -> Result<Vec<Vec<u8>>, Fault> {
        let key = self.keys.entry(one.name);
        let mut pieces = Vec::new();
        for _ in 0..BEGINNINGS {
            let (first, _) = piece(&key, 0, chunk::FIRST, one, shards, budget).await?;
            let Some(envelope) = chunk::whole_of(&first).filter(|len| self.seal.entry_len(*len) <= self.max_entry())
            else {
                // It is another one by now.
                return Ok(vec![first]);
            };
            let id = Envelope::id_as_it_lies(&first);
            // One byte more than there may be: something that is longer than it says is no entry.
            let end = envelope + seal::LEN + 1;
            let mut at = first.len();
            pieces = vec![first];
            loop {
                let wanted = chunk::PIECE.min(end - at);
                let (more, of) = piece(&key, at, wanted, one, shards, budget).await?;
                if of != id {
                    break;
                }
                at += more.len();
                let is_last = more.len() < wanted || at == end;
                pieces.push(more);
                if is_last {
                    return Ok(pieces);
                }
            }
        }
        Ok(pieces)
    }
}

/// So many bytes of an entry, and the id of the entry that lies there.
async fn piece(
    key: &str,
    from: usize,
    len: usize,
    one: &Pending,
    shards: &Shards,
    budget: &mut Budget,
) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    let mut pipeline = redis::pipe();
    pipeline.add_command(chunk::range(key, from, len));
    pipeline.add_command(chunk::id(key));
    let replies = shards.all(one.name, &pipeline, budget).await?;
    budget.piece();
    let mut replies = replies.into_iter().map(|reply| match reply {
        Value::BulkString(bytes) => bytes,
        _ => Vec::new(),
    });
    Ok((replies.next().unwrap_or_default(), replies.next().unwrap_or_default()))
}
