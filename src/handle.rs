//! The class behind a cache: one per `createCache` and JavaScript context. Synchronous calls only; what has to
//! wait is collected until `flush`, goes to the runtime as one batch, and comes back through the outbox.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{Env, Float64Array, ObjectFinalize, Unknown};
use napi::{Error, Result};
use napi_derive::napi;
use tidecache_core::clock::ManualClock;
use tidecache_core::config::Config;
use tidecache_core::engine::{
    Answer as FoundAnswer, Begun, Engine, FillRequest, LoadEnd, Refreshing, Request, SetRequest, Target,
};
use tidecache_core::envelope::Policy;
use tidecache_core::key::Mode;
use tidecache_core::loads::OwnerId;
use tidecache_core::metrics::CountedBy;
use tidecache_core::notice;
use tidecache_core::registry::{self, OnConflict};
use tokio::runtime::Handle;

use crate::config::EngineOptions;
use crate::fast::Fast;
use crate::outbox::{Answer, Outbox, Wake, HEAD, MOST, STRIDE};
use crate::runtime;
use crate::text::{Incoming, Outgoing};

/// How long a process that ends may take to give its leases back and to flush its journal.
pub const FAREWELL: Duration = Duration::from_millis(100);
/// A source is not said to settle for longer, ms.
const LONGEST_SETTLE: f64 = 30_000.0;
/// The same for an orderly `close`.
const FLUSH: Duration = Duration::from_secs(1);

/// Bytes of an engine without entries, for the garbage collector of a process that makes many caches: its tests.
const FOOTPRINT: i64 = 1 << 20;

/// What is asked of the runtime, beside lookups.
enum Other {
    Fill(FillRequest),
    Set(u64, SetRequest),
    Invalidate(u64, Target, Mode),
    Health(u64),
    Ready(u64),
    Close(u64),
}

/// What to invalidate: stored names, the union of all; `settle` in ms, with mode remove only.
#[napi(object, object_to_js = false)]
pub struct Invalidation {
    pub keys: Vec<String>,
    pub tags: Vec<String>,
    pub patterns: Vec<String>,
    pub all: bool,
    pub stale: bool,
    pub settle: f64,
}

#[napi(custom_finalize)]
pub struct NativeCache {
    pub(crate) engine: Arc<Engine>,
    runtime: Handle,
    owner: OwnerId,
    outbox: Arc<Outbox>,
    numbers: Float64Array,
    /// What has been asked since the last flush.
    lookups: Rc<RefCell<Vec<Request>>>,
    others: RefCell<Vec<Other>>,
    /// The farewell was said at 'exit': the environment's clean-up need not say it again.
    has_left: Arc<AtomicBool>,
    /// The clock of a test's cache.
    clock: Option<Arc<ManualClock>>,
}

#[napi]
impl NativeCache {
    /// Opens the engine of these options: the running one of this process, or a new one.
    /// `numbers` is written by every call that answers; `wake` is called when answers can be fetched.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, options: EngineOptions, numbers: Float64Array, wake: Wake) -> Result<Self> {
        if numbers.len() < HEAD + MOST * STRIDE {
            return Err(Error::from_reason("the array of numbers is too short"));
        }
        let runtime = runtime::handle()?;
        let on_conflict = if options.replace {
            OnConflict::Replace
        } else {
            OnConflict::Refuse
        };
        let clock = options.manual_clock.then(Arc::<ManualClock>::default);
        let config = Config::from(options);
        let opened = match &clock {
            Some(clock) => Ok(registry::open_alone(config, Arc::clone(clock), runtime.clone())),
            None => registry::open(config, on_conflict, runtime.clone()),
        };
        let (engine, owner) = opened.map_err(|conflict| {
            // The JS layer makes a CacheConfigError of it.
            Error::from_reason(format!(
                "{}\n{}\n{}",
                conflict.option, conflict.running, conflict.wanted
            ))
        })?;
        let outbox = Arc::new(Outbox::new(wake));
        let hearer = Arc::downgrade(&outbox);
        engine.watch(
            owner,
            Box::new(move |notice| {
                if let Some(outbox) = hearer.upgrade() {
                    outbox.put_notice(notice);
                }
            }),
        );
        let has_left = Arc::new(AtomicBool::new(false));
        let farewell = (
            Arc::downgrade(&engine),
            Arc::downgrade(&outbox),
            runtime.clone(),
            Arc::clone(&has_left),
        );
        env.add_env_cleanup_hook(farewell, move |(engine, outbox, runtime, has_left)| {
            if let Some(outbox) = outbox.upgrade() {
                outbox.close();
            }
            if let Some(engine) = engine.upgrade() {
                if !has_left.load(SeqCst) {
                    leave(&engine, owner, &runtime, FAREWELL);
                }
                engine.remove_owner(owner);
            }
        })?;
        env.adjust_external_memory(FOOTPRINT)?;
        Ok(Self {
            engine,
            runtime,
            owner,
            outbox,
            numbers,
            lookups: Rc::default(),
            others: RefCell::default(),
            has_left,
            clock,
        })
    }

    /// Moves the clock of a test's cache; the system's cannot be moved.
    #[napi(catch_unwind)]
    pub fn advance(&self, ms: f64) -> Result<()> {
        let clock = self.clock.as_ref();
        let clock = clock.ok_or_else(|| Error::from_reason("the system's clock cannot be moved"))?;
        clock.advance_ms(ms.max(0.0) as u64);
        Ok(())
    }

    /// Refreshes that failed may be tried again at once.
    #[napi(catch_unwind)]
    pub fn forget_failures(&self) {
        self.engine.forget_failures();
    }

    /// The functions `probe(key, ttl, flags) → value` and `lookup(load, ttl, flags, wait, tags)`, see `fast`.
    #[napi(catch_unwind, ts_return_type = "[Function, Function]")]
    pub fn fast_functions(&self, env: Env, numbers: Float64Array) -> Result<Vec<Unknown<'static>>> {
        let lookups = Rc::clone(&self.lookups);
        let engine = Arc::clone(&self.engine);
        Ok(Fast::functions(engine, self.owner, numbers, lookups, env)?.into())
    }

    /// Counts a caller that joined somebody's read of this context, when it is known what answered it. `counted`: 1 memory
    /// (also a value that is only not stored yet), 2 Redis, and else a load.
    #[napi(catch_unwind)]
    pub fn joined(&self, counted: u32, stale: bool) {
        let metrics = &self.engine.metrics;
        match counted {
            1 => metrics.count_hit(CountedBy::Memory, stale),
            2 => metrics.count_hit(CountedBy::Redis, stale),
            _ => {
                metrics.loads_joined.add(1);
                metrics.count_miss();
            }
        }
    }

    /// The caller cannot use what was found: it counts as a miss. `counted`: 0 by `probe`, 1 by an answer from memory,
    /// 2 by one from Redis; `over`: nothing follows that counts the miss.
    #[napi(catch_unwind)]
    pub fn refused(&self, counted: u32, stale: bool, over: bool) {
        let metrics = &self.engine.metrics;
        let counted = match counted {
            0 => CountedBy::Probe,
            1 => CountedBy::Memory,
            _ => CountedBy::Redis,
        };
        metrics.take_hit_back(counted, stale);
        if over {
            metrics.count_miss();
        }
    }

    /// Asks Redis for a key without loading it.
    #[napi(catch_unwind)]
    pub fn get(&self, id: f64, key: String) {
        self.lookups.borrow_mut().push(self.get_request(id, key));
    }

    /// What is known of a key; as `get`, but it leaves no trace. Answered with numbers and the tags as JSON.
    #[napi(catch_unwind)]
    pub fn inspect(&self, id: f64, key: String) {
        let request = Request {
            inspects: true,
            ..self.get_request(id, key)
        };
        let outbox = Arc::clone(&self.outbox);
        let answer: FoundAnswer = Arc::new(move |id, found| outbox.put(Answer::Inspected(id, found)));
        self.runtime
            .spawn(Arc::clone(&self.engine).lookup(vec![request], answer));
    }

    /// Begins a load that is neither read nor stored, if there is a place: 0 no, 1 yes, 2 and a loader's own calls may find none.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn begin_at_once(&self, id: f64, group: f64, nested: bool) -> u32 {
        match self.engine.begin_at_once(id as u64, group as u64, nested) {
            Begun::No => 0,
            Begun::Yes => 1,
            Begun::Pressed => 2,
        }
    }

    /// The loader of another load waits for this one.
    #[napi(catch_unwind)]
    pub fn hasten(&self, id: f64) {
        self.engine.hasten(id as u64);
    }

    /// Answers when a load of another context of this process has ended.
    #[napi(catch_unwind)]
    pub fn await_load(&self, id: f64) {
        let (id, engine) = (id as u64, Arc::clone(&self.engine));
        let outbox = Arc::clone(&self.outbox);
        self.runtime.spawn(async move {
            engine.await_load(id).await;
            outbox.put(Answer::Found(id, tidecache_core::engine::Found::Retry));
        });
    }

    /// The value of a load. `true`: kept, the load has ended; `false`: an answer follows.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)] // One call per load: an object would cost more than it tells.
    pub fn fill(
        &self,
        id: f64,
        codec: u8,
        value: Incoming,
        ttl: f64,
        stale_while_revalidate: f64,
        stale_if_error: f64,
        tags: Option<Vec<String>>,
    ) -> bool {
        let request = FillRequest {
            id: id as u64,
            payload: value.into_payload(codec),
            policy: policy(ttl, stale_while_revalidate, stale_if_error),
            tags: boxed(tags),
        };
        match self.engine.fill_here(request) {
            None => true,
            Some(request) => {
                self.ask(Other::Fill(request));
                false
            }
        }
    }

    /// Ends a load without a value: 0 skipped, 1 failed, 2 timed out, 3 abandoned.
    #[napi(catch_unwind)]
    pub fn end_load(&self, id: f64, how: u32) {
        let end = match how {
            0 => LoadEnd::Skipped,
            1 => LoadEnd::Failed,
            2 => LoadEnd::TimedOut,
            _ => LoadEnd::Abandoned,
        };
        self.engine.end_load(id as u64, end);
    }

    /// A sign of life of this context: its leases are prolonged.
    #[napi(catch_unwind)]
    pub fn renew(&self) {
        self.engine.renew_owner(self.owner);
    }

    /// `true`: stored (there is no Redis); `false`: an answer follows.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)] // As for `fill`.
    pub fn set(
        &self,
        id: f64,
        key: String,
        codec: u8,
        value: Incoming,
        ttl: f64,
        stale_while_revalidate: f64,
        stale_if_error: f64,
        tags: Option<Vec<String>>,
    ) -> bool {
        let request = SetRequest {
            key: key.into(),
            payload: value.into_payload(codec),
            policy: policy(ttl, stale_while_revalidate, stale_if_error),
            tags: boxed(tags),
        };
        match self.engine.set_here(request) {
            None => true,
            Some(request) => {
                self.ask(Other::Set(id as u64, request));
                false
            }
        }
    }

    /// `true`: done at once (there is no Redis); `false`: a receipt follows.
    #[napi(catch_unwind)]
    pub fn invalidate(&self, id: f64, what: Invalidation) -> bool {
        let mode = if what.stale { Mode::Stale } else { Mode::Remove };
        let target = Target {
            keys: boxed(Some(what.keys)),
            tags: boxed(Some(what.tags)),
            patterns: boxed(Some(what.patterns)),
            all: what.all,
            settle: what.settle.clamp(0.0, LONGEST_SETTLE) as u64,
        };
        if self.engine.invalidate_here(&target, mode) {
            return true;
        }
        self.ask(Other::Invalidate(id as u64, target, mode));
        false
    }

    #[napi(catch_unwind)]
    pub fn health(&self, id: f64) {
        self.ask(Other::Health(id as u64));
    }

    #[napi(catch_unwind)]
    pub fn ready(&self, id: f64) {
        self.ask(Other::Ready(id as u64));
    }

    /// Ends this handle: its loads end, the journal is flushed if this is the engine's last one.
    #[napi(catch_unwind)]
    pub fn close(&self, id: f64) {
        self.ask(Other::Close(id as u64));
    }

    /// Gives everything asked since the last time to the runtime.
    #[napi(catch_unwind)]
    pub fn flush(&self) {
        let lookups = self.lookups.take();
        let others = self.others.take();
        if !lookups.is_empty() {
            let outbox = Arc::clone(&self.outbox);
            let answer: FoundAnswer = Arc::new(move |id, found| outbox.put(Answer::Found(id, found)));
            self.runtime.spawn(Arc::clone(&self.engine).lookup(lookups, answer));
        }
        for other in others {
            if let Other::Invalidate(..) = other {
                self.engine.announce_invalidation();
            }
            self.runtime.spawn(carry_out(
                other,
                Arc::clone(&self.engine),
                Arc::clone(&self.outbox),
                self.owner,
            ));
        }
    }

    /// Fetches answers; their numbers lie behind the first eight, eight for each.
    #[napi(catch_unwind, ts_return_type = "Array<string | Buffer | undefined>")]
    pub fn fetch(&mut self) -> Vec<Outgoing> {
        let now = self.engine.now();
        // SAFETY: as in `probe`.
        let numbers = unsafe { self.numbers.as_mut() };
        self.outbox.fetch(numbers, now)
    }

    /// Counters as JSON.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn report(&self) -> String {
        self.engine.report().to_string()
    }

    /// Latencies in buckets as JSON.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn histograms(&self) -> String {
        self.engine.histograms().to_string()
    }

    /// Changes of Redis's state since the last time, as a JSON array. `prints`: this handle has no logger of its own,
    /// and warnings that no other such handle took are its to print.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn notices(&self, prints: bool) -> String {
        notice::to_json(&self.outbox.take_notices(), prints)
    }

    /// Before the process ends: sends what was asked, gives leases back; blocks at most so many ms.
    #[napi(catch_unwind)]
    pub fn leave_now(&self, most: f64) {
        self.flush();
        self.has_left.store(true, SeqCst);
        let most = Duration::from_millis(most.max(0.0) as u64);
        leave(&self.engine, self.owner, &self.runtime, most);
    }

    fn get_request(&self, id: f64, key: String) -> Request {
        Request {
            id: id as u64,
            get: Some(key.into()),
            inspects: false,
            tells_held: false,
            tags: Vec::new(),
            ttl: None,
            refresh: Refreshing::Never,
            wait: Duration::ZERO,
            owner: self.owner,
            group: 0,
            nested: false,
        }
    }

    fn ask(&self, other: Other) {
        self.others.borrow_mut().push(other);
    }
}

/// Nobody has the cache any more: what it was loading will not come. One with Redis lives until it is closed.
impl ObjectFinalize for NativeCache {
    fn finalize(self, env: Env) -> Result<()> {
        self.engine.abandon(self.owner);
        self.engine.remove_owner(self.owner);
        env.adjust_external_memory(-FOOTPRINT)?;
        Ok(())
    }
}

async fn carry_out(other: Other, engine: Arc<Engine>, outbox: Arc<Outbox>, owner: OwnerId) {
    let answer = match other {
        Other::Fill(request) => {
            let id = request.id;
            engine.fill(request).await;
            Answer::Filled(id)
        }
        Other::Set(id, request) => {
            engine.set(request).await;
            Answer::Done(id)
        }
        Other::Invalidate(id, target, mode) => Answer::Receipt(id, engine.invalidate(target, mode).await),
        Other::Health(id) => Answer::Health(id, engine.health().await),
        Other::Ready(id) => Answer::Ready(id, engine.ready().await),
        Other::Close(id) => {
            let leases = engine.abandon(owner);
            // The time is bounded: what could not be flushed is lost with the process, as after a kill.
            let _ = tokio::time::timeout(FLUSH, engine.leave(leases)).await;
            engine.remove_owner(owner);
            Answer::Done(id)
        }
    };
    outbox.put(answer);
}

/// Gives back what this context holds; blocks its thread, briefly.
fn leave(engine: &Arc<Engine>, owner: OwnerId, runtime: &Handle, most: Duration) {
    let leases = engine.abandon(owner);
    if leases.is_empty() && engine.is_settled() {
        return;
    }
    let (done, wait) = std::sync::mpsc::channel();
    let engine = Arc::clone(engine);
    runtime.spawn(async move {
        engine.leave(leases).await;
        // The receiver may have given up waiting.
        let _ = done.send(());
    });
    // A timeout changes nothing: the process goes either way.
    let _ = wait.recv_timeout(most);
}

fn policy(ttl: f64, stale_while_revalidate: f64, stale_if_error: f64) -> Policy {
    let ms = |value: f64| value.max(0.0) as u64;
    Policy {
        ttl: ms(ttl),
        stale_while_revalidate: ms(stale_while_revalidate),
        stale_if_error: ms(stale_if_error),
    }
}

fn boxed(names: Option<Vec<String>>) -> Vec<Box<str>> {
    names.unwrap_or_default().into_iter().map(Into::into).collect()
}
