//! Signal processing on 16-bit samples: tones, DTMF, levels, mixing, limiting, resampling.
//!
//! Everything here has fixed memory and hot loops over plain arrays.

mod dtmf;
pub mod level;
pub(crate) mod limit;
pub mod mix;
pub mod resample;
mod tone;

pub use dtmf::{DtmfDetector, DtmfTone};
pub use resample::Resampler;
pub use tone::{Goertzel, TONES_MAX, Tone, ToneMeter, ToneTrack};
