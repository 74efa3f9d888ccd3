//! What is done with a leg's voice: which legs a voice thread listens to, and for what.

use media::worker::PortCommand;
use voice::chain::Wanted;

use super::{Rig, target};
use crate::call::{LegId, Output, Reach, Ringback, VoicePolicy};

fn listened(rig: &Rig) -> Vec<(LegId, Wanted, bool)> {
    rig.log
        .iter()
        .filter_map(|output| match output {
            Output::Listen(it) => Some((it.leg, it.wanted, it.end.back.is_some())),
            _ => None,
        })
        .collect()
}

fn voices(rig: &Rig) -> usize {
    let voice = |output: &&Output| matches!(output, Output::Port(PortCommand::Voice { .. }));
    rig.log.iter().filter(voice).count()
}

/// Rings one contact whose voice is dealt with so.
fn dial(rig: &mut Rig, voice: VoicePolicy) {
    let mut target = target(20_002);
    target.media.voice = voice;
    rig.dial_targets(vec![target], Ringback::Keep);
}

#[test]
fn a_leg_is_listened_to_where_that_is_wanted_and_nowhere_else() {
    let tapped = VoicePolicy {
        echo: Reach::Tap,
        noise: Reach::Tap,
        ..VoicePolicy::default()
    };
    let talk = VoicePolicy {
        talk: true,
        ..tapped
    };
    let detour = VoicePolicy {
        gain: Reach::Leg,
        ..tapped
    };
    let does = |echo, noise, gain| Wanted { echo, noise, gain };
    let table = [
        (VoicePolicy::default(), None),
        // Nobody listens by a tap.
        (tapped, None),
        (talk, Some((does(true, true, false), false))),
        // On a detour the other party hears it: what is for listeners alone is not done.
        (detour, Some((does(false, false, true), true))),
    ];
    for (policy, wanted) in table {
        let mut rig = Rig::waiting();
        rig.log.clear();
        dial(&mut rig, policy);
        rig.answer_from(LegId(1));
        let wanted: Vec<_> = wanted
            .map(|(wanted, detour)| (LegId(1), wanted, detour))
            .into_iter()
            .collect();
        assert_eq!(listened(&rig), wanted, "{policy:?}");
        assert_eq!(voices(&rig), wanted.len(), "{policy:?}");
    }
}
