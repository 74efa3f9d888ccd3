//! G.722: 7 kHz of sound in 64 kbit/s, two sub-bands of adaptive PCM, 16 kHz samples.
//!
//! Its RTP clock runs at 8,000 although it samples at 16,000: an error of RFC 1890 that RFC 3551
//! §4.5.2 keeps. A byte is two samples and one tick. The algorithm is that of the crate `audio-codec`.

use std::fmt;

use audio_codec::g722::{Bitrate, G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};

/// Samples per second.
pub const RATE: u32 = 16_000;

/// A stream's decoder; about 500 bytes.
pub struct Decoder(G722Decoder);

/// A stream's encoder; about 500 bytes.
pub struct Encoder(G722Encoder);

impl Default for Decoder {
    fn default() -> Self {
        Self(G722Decoder::new())
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self(G722Encoder::with_options(
            Bitrate::Mode1_64000,
            false,
            false,
        ))
    }
}

impl Decoder {
    /// Decodes two samples a byte, as many as both slices have room for; gives the samples written.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let bytes = payload.len().min(out.len() / 2);
        let payload = payload.get(..bytes).unwrap_or_default();
        self.0.decode_into(payload, out).unwrap_or(0)
    }
}

impl Encoder {
    /// Encodes two samples a byte, as many as both slices have room for; gives the bytes written.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let pairs = (samples.len() / 2).min(out.len());
        let samples = samples.get(..2 * pairs).unwrap_or_default();
        self.0.encode_into(samples, out).unwrap_or(0)
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("g722::Decoder")
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("g722::Encoder")
    }
}
