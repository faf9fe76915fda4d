//! Answers on their way to JavaScript: collected by the runtime's thread, fetched in one go.
//!
//! The first answer after a fetch wakes the event loop once; the others of the batch wait with it. Numbers go
//! through an array of doubles that JavaScript owns, so an answer costs one string and no object.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue};
use napi::Status;
use tidecache_core::engine::{Coherence, Found, Health, Overload, Previous, Receipt, Tier};
use tidecache_core::envelope::names_as_json;
use tidecache_core::notice::Notice;

use crate::text::Outgoing;

/// Weak: alone it does not keep the process alive; the JS layer does while a caller waits.
pub type Wake = ThreadsafeFunction<(), UnknownReturnValue, (), Status, false, true>;

/// Doubles per answer in the array.
pub const STRIDE: usize = 8;
/// Answers per fetch.
pub const MOST: usize = 1_024;
/// Doubles before the first answer: the answer to `probe`, and whether there are notices.
pub const HEAD: usize = 8;
const NOTICES: usize = 5;
/// Notices kept for a context that does not come to fetch them; the oldest go first.
const MOST_NOTICES: usize = 100;

/// What was answered; `lib/channel.js` knows the numbers.
#[derive(Debug)]
pub enum Answer {
    Found(u64, Found),
    Inspected(u64, Found),
    Filled(u64),
    Receipt(u64, Receipt),
    Done(u64),
    Health(u64, Health),
    Ready(u64, Result<(), String>),
}

pub struct Outbox {
    answers: Mutex<Vec<Answer>>,
    notices: Mutex<Vec<Arc<Notice>>>,
    signalled: AtomicBool,
    closed: AtomicBool,
    wake: Wake,
}

impl Outbox {
    pub fn new(wake: Wake) -> Self {
        Self {
            answers: Mutex::default(),
            notices: Mutex::default(),
            signalled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            wake,
        }
    }

    pub fn put(&self, answer: Answer) {
        self.lock().push(answer);
        self.signal();
    }

    pub fn put_notice(&self, notice: &Arc<Notice>) {
        let mut notices = self.notices();
        if notices.len() == MOST_NOTICES {
            notices.remove(0);
        }
        notices.push(Arc::clone(notice));
        drop(notices);
        self.signal();
    }

    pub fn take_notices(&self) -> Vec<Arc<Notice>> {
        std::mem::take(&mut *self.notices())
    }

    fn signal(&self) {
        if !self.signalled.swap(true, SeqCst) && !self.closed.load(SeqCst) {
            self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// The environment is going: nothing may be called in it any more.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
    }

    /// Fetches answers: writes their numbers to `numbers`, returns their values.
    pub fn fetch(&self, numbers: &mut [f64], now: u64) -> Vec<Outgoing> {
        let fetched: Vec<Answer> = {
            let mut answers = self.lock();
            if answers.len() > MOST {
                answers.drain(..MOST).collect()
            } else {
                self.signalled.store(false, SeqCst);
                std::mem::take(&mut *answers)
            }
        };
        numbers[NOTICES] = flag(!self.notices().is_empty());
        let slots = numbers[HEAD..].chunks_exact_mut(STRIDE);
        fetched
            .into_iter()
            .zip(slots)
            .map(|(answer, slot)| answer.write(slot, now))
            .collect()
    }

    fn notices(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Notice>>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Age of an entry, ms.
pub fn age(entry: &tidecache_core::memory::Entry, now: u64) -> f64 {
    (now.saturating_sub(entry.head().life.created) / tidecache_core::clock::MS) as f64
}

/// The stale value beside a load: 2 whether there is one, 3 for errors, 4 age, 6 codec.
fn write_previous(previous: Option<Previous>, slot: &mut [f64], now: u64) -> Outgoing {
    slot[2] = flag(previous.is_some());
    let Some(Previous { entry, on_error }) = previous else {
        return Outgoing::Nothing;
    };
    slot[3] = flag(on_error);
    slot[4] = age(&entry, now);
    slot[6] = f64::from(entry.head().codec);
    Outgoing::Entry(entry)
}

impl Answer {
    fn write(self, slot: &mut [f64], now: u64) -> Outgoing {
        let mut put = |values: &[f64]| slot[..values.len()].copy_from_slice(values);
        match self {
            Self::Found(id, Found::Hit(hit)) => {
                put(&[
                    1.0,
                    id as f64,
                    flag(hit.stale),
                    flag(hit.tier == Tier::Redis),
                    age(&hit.entry, now),
                    hit.refresh.unwrap_or(0) as f64,
                    f64::from(hit.entry.head().codec),
                    flag(hit.joined),
                ]);
                Outgoing::Entry(hit.entry)
            }
            Self::Found(id, Found::Lead { previous, is_pressed }) => {
                put(&[2.0, id as f64]);
                slot[7] = flag(is_pressed);
                write_previous(previous, slot, now)
            }
            Self::Found(id, Found::Overload(why, previous)) => {
                put(&[13.0, id as f64]);
                slot[7] = flag(why == Overload::TooLong);
                write_previous(previous, slot, now)
            }
            Self::Found(id, found) => {
                let kind = match found {
                    Found::Denied => 3.0,
                    Found::Retry => 4.0,
                    Found::Held => 12.0,
                    _ => 5.0,
                };
                put(&[kind, id as f64]);
                Outgoing::Nothing
            }
            Self::Inspected(id, Found::Hit(hit)) => {
                let bytes = hit.entry.payload().len() as f64;
                let tier = flag(hit.tier == Tier::Redis);
                put(&[11.0, id as f64, flag(hit.stale), tier, age(&hit.entry, now), bytes]);
                Outgoing::Text(names_as_json(hit.entry.names()))
            }
            Self::Inspected(id, _) => {
                put(&[5.0, id as f64]);
                Outgoing::Nothing
            }
            Self::Filled(id) => {
                put(&[6.0, id as f64]);
                Outgoing::Nothing
            }
            Self::Receipt(id, receipt) => {
                let (state, why) = match receipt {
                    Receipt::Applied => (0.0, Outgoing::Nothing),
                    Receipt::Queued(why) => (1.0, Outgoing::Text(why)),
                    Receipt::Off => (2.0, Outgoing::Nothing),
                };
                put(&[7.0, id as f64, state]);
                why
            }
            Self::Done(id) => {
                put(&[8.0, id as f64]);
                Outgoing::Nothing
            }
            Self::Health(id, health) => {
                let (state, latency, tracking, why) = match health {
                    Health::Ok(latency, coherence) => (
                        0.0,
                        latency.as_secs_f64() * 1e3,
                        flag(coherence == Coherence::Tracking),
                        Outgoing::Nothing,
                    ),
                    Health::Degraded(why) => (1.0, 0.0, 0.0, Outgoing::Text(why)),
                    Health::MemoryOnly => (2.0, 0.0, 0.0, Outgoing::Nothing),
                };
                put(&[9.0, id as f64, state, latency, tracking]);
                why
            }
            Self::Ready(id, result) => {
                put(&[10.0, id as f64, flag(result.is_ok())]);
                result.err().map_or(Outgoing::Nothing, Outgoing::Text)
            }
        }
    }
}
