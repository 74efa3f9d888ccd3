//! What a message costs on its way to its transaction: parse, topmost Via, CSeq, key; ours beside
//! rsip's in one run.
//!
//! `cargo bench -p sip --bench parse`. The bar: ours at most 0.15 of rsip's; the run fails above it.
//! The message is a carrier's INVITE of 1.3 kB with 20 headers. Both take turns in rounds far shorter
//! than a time slice, so the median round is one that nobody interrupted. How often a parse allocates
//! is a test's matter: `tests/allocations.rs`. `TANDEM_BENCH_RECORD=1` appends the figures to
//! `benches/results/sip_parse.jsonl`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that measures and prints"
)]

use bytes::Bytes;
use rsip::message::HeadersExt;
use rsip::prelude::ToTypedHeader;
use sip::message::{Accepts, Message, Method};
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

const INVITE: &[u8] = include_bytes!("../../../tests/data/sip/invite_1300.sip");
const RESULTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../benches/results/sip_parse.jsonl"
);
/// Rounds of each, and repeats in a round: some 50 µs of ours.
const ROUNDS: usize = 2_001;
const REPEATS: u32 = 64;
/// The most that ours may take of rsip's time.
const BAR: f64 = 0.15;

const SERVER: Accepts<'static> = Accepts {
    methods: &[Method::Invite],
    extensions: &[],
    bodies: Some(&["application/sdp"]),
    tel: true,
    passes_on: false,
};

fn ours(bytes: &Bytes, hasher: &RandomState) -> Option<u64> {
    let message = Message::parse(black_box(bytes.clone())).ok()?;
    let key = message.transaction_key().ok()?;
    Some(hasher.hash_one(key))
}

fn ours_validated(bytes: &Bytes) -> Option<()> {
    let message = Message::parse(black_box(bytes.clone())).ok()?;
    message.validate_request(&SERVER).ok()
}

fn theirs(hasher: &RandomState) -> Option<u64> {
    let message = rsip::SipMessage::try_from(black_box(INVITE)).ok()?;
    let via = message.via_header().ok()?.typed().ok()?;
    let cseq = message.cseq_header().ok()?.typed().ok()?;
    let branch = via.branch()?.value();
    Some(hasher.hash_one((
        branch,
        via.uri.host_with_port.to_string(),
        cseq.method.to_string(),
    )))
}

/// Nanoseconds each of a round.
fn round<T>(mut work: impl FnMut() -> T) -> f64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a bench that measures reads the clock"
    )]
    let now = Instant::now;
    let start = now();
    for _ in 0..REPEATS {
        black_box(work());
    }
    (now() - start).as_nanos() as f64 / f64::from(REPEATS)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() {
    let hasher = RandomState::new();
    let bytes = Bytes::from_static(INVITE);
    assert!(ours(&bytes, &hasher).is_some() && theirs(&hasher).is_some());
    assert!(ours_validated(&bytes).is_some());
    let (mut mine, mut checked, mut rsip) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        mine.push(round(|| ours(&bytes, &hasher)));
        checked.push(round(|| ours_validated(&bytes)));
        rsip.push(round(|| theirs(&hasher)));
    }
    let (mine, checked, rsip) = (median(mine), median(checked), median(rsip));
    let ratio = mine / rsip;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("parse and key: ours {mine:.0} ns, rsip {rsip:.0} ns, ratio {ratio:.3} (bar {BAR})");
    println!(
        "parse and validate: ours {checked:.0} ns; load {}",
        load.trim()
    );
    if std::env::var_os("TANDEM_BENCH_RECORD").is_some_and(|record| record == "1") {
        let line = format!(
            "{{\"bench\":\"sip_parse\",\"message_bytes\":{},\"headers\":20,\"ours_ns\":{mine:.0},\
             \"ours_validated_ns\":{checked:.0},\"rsip_ns\":{rsip:.0},\"ratio\":{ratio:.3},\
             \"bar\":{BAR},\"loadavg\":\"{}\"}}\n",
            INVITE.len(),
            load.trim()
        );
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(RESULTS);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
    assert!(
        ratio <= BAR,
        "ours took {ratio:.3} of rsip's time, above {BAR}"
    );
}
