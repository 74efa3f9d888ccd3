//! Wall time for records and opening hours, told by one pairing with the monotonic clock.

use std::time::Duration;

use clock::Now;
use jiff::Timestamp;

/// Wall time as it was at one point of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    at: Now,
    was: Timestamp,
}

impl WallClock {
    /// At `at` the wall clock showed `was`.
    pub const fn new(at: Now, was: Timestamp) -> Self {
        Self { at, was }
    }

    /// When the wall clock shows `wall`; the clock's own start if that is before it.
    pub fn when(&self, wall: Timestamp) -> Now {
        let ahead = wall.duration_since(self.was);
        match ahead.is_negative() {
            true => {
                let back = Now::ZERO + ahead.unsigned_abs();
                Now::ZERO + self.at.since(back)
            }
            false => self.at + ahead.unsigned_abs(),
        }
    }

    /// What the wall clock shows at `now`.
    pub fn at(&self, now: Now) -> Timestamp {
        if now >= self.at {
            self.was
                .saturating_add(now - self.at)
                .unwrap_or(Timestamp::MAX)
        } else {
            let back: Duration = self.at - now;
            self.was.saturating_sub(back).unwrap_or(Timestamp::MIN)
        }
    }
}
