//! What else a party hears and is heard by: music of a hold, playbacks, keys, recordings.

use super::*;

#[test]
fn the_one_put_on_hold_hears_music_until_resumed() {
    let mut rig = Rig::waiting();
    rig.dial(&[20_002], Ringback::Keep);
    let mut agent = phone(5_000);
    let answer = agent.answer(&rig.offer_to(LegId(1))).unwrap();
    rig.answered(LegId(1), answer);
    for (direction, wanted) in [
        (sip::sdp::Direction::SendOnly, true),
        (sip::sdp::Direction::SendRecv, false),
    ] {
        rig.log.clear();
        agent.set_direction(direction);
        let offer = agent.offer().unwrap();
        rig.sip(
            LegId(1),
            Event::Offered {
                session: SESSION(),
                body: Some(offer),
                fork: 0,
            },
        );
        let said = rig.said(LegId(1));
        let [SipCommand::AnswerOffer(Some(answer))] = said.as_slice() else {
            panic!("{said:?}")
        };
        agent.take_answer(answer).unwrap();
        let (mut plays, mut stops) = (false, false);
        for output in &rig.log {
            match output {
                Output::Port(PortCommand::Play {
                    port: PortId(20_000),
                    ..
                }) => plays = true,
                Output::Port(PortCommand::Stop {
                    port: PortId(20_000),
                    ..
                }) => stops = true,
                _ => {}
            }
        }
        assert_eq!((plays, stops), (wanted, !wanted), "{direction:?}");
    }
}

#[test]
fn a_playback_that_was_replaced_is_told_as_not_complete() {
    let mut rig = Rig::waiting();
    let items = vec![Prompt::Tone("beep".to_owned())];
    rig.ask(Action::Play {
        play: PlayToken(2),
        items,
        repeat: false,
    });
    assert!(rig.told().contains(&Notice::Played {
        play: PlayToken(1),
        complete: false
    }));
    let played = PortEvent::Played {
        port: PortId(20_000),
        play: PlayId(2),
        complete: true,
    };
    rig.call.on_media(NOW, played);
    rig.drain();
    assert!(rig.told().contains(&Notice::Played {
        play: PlayToken(2),
        complete: true
    }));
}

// covers: S3-05
#[test]
fn tones_are_keys_only_where_no_telephone_event_was_agreed() {
    for (events, wanted) in [(true, false), (false, true)] {
        let mut local = phone(4_000).local().clone();
        local.dtmf = events;
        let offer = Negotiation::new(local, 1).offer().unwrap();
        let mut media = media(20_000);
        media.inband_dtmf = true;
        let mut rig = Rig::on_leg(Some(offer), media);
        rig.ask(Action::Answer);
        let detects = rig.log.iter().any(|output| {
            matches!(
                output,
                Output::Port(PortCommand::DetectTones { on: true, .. })
            )
        });
        assert_eq!(detects, wanted, "telephone-event offered: {events}");
    }
}

#[test]
fn an_armed_recording_starts_with_the_bridge_and_ends_with_the_callee() {
    let mut rig = Rig::waiting();
    rig.ask(Action::Record(RecordAsk::Start));
    let records = |rig: &Rig| {
        rig.log
            .iter()
            .filter(|output| matches!(output, Output::Record { .. }))
            .count()
    };
    assert_eq!(records(&rig), 0);
    rig.dial(&[20_002], Ringback::Keep);
    rig.answer_from(LegId(1));
    assert_eq!(records(&rig), 1);
    rig.ended(LegId(1), EndedBy::Peer);
    assert!(
        rig.log
            .iter()
            .any(|output| matches!(output, Output::RecordEnded))
    );
}

#[test]
fn a_recording_is_paused_and_masked_where_it_runs_and_begins_as_it_stood() {
    let states = |rig: &Rig| -> Vec<(bool, bool)> {
        let commands = rig.log.iter().filter_map(|output| match output {
            Output::Port(PortCommand::StandTap { state, .. }) => Some(state),
            _ => None,
        });
        commands.map(|it| (it.paused, it.masked)).collect()
    };
    let mut rig = Rig::waiting();
    rig.ask(Action::Record(RecordAsk::Mask));
    assert!(rig.call.masks_keys() && states(&rig).is_empty());
    rig.ask(Action::Record(RecordAsk::Start));
    rig.dial(&[20_002], Ringback::Keep);
    rig.answer_from(LegId(1));
    for ask in [RecordAsk::Pause, RecordAsk::Resume, RecordAsk::Unmask] {
        rig.ask(Action::Record(ask));
    }
    assert_eq!(states(&rig), [(true, true), (false, true), (false, false)]);
    assert!(!rig.call.masks_keys());
}
