//! What the programs that measure share: a server alone on core 0, whoever measures it on core 1,
//! prebuilt SIP messages, talkers, medians, and results with the machine's load beside them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "for programs that wait, measure and print"
)]

pub mod args;
pub mod chorus;
pub mod figures;
pub mod message;
pub mod pace;
pub mod server;
pub mod streams;
pub mod talk;
