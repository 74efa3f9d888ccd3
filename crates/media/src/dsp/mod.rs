//! Signal processing on 16-bit samples: tones, DTMF, levels, mixing, resampling.
//!
//! Everything here has fixed memory and hot loops over plain arrays.

pub mod level;
pub mod mix;
mod tone;

pub use tone::{Goertzel, TONES_MAX, Tone, ToneMeter, ToneTrack};
