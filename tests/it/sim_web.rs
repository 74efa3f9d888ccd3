//! Browsers: their legs are told by whom each party hears, and end on both sides, whoever ends them.

use std::time::Duration;

use sim::{Depth, Mix, Report, Stage, Swarm, World};
use tandem::demo::phone::Act;

use crate::harness;

/// Rings ann, bob and the operator.
const RING: &str = "+15550000003";

/// Rings the operator, for an endpoint that dials it.
const INSIDE: &str = "100";

/// Goes out by the trunk.
const OUT: &str = "+15559999990";

fn waits(secs: u64) -> Act {
    Act::Wait(Duration::from_secs(secs))
}

fn talks(secs: u64) -> Vec<Act> {
    vec![waits(secs), Act::HangUp]
}

fn run(swarm: Swarm) -> Report {
    let stage = Stage::new().unwrap();
    World::new(&stage, swarm).showing(200).run()
}

/// Runs a world in which so many pairs are found to hear each other, both ways.
fn hear(swarm: Swarm, pairs: usize) -> Report {
    let report = run(swarm);
    assert!(report.violations.is_empty(), "{report}");
    assert_eq!(report.heard, pairs, "{report}");
    report
}

/// For how long, at most, a host heard one tone.
fn longest(report: &Report, host: usize) -> u32 {
    let heard = report.hearings.get(host).into_iter().flatten();
    let tones = heard.flat_map(|it| &it.tones);
    tones.map(|tone| tone.frames_present).max().unwrap_or(0)
}

// covers: RFC 8829 §5.3.1, RFC 8829 §5.2.1
#[test]
fn a_browser_and_a_telephone_hear_each_other_whoever_calls_and_whoever_hangs_up() {
    for workers in 1..=2 {
        for (browser, telephone) in [(6, 20), (20, 6)] {
            let called = Swarm::quiet(1, workers)
                .browser("ann", None, talks(browser))
                .caller(0, RING, talks(telephone));
            let report = hear(called, 1);
            assert!(
                longest(&report, 1) > 250 && longest(&report, 2) > 250,
                "{report}"
            );
        }
        let calls = Swarm::quiet(2, workers).browser("ann", Some((0, OUT)), talks(6));
        let report = hear(calls, 1);
        assert!(
            longest(&report, 0) > 250 && longest(&report, 1) > 250,
            "{report}"
        );
    }
}

#[test]
fn a_call_of_a_browser_to_a_telephone_passes_without_a_decoder() {
    let report = hear(
        Swarm::quiet(1, 1)
            .browser("ann", None, Vec::new())
            .caller(0, RING, talks(6)),
        1,
    );
    for leg in &report.legs {
        let (sent, relayed) = (leg.stats.sent, leg.stats.relayed);
        assert!(
            relayed > 250 && leg.codec == "PCMA",
            "{relayed} of {sent}: {report}"
        );
    }
}

#[test]
fn two_browsers_hear_each_other() {
    for workers in 1..=2 {
        let swarm = Swarm::quiet(3, workers)
            .browser("ann", Some((0, INSIDE)), talks(6))
            .browser("operator", None, Vec::new());
        let report = hear(swarm, 1);
        assert!(
            longest(&report, 1) > 250 && longest(&report, 2) > 250,
            "{report}"
        );
    }
}

// covers: RFC 8829 §5.3.2, RFC 8839 §4.4.3
#[test]
fn hold_resume_and_a_restart_of_ice_leave_both_heard() {
    let ways = [
        vec![Act::Hold(true), waits(2), Act::Hold(false)],
        vec![Act::Rekey, waits(2), Act::Rekey],
        vec![
            Act::Hold(true),
            waits(1),
            Act::Rekey,
            waits(1),
            Act::Hold(false),
        ],
    ];
    for way in ways {
        let script = |way: &[Act]| [&[waits(2)], way, &[waits(20), Act::HangUp]].concat();
        let browser = Swarm::quiet(4, 1)
            .browser("ann", None, script(&way))
            .caller(0, RING, talks(14));
        let both = Swarm::quiet(5, 1)
            .browser("ann", Some((0, INSIDE)), talks(14))
            .browser("operator", None, script(&way));
        for swarm in [browser, both] {
            let report = run(swarm);
            assert!(report.violations.is_empty(), "{way:?} {report}");
            for host in [1, 2] {
                // What follows the last change is eight seconds at least.
                assert!(longest(&report, host) > 400, "{way:?} host {host} {report}");
            }
        }
    }
    // The telephone holds the browser.
    let held = [
        &[waits(2)][..],
        &[Act::Hold(true), waits(2), Act::Hold(false)],
        &talks(10),
    ];
    let report =
        run(Swarm::quiet(6, 1)
            .browser("ann", None, Vec::new())
            .caller(0, RING, held.concat()));
    assert!(report.violations.is_empty(), "{report}");
    assert!(
        longest(&report, 1) > 400 && longest(&report, 2) > 400,
        "{report}"
    );
}

// covers: RFC 3515 §2.4
#[test]
fn browsers_hand_on_and_are_handed_on() {
    let refers = |to: &str| {
        let to = Act::Refer(format!("sip:{to}@10.0.0.1"));
        vec![waits(2), to, waits(20), Act::HangUp]
    };
    for workers in 1..=2 {
        // By a browser to a browser, to a telephone and to the trunk; by the caller to a browser.
        let callee = Swarm::quiet(7, workers)
            .browser("ann", None, refers("fay"))
            .browser("fay", None, Vec::new())
            .caller(0, RING, talks(15));
        hear(callee, 2);
        let plain = Swarm::quiet(8, workers)
            .browser("ann", None, refers("fay"))
            .phone("fay", None, Vec::new())
            .caller(0, RING, talks(15));
        hear(plain, 2);
        let out = Swarm::quiet(9, workers)
            .browser("ann", None, refers("+15559999997"))
            .caller(0, RING, talks(15));
        hear(out, 2);
        let caller = Swarm::quiet(10, workers)
            .phone("ann", None, talks(15))
            .browser("fay", None, Vec::new())
            .caller(0, RING, refers("fay"));
        hear(caller, 2);
    }
}

// covers: RFC 3891 §4
#[test]
fn an_attended_transfer_joins_the_partners_of_two_calls_of_browsers() {
    for workers in 1..=2 {
        for (by, other) in [(1, 2), (2, 1)] {
            // An agent who was called, and calls out to ask.
            let swarm = Swarm::quiet(11, workers)
                .browser("ann", None, Vec::new())
                .browser("ann", Some((0, OUT)), Vec::new())
                .caller(3_000, RING, talks(20))
                .mix(8_000, Mix::Attend { by, other });
            hear(swarm, 2);
            // The same, and the one who is asked is a browser too, which goes to no other worker: there, both
            // calls stand as they are.
            let inside = Swarm::quiet(14, workers)
                .browser("ann", None, Vec::new())
                .browser("ann", Some((0, INSIDE)), Vec::new())
                .browser("operator", None, Vec::new())
                .caller(3_000, RING, talks(20))
                .mix(8_000, Mix::Attend { by, other });
            let report = run(inside);
            assert!(report.violations.is_empty(), "{report}");
            assert!(report.heard == 2 || workers > 1, "{report}");
        }
    }
}

// covers: RFC 3891 §3
#[test]
fn a_browser_is_heard_in_the_place_of_whom_it_replaced() {
    for (by, of) in [(2, 1), (2, 3)] {
        let swarm = Swarm::quiet(12, 2)
            .phone("ann", None, Vec::new())
            .browser("fay", None, talks(10))
            .caller(0, RING, talks(20))
            .mix(4_000, Mix::TakeOver { by, of });
        hear(swarm, 2);
    }
}

// covers: RFC 7675 §5.1
#[test]
fn a_browser_that_is_gone_is_noticed_by_its_checks_and_the_call_ends() {
    let swarm = Swarm::quiet(13, 1)
        .browser("ann", None, Vec::new())
        .caller(0, RING, talks(300))
        .crash(1, 5_000);
    // Its session timer alone would notice after 30 minutes: the world would not be quiet in time.
    hear(swarm, 1);
}

#[test]
fn drawn_worlds_keep_their_laws_when_half_of_the_endpoints_are_browsers() {
    let stage = Stage::new().unwrap();
    for (depth, usual) in [(Depth::Signalling, 60), (Depth::Full, 12)] {
        for seed in 1..=harness::seeds(usual) {
            let seed = harness::first_seed() + seed;
            let report = World::new(&stage, Swarm::draw(seed, depth).browsing()).run();
            assert!(report.violations.is_empty(), "{depth:?} {report}");
        }
    }
}
