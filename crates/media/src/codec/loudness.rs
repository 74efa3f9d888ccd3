//! How loud a packet is, read without decoding it.
//!
//! * G.711 and L16: its samples' level, of every third sample.
//! * G.722: the scale that its lower band's quantizer has come to. It follows from the codes alone
//!   (ITU-T G.722, blocks 3L), and the quantizer's scale follows the sound.
//! * Opus: whether the encoder found speech in it (RFC 6716 §4.2.3), for packets of its speech layer;
//!   of others, whether they are longer than silence is. A talker counts as loud as talkers are.
//! * What is only relayed is never summed: it is silence.

use super::{Codec, g711};
use crate::dsp::level;

/// What reading one stream's loudness needs to remember.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loudness {
    /// The logarithm of the quantizer's scale: 2,048 to the octave.
    scale: i32,
}

impl Loudness {
    pub(crate) const fn new() -> Self {
        Self { scale: 0 }
    }

    /// The loudness of the stream's next packet, in dBFS; of Opus and G.722 an estimate.
    ///
    /// *Media thread*: a table look-up for every third sample; of G.722 for every byte.
    pub(crate) fn of(&mut self, codec: Codec, payload: &[u8]) -> f32 {
        match codec {
            Codec::Pcmu => of_law(g711::Law::Mu, payload),
            Codec::Pcma => of_law(g711::Law::A, payload),
            Codec::L16 | Codec::L16Wide => {
                let (samples, _) = payload.as_chunks::<2>();
                let samples = samples.iter().step_by(STEP);
                of_samples(samples.map(|&bytes| i16::from_be_bytes(bytes)))
            }
            Codec::G722 => self.of_g722(payload),
            Codec::Opus => of_opus(payload),
            Codec::G729 | Codec::AmrWb => level::FLOOR_DBFS,
        }
    }

    fn of_g722(&mut self, payload: &[u8]) -> f32 {
        for &byte in payload {
            let code = usize::from(byte & 0x3F) >> 2;
            let step = STEPS.get(code).copied().unwrap_or(0);
            self.scale = (((self.scale * 127) >> 7) + step).clamp(0, SCALE_MAX);
        }
        // 6.02 dB to the octave.
        let level = self.scale as f32 * (6.02 / 2_048.0) + G722_FLOOR;
        if level < G722_SILENCE {
            level::FLOOR_DBFS
        } else {
            level
        }
    }
}

fn of_law(law: g711::Law, payload: &[u8]) -> f32 {
    of_samples(payload.iter().step_by(STEP).map(|&code| law.expand(code)))
}

fn of_samples(samples: impl ExactSizeIterator<Item = i16>) -> f32 {
    let count = samples.len().max(1) as f32;
    let energy = samples.fold(0_u64, |sum, sample| {
        sum + u64::from(sample.unsigned_abs()).pow(2)
    });
    // A full-scale sine has half the square of its amplitude.
    level::from_power(energy as f32 / count / (32_768.0 * 32_768.0 / 2.0))
}

/// By the first frame of the packet: its configuration is in the upper five bits of the first byte
/// (RFC 6716 §3.1), its count code in the lowest two.
fn of_opus(payload: &[u8]) -> f32 {
    let (Some(&toc), Some(&first)) = (payload.first(), payload.get(1)) else {
        return level::FLOOR_DBFS;
    };
    let speech_layer = toc >> 3 < 16;
    let speaks = match toc & 3 {
        // The speech layer begins with the flag, in the frame's first bit.
        0 | 1 if speech_layer => first & 0x80 != 0,
        _ => payload.len() > SILENT_OPUS_MAX,
    };
    if speaks { TALK } else { level::FLOOR_DBFS }
}

/// Of samples, every third is enough to know a level by. Every fourth would meet a tone of 1,000 Hz where
/// it crosses zero.
const STEP: usize = 3;

/// Adaptation of the lower band's scale by the upper four bits of its code (ITU-T G.722, tables WL and
/// RL42 in one).
const STEPS: [i32; 16] = [
    -60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60,
];

/// The largest scale: nine octaves above the least.
const SCALE_MAX: i32 = 18_432;

/// What sound at the least scale is about, in dBFS; see the test.
const G722_FLOOR: f32 = -52.5;

/// What is quieter leaves the scale where digital silence does.
const G722_SILENCE: f32 = -43.0;

/// A packet of Opus without a speech layer that is no longer is silence, in bytes.
const SILENT_OPUS_MAX: usize = 10;

/// How loud a talker is taken to be of whom only that is known, in dBFS.
const TALK: f32 = -25.0;

#[cfg(test)]
mod tests {
    use super::Loudness;
    use crate::codec::{Codec, Encoder, PAYLOAD_MAX};
    use crate::dsp::level;

    /// Something like a voice: fifteen harmonics of 150 Hz that swell four times a second.
    fn voice(rate: u32, n: usize, dbfs: f32) -> Vec<i16> {
        let samples = rate as usize / 50;
        let sample = |i: usize| {
            let t = (n * samples + i) as f32 / rate as f32;
            let turn = std::f32::consts::TAU * t;
            let tones = (1..=15).map(|k| (turn * 150.0 * k as f32).sin() / k as f32);
            let swell = 0.6 + 0.4 * (turn * 4.0).sin();
            (level::amplitude(dbfs) * swell * tones.sum::<f32>() / 1.25) as i16
        };
        (0..samples).map(sample).collect()
    }

    /// What is read of packets of a voice beside their own level, and of silence after it.
    fn read(codec: Codec, dbfs: f32) -> (Vec<(f32, f32)>, Vec<f32>) {
        let mut encoder = Encoder::new(codec);
        let rate = encoder.rate();
        let mut loudness = Loudness::new();
        let (mut spoken, mut silent) = (Vec::new(), Vec::new());
        for n in 0..150 {
            let samples = match n < 100 {
                true => voice(rate, n, dbfs),
                false => vec![0; rate as usize / 50],
            };
            let mut payload = [0; PAYLOAD_MAX];
            let len = encoder.encode(&samples, &mut payload);
            let told = loudness.of(codec, &payload[..len]);
            match n {
                20..100 => spoken.push((told, level::dbfs(&samples))),
                120.. => silent.push(told),
                _ => {}
            }
        }
        (spoken, silent)
    }

    #[test]
    fn a_codec_of_samples_tells_its_level_and_g722_about_its_own() {
        let table = [
            (Codec::Pcmu, 3.0),
            (Codec::Pcma, 3.0),
            (Codec::L16, 3.0),
            (Codec::L16Wide, 3.0),
            (Codec::G722, 7.0),
        ];
        for (codec, off_max) in table {
            for level in [-10.0, -20.0, -28.0] {
                let (spoken, silent) = read(codec, level);
                for (told, is) in spoken {
                    assert!((told - is).abs() < off_max, "{codec:?}: {told}, is {is}");
                }
                assert!(silent.iter().all(|&told| told < -60.0), "{codec:?}");
            }
        }
    }

    #[test]
    fn opus_tells_talk_from_silence() {
        let (spoken, silent) = read(Codec::Opus, -25.0);
        let talk = spoken.iter().filter(|(told, _)| *told > -50.0).count();
        assert!(talk * 2 > spoken.len(), "{talk} of {}", spoken.len());
        assert!(silent.iter().all(|&told| told < -50.0));
        assert!(Loudness::new().of(Codec::Opus, &[]) < -50.0);
    }
}
