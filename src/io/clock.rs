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

    /// A clock that reads `now` at this moment.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub(in crate::io) fn reading(now: Now) -> Self {
        let at = Instant::now();
        Self {
            start: at.checked_sub(now.since(Now::ZERO)).unwrap_or(at),
        }
    }

    /// The time since the start.
    pub fn now(&self) -> Now {
        let nanos = self.start.elapsed().as_nanos();
        Now::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The wall clock as it was at [`Now::ZERO`], as NTP seconds and fraction (RFC 3550 §4).
    pub fn ntp_at_zero(&self) -> u64 {
        ntp(self.wall().as_nanosecond() - i128::from(self.now().as_nanos()))
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

/// 32 bits of seconds since 1900, in whose second era 2036 begins, and 32 bits of fraction.
fn ntp(unix_nanos: i128) -> u64 {
    let seconds = unix_nanos.div_euclid(NANOS_PER_S) + NTP_OF_UNIX;
    let fraction = (unix_nanos.rem_euclid(NANOS_PER_S) << 32) / NANOS_PER_S;
    ((seconds as u64) << 32) | fraction as u64
}

const NANOS_PER_S: i128 = 1_000_000_000;

/// Seconds from 1900 to 1970: 70 years with 17 leap days.
const NTP_OF_UNIX: i128 = 2_208_988_800;

#[cfg(test)]
mod tests {
    use clock::{Duration, Now};
    use jiff::Timestamp;

    use super::{SystemClock, ntp};

    // covers: RFC 3550 §4
    #[test]
    fn ntp_time_counts_from_1900_with_a_binary_fraction_and_wraps_in_2036() {
        let of = |text: &str| ntp(text.parse::<Timestamp>().unwrap().as_nanosecond());
        assert_eq!(of("1970-01-01T00:00:00Z"), 0x83AA_7E80_0000_0000);
        assert_eq!(of("1970-01-01T00:00:00.75Z"), 0x83AA_7E80_C000_0000);
        assert_eq!(of("1900-01-01T00:00:00Z"), 0);
        assert_eq!(of("2036-02-07T06:28:17Z"), 1 << 32);
    }

    #[test]
    fn the_origin_of_the_clock_is_now_less_what_has_passed() {
        let clock = SystemClock::start();
        let passed = clock.now().since(Now::ZERO).as_nanos() as u64;
        let at_zero = clock.ntp_at_zero();
        let now = ntp(clock.wall().as_nanosecond());
        let apart = now.wrapping_sub(at_zero);
        assert!(apart >= passed / 1_000_000_000 && apart >> 32 < Duration::from_secs(5).as_secs());
    }
}
