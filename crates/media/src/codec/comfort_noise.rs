//! Comfort noise (RFC 3389): the sender tells the level of its background, the receiver makes it.
//!
//! The level byte is used; the spectral coefficients that may follow are not, so that the noise is
//! white. RFC 3389 §3 leaves them to the receiver.

use crate::dsp::level;

/// The static payload type at 8 kHz (RFC 3551 §6).
pub const PAYLOAD_TYPE: u8 = 13;

/// Reads a payload: the noise level in −dBov, 0 to 127; `None` for an empty one.
pub fn level_dbov(payload: &[u8]) -> Option<u8> {
    payload.first().map(|byte| byte & 0x7F)
}

/// Writes a payload without spectral coefficients: the level alone, in −dBov (0 to 127).
pub const fn payload(level_dbov: u8) -> [u8; 1] {
    [if level_dbov > 127 { 127 } else { level_dbov }]
}

/// Makes the noise a sender has described.
#[derive(Clone, Debug)]
pub struct ComfortNoise {
    /// Peak of the uniform noise, in samples.
    peak: i32,
    /// Where the peak is going: a change is spread over some 10 ms.
    goal: i32,
    state: u32,
}

impl ComfortNoise {
    /// Silence until a level is told; `seed` tells one port's noise from another's.
    pub const fn new(seed: u32) -> Self {
        Self {
            peak: 0,
            goal: 0,
            state: seed | 1,
        }
    }

    /// Takes the level of a received payload, in −dBov: 0 is the overload point, 127 is silence.
    ///
    /// dBov measures against a full-scale square wave (RFC 3389 §3), 3 dB above 0 dBFS.
    pub fn set_level(&mut self, level_dbov: u8) {
        let dbfs = 3.01 - f32::from(level_dbov.min(127));
        // Uniform noise has a third of its peak's square, a sine half of its amplitude's.
        let peak = level::amplitude(dbfs.min(0.0)) * 1.2247;
        self.goal = if level_dbov >= 127 {
            0
        } else {
            (peak as i32).min(i16::MAX.into())
        };
    }

    /// Writes the next samples of noise.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            let off = self.goal - self.peak;
            self.peak += if off.abs() < 64 {
                off.signum()
            } else {
                off / 64
            };
            self.state = self
                .state
                .wrapping_mul(1_664_525)
                .wrapping_add(1_013_904_223);
            let uniform = i32::from((self.state >> 16) as u16 as i16);
            *sample = ((uniform * self.peak) >> 15) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ComfortNoise, level_dbov, payload};
    use crate::dsp::level;

    // covers: RFC 3389 §3
    #[test]
    fn noise_is_made_at_the_level_that_was_told() {
        for told in [20_u8, 40, 60] {
            let mut noise = ComfortNoise::new(7);
            noise.set_level(level_dbov(&payload(told)).unwrap());
            let mut samples = [0; 8_000];
            noise.fill(&mut samples);
            let measured = level::dbfs(&samples[4_000..]);
            assert!(
                (measured - (3.0 - f32::from(told))).abs() < 1.0,
                "{told}: {measured}"
            );
        }
    }

    #[test]
    fn the_quietest_level_is_silence_and_coefficients_are_ignored() {
        let mut noise = ComfortNoise::new(1);
        noise.set_level(level_dbov(&[0xFF, 1, 2, 3]).unwrap());
        let mut samples = [9; 160];
        noise.fill(&mut samples);
        assert_eq!(samples, [0; 160]);
        assert_eq!(level_dbov(&[]), None);
    }
}
