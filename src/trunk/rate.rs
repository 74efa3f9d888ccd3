//! A cap on calls a second: a token bucket, kept as the time at which it will be full again.

use clock::{Duration, Now};

/// Admits `per_second` calls a second on average and at most that many at once.
///
/// In any stretch of `t` seconds it admits at most `per_second · (1 + t)` calls, and it never refuses
/// one that keeps the pace. One point in time is its whole state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    per_second: u32,
    full_at: Now,
}

impl Rate {
    /// A full bucket; `per_second` of 0 counts as 1.
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second: per_second.max(1),
            full_at: Now::ZERO,
        }
    }

    /// The cap.
    pub(super) const fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Whether a token is there at `now`.
    pub(super) fn has(&self, now: Now) -> bool {
        let depth = self.interval() * (self.per_second - 1);
        self.full_at.since(now) <= depth
    }

    /// Takes a token; `false`, and nothing changes, if there is none.
    pub(super) fn take(&mut self, now: Now) -> bool {
        let there = self.has(now);
        if there {
            self.full_at = self.full_at.max(now) + self.interval();
        }
        there
    }

    /// The time in which one token comes back, rounded up so that the cap is never passed.
    fn interval(&self) -> Duration {
        Duration::from_nanos(1_000_000_000_u64.div_ceil(self.per_second.into()))
    }
}
