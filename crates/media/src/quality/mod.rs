//! How a leg fares, in figures: what the network did to it, how it sounds, how it would be rated.
//!
//! ```text
//!   packets ─ rtp::stats (lost, jitter) ─ rtp::runs (bursts, gaps) ─┐
//!   frames  ─ jitter (late, concealed, delay) ──────────────────────┼─▶ emodel: R and MOS
//!   reports ─ rtp::rtcp, rtp::xr (round trip, the peer's view) ─────┘
//!   samples ─ sound (silence, clipping, levels)
//! ```
//!
//! What each figure means, its unit and where it is shown: `docs/quality.md`.

mod emodel;
mod sound;
mod totals;

pub use emodel::{Path, Rating, Robustness, rate};
pub use sound::SoundFigures;
pub use totals::Totals;
