//! The freshness rule: one pure function from an entry's lifetimes, the reader's wish and the time.

use crate::clock::Instant;

/// The lifetimes that the writer stored, as points on the local clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// When the value was stored; age counts from here.
    pub created: Instant,
    /// End of `ttl`.
    pub fresh_until: Instant,
    /// End of `staleWhileRevalidate`, counted from the end of `ttl`.
    pub revalidate_until: Instant,
    /// End of `staleIfError`, counted from the end of `ttl`.
    pub error_until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Age ≤ ttl.
    Fresh,
    /// Past ttl, inside `staleWhileRevalidate`: served while one caller refreshes.
    Stale,
    /// Past that too, inside `staleIfError`: served only when the loader fails.
    StaleIfError,
    /// Not servable.
    Expired,
}

/// Judges an entry. `reader_ttl` (ns) only shortens freshness, never prolongs it; `None`: the writer's. An entry
/// that was marked stale is past its ttl, whatever its age; one without a window is then not servable.
#[must_use]
pub fn freshness(life: &Lifetimes, reader_ttl: Option<u64>, marked_stale: bool, now: Instant) -> Freshness {
    let fresh_until = match reader_ttl {
        Some(ttl) => life.fresh_until.min(life.created.saturating_add(ttl)),
        None => life.fresh_until,
    };
    if now < fresh_until && !marked_stale {
        return Freshness::Fresh;
    }
    let ended = if marked_stale { now } else { fresh_until };
    let inside = |until: Instant| {
        let window = until - life.fresh_until;
        now < until && now < ended.saturating_add(window)
    };
    if inside(life.revalidate_until) {
        Freshness::Stale
    } else if inside(life.error_until) {
        Freshness::StaleIfError
    } else {
        Freshness::Expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_as_a_table() {
        let life = Lifetimes {
            created: 100,
            fresh_until: 200,
            revalidate_until: 250,
            error_until: 300,
        };
        let cases = [
            // (now, reader's ttl, marked stale, verdict)
            (199, None, false, Freshness::Fresh),
            (200, None, false, Freshness::Stale),
            (249, None, false, Freshness::Stale),
            (250, None, false, Freshness::StaleIfError),
            (299, None, false, Freshness::StaleIfError),
            (300, None, false, Freshness::Expired),
            (150, None, true, Freshness::Stale),
            (260, None, true, Freshness::StaleIfError),
            (149, Some(50), false, Freshness::Fresh),
            (150, Some(50), false, Freshness::Stale),
            (199, Some(50), false, Freshness::Stale),
            (200, Some(50), false, Freshness::StaleIfError),
            (199, Some(5_000), false, Freshness::Fresh),
            (200, Some(5_000), false, Freshness::Stale),
        ];

        for (now, reader_ttl, marked, verdict) in cases {
            assert_eq!(
                freshness(&life, reader_ttl, marked, now),
                verdict,
                "{now} {reader_ttl:?} {marked}"
            );
        }
    }

    #[test]
    fn without_stale_windows_an_entry_expires_with_its_ttl() {
        let life = Lifetimes {
            created: 0,
            fresh_until: 10,
            revalidate_until: 10,
            error_until: 10,
        };

        assert_eq!(freshness(&life, None, false, 9), Freshness::Fresh);
        assert_eq!(freshness(&life, None, false, 10), Freshness::Expired);
        assert_eq!(freshness(&life, None, true, 5), Freshness::Expired);
        assert_eq!(freshness(&life, Some(3), false, 5), Freshness::Expired);
    }
}
