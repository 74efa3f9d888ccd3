//! The fast step: is there more than the background, in either half of the telephone's band?
//!
//! Vowels stand out below 1 kHz, where noise of any colour has little, hisses above it. Each half knows its
//! own background: the level to which sound falls back every second or two, between words as well as
//! between talkers. It is learnt whether somebody talks or not, so a noise that begins is not
//! taken for a voice for long.

use crate::Frame;

/// Whether sound stands out of the background; 10 ms a decision, no look ahead.
#[derive(Clone, Debug)]
pub struct Gate {
    smooth: f32,
    low: Background,
    high: Background,
}

/// How quiet one half of the band is when nobody talks, in dB against one bit.
#[derive(Clone, Debug)]
struct Background(f32);

impl Default for Gate {
    fn default() -> Self {
        Self {
            smooth: 0.0,
            low: Background(AT_FIRST_DB),
            high: Background(AT_FIRST_DB),
        }
    }
}

impl Gate {
    /// Whether the frame stands out.
    pub fn handle(&mut self, frame: &Frame) -> bool {
        let (mut low, mut high) = (0.0, 0.0);
        for &sample in frame {
            let sample = f32::from(sample);
            self.smooth += SPLIT * (sample - self.smooth);
            low += self.smooth * self.smooth;
            high += (sample - self.smooth) * (sample - self.smooth);
        }
        let low = self.low.stands_out(decibels(low));
        let high = self.high.stands_out(decibels(high));
        low || high
    }
}

impl Background {
    fn stands_out(&mut self, level: f32) -> bool {
        let above = level - self.0;
        let step = if above < 0.0 {
            DOWN * above
        } else {
            (NEAR * above).min(UP_DB)
        };
        self.0 = (self.0 + step).max(LEAST_DB);
        above > OUT_DB
    }
}

fn decibels(energy: f32) -> f32 {
    10.0 * (energy / crate::FRAME as f32 + 1.0).log10()
}

/// One pole at 1 kHz.
const SPLIT: f32 = 0.325;
/// A quiet room: -60 dBFS.
const AT_FIRST_DB: f32 = 30.0;
/// A background falls within 100 ms,
const DOWN: f32 = 0.1;
/// and rises by 4 dB a second,
const UP_DB: f32 = 0.04;
/// more slowly when it is nearly right.
const NEAR: f32 = 0.05;
/// What stands out by less wavers: steady noise does so by 2 dB in 10 ms, babble by more.
const OUT_DB: f32 = 7.0;
/// Digital silence would have no end below.
const LEAST_DB: f32 = 20.0;

#[cfg(test)]
mod tests {
    use super::Gate;
    use crate::{FRAME, Frame};

    fn hum(level: f32, n: usize) -> Frame {
        std::array::from_fn(|k| (level * ((n * FRAME + k) as f32 * 0.2).sin()) as i16)
    }

    #[test]
    fn a_voice_opens_it_at_once_and_a_noise_that_stays_does_not_keep_it_open() {
        let mut gate = Gate::default();
        assert!(
            (0..100).all(|n| !gate.handle(&hum(20.0, n))),
            "a quiet room"
        );
        assert!(gate.handle(&hum(1_000.0, 100)), "10 ms of a voice");
        let open = (101..2_000)
            .filter(|&n| gate.handle(&hum(1_000.0, n)))
            .count();
        assert!(
            open < 1_000,
            "a steady sound is background within 10 s: {open}"
        );
        assert!(gate.handle(&hum(8_000.0, 2_000)), "a voice above it");
    }
}
