//! Transfers of every kind, told by whom each party hears afterwards.

use std::time::Duration;

use sim::{Mix, Report, Stage, Swarm, World};
use tandem::demo::phone::Act;

/// Rings ann, bob and the operator.
const RING: &str = "+15550000003";

fn waits(secs: u64) -> Act {
    Act::Wait(Duration::from_secs(secs))
}

fn talks(secs: u64) -> Vec<Act> {
    vec![waits(secs), Act::HangUp]
}

fn refers(after_secs: u64, to: &str) -> Vec<Act> {
    let to = format!("sip:{to}@10.0.0.1");
    vec![waits(after_secs), Act::Refer(to), waits(20), Act::HangUp]
}

/// Runs a world in which so many pairs are found to hear each other, both ways.
fn hear(swarm: Swarm, pairs: usize) -> Report {
    let stage = Stage::new().unwrap();
    let report = World::new(&stage, swarm).showing(200).run();
    assert!(report.violations.is_empty(), "{report}");
    assert_eq!(report.heard, pairs, "{report}");
    report
}

// covers: RFC 3515 §2.4
#[test]
fn whoever_is_handed_on_hears_the_target_whichever_side_refers() {
    for workers in 1..=2 {
        let callee = Swarm::quiet(1, workers)
            .phone("ann", None, refers(2, "fay"))
            .phone("fay", None, Vec::new())
            .caller(0, RING, talks(15));
        hear(callee, 2);
        let caller = Swarm::quiet(2, workers)
            .phone("ann", None, talks(15))
            .phone("fay", None, Vec::new())
            .caller(0, RING, refers(2, "fay"));
        hear(caller, 2);
        let out = Swarm::quiet(3, workers)
            .phone("ann", None, refers(2, "+15559999997"))
            .caller(0, RING, talks(15));
        hear(out, 2);
    }
}

#[test]
fn a_target_that_is_nowhere_leaves_the_parties_together() {
    let swarm = Swarm::quiet(4, 1)
        .phone("ann", None, refers(2, "nobody"))
        .caller(0, RING, talks(15));
    hear(swarm, 1);
}

/// Two calls: hosts 1 and 2 are of these endpoints, 3 and 4 call by the trunk.
fn two_calls(seed: u64, workers: u8, [a, b]: [&'static str; 2]) -> Swarm {
    Swarm::quiet(seed, workers)
        .phone(a, None, Vec::new())
        .phone(b, None, Vec::new())
        .caller(0, RING, talks(20))
        .caller(3_000, RING, talks(20))
}

// covers: RFC 3891 §4
#[test]
fn an_attended_transfer_joins_the_partners_of_two_calls() {
    for workers in 1..=3 {
        for (by, other) in [(1, 2), (2, 1), (3, 4), (4, 3)] {
            let attend = Mix::Attend { by, other };
            // The partners, as either call tells it. Of two phones of one name no bridge is judged.
            let (names, pairs) = if by < 3 {
                (["ann", "ann"], 2)
            } else {
                (["ann", "bob"], 4)
            };
            let swarm = two_calls(by as u64 * 10 + u64::from(workers), workers, names);
            hear(swarm.mix(6_000, attend), pairs);
        }
    }
}

/// An agent who was called, and calls out to ask: trunk and telephone in either part.
#[test]
fn a_consulted_party_behind_the_trunk_is_joined_to_the_caller() {
    for (workers, by, other) in [(1, 1, 2), (1, 2, 1), (2, 1, 2), (2, 2, 1)] {
        let swarm = Swarm::quiet(u64::from(workers), workers)
            .phone("ann", None, Vec::new())
            .phone("ann", Some((0, "+15559999990")), Vec::new())
            .caller(3_000, RING, talks(20))
            .mix(8_000, Mix::Attend { by, other });
        hear(swarm, 2);
    }
}

// covers: RFC 3891 §3
#[test]
fn a_newcomer_is_heard_in_the_place_of_whom_it_replaced() {
    for (by, of) in [(2, 1), (2, 3), (4, 1), (4, 3)] {
        let swarm = Swarm::quiet(by as u64, 2)
            .phone("ann", None, Vec::new())
            .phone("fay", None, talks(10))
            .caller(0, RING, talks(20))
            .caller(0, "", talks(10))
            .mix(4_000, Mix::TakeOver { by, of });
        hear(swarm, 2);
    }
}
