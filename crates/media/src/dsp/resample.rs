//! Between the rates of live audio (8, 16, 24 and 48 kHz) by a polyphase filter of 32 taps at the
//! lower of the two: 80 dB down a sixth beyond its edge, and late by 16 samples of the lower rate
//! (2 ms at 8 kHz, 1 ms at 16 kHz).
//!
//! The filters of all pairs are made once ([`prepare`]); a stream keeps only its last inputs.

use std::f64::consts::PI;
use std::sync::LazyLock;

use crate::BUS_FRAME_MAX;

/// Changes the rate of one stream of samples.
///
/// `PAST` is how many inputs it remembers: [`PAST_UP`] is enough when the rate rises, [`PAST_HALF`]
/// when it is halved at most, [`PAST_ANY`] always.
///
/// *Media thread*: after [`prepare`] nothing allocates; 31,000 multiplications a frame at most.
#[derive(Clone, Debug)]
pub struct Resampler<const PAST: usize> {
    from: u32,
    to: u32,
    bank: Option<&'static Bank>,
    past: [i16; PAST],
}

/// Inputs to remember when the rate rises.
pub const PAST_UP: usize = TAPS - 1;

/// Inputs to remember when the rate falls to a half or a third less.
pub const PAST_HALF: usize = 2 * TAPS - 1;

/// Inputs to remember for any change.
pub const PAST_ANY: usize = 6 * TAPS - 1;

impl<const PAST: usize> Resampler<PAST> {
    /// From samples at `from` a second to samples at `to`, both among [`RATES`]; others pass as they are.
    pub fn new(from: u32, to: u32) -> Self {
        let bank = BANKS
            .iter()
            .find(|bank| (bank.from, bank.to) == (from, to))
            .filter(|bank| bank.taps <= PAST + 1);
        debug_assert!(
            bank.is_some() || from == to,
            "no filter from {from} to {to}"
        );
        Self {
            from,
            to,
            bank,
            past: [0; PAST],
        }
    }

    /// Samples pass as they are, until it is tuned.
    pub const fn idle() -> Self {
        Self {
            from: 0,
            to: 0,
            bank: None,
            past: [0; PAST],
        }
    }

    /// Goes on between other rates; what it remembers is forgotten if they differ from before.
    pub fn tune(&mut self, from: u32, to: u32) {
        if (self.from, self.to) != (from, to) {
            *self = Self::new(from, to);
        }
    }

    /// Converts the next frame, of 20 ms at most; gives the samples written.
    pub fn convert(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        let Some(bank) = self.bank else {
            let count = input.len().min(out.len());
            for (to, &from) in out.iter_mut().zip(input) {
                *to = from;
            }
            return count;
        };
        let mut line = [0.0_f32; PAST_ANY + BUS_FRAME_MAX];
        let past = bank.taps - 1;
        let known = self
            .past
            .get(PAST.saturating_sub(past)..)
            .unwrap_or_default();
        for (to, &sample) in line.iter_mut().zip(known.iter().chain(input)) {
            *to = f32::from(sample);
        }
        let count = (input.len().min(BUS_FRAME_MAX) * bank.up / bank.down).min(out.len());
        for (n, sample) in out.iter_mut().take(count).enumerate() {
            let at = n * bank.down;
            let window = line.get(at / bank.up..).unwrap_or_default();
            *sample = round(dot(window, bank.phase(at % bank.up)));
        }
        self.remember(input);
        count
    }

    fn remember(&mut self, input: &[i16]) {
        let new = input.len().min(PAST);
        self.past.copy_within(new.., 0);
        let newest = input.get(input.len() - new..).unwrap_or_default();
        if let Some(place) = self.past.get_mut(PAST - new..) {
            place.copy_from_slice(newest);
        }
    }
}

/// Makes all filters. Call it before a media thread converts anything.
pub fn prepare() {
    LazyLock::force(&BANKS);
}

/// The rates of live audio, in samples per second.
pub const RATES: [u32; 4] = [8_000, 16_000, 24_000, 48_000];

/// The filter of one pair of rates, as `up` phases of `taps` each.
#[derive(Debug)]
struct Bank {
    from: u32,
    to: u32,
    up: usize,
    down: usize,
    taps: usize,
    phases: Box<[f32]>,
}

static BANKS: LazyLock<Vec<Bank>> = LazyLock::new(|| {
    let pairs = RATES.iter().flat_map(|&from| RATES.map(|to| (from, to)));
    pairs
        .filter(|(from, to)| from != to)
        .map(|(from, to)| Bank::new(from, to))
        .collect()
});

impl Bank {
    /// A sinc at the lower rate's edge under a Kaiser window (β = 8, some 80 dB), each phase scaled to
    /// let a constant pass unchanged.
    fn new(from: u32, to: u32) -> Self {
        let common = divisor(from, to);
        let (up, down) = ((to / common) as usize, (from / common) as usize);
        let length = TAPS * up.max(down);
        let taps = length / up;
        let prototype = |i: usize| {
            let at = i as f64 - (length as f64 - 1.0) / 2.0;
            let edge = at / (length as f64 / 2.0);
            let x = PI * at / up.max(down) as f64;
            let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
            sinc * bessel(8.0 * (1.0 - edge * edge).max(0.0).sqrt())
        };
        let phases = (0..up).flat_map(|phase| {
            let raw: Vec<f64> = (0..taps).rev().map(|i| prototype(i * up + phase)).collect();
            let sum: f64 = raw.iter().sum();
            raw.into_iter().map(move |tap| (tap / sum) as f32)
        });
        Self {
            from,
            to,
            up,
            down,
            taps,
            phases: phases.collect(),
        }
    }

    fn phase(&self, phase: usize) -> &[f32] {
        let from = phase * self.taps;
        self.phases.get(from..from + self.taps).unwrap_or_default()
    }
}

fn divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Eight running sums, so that it vectorises.
fn dot(samples: &[f32], taps: &[f32]) -> f32 {
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

/// To the nearest sample; `as` saturates. `f32::round` would be a call where SSE 4.1 is not assumed.
fn round(sample: f32) -> i16 {
    (sample + 0.5_f32.copysign(sample)) as i16
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

/// Taps at the lower rate; a multiple of eight.
const TAPS: usize = 32;

#[cfg(test)]
mod tests {
    use super::{PAST_ANY, RATES, Resampler};
    use crate::dsp::level;

    fn sine(hz: f64, rate: u32, count: usize) -> Vec<i16> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..count)
            .map(|i| ((step * i as f64).sin() * 16_384.0).round() as i16)
            .collect()
    }

    fn convert(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
        let mut resampler = Resampler::<PAST_ANY>::new(from, to);
        let mut heard = Vec::new();
        for frame in samples.chunks_exact(from as usize / 50) {
            let mut out = vec![0; to as usize / 50];
            assert_eq!(resampler.convert(frame, &mut out), out.len());
            heard.extend(out);
        }
        heard
    }

    /// Level of the tone, and how far all else lies below it.
    fn purity_db(out: &[i16], hz: f64, rate: u32) -> (f64, f64) {
        let phase = |i: usize| std::f64::consts::TAU * hz * i as f64 / f64::from(rate);
        let (mut sine, mut cosine) = (0.0_f64, 0.0_f64);
        for (i, &sample) in out.iter().enumerate() {
            sine += f64::from(sample) * phase(i).sin() * 2.0 / out.len() as f64;
            cosine += f64::from(sample) * phase(i).cos() * 2.0 / out.len() as f64;
        }
        let rest: f64 = (out.iter().enumerate())
            .map(|(i, &s)| (f64::from(s) - sine * phase(i).sin() - cosine * phase(i).cos()).powi(2))
            .sum();
        let total: f64 = out.iter().map(|&s| f64::from(s).powi(2)).sum();
        let level = 20.0 * (sine.hypot(cosine) / 32_768.0).log10();
        (level, 10.0 * (total / rest.max(1e-9)).log10())
    }

    #[test]
    fn a_tone_keeps_its_level_and_gains_no_other_between_any_two_rates() {
        for from in RATES {
            for to in RATES {
                for hz in [100.0, 1_000.0, 3_000.0, 3_400.0] {
                    let heard = convert(&sine(hz, from, from as usize), from, to);
                    // 800 ms from the middle: a whole number of cycles.
                    let middle = &heard[to as usize / 10..to as usize * 9 / 10];
                    let (level, purity) = purity_db(middle, hz, to);
                    assert!(
                        (level + 6.02).abs() < 0.2,
                        "{from} to {to} {hz}: {level} dBFS"
                    );
                    assert!(purity > 60.0, "{from} to {to} {hz}: {purity} dB");
                }
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_taken_out() {
        for (from, to, hz) in [
            (16_000, 8_000, 4_700.0),
            (16_000, 8_000, 7_500.0),
            (48_000, 8_000, 4_700.0),
            (48_000, 8_000, 20_000.0),
            (48_000, 16_000, 9_400.0),
            (24_000, 16_000, 9_400.0),
        ] {
            let heard = convert(&sine(hz, from, from as usize / 2), from, to);
            let level = level::dbfs(&heard[to as usize / 25..]);
            assert!(level < -70.0, "{from} to {to}, {hz}: {level}");
        }
    }

    #[test]
    fn it_is_late_by_sixteen_samples_of_the_lower_rate() {
        for (from, to) in [
            (8_000, 16_000),
            (8_000, 48_000),
            (48_000, 8_000),
            (16_000, 48_000),
        ] {
            let mut click = vec![0; from as usize / 10];
            click[from as usize / 50] = 20_000;
            let heard = convert(&click, from, to);
            let loudest = (0..heard.len()).max_by_key(|&i| heard[i]).unwrap();
            let late = loudest as f64 / f64::from(to) - 0.020;
            let wanted = 16.0 / f64::from(from.min(to));
            assert!((late - wanted).abs() < 0.0002, "{from} to {to}: {late} s");
        }
    }

    #[test]
    fn a_constant_passes_unchanged_and_full_scale_saturates() {
        for (from, to) in [(8_000, 48_000), (48_000, 8_000), (24_000, 16_000)] {
            let heard = convert(&vec![12_345; from as usize / 5], from, to);
            assert!(heard[to as usize / 20..].iter().all(|&s| s == 12_345));
        }
        let square: Vec<i16> = (0..800)
            .map(|i| if i / 8 % 2 == 0 { i16::MAX } else { i16::MIN })
            .collect();
        let heard = convert(&square, 8_000, 16_000);
        assert!(heard.contains(&i16::MAX) && heard.contains(&i16::MIN));
    }
}
