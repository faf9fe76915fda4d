//! Signals that end the process: leases go back and the journal is flushed before they do, 100 ms at most.
//!
//! Below JavaScript: a listener of ours in `process.on` would count as the application's, and keep libraries that look
//! at the count, or the application itself, from ending. Only signals that nobody listens to are taken; when the
//! application listens later, Node's handler takes the place of this one and the application decides.

use napi_derive::napi;

/// Takes the signals of these numbers, once per process. The caller knows that nobody listens to them.
#[napi(catch_unwind)]
pub fn watch_signals(signals: Vec<i32>) {
    #[cfg(unix)]
    for signal in signals {
        // Without a pipe or a thread the process ends as it would have without us.
        let _ = unix::watch(signal);
    }
    #[cfg(not(unix))]
    drop(signals);
}

#[cfg(unix)]
mod unix {
    use std::collections::HashMap;
    use std::io::{Error, Read, Result};
    use std::os::fd::IntoRawFd;
    use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
    use std::sync::{Mutex, OnceLock, PoisonError};

    use tidecache_core::registry;

    use crate::handle::FAREWELL;
    use crate::runtime;

    static PIPE: AtomicI32 = AtomicI32::new(-1);
    static BEFORE: OnceLock<Mutex<HashMap<i32, Action>>> = OnceLock::new();

    struct Action(libc::sigaction);
    // SAFETY: plain data; what it points to is code.
    unsafe impl Send for Action {}

    pub(super) fn watch(signal: i32) -> Result<()> {
        let mut before = BEFORE
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if before.contains_key(&signal) {
            return Ok(());
        }
        if PIPE.load(SeqCst) < 0 {
            start()?;
        }
        // SAFETY: both actions are valid, writable data; the handler below is async-signal-safe.
        unsafe {
            let mut ours: libc::sigaction = std::mem::zeroed();
            let mut old: libc::sigaction = std::mem::zeroed();
            ours.sa_sigaction = on_signal as *const () as usize;
            ours.sa_flags = libc::SA_RESTART;
            if libc::sigaction(signal, &raw const ours, &raw mut old) != 0 {
                return Err(Error::last_os_error());
            }
            before.insert(signal, Action(old));
        }
        Ok(())
    }

    /// Only a write to a pipe: all that is safe here.
    extern "C" fn on_signal(signal: i32) {
        let byte = signal as u8;
        // SAFETY: one byte of a local, to a descriptor that stays open.
        unsafe { libc::write(PIPE.load(SeqCst), (&raw const byte).cast(), 1) };
    }

    fn start() -> Result<()> {
        let (mut reader, writer) = std::io::pipe()?;
        std::thread::Builder::new()
            .name("tidecache-end".into())
            .stack_size(64 * 1024)
            .spawn(move || {
                let mut byte = [0];
                while reader.read_exact(&mut byte).is_ok() {
                    end(i32::from(byte[0]));
                }
            })?;
        PIPE.store(writer.into_raw_fd(), SeqCst);
        Ok(())
    }

    /// Takes leave, then lets the signal do what it would have done.
    fn end(signal: i32) {
        if let Ok(runtime) = runtime::handle() {
            let (done, wait) = std::sync::mpsc::channel();
            runtime.spawn(async move {
                registry::leave_all().await;
                // Nobody waits any more after the deadline.
                let _ = done.send(());
            });
            // A timeout changes nothing: the process ends either way.
            let _ = wait.recv_timeout(FAREWELL);
        }
        let before = BEFORE.get_or_init(Mutex::default);
        let before = before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Action(old)) = before.get(&signal) {
            // SAFETY: the action that was there before, and a signal to ourselves.
            unsafe {
                libc::sigaction(signal, std::ptr::from_ref(old), std::ptr::null_mut());
                libc::kill(libc::getpid(), signal);
            }
        }
    }
}
