//! The way through a codec, as a leg has it: what our bus holds, and what the other end hears.

use media::Codec;
use media::codec::{Decoder, Encoder};
use media::dsp::Resampler;
use media::dsp::resample::PAST_ANY;

/// What carries a leg's voice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Line {
    /// Samples of 16 kHz as they are.
    Linear,
    /// G.711, so a bus of 8 kHz.
    Pcmu,
    /// 24 kbit/s, a bus of 16 kHz.
    Opus,
}

impl Line {
    /// What our own bus holds of it, at 16 kHz: the reference, and what a leg's voice is measured against.
    pub(crate) fn bus(self, samples: &[i16]) -> Vec<i16> {
        match self {
            Self::Linear | Self::Opus => samples.to_vec(),
            Self::Pcmu => rated(&rated(samples, 16_000, 8_000), 8_000, 16_000),
        }
    }

    /// What comes out at its other end, at 16 kHz.
    pub(crate) fn carry(self, samples: &[i16]) -> Vec<i16> {
        match self {
            Self::Linear => samples.to_vec(),
            Self::Pcmu => {
                let narrow = rated(samples, 16_000, 8_000);
                rated(&coded(Codec::Pcmu, &narrow, 160), 8_000, 16_000)
            }
            Self::Opus => coded(Codec::Opus, samples, 320),
        }
    }
}

fn coded(codec: Codec, samples: &[i16], frame: usize) -> Vec<i16> {
    let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
    encoder.tune(16_000);
    decoder.tune(16_000);
    let mut out = Vec::with_capacity(samples.len());
    for samples in samples.chunks_exact(frame) {
        let mut payload = [0; 640];
        let bytes = encoder.encode(samples, &mut payload);
        let mut heard = vec![0; frame];
        decoder.decode(&payload[..bytes], &mut heard);
        out.extend(heard);
    }
    out.resize(samples.len(), 0);
    out
}

fn rated(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    let mut resampler: Resampler<PAST_ANY> = Resampler::new(from, to);
    let mut out = Vec::new();
    for frame in samples.chunks(from as usize / 50) {
        let mut made = [0; 960];
        let count = resampler.convert(frame, &mut made);
        out.extend_from_slice(&made[..count]);
    }
    out
}

/// Between ±1 to samples.
pub(crate) fn linear(samples: &[f32]) -> Vec<i16> {
    samples
        .iter()
        .map(|s| (s * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16)
        .collect()
}
