//! The playout buffer: turns packets that come when they like into a frame every 20 ms.
//!
//! [`JitterBuffer::insert`] takes each packet, [`JitterBuffer::pop`] is called on an absolute 20 ms
//! schedule and says what to play: a frame, concealment for a lost one, silence that the sender
//! meant, or hold while nothing is due yet. [`Concealer`] works on the decoded side: it invents the
//! lost frames and smooths the joints.
//!
//! ```text
//!             first packet        target delay over
//!   (no stream) ────────▶ filling ────────────────▶ playing
//!                            ▲   new SSRC, jump, run of late packets   │
//!                            └─────────────────────────────────────────┘
//! ```
//!
//! The delay follows the network: the target is the third largest lateness of the last 4 to 8 s,
//! within [`JitterConfig`]. A clock that drifts shows as a delay that leaves its target; a frame
//! is then left out or put in.

mod buffer;
mod conceal;
mod config;
mod delay;

pub use buffer::{Inserted, JitterBuffer, JitterCounters, PAYLOAD_MAX, Popped};
pub use conceal::Concealer;
pub use config::{JitterConfig, JitterConfigError};

#[cfg(test)]
mod tests;
