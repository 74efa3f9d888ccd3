//! What a held call costs in memory, counted to the byte: the signalling machines of one shard hold
//! hundreds of calls, whose transactions are over, and an allocator says what that took.
//!
//! Sizes are those that the server's allocator gives (jemalloc's classes), so that what is lost by
//! rounding is counted. Not in it: ports, which the media workers take at their start; traces, which
//! have a bound of their own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may, and says what it counted"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

#[path = "it/lab/mod.rs"]
#[expect(
    dead_code,
    reason = "the bench serves many tests; this one needs little of it"
)]
mod lab;

use lab::Lab;
use sip::message::Method;

thread_local! {
    /// What this thread holds of the heap, bytes.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

/// What jemalloc gives for so many bytes: four sizes for each doubling, multiples of 16.
fn class(size: usize) -> i64 {
    let step = (size.next_power_of_two() / 8).max(16);
    i64::try_from(size.next_multiple_of(step)).unwrap_or(i64::MAX)
}

fn held(change: i64) {
    HELD.with(|held| held.set(held.get() + change));
}

#[expect(
    unsafe_code,
    reason = "an allocator can only be counted by being one; it forwards"
)]
// SAFETY: every call is forwarded unchanged to the system's allocator, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        held(class(layout.size()));
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        held(-class(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const CARRIER: &str = "10.9.8.7:5099";
const FAR: &str = "10.9.8.7:5060";

const TRUNKS: &str = "[trunks.near]\naddresses = [\"10.9.8.7\"]\nsend_to = [\"10.9.8.7:5060\"]\n\
                      [limits]\ncalls = 100000\n";

const PLAN: &str = r#"
dialplan version=1 tz="UTC"
entry did="1000" flow="answered"
entry did="3000" flow="through"
flow "answered" {
  answer
  gather timeout="10h"
}
flow "through" {
  dial "4000" trunk="near"
}
"#;

/// Calls of one leg, or of two.
fn begin(lab: &mut Lab, number: &str, calls: usize) {
    for _ in 0..calls {
        lab.invite(CARRIER, number, "");
        if number == "3000" {
            let invite = lab.invited(FAR).unwrap();
            lab.reply(FAR, &invite, 200, "");
        }
        assert!(!lab.has_sent(CARRIER, Method::Bye));
        forget(lab);
    }
    lab.pass(Duration::from_secs(40));
    forget(lab);
}

/// Drops what the bench has kept of what was told and sent: what is held then is the shard's.
fn forget(lab: &mut Lab) {
    lab.events = Vec::new();
    lab.take(CARRIER);
    lab.take(FAR);
}

/// Bytes a call: of those of a second batch, for which tables that double their room have done so.
fn bytes_a_call(number: &str) -> f64 {
    let mut lab = Lab::new(TRUNKS, PLAN);
    begin(&mut lab, number, BATCH);
    let before = HELD.with(Cell::get);
    begin(&mut lab, number, BATCH);
    let took = HELD.with(Cell::get) - before;
    assert_eq!(lab.control.holds().0, 2 * BATCH);
    assert_eq!(lab.control.sip_counts().transactions, 0);
    took as f64 / BATCH as f64
}

/// A power of two.
const BATCH: usize = 512;

// What is asked for is 20 kB. A call of one leg took 4.9 kB when this was written, one of two legs 7.8;
// before its legs and what goes with them had a map of their own size it was 13.2 and 18.2.
#[test]
fn a_held_call_keeps_less_than_7_kb_of_signalling_and_one_of_two_legs_less_than_11() {
    for (number, what, most) in [("1000", "one leg", 7_000.0), ("3000", "two legs", 11_000.0)] {
        let each = bytes_a_call(number);
        println!("{what}: {each:.0} bytes a call");
        assert!(each < most, "{what}: {each:.0} bytes");
    }
}
