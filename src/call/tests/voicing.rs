//! What is done with a leg's voice: which legs a voice thread listens to, and for what.

use media::port::PortId;
use media::worker::PortCommand;
use voice::chain::Wanted;

use super::{Rig, target};
use crate::call::{LegId, Output, Party, Reach, Ringback, VoicePolicy};

fn listened(rig: &Rig) -> Vec<(LegId, Wanted)> {
    rig.log
        .iter()
        .filter_map(|output| match output {
            Output::Listen(it) => Some((it.leg, it.wanted)),
            _ => None,
        })
        .collect()
}

/// Of each way through a voice thread, whether it is a detour.
fn voices(rig: &Rig) -> Vec<bool> {
    let voice = |output: &Output| match output {
        Output::Port(PortCommand::Voice { tap, .. }) => Some(tap.is_detour()),
        _ => None,
    };
    rig.log.iter().filter_map(voice).collect()
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
        let (legs, detours): (Vec<_>, Vec<_>) = wanted
            .map(|(wanted, detour)| ((LegId(1), wanted), detour))
            .into_iter()
            .unzip();
        assert_eq!(listened(&rig), legs, "{policy:?}");
        assert_eq!(voices(&rig), detours, "{policy:?}");
    }
}

#[test]
fn a_leg_is_lent_to_a_listener_as_taps_have_it_where_that_differs_from_what_all_hear() {
    let tapped = VoicePolicy {
        echo: Reach::Tap,
        ..VoicePolicy::default()
    };
    let talk = VoicePolicy {
        talk: true,
        ..tapped
    };
    let detour = VoicePolicy {
        echo: Reach::Leg,
        ..tapped
    };
    let listener = PortId(77);
    // For each policy: ways through a voice thread that are made, lendings, and whether it is off that way again.
    let table = [
        (VoicePolicy::default(), 0, 0, false),
        (tapped, 1, 2, true),
        (talk, 0, 2, false),
        (detour, 0, 0, false),
    ];
    for (policy, made, lent, off) in table {
        let mut rig = Rig::waiting();
        dial(&mut rig, policy);
        rig.answer_from(LegId(1));
        rig.log.clear();
        for listener in [Some(listener), Some(listener), None, None] {
            rig.call.lend_voice(Party::Callee, listener);
            rig.drain();
        }
        let commands = rig.log.iter().filter_map(|output| match output {
            Output::Port(command) => Some(command),
            _ => None,
        });
        let commands: Vec<_> = commands.collect();
        let lendings = commands
            .iter()
            .filter(|it| matches!(it, PortCommand::LendVoice { .. }));
        let taken_off = commands
            .iter()
            .any(|it| matches!(it, PortCommand::Unvoice { .. }));
        assert_eq!(
            (voices(&rig).len(), lendings.count(), taken_off),
            (made, lent, off),
            "{policy:?}"
        );
    }
}
