//! Voice processing of one leg: echo cancellation, noise suppression, gain, and who talks when.
//!
//! Law of the crate: no SIP, no threads, no clock, no I/O. Everything goes by frames of 10 ms at
//! 16 kHz: `handle(frame)`, and out comes a frame or an event. Unlike `media` it allocates, in the
//! libraries it stands on, so it never runs on a media worker.
//!
//! ```text
//!  said by the peer ─ high-pass ─ echo canceller ─ noise suppression ─┬─ gain ─▶ processed frame
//!  sent to the peer ─────────────────┘ (reference)                    └─ activity ─▶ spurt events
//! ```
//!
//! * [`echo`]: AEC3 on a telephone line, with what keeps the near talker audible in double talk
//! * [`reference`]: what was sent, where its echo is to be looked for, whatever playout does
//! * [`chain`]: what a leg wants of it, in its order
//! * [`activity`]: the two-step voice activity machine

pub mod activity;
pub mod chain;
pub mod echo;
mod filter;
mod guard;
pub mod reference;
mod step;

/// Samples per second of everything here.
pub const RATE: u32 = 16_000;

/// Samples of a frame: 10 ms.
pub const FRAME: usize = 160;

/// 10 ms of one voice.
pub type Frame = [i16; FRAME];
