//! Names whose source lags for a while, as this process was told. What is loaded meanwhile is not kept.
//!
//! Redis knows it too, for every process; this is for what never reaches Redis.

use crate::names::{is_pattern, matches, Dep};
use crate::sim::Time;

#[derive(Debug, Default)]
pub struct Windows(Vec<(Dep, Time)>);

impl Windows {
    pub fn note(&mut self, dep: Dep, until: Time) {
        if until > 0 && !self.0.contains(&(dep, until)) {
            self.0.push((dep, until));
        }
    }

    /// Until when a load of `key` that began at `start` is not to be kept.
    #[must_use]
    pub fn until(&self, start: Time, key: usize, depends: impl Fn(Dep) -> bool) -> Option<Time> {
        let concerns = |dep: Dep| {
            if is_pattern(dep) {
                matches(dep, key)
            } else {
                depends(dep)
            }
        };
        let open = self.0.iter().filter(|(dep, until)| start < *until && concerns(*dep));
        open.map(|(_, until)| *until).max()
    }

    /// Whether one has ended since `start`: a loader that began before that may still name the tag it was for.
    #[must_use]
    pub fn any_ended(&self, start: Time, now: Time) -> bool {
        let named = self.0.iter().filter(|(dep, _)| !is_pattern(*dep));
        named
            .map(|(_, until)| until)
            .any(|until| start < *until && *until <= now)
    }
}
