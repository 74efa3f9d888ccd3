//! What is said over the traces, and what is listened for.

use media::codec::{Decoder, Encoder};
use media::{Codec, FRAME};

/// `seconds` of a talker: vowels of a gliding pitch with so many harmonics, for three quarters of a
/// second each, hisses of 80 ms and pauses of a quarter of a second with a little noise.
pub(crate) fn talker(rate: u32, seconds: u32, harmonics: u32, hisses: bool) -> Vec<i16> {
    let hiss_level = if hisses { 2_000.0 } else { 0.0 };
    let mut phase = 0.0_f64;
    let mut noise = 1_u32;
    let sample = |n: u32| {
        let t = f64::from(n) / f64::from(rate);
        let (word, within) = ((t / 1.1) as u32, t % 1.1);
        let hz =
            [110.0, 180.0, 240.0, 140.0][word as usize % 4] * (1.0 + 0.1 * (within * 9.0).sin());
        phase += std::f64::consts::TAU * hz / f64::from(rate);
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let hiss = f64::from((noise >> 16) as u16 as i16) / 32_768.0;
        let voice = (1..=harmonics)
            .map(|k| (phase * f64::from(k)).sin() / f64::from(k))
            .sum::<f64>();
        let ramp = |from: f64, to: f64| {
            ((within - from) / 0.02)
                .min((to - within) / 0.02)
                .clamp(0.0, 1.0)
        };
        let loud =
            6_000.0 * voice * ramp(0.0, 0.75) + hiss_level * hiss * ramp(0.73, 0.83) + 8.0 * hiss;
        loud as i16
    };
    (0..rate * seconds).map(sample).collect()
}

/// A sine of `seconds` at 8 kHz, which repeats without a step if `hz` is whole.
pub(crate) fn tone(hz: f64, seconds: u32) -> Vec<i16> {
    let sample = |n: u32| (f64::from(n) / 8_000.0 * hz * std::f64::consts::TAU).sin() * 8_000.0;
    (0..8_000 * seconds).map(|n| sample(n) as i16).collect()
}

/// Packets of 20 ms.
pub(crate) fn encoded(samples: &[i16]) -> Vec<[u8; FRAME]> {
    let mut encoder = Encoder::new(Codec::Pcmu);
    let encode = |frame: &[i16]| {
        let mut payload = [0; FRAME];
        encoder.encode(frame, &mut payload);
        payload
    };
    samples.chunks_exact(FRAME).map(encode).collect()
}

/// What they hold.
pub(crate) fn decoded(packets: &[[u8; FRAME]]) -> Vec<i16> {
    let mut samples = vec![0; FRAME * packets.len()];
    for (packet, frame) in packets.iter().zip(samples.chunks_mut(FRAME)) {
        Decoder::new(Codec::Pcmu).decode(packet, frame);
    }
    samples
}

/// The greatest second difference: what a click has more of than any voice.
pub(crate) fn sharpest(samples: &[i16]) -> f64 {
    let bend = |w: &[i16]| (f64::from(w[0]) - 2.0 * f64::from(w[1]) + f64::from(w[2])).abs();
    samples.windows(3).map(bend).fold(0.0, f64::max)
}

/// The level, against a sine that just reaches full scale.
pub(crate) fn dbfs(samples: &[i16]) -> f64 {
    let power: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
    10.0 * (power / samples.len().max(1) as f64 * 2.0 / 32_768.0_f64.powi(2) + 1e-12).log10()
}

/// The frequency of a tone: its upward crossings of zero.
pub(crate) fn frequency(samples: &[i16], rate: f64) -> f64 {
    let crossings = samples.windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count();
    crossings as f64 * rate / samples.len() as f64
}
