//! Load by the card: what a call costs, how many a second, how many at once, and what happens beyond.
//!
//! `load MODE [key=value …]`, on loopback only, bounded in time and count; see `docs/load.md`. The
//! server has core 0 to itself, the caller core 1 in the real-time class. Every figure stands beside
//! the machine's load and the caller's own lateness; a point where that exceeds 2 ms is refused.
//!
//! | mode | what |
//! |---|---|
//! | `setup` | processor time a call that a dialplan answers, and of a bare loop over the same messages |
//! | `b2bua` | the same for a call of two legs |
//! | `ramp` | calls a second with the 99th percentile of answers below 200 ms |
//! | `hold` | calls at once |
//! | `memory` | resident memory a held call |
//! | `overload` | goodput at several times that rate, refusals, audio, and the way back |
//! | `junk` | goodput while a core sends what nobody asked for |
//! | `desks` | resident memory an agent's page, and how thousands come back at once |
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that waits, measures and prints"
)]

mod caller;
mod desks;
mod echo;
mod hearing;
mod modes;
mod noise;
mod pages;
mod target;
mod trust;

use lab::args::Args;

fn main() {
    let (mode, args) = Args::read("load");
    if mode == "echo" {
        echo::run();
    }
    if !lab::server::take_place() {
        println!("the caller is not in the real-time class: expect lateness");
    }
    match mode.as_str() {
        "setup" => modes::cost(&args, "setup", "1000"),
        "b2bua" => modes::cost(&args, "b2bua", "3000"),
        "ramp" => modes::ramp(&args),
        "hold" => modes::hold(&args),
        "memory" => modes::memory(&args),
        "overload" => modes::overload(&args),
        "junk" => modes::junk(&args),
        "desks" => desks::desks(&args),
        _ => {
            println!(
                "want setup, b2bua, ramp, hold, memory, overload, junk or desks; have {mode:?}"
            );
            std::process::exit(2);
        }
    }
}
