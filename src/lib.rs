//! Tandem: a real-time media server for contact centres.
//!
//! One binary is a carrier's SIP trunk target, an IVR driven by dialplan files, a queue with hold
//! music, and the place where agents take the calls. The modules stand in layer order: each may use
//! those above it, never those below (`docs/ARCHITECTURE.md` §5, enforced by `tests/tidy`).

pub mod config;
pub mod explain;
pub mod telemetry;

pub mod io;

pub mod access;
pub mod call;
pub mod trunk;

pub mod conference;

pub mod center;
pub mod dialplan;

pub mod prompt;

pub mod control;
pub mod trace;

pub mod store;

pub mod api;
pub mod face;

pub mod demo;
pub mod server;

pub mod cli;
