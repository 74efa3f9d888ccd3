//! Seeds that once broke a law, each by the name of what was wrong.

use sim::{Depth, Stage, Swarm, World};

fn holds(depth: Depth, seeds: &[u64]) {
    let stage = Stage::new().unwrap();
    for seed in seeds {
        // As the seed was when it broke the law.
        let report = World::new(&stage, Swarm::draw(*seed, depth).plain()).run();
        assert!(report.violations.is_empty(), "{report}");
    }
}

/// The callee's answer bridged a caller whose answer to our offer was still under way.
#[test]
fn a_caller_who_answers_our_offer_late_is_told_answered_before_bridged() {
    holds(Depth::Signalling, &[2]);
}

/// The centre's offer stood in the same breath as the end of the call.
#[test]
fn a_call_that_has_ended_is_offered_to_nobody() {
    holds(Depth::Signalling, &[122, 331, 785]);
}

/// A re-INVITE crossed the BYE; its 481 was never acknowledged and came again for 32 s.
#[test]
fn a_refused_re_invite_is_acknowledged_although_its_call_is_over() {
    holds(Depth::Signalling, &[167, 922, 2121]);
}

/// The worker's ring was full when the port was to open: the port stayed reserved for ever.
#[test]
fn a_port_that_could_not_be_opened_goes_back() {
    holds(Depth::Signalling, &[410, 489, 1003]);
}

/// A refused transfer parted and rejoined two legs within a frame: the relay left a gap in its stream.
#[test]
fn legs_that_are_rejoined_at_once_leave_no_gap_in_the_stream() {
    holds(Depth::Full, &[893]);
}

/// The 200 waited for a PRACK that never came, and the callee hung up: the record said answered.
#[test]
fn a_call_whose_200_never_went_out_is_recorded_as_unanswered() {
    holds(Depth::Signalling, &[3514, 10_927]);
}
