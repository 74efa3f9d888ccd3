//! Seeing a call: what went over the wire, what the dialplan did and what the sound did, on one time axis.
//!
//! The law: pure and bounded. A [`Journal`] is fed messages, events, notes and packets by whoever
//! watches the control shard, from beside it; it keeps one [`Story`] a call, and of requests that
//! became none. Secrets are masked before anything is kept, so that every view of a story (the
//! ladder, [`pcapng`], [`hep`], the API's JSON) is free of them.

mod config;
pub mod hep;
mod journal;
pub mod pcapng;
mod redact;
mod story;
pub mod summary;
#[cfg(test)]
mod tests;
mod words;

pub use config::{HepConfig, RtpConfig, TraceConfig};
pub use journal::{Counts, Journal};
pub use redact::Redaction;
pub use story::{Entry, Packet, Party, SipMessage, Story, Told};
