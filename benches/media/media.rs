//! Media by the card: what a relayed call costs beside other servers, on one core, on loopback.
//!
//! `media-load MODE [key=value …]`, bounded in time and count; see `docs/media-load.md`. The server has
//! core 0 to itself, the talkers core 1 in the real-time class. Every figure stands beside the machine's
//! load and the talkers' own lateness; a point where its 99th percentile exceeds 2 ms is refused.
//!
//! | mode | what |
//! |---|---|
//! | `relay` | processor time a call-second, the delay added, loss, gaps and memory, servers taking turns |
//! | `capacity` | calls a core, and the same figures at half and nine tenths of it |
//! | `rooms` | conferences of three in which all speak: processor time a member-second, mouth to ear |
//! | `room` | the same of one conference in which three speak |
//! | `transcode` | calls between PCMU and Opus, beside the codecs alone and rtpengine |
//! | `playback` | callers who hear hold music |
//! | `memory` | what a relayed and a transcoded call keep, and what is left when all have hung up |
//! | `spray` | what a third address injects and learns that sprays all ports |
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that waits, measures and prints"
)]

mod memory;
mod peers;
mod relay;
mod rooms;
mod spray;
mod voices;

use lab::args::Args;

fn main() {
    let (mode, args) = Args::read("media");
    if mode == "bare" {
        let calls = std::env::args().nth(2).and_then(|n| n.parse().ok());
        peers::bare::run(calls.unwrap_or(1));
    }
    if !lab::server::take_place() {
        println!("the talkers are not in the real-time class: expect lateness");
    }
    match mode.as_str() {
        "relay" => relay::cost(&args),
        "capacity" => relay::capacity(&args),
        "memory" => memory::memory(&args),
        "spray" => spray::run(&args),
        "rooms" => rooms::rooms(&args),
        "room" => rooms::room(&args),
        "transcode" => voices::transcode(&args),
        "playback" => voices::playback(&args),
        _ => {
            println!(
                "want relay, capacity, memory, spray, transcode, playback, rooms or room; have {mode:?}"
            );
            std::process::exit(2);
        }
    }
}
