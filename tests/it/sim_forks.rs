//! Forks told by sound: a carrier's proxy rings two phones for one INVITE, both speak before they answer, and
//! who answers is heard alone.

use std::time::Duration;

use sim::{Report, Stage, Swarm, World};
use tandem::demo::phone::{Act, Early, Heard};

/// Goes out by the trunk without being answered first.
const OUT: &str = "+15550000005";

/// Two phones behind the carrier's proxy, and who calls.
const ONE: usize = 0;
const TWO: usize = 1;
const CALLER: usize = 2;

/// Their tones.
const HZ: [f32; 3] = [1_100.0, 1_200.0, 500.0];

const SPEAKS: Early = Early {
    speaks: true,
    updates: false,
    pracks_with_offers: false,
};
const UPDATES: Early = Early {
    updates: true,
    ..SPEAKS
};
const PRACKS: Early = Early {
    pracks_with_offers: true,
    ..SPEAKS
};

fn run(early: [Early; 2], answers_ms: [u64; 2], lossy: bool) -> Report {
    let talks = vec![Act::Wait(Duration::from_secs(8)), Act::HangUp];
    let mut swarm = Swarm::quiet(7, 1)
        .phone("carrier", None, Vec::new())
        .caller(0, OUT, talks)
        .forked()
        .early(ONE, early[0], answers_ms[0])
        .early(TWO, early[1], answers_ms[1]);
    if lossy {
        swarm = swarm.losing(200);
    }
    let stage = Stage::new().unwrap();
    let report = World::new(&stage, swarm).showing(200).run();
    assert!(report.violations.is_empty(), "{report}");
    report
}

/// Frames of 20 ms in which a host heard another's tone, before its call was up and after.
fn frames(report: &Report, host: usize, of: usize) -> (u32, u32) {
    let calls = report.hearings.get(host).into_iter().flatten();
    let count = |tracks: &[media::dsp::ToneTrack]| -> u32 {
        let own = tracks.iter().filter(|it| (it.hz - HZ[of]).abs() < 0.5);
        own.map(|it| it.frames_present).sum()
    };
    let each = calls.map(|heard: &Heard| (count(&heard.before), count(&heard.tones)));
    each.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}

// covers: RFC 3261 §13.2.2.4, RFC 3261 §16.7, RFC 3262 §4, RFC 3311 §5.1, RFC 3960 §3.1
#[test]
fn of_two_forks_that_speak_early_the_one_that_answers_is_heard_alone() {
    let table = [
        (
            "the first answers, the other is cancelled",
            [SPEAKS; 2],
            [1_500, 9_000],
            ONE,
        ),
        (
            "the second answers, the other is cancelled",
            [SPEAKS; 2],
            [9_000, 1_500],
            TWO,
        ),
        ("both answer at once", [SPEAKS; 2], [1_500, 1_500], ONE),
        (
            "the second is the first of two answers",
            [SPEAKS; 2],
            [1_504, 1_500],
            TWO,
        ),
        (
            "both offered anew before they answer",
            [UPDATES; 2],
            [1_500, 1_504],
            ONE,
        ),
        (
            "only the loser offered anew",
            [UPDATES, SPEAKS],
            [9_000, 1_500],
            TWO,
        ),
    ];
    for (what, early, answers_ms, winner) in table {
        let report = run(early, answers_ms, false);
        let loser = 1 - winner;
        let (before, after) = frames(&report, CALLER, winner);
        let (lost_before, lost_after) = frames(&report, CALLER, loser);
        println!(
            "{what}: caller hears the winner {before} + {after} frames, the other {lost_before} + {lost_after}"
        );
        assert!(
            before + lost_before > 50,
            "{what}: somebody is heard early: {report}"
        );
        assert!(
            after > 300,
            "{what}: the winner is heard, {after}: {report}"
        );
        assert!(
            lost_after <= 2,
            "{what}: the loser is heard after it: {report}"
        );
        let (_, heard) = frames(&report, winner, CALLER);
        assert!(
            heard > 300,
            "{what}: the winner hears the caller, {heard}: {report}"
        );
        let (early, late) = frames(&report, loser, CALLER);
        assert!(
            early + late <= 2,
            "{what}: the loser hears the caller: {report}"
        );
        assert_eq!((report.calls, report.bridged), (1, 1), "{what}: {report}");
    }
}

// covers: RFC 3262 §5
#[test]
fn a_caller_who_offers_in_its_prack_hears_what_is_said_before_and_after() {
    let talks = vec![Act::Wait(Duration::from_secs(8)), Act::HangUp];
    for early in [PRACKS, UPDATES] {
        let swarm = Swarm::quiet(9, 1)
            .caller(0, OUT, talks.clone())
            .early(0, SPEAKS, 1_500)
            .caller_early(early);
        let stage = Stage::new().unwrap();
        let report = World::new(&stage, swarm).showing(200).run();
        assert!(report.violations.is_empty(), "{report}");
        let calls = report.hearings.get(1).into_iter().flatten();
        let count: u32 = calls
            .flat_map(|heard| heard.before.iter().chain(&heard.tones))
            .filter(|it| (it.hz - HZ[0]).abs() < 0.5)
            .map(|it| it.frames_present)
            .sum();
        assert!(count > 350, "{early:?}: {count} frames: {report}");
        assert_eq!(report.heard, 1, "{report}");
    }
}

// covers: RFC 3261 §13.2.2.4
#[test]
fn forks_end_the_same_where_one_datagram_in_five_is_lost() {
    for answers_ms in [[1_500, 9_000], [9_000, 1_500], [1_500, 1_500]] {
        let report = run([SPEAKS; 2], answers_ms, true);
        let after = [ONE, TWO].map(|of| frames(&report, CALLER, of).1);
        let heard = after.iter().filter(|frames| **frames > 2).count();
        assert!(heard <= 1, "{after:?}: {report}");
    }
}
