//! Between 8 and 16 kHz by a half-band filter: flat to 3.4 kHz, 80 dB down from 4.7 kHz, 2 ms late.
//!
//! Every second tap of a half-band filter is zero but the middle one, so one phase is the input
//! itself, delayed, and the other takes 32 multiplications.

use crate::{FRAME, FRAME_16K, Frame};

/// Doubles the sample rate of a stream: 8 kHz to 16 kHz.
#[derive(Clone, Debug)]
pub struct TwiceRate {
    taps: [f32; TAPS],
    /// The last inputs, then the newest frame.
    input: [f32; TAPS - 1 + FRAME],
}

/// Halves the sample rate of a stream: 16 kHz to 8 kHz.
#[derive(Clone, Debug)]
pub struct HalfRate {
    taps: [f32; TAPS],
    /// The last inputs of each phase, then the newest frame's.
    even: [f32; TAPS - 1 + FRAME],
    odd: [f32; TAPS - 1 + FRAME],
}

impl Default for TwiceRate {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for HalfRate {
    fn default() -> Self {
        Self::new()
    }
}

impl TwiceRate {
    /// A resampler that has heard silence.
    pub fn new() -> Self {
        Self {
            taps: taps(),
            input: [0.0; TAPS - 1 + FRAME],
        }
    }

    /// Converts the next 20 ms.
    pub fn convert(&mut self, frame: &Frame, out: &mut [i16; FRAME_16K]) {
        shift_in(&mut self.input, frame.iter().copied());
        let windows = self.input.windows(TAPS);
        for (window, [even, odd]) in windows.zip(out.as_chunks_mut::<2>().0) {
            *even = round(window.get(MIDDLE).copied().unwrap_or(0.0));
            *odd = round(dot(window, &self.taps));
        }
    }
}

impl HalfRate {
    /// A resampler that has heard silence.
    pub fn new() -> Self {
        let phase = [0.0; TAPS - 1 + FRAME];
        Self {
            taps: taps(),
            even: phase,
            odd: phase,
        }
    }

    /// Converts the next 20 ms.
    pub fn convert(&mut self, frame: &[i16; FRAME_16K], out: &mut Frame) {
        shift_in(&mut self.even, frame.iter().copied().step_by(2));
        shift_in(&mut self.odd, frame.iter().copied().skip(1).step_by(2));
        let phases = self.even.windows(TAPS).zip(self.odd.windows(TAPS));
        for ((even, odd), out) in phases.zip(out) {
            // The odd samples lie half a tap before the even one in the middle's place.
            let middle = even.get(MIDDLE + 1).copied().unwrap_or(0.0);
            *out = round((middle + dot(odd, &self.taps)) / 2.0);
        }
    }
}

fn shift_in(line: &mut [f32; TAPS - 1 + FRAME], new: impl Iterator<Item = i16>) {
    line.copy_within(FRAME.., 0);
    for (to, sample) in line.iter_mut().skip(TAPS - 1).zip(new) {
        *to = f32::from(sample);
    }
}

/// Eight running sums, so that it vectorises.
fn dot(samples: &[f32], taps: &[f32; TAPS]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (samples, taps) in samples
        .as_chunks::<8>()
        .0
        .iter()
        .zip(taps.as_chunks::<8>().0)
    {
        for ((sum, &sample), &tap) in sums.iter_mut().zip(samples).zip(taps) {
            *sum += sample * tap;
        }
    }
    sums.iter().sum()
}

fn round(sample: f32) -> i16 {
    // `as` saturates.
    sample.round() as i16
}

/// The phase of a half-band filter that lies between samples: a sinc at odd multiples of a half,
/// under a Kaiser window (β = 8, some 80 dB), scaled to let a constant pass unchanged.
fn taps() -> [f32; TAPS] {
    let raw: [f64; TAPS] = std::array::from_fn(|i| {
        let at = i as f64 - (TAPS as f64 - 1.0) / 2.0;
        let x = std::f64::consts::PI * at;
        let edge = at / (TAPS as f64 / 2.0);
        x.sin() / x * bessel(8.0 * (1.0 - edge * edge).max(0.0).sqrt())
    });
    let sum: f64 = raw.iter().sum();
    raw.map(|tap| (tap / sum) as f32)
}

/// The modified Bessel function of order zero.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..30 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

/// Taps of the phase that is computed.
const TAPS: usize = 32;

/// The input that the computed output follows by half a sample.
const MIDDLE: usize = TAPS / 2 - 1;

#[cfg(test)]
mod tests {
    use super::{HalfRate, TwiceRate};
    use crate::dsp::{Goertzel, Tone, level};
    use crate::{FRAME, FRAME_16K};

    /// The share of `out` that is not the tone of `hz`, in decibels below it.
    fn purity_db(out: &[i16], hz: f32, rate: u32) -> (f32, f32) {
        let tone = Goertzel::new(hz, rate).dbfs(out);
        let (mut sine, mut cosine) = (0.0_f64, 0.0_f64);
        let phase = |i: usize| std::f64::consts::TAU * f64::from(hz) * i as f64 / f64::from(rate);
        for (i, &sample) in out.iter().enumerate() {
            sine += f64::from(sample) * phase(i).sin() * 2.0 / out.len() as f64;
            cosine += f64::from(sample) * phase(i).cos() * 2.0 / out.len() as f64;
        }
        let rest: f64 = (out.iter().enumerate())
            .map(|(i, &s)| (f64::from(s) - sine * phase(i).sin() - cosine * phase(i).cos()).powi(2))
            .sum();
        let total: f64 = out.iter().map(|&s| f64::from(s).powi(2)).sum();
        (tone, 10.0 * (total / rest.max(1e-9)).log10() as f32)
    }

    #[test]
    fn a_tone_keeps_its_level_and_gains_no_other_going_up_and_down() {
        for hz in [100.0, 1_000.0, 3_000.0, 3_400.0] {
            let (mut up, mut down) = (TwiceRate::new(), HalfRate::new());
            let mut tone = Tone::new(hz, -6.0);
            let (mut wide, mut back) = (Vec::new(), Vec::new());
            for _ in 0..50 {
                let (mut twice, mut half) = ([0; FRAME_16K], [0; FRAME]);
                up.convert(&tone.frame(), &mut twice);
                down.convert(&twice, &mut half);
                wide.extend(twice);
                back.extend(half);
            }
            // 800 ms from the middle: a whole number of cycles.
            for (out, rate) in [(&wide[1_600..14_400], 16_000), (&back[800..7_200], 8_000)] {
                let (level, purity) = purity_db(out, hz, rate);
                assert!((level + 6.0).abs() < 0.2, "{hz} at {rate}: {level} dBFS");
                assert!(purity > 55.0, "{hz} at {rate}: {purity} dB");
            }
        }
    }

    #[test]
    fn what_eight_kilohertz_cannot_carry_is_taken_out() {
        for hz in [4_700.0_f64, 6_000.0, 7_500.0] {
            let mut down = HalfRate::new();
            let mut out = Vec::new();
            for frame in 0..20 {
                let wide = std::array::from_fn(|i| {
                    let t = (frame * FRAME_16K + i) as f64 / 16_000.0;
                    ((std::f64::consts::TAU * hz * t).sin() * 30_000.0) as i16
                });
                let mut half = [0; FRAME];
                down.convert(&wide, &mut half);
                out.extend(half);
            }
            assert!(
                level::dbfs(&out[320..]) < -70.0,
                "{hz}: {}",
                level::dbfs(&out[320..])
            );
        }
    }

    #[test]
    fn a_constant_passes_unchanged_and_full_scale_saturates() {
        let mut out = [0; FRAME_16K];
        let mut up = TwiceRate::new();
        for _ in 0..2 {
            up.convert(&[12_345; FRAME], &mut out);
        }
        assert_eq!(out, [12_345; FRAME_16K]);
        let square = std::array::from_fn(|i| if i / 8 % 2 == 0 { i16::MAX } else { i16::MIN });
        up.convert(&square, &mut out);
        assert!(out.contains(&i16::MAX) && out.contains(&i16::MIN));
    }
}
