//! Calls whose voices go through a detour: told by whom each party hears. The world has no voice threads, so
//! what is heard is what a detour falls back on.

use std::time::Duration;

use sim::{Report, Stage, Swarm, World};
use tandem::call::{Reach, VoicePolicy};
use tandem::demo::phone::Act;

/// Rings ann, bob and the operator.
const RING: &str = "+15550000003";

const PLAIN: VoicePolicy = VoicePolicy {
    echo: Reach::Tap,
    noise: Reach::Tap,
    gain: Reach::Tap,
    talk: false,
};
const TOLD: VoicePolicy = VoicePolicy {
    talk: true,
    ..PLAIN
};
const DETOUR: VoicePolicy = VoicePolicy {
    echo: Reach::Leg,
    ..PLAIN
};

fn waits(secs: u64) -> Act {
    Act::Wait(Duration::from_secs(secs))
}

fn voiced(swarm: Swarm, voice: (VoicePolicy, VoicePolicy)) -> Report {
    let stage = Stage::new().unwrap();
    World::new(&stage, swarm.voice(voice)).showing(200).run()
}

#[test]
fn a_call_on_a_detour_is_heard_both_ways_and_ends_as_any_other() {
    for voice in [
        (DETOUR, PLAIN),
        (PLAIN, DETOUR),
        (DETOUR, DETOUR),
        (TOLD, TOLD),
    ] {
        let script = vec![waits(4), Act::HangUp];
        let swarm = Swarm::quiet(1, 1)
            .phone("ann", None, Vec::new())
            .caller(0, RING, script);
        let report = voiced(swarm, voice);
        assert!(report.violations.is_empty(), "{voice:?} {report}");
        assert_eq!(report.heard, 1, "{voice:?} {report}");
    }
}

#[test]
fn a_detour_goes_on_through_hold() {
    let hold = vec![
        waits(2),
        Act::Hold(true),
        waits(2),
        Act::Hold(false),
        waits(20),
        Act::HangUp,
    ];
    let swarm =
        Swarm::quiet(3, 1)
            .phone("ann", None, hold)
            .caller(0, RING, vec![waits(12), Act::HangUp]);
    let report = voiced(swarm, (DETOUR, DETOUR));
    assert!(report.violations.is_empty(), "{report}");
    // Two seconds before the hold and eight after it, of which they are heard at least six.
    for host in [1, 2] {
        let tones = report.hearings[host].iter().flat_map(|it| &it.tones);
        let longest = tones.map(|tone| tone.frames_present).max();
        assert!(longest >= Some(400), "host {host}: {longest:?}");
    }
}
