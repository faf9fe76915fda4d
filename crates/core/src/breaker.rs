//! The breaker: once Redis is silent nobody waits for it until it has answered a probe.
//!
//! One whole budget in which not a byte came opens it; so do a few answers in a row that were merely late. It holds back
//! reads and fills only. An invalidation is always tried, and queued when it fails.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use tokio::sync::Notify;

/// Late answers in a row that open it. One could be a large reply; each more costs a caller its whole budget.
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
    opening: Notify,
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

    /// Resolves when it is open: what waits for Redis need not wait any longer.
    pub async fn opened(&self) {
        // Made before the look: it hears of every opening from here on.
        let opening = self.opening.notified();
        if !self.is_open() {
            opening.await;
        }
    }

    pub fn success(&self) {
        if self.failures.load(SeqCst) != 0 {
            self.failures.store(0, SeqCst);
        }
    }

    /// Counts an answer that was late; `true` when it opens the breaker.
    pub fn timeout(&self) -> bool {
        self.failures.fetch_add(1, SeqCst) + 1 >= THRESHOLD && self.trip()
    }

    /// Redis is silent; `true` when it was closed.
    pub fn trip(&self) -> bool {
        let was_open = self.open.swap(true, SeqCst);
        if !was_open {
            self.opening.notify_waiters();
        }
        !was_open
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

    #[tokio::test]
    async fn silence_opens_it_at_once_and_who_waits_hears_of_it() {
        let breaker = Breaker::default();
        let (waited, first) = tokio::join!(breaker.opened(), async { breaker.trip() });

        assert_eq!((waited, first), ((), true));
        assert!(!breaker.trip(), "only the first one opens it");
        breaker.opened().await; // who comes later does not wait

        breaker.close();
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(1), breaker.opened());
        assert!(waiting.await.is_err(), "closed again, there is nothing to hear of");
    }
}
