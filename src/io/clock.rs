//! The one place that reads the system's clocks.

use std::time::{Instant, SystemTime};

use clock::Now;
use jiff::Timestamp;

/// The process's clock: [`Now`] counts from its making.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts counting.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The time since the start.
    pub fn now(&self) -> Now {
        let nanos = self.start.elapsed().as_nanos();
        Now::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The instant of a point of this clock, for timers of the runtime.
    pub fn instant(&self, at: Now) -> Instant {
        self.start + at.since(Now::ZERO)
    }

    /// The wall clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where wall time comes from"
    )]
    pub fn wall(&self) -> Timestamp {
        Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
