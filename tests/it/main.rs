//! The integration tests, in one binary: the simulated world at two depths, and what it once found.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may, and says what it measured"
)]

mod attacks;
mod conferences;
mod emergency;
mod explain;
mod flows;
mod fraud;
mod harness;
mod identity;
mod lab;
mod net_abuse;
mod overload;
mod regressions;
mod rfc_3665;
mod rfc_5407;
mod rfc_6337;
mod sim_forks;
mod sim_keys;
mod sim_quality;
mod sim_signalling;
mod sim_srtp;
mod sim_swarm;
mod sim_transfers;
mod sim_voice;
mod sim_web;
mod supervisors;
mod trunks;
mod voices;
