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
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that waits, measures and prints"
)]

mod caller;
mod echo;
mod hearing;
mod lab;
mod message;
mod modes;
mod noise;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What stands behind the mode.
pub(crate) struct Args {
    given: BTreeMap<String, String>,
    /// Whether results are kept in `benches/results`.
    keep: bool,
}

impl Args {
    /// A number by its name, from the command line, else from the environment in capitals.
    pub(crate) fn number(&self, name: &str, usual: f64) -> f64 {
        let given = self.given.get(name).cloned();
        let given = given.or_else(|| std::env::var(name.to_uppercase()).ok());
        let given = given.filter(|text| !text.is_empty());
        given.map_or(usual, |text| {
            text.parse()
                .unwrap_or_else(|_| panic!("{name}={text}: want a number"))
        })
    }

    /// A number of another mode's kept result, if that is of the last hour: of the same run, then.
    pub(crate) fn recent(&self, mode: &str, name: &str) -> Option<f64> {
        let path = kept_in(mode);
        let age = std::fs::metadata(&path).ok()?.modified().ok()?.elapsed();
        let is_recent = self.keep && age.is_ok_and(|age| age.as_secs() < 3_600);
        let kept = is_recent.then(|| std::fs::read_to_string(&path).ok())??;
        let kept: Value = serde_json::from_str(&kept).ok()?;
        kept.get(name)?.as_f64()
    }

    /// Prints a result, and keeps it when that is asked for.
    pub(crate) fn report(&self, mode: &str, mut result: Map<String, Value>) {
        result.insert("bench".to_owned(), json!(mode));
        result.insert("load_after".to_owned(), json!(lab::load()));
        let line = Value::Object(result).to_string();
        println!("{line}");
        if self.keep {
            std::fs::write(kept_in(mode), line + "\n").unwrap();
        }
    }
}

/// Where a mode's result is kept.
fn kept_in(mode: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../results");
    format!("{folder}/load_{mode}.json")
}

fn main() {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    if mode == "echo" {
        echo::run();
    }
    let pair = |word: String| {
        let (name, value) = word.split_once('=').unwrap_or((&word, "1"));
        (name.to_owned(), value.to_owned())
    };
    let args = Args {
        given: words.map(pair).collect(),
        keep: std::env::var_os("TANDEM_BENCH_RECORD").is_some(),
    };
    if !lab::take_place() {
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
        _ => {
            println!("want setup, b2bua, ramp, hold, memory, overload or junk; have {mode:?}");
            std::process::exit(2);
        }
    }
}
