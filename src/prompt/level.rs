//! Audio of any rate, made into mono at 8 kHz with a level that fits beside the others.

use dasp::Sample;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

/// Samples a second of every clip.
pub const RATE: u32 = 8_000;

/// Rates that a file may have, Hz.
pub const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// A prompt is brought to at most this active level, dBFS: louder ones startle after a quiet one.
pub const LOUDEST_DBFS: f32 = -16.0;

/// A prompt is brought to at least this active level, dBFS: quieter ones are lost in a street.
pub const QUIETEST_DBFS: f32 = -24.0;

/// The audio cannot be resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rate} Hz cannot be resampled; want {} to {} Hz", RATES.start(), RATES.end())]
pub struct RateError {
    /// The rate found, Hz.
    pub rate: u32,
}

/// Resamples mono audio at `rate` Hz to 8 kHz, all at once, without delay (an FFT resampler with its
/// start-up trimmed).
///
/// # Errors
/// [`RateError`] for a rate outside [`RATES`].
pub fn to_8k(samples: &[f32], rate: u32) -> Result<Vec<f32>, RateError> {
    let refused = RateError { rate };
    if !RATES.contains(&rate) {
        return Err(refused);
    }
    if rate == RATE || samples.is_empty() {
        return Ok(samples.to_vec());
    }
    let [from, to] = [rate, RATE].map(|hz| usize::try_from(hz).unwrap_or(usize::MAX));
    let mut resampler =
        Fft::<f32>::new(from, to, CHUNK, 1, FixedSync::Both).map_err(|_| refused)?;
    let input = InterleavedSlice::new(samples, 1, samples.len()).map_err(|_| refused)?;
    let output = resampler
        .process_all(&input, samples.len(), None)
        .map_err(|_| refused)?;
    Ok(output.take_data())
}

/// Brings speech between [`QUIETEST_DBFS`] and [`LOUDEST_DBFS`] and under full scale; silence stays.
pub fn settle(samples: &mut [f32]) {
    let Some(active) = active_dbfs(samples) else {
        return;
    };
    let wanted = active.clamp(QUIETEST_DBFS, LOUDEST_DBFS);
    let peak = samples
        .iter()
        .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    let gain = ratio(wanted - active).min(PEAK_MAX / peak.max(f32::MIN_POSITIVE));
    for sample in samples {
        *sample *= gain;
    }
}

/// The level of what is not silence, in dBFS (a square wave at full scale is 0): the power mean over
/// the frames of 20 ms above −50 dBFS, `None` if there is none.
pub fn active_dbfs(samples: &[f32]) -> Option<f32> {
    let power = |frame: &[f32]| {
        let sum: f32 = frame.iter().map(|sample| sample * sample).sum();
        f64::from(sum) / frame.len().max(1) as f64
    };
    let floor = f64::from(ratio(SILENCE_DBFS)).powi(2);
    let active: Vec<f64> = samples
        .chunks(160)
        .map(power)
        .filter(|&power| power > floor)
        .collect();
    if active.is_empty() {
        return None;
    }
    let mean = active.iter().sum::<f64>() / active.len() as f64;
    Some((10.0 * mean.log10()) as f32)
}

/// Floating point to 16 bits, saturating.
pub fn to_pcm(samples: &[f32]) -> Vec<i16> {
    samples
        .iter()
        .map(|sample| sample.to_sample::<i16>())
        .collect()
}

/// 16 bits to floating point, full scale at ±1.
pub fn from_pcm(samples: &[i16]) -> Vec<f32> {
    samples
        .iter()
        .map(|sample| sample.to_sample::<f32>())
        .collect()
}

fn ratio(decibels: f32) -> f32 {
    10.0_f32.powf(decibels / 20.0)
}

/// Input frames a step; rubato rounds it to a multiple that fits the ratio.
const CHUNK: usize = 1_024;
/// −1 dBFS: room for what a codec adds.
const PEAK_MAX: f32 = 0.891;
const SILENCE_DBFS: f32 = -50.0;

#[cfg(test)]
mod tests {
    use super::{RateError, active_dbfs, ratio, settle, to_8k};

    fn tone(hz: f32, rate: u32, seconds: f32, amplitude: f32) -> Vec<f32> {
        let step = hz / rate as f32;
        let count = (rate as f32 * seconds) as usize;
        (0..count)
            .map(|n| amplitude * (std::f32::consts::TAU * (n as f32 * step).fract()).sin())
            .collect()
    }

    /// What is left of a tone at `hz` when the best fit of that frequency is taken out, and the fit's
    /// amplitude. A delay below one sample, which some ratios have, is no fault.
    fn residue(samples: &[f32], hz: f32) -> (f32, f32) {
        // The ends are left out: a tone that starts at once is not band-limited.
        let middle = &samples[400..samples.len() - 400];
        let middle = &middle[..middle.len() / 8 * 8];
        let turn = |n: usize| std::f32::consts::TAU * (n as f32 * hz / 8_000.0).fract();
        let (mut sine, mut cosine) = (0.0, 0.0);
        for (n, sample) in middle.iter().enumerate() {
            sine += sample * turn(n).sin();
            cosine += sample * turn(n).cos();
        }
        let half = middle.len() as f32 / 2.0;
        let (sine, cosine) = (sine / half, cosine / half);
        let (mut error, mut power) = (0.0, 0.0);
        for (n, sample) in middle.iter().enumerate() {
            let fit = sine * turn(n).sin() + cosine * turn(n).cos();
            error += (sample - fit).powi(2);
            power += sample * sample;
        }
        (10.0 * (error / power).log10(), sine.hypot(cosine))
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_level_from_any_rate() {
        for rate in [
            8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000, 12_345,
        ] {
            let resampled = to_8k(&tone(1_000.0, rate, 0.5, 0.5), rate).unwrap();
            assert!(
                resampled.len().abs_diff(4_000) <= 1,
                "{rate}: {}",
                resampled.len()
            );
            let (off, amplitude) = residue(&resampled, 1_000.0);
            assert!(off < -50.0, "{rate} Hz: {off} dB of something else");
            assert!(
                (amplitude - 0.5).abs() < 0.005,
                "{rate} Hz: amplitude {amplitude}"
            );
        }
    }

    #[test]
    fn what_8_khz_cannot_carry_does_not_fold_back() {
        let resampled = to_8k(&tone(6_500.0, 48_000, 0.5, 0.5), 48_000).unwrap();
        let left = active_dbfs(&resampled[400..3_600]);
        assert!(
            left.is_none_or(|level| level < -45.0),
            "{left:?} dBFS of alias"
        );
    }

    #[test]
    fn a_rate_that_no_file_has_is_refused() {
        assert_eq!(to_8k(&[0.0], 3_999), Err(RateError { rate: 3_999 }));
        assert!(to_8k(&[0.0], 200_000).is_err());
    }

    #[test]
    fn loud_and_quiet_prompts_come_to_one_range_and_silence_stays_silent() {
        for (amplitude, wanted) in [(0.9, -16.0), (0.02, -24.0), (0.15, -19.49)] {
            let mut prompt = tone(700.0, 8_000, 1.0, amplitude);
            settle(&mut prompt);
            let level = active_dbfs(&prompt).unwrap();
            assert!((level - wanted).abs() < 0.1, "{amplitude}: {level}");
        }
        let mut hiss = vec![ratio(-70.0); 8_000];
        settle(&mut hiss);
        assert_eq!(hiss[0], ratio(-70.0));
    }
}
