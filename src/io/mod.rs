//! The edge towards the network and the disk: it moves bytes, drives the media workers and owns the clock.
//!
//! Law: nothing here knows what a call is. SIP messages are framed here and parsed by `sip`; audio is
//! carried here and understood by `media`.

pub mod acme;
pub mod bell;
pub mod clock;
pub mod dns;
pub mod media;
pub mod net;
pub mod precedence;
pub mod privilege;
pub mod record;
pub mod voice;
mod web;
pub mod websocket;
