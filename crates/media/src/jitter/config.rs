//! The bounds of the playout delay.

use clock::Duration;

/// The playout delay that a port starts with, and its bounds.
///
/// Fields are private so that `min <= initial <= max` holds for every value that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterConfig {
    min: Duration,
    initial: Duration,
    max: Duration,
}

/// Why three delays do not make a [`JitterConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JitterConfigError {
    /// They are not in order.
    #[error(
        "media.jitter: want delay_min_ms <= delay_initial_ms <= delay_max_ms, have {0}, {1}, {2}"
    )]
    OutOfOrder(u32, u32, u32),
    /// The buffer could not hold that much: 64 packets of 20 ms are 1,280 ms.
    #[error("media.jitter: want delay_max_ms <= 1000, have {0}")]
    TooLong(u32),
}

impl JitterConfig {
    /// The largest delay that may be configured, in milliseconds.
    pub const LONGEST_MS: u32 = 1_000;

    /// Takes the smallest, the first and the largest delay in milliseconds.
    ///
    /// # Errors
    /// [`JitterConfigError::OutOfOrder`] unless `min <= initial <= max`;
    /// [`JitterConfigError::TooLong`] if `max` exceeds [`Self::LONGEST_MS`].
    pub const fn from_ms([min, initial, max]: [u32; 3]) -> Result<Self, JitterConfigError> {
        if min > initial || initial > max {
            return Err(JitterConfigError::OutOfOrder(min, initial, max));
        }
        if max > Self::LONGEST_MS {
            return Err(JitterConfigError::TooLong(max));
        }
        Ok(Self {
            min: Duration::from_millis(min as u64),
            initial: Duration::from_millis(initial as u64),
            max: Duration::from_millis(max as u64),
        })
    }

    /// The delay never falls below this.
    pub const fn min(&self) -> Duration {
        self.min
    }

    /// The delay of the first seconds, before there is much to go by.
    pub const fn initial(&self) -> Duration {
        self.initial
    }

    /// The delay is never aimed above this; what comes later is lost.
    pub const fn max(&self) -> Duration {
        self.max
    }
}

impl Default for JitterConfig {
    /// 10 ms: half a frame. A frame is taken every 20 ms, so that of two delays on either side of this the
    /// lower one is had, where packets come that steadily; where they do not, their histogram says so. 40 ms at first:
    /// two packets, the usual jitter of an access line. 200 ms: beyond it talk turns into turns
    /// (ITU-T G.114), and losing the packet is the smaller harm.
    fn default() -> Self {
        Self {
            min: Duration::from_millis(10),
            initial: Duration::from_millis(40),
            max: Duration::from_millis(200),
        }
    }
}
