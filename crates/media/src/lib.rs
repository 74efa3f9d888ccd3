//! The audio core: what a media worker does between a received packet and a sent one.
//!
//! Law of the crate: no I/O, no clock of its own (the caller passes [`clock::Now`]), no lock, no
//! knowledge of SIP or calls. After a port is open nothing here allocates, logs or blocks; what
//! comes from the network is bounded and can fail, never panic.
//!
//! ```text
//! packet ─ rtp ─ telephone-event ─ jitter ─ codec ─ conceal ─ bridge ─ codec ─ rtp ─ packet
//!            └─ rtcp, statistics                      dsp (tones, DTMF, levels, rates) ┘
//! ```
//!
//! * [`rtp`]: packets, RTCP, reception statistics, telephone-events
//! * [`srtp`]: packets protected and opened in place
//! * [`codec`]: payload to samples and back; comfort noise
//! * [`jitter`]: the playout buffer and loss concealment
//! * [`dsp`]: tones, DTMF, resampling, mixing, levels
//! * [`source`]: audio that is not a peer: prompts and music
//! * [`port`], [`bridge`], [`tap`]: a leg's media end, who hears whom, a copy for a recorder
//! * [`quality`]: how a leg fares: ratings, levels, silence, clipping
//! * [`capture`]: a copy of a port's packets as they were on the wire
//! * [`file`]: recordings as bytes: WAV, Ogg/Opus, encrypted
//! * [`worker`]: all of them on one wheel of 5 ms
//!
//! Units: samples are 16-bit linear; levels are dBFS, where 0 dBFS is a sine that just reaches full scale.

use clock::Duration;

pub mod bridge;
pub mod capture;
pub mod codec;
pub mod digit;
pub mod dsp;
pub mod file;
#[doc(hidden)]
pub mod fuzz;
pub mod jitter;
pub mod port;
pub mod quality;
pub mod rtp;
pub mod source;
pub mod srtp;
pub mod tap;
pub mod worker;

pub use codec::Codec;
pub use digit::Digit;

/// Samples per second of narrowband audio, and of the narrowest bus.
pub const SAMPLE_RATE: u32 = 8_000;

/// Samples per frame: 20 ms at [`SAMPLE_RATE`], mono.
pub const FRAME: usize = 160;

/// Samples per frame of the widest bus: 20 ms at 48 kHz, mono.
pub const BUS_FRAME_MAX: usize = 960;

/// The time one frame lasts.
pub const FRAME_DURATION: Duration = Duration::from_millis(20);

/// 20 ms of narrowband audio.
pub type Frame = [i16; FRAME];

/// A frame of digital silence.
pub const SILENCE: Frame = [0; FRAME];
