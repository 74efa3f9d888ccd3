//! Faces: JSON protocols of browsers, each spoken to control as SIP. To control a face is one more phone on a
//! WebSocket; whoever is on it proves himself by SIP, and his calls are calls.
//!
//! ```text
//!   page ── JSON on a WebSocket ── face ── Line ── SIP on a pipe of io::net ── control
//! ```
//!
//! A face is one task that owns its socket, its [`line::Line`] and its pipe; when its page goes and comes
//! again, the calls' names wait in [`Parked`].

pub mod desk;
mod door;
pub mod line;
mod parked;
#[cfg(test)]
mod rig;
mod socket;
mod task;
mod verto;

pub use door::Faces;
pub use parked::{KEPT, Parked, Seat};
