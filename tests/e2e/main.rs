//! The end-to-end tests: real phones call a real server, and what each party hears is measured.
//!
//! ```text
//!   SIPp (signalling) + Ear (its audio) ──▶ tandem ◀── baresip, linphone, SIPp + Ear, or Chromium
//!                                             ▲
//!                        tcpdump: every packet, with the kernel's time
//! ```
//!
//! Law: everything is on loopback, every wait has an end, every process that was started is ended,
//! and a scenario passes only by what was measured outside the server. The server under test is the
//! binary that was just built; it runs with its own configuration, addresses and data.
//!
//! `cargo test --test e2e -- smoke` runs the short part, `-- all` everything, `-- NAME…` some. Each
//! run leaves logs, captures and recordings below `target/tmp/e2e`.
#![expect(
    clippy::print_stdout,
    reason = "a test program speaks on its standard output"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "phones live in real time: it must be read, and it must pass"
)]

mod agent;
mod baresip;
mod capture;
mod chromium;
mod ear;
mod kamailio;
mod lab;
mod linphone;
mod mouth;
mod process;
mod scenario;
mod server;
mod sipp;
mod sound;
#[expect(
    dead_code,
    reason = "a bench asks more of the name server than a scenario"
)]
#[path = "../it/trunks/zone.rs"]
mod zone;

use std::process::ExitCode;
use std::time::Instant;

use lab::Lab;
use scenario::{Group, SCENARIOS, Scenario};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let chosen: Vec<(usize, &Scenario)> = SCENARIOS
        .iter()
        .enumerate()
        .filter(|(_, it)| is_chosen(it, &words))
        .collect();
    if chosen.is_empty() {
        println!("no scenario is called {words:?}; there are: smoke, all, and");
        for it in SCENARIOS {
            println!("  {:<28} {}", it.name, it.what);
        }
        return ExitCode::from(2);
    }
    let programs = [
        "sipp",
        "baresip",
        "linphonec",
        "kamailio",
        "pebble",
        "turnserver",
        "turnutils_uclient",
        "tcpdump",
        "tshark",
        "espeak-ng",
        "ffmpeg",
    ];
    let browsers: &[&str] = match chosen.iter().any(|(_, it)| it.browsers) {
        true => &["node", "chromium"],
        false => &[],
    };
    if let Err(missing) = process::require(&programs).and(process::require(browsers)) {
        println!("{missing}");
        return ExitCode::FAILURE;
    }
    let mut failed = Vec::new();
    for (number, scenario) in &chosen {
        let begun = Instant::now();
        let run = || {
            Lab::new(scenario.name, *number, scenario.browsers).and_then(|lab| (scenario.run)(&lab))
        };
        let result = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the scenario itself broke")));
        let secs = begun.elapsed().as_secs_f32();
        match result {
            Ok(figures) => println!("PASS {:<28} {secs:5.1} s  {figures}", scenario.name),
            Err(why) => {
                println!("FAIL {:<28} {secs:5.1} s  {why:#}", scenario.name);
                failed.push(scenario.name);
            }
        }
    }
    println!(
        "{} of {} scenarios passed",
        chosen.len() - failed.len(),
        chosen.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        println!("failed: {}", failed.join(" "));
        ExitCode::FAILURE
    }
}

/// No word means the short part.
fn is_chosen(scenario: &Scenario, words: &[String]) -> bool {
    let short = scenario.group == Group::Smoke;
    if words.is_empty() {
        return short;
    }
    words.iter().any(|word| match word.as_str() {
        "all" => scenario.group != Group::Long,
        "smoke" => short,
        "load" => scenario.group == Group::Load,
        name => scenario.name == name,
    })
}
