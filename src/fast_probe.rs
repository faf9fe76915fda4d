//! The path of a memory hit, past the wrappers that napi-rs generates.
//!
//! A generated method checks its object's type tag, borrows it and unwraps it: half a microsecond, more than the
//! lookup itself. This is a plain function made once per cache, its state behind the function's data pointer;
//! three Node-API calls in, one out. Everything else goes the ordinary way (`handle`).

use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::Arc;

use napi::bindgen_prelude::{Env, Float64Array, ToNapiValue, Unknown};
use napi::{check_status, sys, Result};
use tidecache_core::clock::MS;
use tidecache_core::engine::{Engine, Probe, Read, Refreshing};
use tidecache_core::loads::OwnerId;

use crate::outbox::age;
use crate::text::{with_key, Outgoing};

// Bits of `flags`, as `lib/channel.js` has them.
const FORCE: u32 = 1;
const NEVER: u32 = 2;
const NO_LOAD: u32 = 4;
const BYPASS: u32 = 8;

pub struct FastProbe {
    engine: Arc<Engine>,
    owner: OwnerId,
    numbers: Float64Array,
}

impl FastProbe {
    pub fn new(engine: Arc<Engine>, owner: OwnerId, numbers: Float64Array) -> Self {
        Self { engine, owner, numbers }
    }

    /// The JavaScript function; it owns this state and drops it with itself.
    pub fn into_function(self, env: &Env) -> Result<Unknown<'static>> {
        let mut function = ptr::null_mut();
        let state = Box::into_raw(Box::new(self)).cast::<c_void>();
        let name = c"probe";
        // SAFETY: `env` is the running environment; `state` lives until the finalizer below drops it.
        unsafe {
            check_status!(sys::napi_create_function(
                env.raw(),
                name.as_ptr(),
                5,
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

    /// Memory, then the table of loads. Writes numbers 0 code (0 miss, 1 fresh, 2 stale, 3 join, 4 lead), 1 age,
    /// 2 load, 3 refresh, 4 codec.
    fn probe(&mut self, key: &str, ttl: f64, flags: u32) -> Outgoing {
        let read = Read {
            ttl: (ttl >= 0.0).then_some(ttl as u64 * MS),
            refresh: refreshing(flags),
            loads: flags & NO_LOAD == 0,
            owner: self.owner,
        };
        let now = self.engine.now();
        let (code, load, refresh, entry) = match self.engine.probe(key, read, now) {
            Probe::Miss => (0.0, 0, 0, None),
            Probe::Fresh(entry) => (1.0, 0, 0, Some(entry)),
            Probe::Stale(entry, refresh) => (2.0, 0, refresh.unwrap_or(0), Some(entry)),
            Probe::Join(load) => (3.0, load, 0, None),
            Probe::Lead(load) => (4.0, load, 0, None),
        };
        // SAFETY: only this thread touches the array, and JavaScript is not running now.
        let numbers = unsafe { self.numbers.as_mut() };
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

unsafe extern "C" fn finalize(_: sys::napi_env, state: *mut c_void, _: *mut c_void) {
    // SAFETY: made by `into_raw` above; Node-API runs a finalizer once.
    drop(unsafe { Box::from_raw(state.cast::<FastProbe>()) });
}

unsafe extern "C" fn call(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: `env` and `info` are of this call. A panic must not cross into C.
    let result = catch_unwind(AssertUnwindSafe(|| unsafe { answer(env, info) }));
    match result {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => throw(env, &error.reason),
        Err(_) => throw(env, "tidecache: internal error in probe"),
    }
}

/// # Safety
/// `env` and `info` are those of the running call.
unsafe fn answer(env: sys::napi_env, info: sys::napi_callback_info) -> Result<sys::napi_value> {
    let mut args = [ptr::null_mut(); 3];
    let mut count = 3;
    let mut state = ptr::null_mut();
    let (mut ttl, mut flags) = (0.0, 0);
    // SAFETY: every pointer is to a local of the right size; `state` was set with the function and outlives it.
    unsafe {
        check_status!(sys::napi_get_cb_info(
            env,
            info,
            &raw mut count,
            args.as_mut_ptr(),
            ptr::null_mut(),
            &raw mut state
        ))?;
        check_status!(sys::napi_get_value_double(env, args[1], &raw mut ttl))?;
        check_status!(sys::napi_get_value_uint32(env, args[2], &raw mut flags))?;
        let this = &mut *state.cast::<FastProbe>();
        let value = with_key(env, args[0], |key| this.probe(key, ttl, flags))?;
        Outgoing::to_napi_value(env, value)
    }
}

fn throw(env: sys::napi_env, message: &str) -> sys::napi_value {
    let text = std::ffi::CString::new(message.replace('\0', " ")).unwrap_or_default();
    // SAFETY: `text` is NUL-terminated and copied.
    unsafe { sys::napi_throw_error(env, ptr::null(), text.as_ptr()) };
    ptr::null_mut()
}
