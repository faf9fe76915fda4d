//! The breaker: after a few timeouts in a row nobody waits for Redis until it has answered a probe.
//!
//! It holds back reads and fills only. An invalidation is always tried, and queued when it fails.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

/// Timeouts in a row that open it. One could be a hiccup; each more costs a caller its whole budget.
const THRESHOLD: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

#[derive(Debug, Default)]
pub struct Breaker {
    failures: AtomicU32,
    open: AtomicBool,
    probing: AtomicBool,
}

impl Breaker {
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load(SeqCst)
    }

    #[must_use]
    pub fn state(&self) -> BreakerState {
        match (self.is_open(), self.probing.load(SeqCst)) {
            (false, _) => BreakerState::Closed,
            (true, false) => BreakerState::Open,
            (true, true) => BreakerState::HalfOpen,
        }
    }

    pub fn success(&self) {
        if self.failures.load(SeqCst) != 0 {
            self.failures.store(0, SeqCst);
        }
    }

    /// Counts a timeout; `true` when it opens the breaker.
    pub fn timeout(&self) -> bool {
        self.failures.fetch_add(1, SeqCst) + 1 >= THRESHOLD && !self.open.swap(true, SeqCst)
    }

    pub fn probe(&self) {
        self.probing.store(true, SeqCst);
    }

    pub fn probed(&self, answered: bool) {
        self.probing.store(false, SeqCst);
        if answered {
            self.close();
        }
    }

    pub fn close(&self) {
        self.failures.store(0, SeqCst);
        self.open.store(false, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_in_a_row_open_it_and_an_answered_probe_closes_it() {
        let breaker = Breaker::default();
        breaker.timeout();
        breaker.success();
        breaker.timeout();
        assert_eq!(breaker.state(), BreakerState::Closed, "not in a row");

        breaker.timeout();
        assert_eq!(breaker.state(), BreakerState::Open);

        breaker.probe();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.probed(false);
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.probe();
        breaker.probed(true);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
