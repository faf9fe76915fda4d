//! Time: one monotonic clock, injected, in nanoseconds since an arbitrary origin.
//!
//! Deadlines in memory are points on it. It counts the sleep of a laptop or a paused virtual machine where
//! the system has such a clock (Linux: `CLOCK_BOOTTIME`): an entry must not outlive its ttl by a nap.
//! Wall clocks of different machines are never compared; lifetimes that cross machines use Redis's clock.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

/// A point on the clock, ns.
pub type Instant = u64;

pub const MS: u64 = 1_000_000;

pub trait Clock: Send + Sync + Debug + 'static {
    fn now(&self) -> Instant;
}

/// The system's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn now(&self) -> Instant {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a valid, writable timespec; the call touches nothing else.
        unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn now(&self) -> Instant {
        use std::sync::OnceLock;
        static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
        // An hour ahead of zero, so that "a moment ago" never underflows.
        3_600_000_000_000 + ORIGIN.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
    }
}

/// A clock that stands still until a test moves it: ours, and those of the package's users.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicU64::new(3_600_000_000_000))
    }
}

impl ManualClock {
    pub fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms.saturating_mul(MS), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.0.load(Ordering::SeqCst)
    }
}
