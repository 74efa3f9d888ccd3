//! Conferences by sound: who hears whom in a room whose members came on different media workers.

use std::time::Duration;

use media::dsp::Goertzel;
use sip::message::{Message, Method};
use tandem::call::{CallId, Prompt};
use tandem::conference::{Ask, NotDone};
use tandem::control::What;

use crate::lab::Lab;
use crate::lab::sound::{FILE_HZ, MUSIC_HZ};

/// Who calls, and what he says.
const ANN: (&str, f32) = ("10.9.0.1:5060", 440.0);
const BOB: (&str, f32) = ("10.9.0.2:5060", 1_000.0);
const CAT: (&str, f32) = ("10.9.0.3:5060", 1_300.0);
const DAN: (&str, f32) = ("10.9.0.4:5060", 1_700.0);
const ALL: [(&str, f32); 4] = [ANN, BOB, CAT, DAN];

const TRUNK: &str = "[trunks.callers]\naddresses = [\"10.9.0.1\", \"10.9.0.2\", \"10.9.0.3\", \
                     \"10.9.0.4\"]\n";

/// A bench of so many workers, and a plan whose flow has these steps.
fn lab(workers: u8, steps: &str) -> Lab {
    let plan = format!(
        "dialplan version=1\nentry pattern=\"*\" flow=\"room\"\nflow \"room\" {{\n{steps}\n}}\n"
    );
    let mut lab = Lab::sounding_on(workers, TRUNK, &plan);
    for (remote, hz) in ALL {
        lab.speaks(remote, hz);
    }
    lab
}

/// Somebody calls a number; his call, and what we answered him.
fn calls(lab: &mut Lab, who: (&str, f32), number: &str) -> (CallId, Message) {
    let before: Vec<CallId> = lab
        .control
        .calls(lab.now)
        .iter()
        .map(|it| it.call)
        .collect();
    lab.invite(who.0, number, "");
    lab.pass(ms(300));
    let answer = lab
        .take(who.0)
        .into_iter()
        .rfind(|it| it.status() == Some(200));
    let now = lab.control.calls(lab.now);
    let mine = now.iter().find(|it| !before.contains(&it.call));
    let call = mine.unwrap_or_else(|| panic!("no call: {}", lab.troubles()));
    (call.call, answer.unwrap())
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Requires of each of the members that he hears the others who are `heard`, and nothing else, once the playout of
/// who has just come has found its delay.
fn hear(lab: &mut Lab, members: &[(&str, f32)], heard: &[(&str, f32)]) {
    lab.pass(ms(2_000));
    for (name, own) in members {
        let tones: Vec<f32> = ALL
            .iter()
            .map(|it| it.1)
            .chain([MUSIC_HZ, FILE_HZ])
            .collect();
        let wanted: Vec<f32> = heard.iter().map(|it| it.1).filter(|hz| hz != own).collect();
        assert_eq!(lab.hears(name, &tones), wanted, "{name} ({own} Hz)");
    }
}

fn ask(lab: &mut Lab, ask: Ask) {
    lab.control.ask_conference(lab.now, "r", ask).unwrap();
    lab.pass(ms(100));
}

/// A peer is told the end of its call.
fn is_told_the_end(lab: &mut Lab, who: (&str, f32)) -> bool {
    let got = lab.take(who.0);
    let bye = got
        .iter()
        .find(|it| it.method() == Some(Method::Bye))
        .cloned();
    if let Some(bye) = &bye {
        lab.takes(who.0, bye);
    }
    bye.is_some()
}

#[test]
fn members_who_came_on_different_workers_hear_each_other_and_never_themselves() {
    for workers in [1, 2, 3] {
        let mut lab = lab(workers, "conference \"r\"");
        let (_, ann) = calls(&mut lab, ANN, "1");
        let (_, bob) = calls(&mut lab, BOB, "1");
        hear(&mut lab, &[ANN, BOB], &[ANN, BOB]);
        let (cat, _) = calls(&mut lab, CAT, "1");
        let three = [ANN, BOB, CAT];
        hear(&mut lab, &three, &three);
        assert_eq!(
            lab.control
                .conference(lab.now, "r")
                .unwrap()
                .room
                .members
                .len(),
            3
        );
        lab.request(ANN.0, &ann, "BYE");
        hear(&mut lab, &[BOB, CAT], &[BOB, CAT]);
        assert!(
            lab.control
                .hang_up(lab.now, cat, tandem::call::Cause::Normal)
        );
        lab.pass(ms(100));
        assert!(is_told_the_end(&mut lab, CAT));
        hear(&mut lab, &[BOB], &[]);
        lab.request(BOB.0, &bob, "BYE");
        lab.pass(ms(100));
        assert!(lab.control.conferences(lab.now).is_empty());
        lab.nothing_is_left();
        assert!(lab.troubles().is_empty(), "{}", lab.troubles());
    }
}

#[test]
fn a_member_is_muted_put_out_and_kept_out() {
    let steps = "conference \"r\" {\n on removed {\n play \"bye.wav\"\n hangup\n }\n on locked {\n \
                 hangup cause=\"busy\"\n }\n}";
    let mut lab = lab(2, steps);
    let (ann, _) = calls(&mut lab, ANN, "1");
    calls(&mut lab, BOB, "1");
    let (cat, _) = calls(&mut lab, CAT, "1");
    let three = [ANN, BOB, CAT];
    ask(
        &mut lab,
        Ask::Mute {
            call: ann,
            on: true,
        },
    );
    hear(&mut lab, &three, &[BOB, CAT]);
    ask(
        &mut lab,
        Ask::Mute {
            call: ann,
            on: false,
        },
    );
    hear(&mut lab, &three, &three);
    ask(&mut lab, Ask::Remove { call: cat });
    assert_eq!(lab.hears(CAT.0, &[ANN.1, BOB.1, FILE_HZ]), [FILE_HZ]);
    hear(&mut lab, &[ANN, BOB], &[ANN, BOB]);
    lab.pass(ms(2_000));
    assert!(
        is_told_the_end(&mut lab, CAT),
        "his plan has come to its end"
    );
    ask(&mut lab, Ask::Lock(true));
    lab.invite(DAN.0, "1", "");
    lab.pass(ms(100));
    assert!(is_told_the_end(&mut lab, DAN), "answered, and not let in");
    hear(&mut lab, &[ANN, BOB], &[ANN, BOB]);
    let gone = Ask::Mute {
        call: cat,
        on: true,
    };
    let refused = lab.control.ask_conference(lab.now, "r", gone);
    assert_eq!(refused, Err(NotDone::NoMember));
    lab.control
        .hang_up_all(lab.now, tandem::call::Cause::Normal);
    lab.pass(ms(100));
    for who in [ANN, BOB] {
        assert!(is_told_the_end(&mut lab, who));
    }
    lab.nothing_is_left();
}

#[test]
fn a_supervisor_listens_whispers_to_one_and_barges_in() {
    let steps =
        "if \"to == '2'\" {\n conference \"r\" muted=#true\n}\nelse {\n conference \"r\"\n}";
    let mut lab = lab(2, steps);
    let (agent, _) = calls(&mut lab, ANN, "1");
    calls(&mut lab, BOB, "1");
    let (supervisor, _) = calls(&mut lab, CAT, "2");
    let three = [ANN, BOB, CAT];
    hear(&mut lab, &three, &[ANN, BOB]);
    let whisper = |db| Ask::Gain {
        from: supervisor,
        to: agent,
        db,
    };
    ask(&mut lab, whisper(Some(0.0)));
    hear(&mut lab, &[ANN], &three);
    hear(&mut lab, &[BOB, CAT], &[ANN, BOB]);
    ask(
        &mut lab,
        Ask::Mute {
            call: supervisor,
            on: false,
        },
    );
    hear(&mut lab, &three, &three);
    ask(
        &mut lab,
        Ask::Mute {
            call: supervisor,
            on: true,
        },
    );
    ask(&mut lab, whisper(None));
    hear(&mut lab, &three, &[ANN, BOB]);
    lab.control
        .hang_up_all(lab.now, tandem::call::Cause::Normal);
    lab.pass(ms(100));
    for who in three {
        assert!(is_told_the_end(&mut lab, who));
    }
    lab.nothing_is_left();
}

#[test]
fn who_made_a_room_and_was_put_out_talks_to_somebody_else_and_the_room_does_not_hear_it() {
    let config = "[trunks.callers]\naddresses = [\"10.9.0.1\", \"10.9.0.2\"]\n\
                  [endpoints.dan]\npassword = \"secret\"\ncontact = \"sip:dan@10.9.0.4:5060\"\n";
    let steps = "conference \"r\" {\n on removed {\n dial \"dan\"\n }\n}";
    let plan = format!(
        "dialplan version=1\nentry pattern=\"*\" flow=\"room\"\nflow \"room\" {{\n{steps}\n}}\n"
    );
    let mut lab = Lab::sounding_on(1, config, &plan);
    for (remote, hz) in ALL {
        lab.speaks(remote, hz);
    }
    let (ann, _) = calls(&mut lab, ANN, "1");
    calls(&mut lab, BOB, "1");
    ask(&mut lab, Ask::Remove { call: ann });
    let invite = lab.invited(DAN.0).unwrap();
    lab.reply(DAN.0, &invite, 200, "");
    hear(&mut lab, &[ANN, DAN], &[ANN, DAN]);
    hear(&mut lab, &[BOB], &[]);
}

#[test]
fn who_waits_hears_music_until_the_moderator_comes_wherever_each_of_them_is() {
    let steps = "if \"to == '9'\" {\n conference \"r\" moderator=#true\n}\nelse {\n \
                 conference \"r\" wait-for-moderator=#true\n}";
    let mut lab = lab(3, steps);
    calls(&mut lab, ANN, "1");
    calls(&mut lab, BOB, "1");
    for who in [ANN, BOB] {
        assert_eq!(lab.hears(who.0, &[ANN.1, BOB.1, MUSIC_HZ]), [MUSIC_HZ]);
    }
    calls(&mut lab, CAT, "9");
    let three = [ANN, BOB, CAT];
    hear(&mut lab, &three, &three);
    lab.control
        .hang_up_all(lab.now, tandem::call::Cause::Normal);
    lab.pass(ms(100));
    for who in three {
        assert!(is_told_the_end(&mut lab, who));
    }
    lab.nothing_is_left();
}

#[test]
fn all_hear_an_announcement_beside_each_other_and_a_recording_has_all_of_it() {
    let steps = "conference \"r\" record=#true enter-sound=\"beep\"";
    let mut lab = lab(2, steps);
    let (_, ann) = calls(&mut lab, ANN, "1");
    let (_, bob) = calls(&mut lab, BOB, "1");
    lab.pass(ms(1_500));
    let file = vec![Prompt::File("news.wav".to_owned())];
    let tones = [ANN.1, BOB.1, FILE_HZ];
    ask(&mut lab, Ask::Announce(file.clone()));
    assert_eq!(lab.hears(ANN.0, &tones), [BOB.1, FILE_HZ]);
    lab.pass(ms(2_000));
    ask(&mut lab, Ask::Announce(file));
    assert_eq!(lab.hears(BOB.0, &tones), [ANN.1, FILE_HZ]);
    lab.pass(ms(2_000));
    hear(&mut lab, &[ANN, BOB], &[ANN, BOB]);
    let started = lab
        .events
        .iter()
        .filter(|it| matches!(it, What::Recording { .. }));
    assert_eq!(started.count(), 1);
    let (name, _, frames, over) = &mut lab.recordings[0];
    assert!(name.contains("/conference-r-c") && !*over, "{name}");
    let mut sound = Vec::new();
    while let Ok(frame) = frames.pop() {
        sound.extend_from_slice(&frame.left);
    }
    // A room is recorded wideband, whoever is in it.
    let last = &sound[sound.len() - 16_000..];
    for hz in [ANN.1, BOB.1] {
        assert!(Goertzel::new(hz, 16_000).dbfs(last) > -11.5, "{hz}");
    }
    ask(&mut lab, Ask::Record(false));
    assert!(lab.recordings[0].3);
    lab.request(ANN.0, &ann, "BYE");
    lab.request(BOB.0, &bob, "BYE");
    lab.nothing_is_left();
    assert!(lab.troubles().is_empty(), "{}", lab.troubles());
}

#[test]
fn a_full_room_is_left_by_its_exit_and_the_call_goes_on() {
    let steps = "conference \"r\" max=2 {\n on full {\n play \"full.wav\"\n hangup cause=\"busy\"\n \
                 }\n}";
    let mut lab = lab(2, steps);
    let (_, ann) = calls(&mut lab, ANN, "1");
    let (_, bob) = calls(&mut lab, BOB, "1");
    calls(&mut lab, CAT, "1");
    assert_eq!(lab.hears(CAT.0, &[ANN.1, BOB.1, FILE_HZ]), [FILE_HZ]);
    hear(&mut lab, &[ANN, BOB], &[ANN, BOB]);
    lab.pass(ms(2_000));
    assert!(is_told_the_end(&mut lab, CAT));
    lab.request(ANN.0, &ann, "BYE");
    calls(&mut lab, DAN, "1");
    hear(&mut lab, &[BOB, DAN], &[BOB, DAN]);
    lab.request(BOB.0, &bob, "BYE");
    lab.control
        .hang_up_all(lab.now, tandem::call::Cause::Normal);
    lab.pass(ms(100));
    assert!(is_told_the_end(&mut lab, DAN));
    lab.nothing_is_left();
}
