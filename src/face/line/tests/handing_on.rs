//! A call that goes to somebody else, or to another line of the same client.

use super::*;

// covers: RFC 3515 §2.4.4, RFC 3515 §2.4.5
#[test]
fn it_hands_a_call_on_and_hears_how_that_goes() {
    let mut rig = Rig::new();
    let session = rig.dialled("one");
    rig.told();
    for (status, progress) in [(603, Progress::Failed(603)), (200, Progress::Done)] {
        rig.near.refer(rig.now, "one", "sip:701@x").unwrap();
        assert_eq!(
            rig.near.refer(rig.now, "one", "702"),
            Err(LineError::NotNow)
        );
        let (request_id, request) = rig.requested_within();
        assert_eq!(
            request.header(Name::ReferTo),
            Some("<sip:701@tandem.example>")
        );
        rig.far.respond_in(rig.now, request_id, 202, &[], None);
        let referred = |progress| Event::Referred {
            call: "one".to_owned(),
            progress,
        };
        assert_eq!(rig.told(), [referred(Progress::Trying(100))]);
        rig.notify(session, 180, false);
        rig.notify(session, status, true);
        assert_eq!(
            rig.told(),
            [referred(Progress::Trying(180)), referred(progress)]
        );
        rig.heard.clear();
    }
    rig.near.refer(rig.now, "one", "703").unwrap();
    let (request_id, _) = rig.requested_within();
    rig.far.respond_in(rig.now, request_id, 403, &[], None);
    let told = rig.told();
    assert!(
        matches!(
            told[..],
            [Event::Referred {
                progress: Progress::Failed(403),
                ..
            }]
        ),
        "{told:?}"
    );
}

// covers: RFC 3891 §3, RFC 3891 §4
#[test]
fn it_joins_two_of_its_calls_by_the_name_that_the_other_side_knows() {
    let mut rig = Rig::new();
    rig.dialled("one");
    let second = rig.dialled("two");
    rig.near.refer_replacing(rig.now, "one", "two").unwrap();
    let (_, request) = rig.requested_within();
    let to = request.refer_to().unwrap().unwrap();
    let (_, value) = to.uri.headers.split_once("Replaces=").unwrap();
    let name = sip::message::unescape(value).into_owned();
    let name = sip::message::Replaces::parse(&name).unwrap();
    assert_eq!(rig.far.find_dialog(&name), Some(second));
}

// covers: RFC 3891 §3, RFC 3261 §13.2.1
#[test]
fn a_call_that_one_line_left_is_taken_up_by_another() {
    let mut rig = Rig::new();
    let before = rig.dialled("one");
    rig.told();
    rig.called();
    let left = rig.near.leave();
    assert_eq!(left.len(), 1, "one that rings is no call yet");
    assert_eq!((left[0].call.as_str(), left[0].incoming), ("one", false));
    rig.near = line_of(Proof::Password("sesame".to_owned()), 77);
    rig.told();
    rig.heard.clear();
    rig.near.attach(rig.now, left[0].clone()).unwrap();
    let heard = rig.heard();
    let Some(ua::Event::Invited {
        session,
        offer: None,
        replaces: Some(replaces),
        ..
    }) = heard.first()
    else {
        panic!("{heard:?}");
    };
    assert_eq!(*replaces, before);
    rig.accept(*session, "c-1");
    let offered = Event::Offered {
        call: "one".to_owned(),
        sdp: THEIRS.into(),
        id: Some("c-1".to_owned()),
    };
    assert_eq!(rig.told(), [offered]);
    assert_eq!(rig.near.hold(rig.now, "one", true), Err(LineError::NotNow));
    rig.near.answer(rig.now, "one", OURS.into()).unwrap();
    let heard = rig.heard();
    let confirmed = |event: &ua::Event| matches!(event, ua::Event::Confirmed { body, .. } if *body == Some(OURS.into()));
    assert!(heard.iter().any(confirmed), "{heard:?}");
}
