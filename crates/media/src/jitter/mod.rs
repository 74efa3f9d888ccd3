//! The playout buffer: turns packets that come when they like into a frame every 20 ms.
//!
//! [`JitterBuffer::insert`] takes each packet, [`JitterBuffer::pop`] is called on an absolute 20 ms
//! schedule and plays: the sender's sound, sound invented for what is lost, silence that the sender
//! meant, or nothing while the first delay lasts.
//!
//! ```text
//!             first packet        delay over
//!   (no stream) ────────▶ filling ──────────▶ playing
//!                            ▲   new SSRC, jump, run of late packets   │
//!                            └─────────────────────────────────────────┘
//! ```
//!
//! The delay follows the network in the manner of NetEQ: the histogram of transits says what delay
//! is cheapest, a percent of late packets being worth 20 ms, and sound is made shorter or longer by
//! whole pitch periods until it has that delay. A clock that drifts is followed the same way.
//!
//! * `ring`: the packets; `sound`: what was decoded of them
//! * `delay`: what delay to aim for; `decision`: what to do next, as tables
//! * `pitch`, `stretch`, `expand`: where sound repeats itself; longer and shorter; inventing and joining
//! * `buffer`: all of them together

mod buffer;
mod config;
mod decision;
mod delay;
mod expand;
mod pitch;
mod ring;
mod sound;
mod stretch;

pub use buffer::{Inserted, JitterBuffer, JitterCounters, PAYLOAD_MAX, Popped};
pub use config::{JitterConfig, JitterConfigError};

#[cfg(test)]
mod tests;
