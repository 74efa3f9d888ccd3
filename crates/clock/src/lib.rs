//! The injected monotonic clock: a pure module is told the time, it never asks for it.
//!
//! [`Now`] is a point on one process's monotonic clock, in nanoseconds since that clock's start.
//! It is not wall time (call records, RTCP sender reports) and not RTP time (a stream's sampling clock).

use std::ops::{Add, AddAssign, Sub};
pub use std::time::Duration;

/// A point in monotonic time, to the nanosecond; it lasts 584 years before it saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now(u64);

impl Now {
    /// The clock's start.
    pub const ZERO: Self = Self(0);

    /// The point `nanos` nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the clock's start.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time from `earlier` to `self`, zero if `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Now {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl AddAssign<Duration> for Now {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub for Now {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Now};

    #[test]
    fn a_span_added_is_the_span_since() {
        let later = Now::from_nanos(5) + Duration::from_millis(20);
        assert_eq!(later - Now::from_nanos(5), Duration::from_millis(20));
        assert_eq!(Now::ZERO.since(later), Duration::ZERO);
    }
}
