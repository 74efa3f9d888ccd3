//! Calls of which one side is encrypted, or both: told by whom each party hears.

use std::time::Duration;

use sim::{Mix, Report, Stage, Swarm, World};
use sip::sdp::{KeySeed, Srtp};
use tandem::demo::phone::Act;
use tandem::trunk::SrtpPolicy::{self, Off, Optional, Required};

/// Rings ann, bob and the operator.
const RING: &str = "+15550000003";

const POLICIES: [SrtpPolicy; 3] = [Off, Optional, Required];

fn phones(policy: SrtpPolicy) -> Srtp {
    let seed = KeySeed::new([11; 32]);
    match policy {
        Off => Srtp::Off,
        Optional => Srtp::Optional(seed),
        Required => Srtp::Required(seed),
    }
}

/// A world in which trunk and endpoints are encrypted so, and the phones behind them too.
fn secured(
    swarm: Swarm,
    server: (SrtpPolicy, SrtpPolicy),
    theirs: (SrtpPolicy, SrtpPolicy),
) -> Report {
    let swarm = swarm.srtp(server, (phones(theirs.0), phones(theirs.1)));
    let stage = Stage::new().unwrap();
    World::new(&stage, swarm).showing(200).run()
}

fn hear(report: &Report, pairs: usize) {
    assert!(report.violations.is_empty(), "{report}");
    assert_eq!(report.heard, pairs, "{report}");
}

fn waits(secs: u64) -> Act {
    Act::Wait(Duration::from_secs(secs))
}

fn call(seed: u64) -> Swarm {
    let script = vec![waits(4), Act::HangUp];
    Swarm::quiet(seed, 1)
        .phone("ann", None, Vec::new())
        .caller(0, RING, script)
}

// covers: RFC 4568 §5.1, RFC 8643 §4
#[test]
fn each_pair_of_policies_agrees_on_what_both_can_or_there_is_no_call() {
    for server in POLICIES {
        for phone in POLICIES {
            let can = !matches!((server, phone), (Off, Required) | (Required, Off));
            // The caller's leg, whose offer is the phone's; then the agent's, whose offer is ours.
            let caller = secured(call(1), (server, Off), (phone, Off));
            let agent = secured(call(2), (Off, server), (Off, phone));
            for report in [caller, agent] {
                assert!(
                    report.violations.is_empty(),
                    "{server:?} {phone:?} {report}"
                );
                assert_eq!(
                    report.heard,
                    usize::from(can),
                    "{server:?} {phone:?} {report}"
                );
            }
        }
    }
}

#[test]
fn encrypted_and_plain_legs_hear_each_other_through_hold_and_transfer() {
    for policies in [
        (Required, Off),
        (Off, Required),
        (Required, Required),
        (Optional, Required),
    ] {
        let hold = vec![
            waits(2),
            Act::Hold(true),
            waits(2),
            Act::Hold(false),
            waits(20),
            Act::HangUp,
        ];
        let swarm = Swarm::quiet(3, 1).phone("ann", None, hold).caller(
            0,
            RING,
            vec![waits(12), Act::HangUp],
        );
        let report = secured(swarm, policies, policies);
        assert!(report.violations.is_empty(), "{report}");
        // Two seconds before the hold and eight after it, of which they are heard at least six.
        for host in [1, 2] {
            let tones = report.hearings[host].iter().flat_map(|it| &it.tones);
            let longest = tones.map(|tone| tone.frames_present).max();
            assert!(longest >= Some(400), "host {host}: {longest:?}");
        }

        for workers in 1..=2 {
            let refer = Act::Refer("sip:fay@10.0.0.1".to_owned());
            let swarm = Swarm::quiet(4, workers)
                .phone("ann", None, vec![waits(2), refer, waits(20), Act::HangUp])
                .phone("fay", None, Vec::new())
                .caller(0, RING, vec![waits(15), Act::HangUp]);
            hear(&secured(swarm, policies, policies), 2);
        }
    }
}

/// Who offers anew with another key is heard on: at most what was on its way under the old one is lost.
// covers: RFC 4568 §5.1, RFC 3264 §8.3
#[test]
fn a_new_key_by_re_invite_costs_a_packet_at_most_and_either_side_may_bring_one() {
    let talk = |own: bool| match own {
        true => vec![
            waits(3),
            Act::Rekey,
            waits(3),
            Act::Rekey,
            waits(30),
            Act::HangUp,
        ],
        false => vec![waits(12), Act::HangUp],
    };
    for (caller, agent) in [(true, false), (false, true), (true, true), (false, false)] {
        let agents = if agent { talk(true) } else { Vec::new() };
        let callers = if caller { talk(true) } else { talk(false) };
        let mut callers = callers;
        if caller {
            callers.truncate(4);
            callers.extend([waits(6), Act::HangUp]);
        }
        let swarm = Swarm::quiet(7, 1)
            .phone("ann", None, agents)
            .caller(0, RING, callers);
        let report = secured(swarm, (Required, Required), (Required, Required));
        hear(&report, 1);
        assert_eq!(report.audio, [], "{report}");
        let rekeys = 2 * (u32::from(caller) + u32::from(agent));
        let refused: u32 = report.legs.iter().map(|leg| leg.stats.unauthentic).sum();
        assert!(refused <= rekeys, "{refused} refused: {report}");
        for host in [1, 2] {
            let tones = report.hearings[host].iter().flat_map(|it| &it.tones);
            let longest = tones.map(|tone| tone.frames_present).max();
            assert!(longest >= Some(550), "host {host}: {longest:?}");
        }
    }
}

/// A leg that goes to another worker gets a port of its own there, and keys of its own with it.
#[test]
fn an_attended_transfer_between_workers_keeps_encrypted_parties_together() {
    for workers in 1..=3 {
        for (by, other) in [(1, 2), (3, 4)] {
            let (names, pairs) = if by < 3 {
                (["ann", "ann"], 2)
            } else {
                (["ann", "bob"], 4)
            };
            let swarm = Swarm::quiet(by as u64 * 10 + u64::from(workers), workers)
                .phone(names[0], None, Vec::new())
                .phone(names[1], None, Vec::new())
                .caller(0, RING, vec![waits(20), Act::HangUp])
                .caller(3_000, RING, vec![waits(20), Act::HangUp])
                .mix(6_000, Mix::Attend { by, other });
            hear(
                &secured(swarm, (Required, Required), (Required, Required)),
                pairs,
            );
        }
    }
}
