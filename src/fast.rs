//! The path of a hit, past the wrappers that napi-rs generates.
//!
//! A generated method checks its object's type tag, borrows it and unwraps it: half a microsecond, more than the
//! look into memory itself. These are plain functions made once per cache, their state behind the function's data
//! pointer: `probe` (memory) and `lookup` (asks Redis). Everything else goes the ordinary way (`handle`).

use std::cell::RefCell;
use std::ffi::{c_void, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{Env, Float64Array, FromNapiValue, ToNapiValue, Unknown};
use napi::{check_status, sys, Result};
use tidecache_core::clock::MS;
use tidecache_core::engine::{Engine, Probe, Read, Refreshing, Request};
use tidecache_core::hot::Hot;
use tidecache_core::loads::OwnerId;

use crate::outbox::age;
use crate::text::{with_key, Outgoing};

// Bits of `flags`, as `lib/channel.js` has them.
const FORCE: u32 = 1;
const NEVER: u32 = 2;
const NO_LOAD: u32 = 4;
const BYPASS: u32 = 8;
const TELL: u32 = 16;
const NESTED: u32 = 32;

/// What both functions share.
pub struct Fast {
    engine: Arc<Engine>,
    owner: OwnerId,
    numbers: RefCell<Float64Array>,
    lookups: Rc<RefCell<Vec<Request>>>,
    hot: RefCell<Hot>,
}

impl Fast {
    /// The functions `probe` and `lookup`.
    pub fn functions(
        engine: Arc<Engine>,
        owner: OwnerId,
        numbers: Float64Array,
        lookups: Rc<RefCell<Vec<Request>>>,
        env: Env,
    ) -> Result<[Unknown<'static>; 2]> {
        let state = Rc::new(Self {
            engine,
            owner,
            numbers: RefCell::new(numbers),
            lookups,
            hot: RefCell::default(),
        });
        let probe = function(env, c"probe", probe_call, Rc::clone(&state))?;
        Ok([probe, function(env, c"lookup", lookup_call, state)?])
    }

    /// Memory, then the table of loads. Writes numbers 0 code (0 miss, 1 fresh, 2 stale, 3 join, 4 lead), 1 age,
    /// 2 load, 3 refresh, 4 codec.
    fn probe(&self, key: &str, ttl: f64, flags: u32) -> Outgoing {
        let read = Read {
            ttl: duration(ttl),
            refresh: refreshing(flags),
            loads: flags & NO_LOAD == 0,
            owner: self.owner,
        };
        let now = self.engine.now();
        let (code, load, refresh, entry) = match self.engine.probe(key, read, now, &mut self.hot.borrow_mut()) {
            Probe::Miss => (0.0, 0, 0, None),
            Probe::Fresh(entry) => (1.0, 0, 0, Some(entry)),
            Probe::Stale(entry, refresh) => (2.0, 0, refresh.unwrap_or(0), Some(entry)),
            Probe::Join(load) => (3.0, load, 0, None),
            Probe::Lead(load) => (4.0, load, 0, None),
        };
        let mut numbers = self.numbers.borrow_mut();
        // SAFETY: only this thread touches the array, and JavaScript is not running now.
        let numbers = unsafe { numbers.as_mut() };
        numbers[0] = code;
        numbers[2] = load as f64;
        numbers[3] = refresh as f64;
        let Some(entry) = entry else {
            return Outgoing::Nothing;
        };
        numbers[1] = age(&entry, now);
        numbers[4] = f64::from(entry.head().codec);
        Outgoing::Entry(entry)
    }
}

pub fn refreshing(flags: u32) -> Refreshing {
    match flags & (FORCE | NEVER | BYPASS) {
        FORCE => Refreshing::Force,
        NEVER => Refreshing::Never,
        BYPASS => Refreshing::Bypass,
        _ => Refreshing::Auto,
    }
}

/// A JavaScript function over shared state; it drops its share with itself.
fn function(
    env: Env,
    name: &CStr,
    call: unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value,
    state: Rc<Fast>,
) -> Result<Unknown<'static>> {
    let mut function = ptr::null_mut();
    let state = Rc::into_raw(state).cast_mut().cast::<c_void>();
    let len = name.to_bytes().len() as isize;
    // SAFETY: `env` is the running environment; `state` lives until the finalizer below drops this share of it.
    unsafe {
        check_status!(sys::napi_create_function(
            env.raw(),
            name.as_ptr(),
            len,
            Some(call),
            state,
            &raw mut function
        ))?;
        check_status!(sys::napi_add_finalizer(
            env.raw(),
            function,
            state,
            Some(finalize),
            ptr::null_mut(),
            ptr::null_mut()
        ))?;
        Ok(Unknown::from_raw_unchecked(env.raw(), function))
    }
}

unsafe extern "C" fn finalize(_: sys::napi_env, state: *mut c_void, _: *mut c_void) {
    // SAFETY: made by `into_raw` above; Node-API runs a finalizer once, on the environment's own thread.
    drop(unsafe { Rc::from_raw(state.cast::<Fast>()) });
}

/// `(key, ttl, flags) → value`; the last two may be left out together: no ttl, no flags, and two conversions less.
unsafe extern "C" fn probe_call(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    guarded(env, || {
        // SAFETY: `env` and `info` are of this call.
        unsafe {
            let (this, count, [key, ttl, flags]) = arguments::<3>(env, info)?;
            let (ttl, flags) = match count {
                1 => (-1.0, 0),
                _ => (double(env, ttl)?, double(env, flags)? as u32),
            };
            let value = with_key(env, key, |key| this.probe(key, ttl, flags))?;
            Outgoing::to_napi_value(env, value)
        }
    })
}

/// `(load, ttl, flags, wait, tags, group) → undefined`; the last only of one among many
unsafe extern "C" fn lookup_call(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    guarded(env, || {
        // SAFETY: `env` and `info` are of this call.
        unsafe {
            let (this, count, [load, ttl, flags, wait, tags, group]) = arguments::<6>(env, info)?;
            let flags = double(env, flags)? as u32;
            let request = Request {
                id: double(env, load)? as u64,
                get: None,
                inspects: false,
                tells_held: flags & TELL != 0,
                tags: Option::<Vec<String>>::from_napi_value(env, tags)?
                    .unwrap_or_default()
                    .into_iter()
                    .map(Into::into)
                    .collect(),
                ttl: duration(double(env, ttl)?),
                refresh: refreshing(flags),
                wait: Duration::from_millis(double(env, wait)?.max(0.0) as u64),
                owner: this.owner,
                group: if count > 5 { double(env, group)? as u64 } else { 0 },
                nested: flags & NESTED != 0,
            };
            this.lookups.borrow_mut().push(request);
            Outgoing::to_napi_value(env, Outgoing::Nothing)
        }
    })
}

/// Runs the body of a call. A panic must not cross into C.
fn guarded(env: sys::napi_env, body: impl FnOnce() -> Result<sys::napi_value>) -> sys::napi_value {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => throw(env, &error.reason),
        Err(_) => throw(env, "tidecache: internal error"),
    }
}

/// # Safety
/// `env` and `info` are those of the running call of a function made by `function`.
unsafe fn arguments<'a, const N: usize>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> Result<(&'a Fast, usize, [sys::napi_value; N])> {
    let mut args = [ptr::null_mut(); N];
    let mut count = N;
    let mut state = ptr::null_mut();
    // SAFETY: every pointer is to a local of the right size; Node-API fills missing arguments with undefined.
    check_status!(unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &raw mut count,
            args.as_mut_ptr(),
            ptr::null_mut(),
            &raw mut state,
        )
    })?;
    // SAFETY: set with the function, which is alive while it is called.
    Ok((unsafe { &*state.cast::<Fast>() }, count, args))
}

/// # Safety
/// `value` is a value of `env`.
unsafe fn double(env: sys::napi_env, value: sys::napi_value) -> Result<f64> {
    let mut number = 0.0;
    // SAFETY: the pointer is to a local.
    check_status!(unsafe { sys::napi_get_value_double(env, value, &raw mut number) })?;
    Ok(number)
}

/// A duration in ms as ns; below zero: none.
pub fn duration(ms: f64) -> Option<u64> {
    (ms >= 0.0).then_some(ms as u64 * MS)
}

fn throw(env: sys::napi_env, message: &str) -> sys::napi_value {
    let text = std::ffi::CString::new(message.replace('\0', " ")).unwrap_or_default();
    // SAFETY: `text` is NUL-terminated and copied.
    unsafe { sys::napi_throw_error(env, ptr::null(), text.as_ptr()) };
    ptr::null_mut()
}
