//! Wall-clock time in reports (RFC 3550 §4).

use std::time::Duration;

/// Wall-clock time as NTP writes it: seconds since 1900 in the upper 32 bits, their fraction below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The moment `span` after this one: wall time is one reading at the start plus [`Now`](clock::Now)'s advance.
    pub fn plus(self, span: Duration) -> Self {
        let seconds = span.as_secs() << 32;
        let fraction = (u64::from(span.subsec_nanos()) << 32) / 1_000_000_000;
        Self(self.0.wrapping_add(seconds).wrapping_add(fraction))
    }

    /// The middle 32 bits: 65,536ths of a second, wrapping after 18 hours.
    pub const fn middle(self) -> u32 {
        ((self.0 >> 16) & 0xFFFF_FFFF) as u32
    }
}
