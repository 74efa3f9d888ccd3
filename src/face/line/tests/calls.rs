//! How a call begins and how it ends.

use sip::ua::{Ending, Invite, Reliable};

use super::*;

#[test]
fn it_dials_hears_early_sound_is_answered_and_hung_up_on() {
    let mut rig = Rig::new();
    let dial = Dial {
        to: "sip:+49 30 1@elsewhere.example".replace(' ', ""),
        sdp: OURS.into(),
        headers: vec![("X-Mine".to_owned(), "yes".to_owned())],
    };
    rig.near.dial(rig.now, "one", dial.clone()).unwrap();
    let again = rig.near.dial(rig.now, "one", dial);
    assert_eq!(again, Err(LineError::NameTaken));
    let (session, invite) = rig.invited();
    assert_eq!(invite.request_uri(), Some("sip:+49301@tandem.example"));
    assert_eq!(invite.header_named("X-Mine"), Some("yes"));
    assert_eq!(invite.body(), &Bytes::from(OURS));
    rig.far.progress(rig.now, session, 180, None);
    rig.far.progress(rig.now, session, 183, Some(THEIRS.into()));
    let ringing = |status, sdp: Option<&'static str>| Event::Ringing {
        call: "one".to_owned(),
        status,
        sdp: sdp.map(Bytes::from),
    };
    assert_eq!(rig.told(), [ringing(180, None), ringing(183, Some(THEIRS))]);
    rig.accept(session, "c-1");
    let answered = Event::Answered {
        call: "one".to_owned(),
        sdp: None,
        id: Some("c-1".to_owned()),
    };
    assert_eq!(rig.told(), [answered], "the same description is told once");
    rig.far.end(rig.now, session, Ending::default());
    assert!(ended("one", By::Them, None)(&rig.told()));
    assert_eq!(rig.near.calls().count(), 0);
}

#[test]
fn what_it_dials_may_be_refused_and_given_up() {
    let mut rig = Rig::new();
    let dial = || Dial {
        to: "700".to_owned(),
        sdp: OURS.into(),
        headers: Vec::new(),
    };
    rig.near.dial(rig.now, "one", dial()).unwrap();
    let (session, _) = rig.invited();
    let busy = Ending {
        status: 486,
        ..Ending::default()
    };
    rig.far.end(rig.now, session, busy);
    assert!(ended("one", By::Them, Some(486))(&rig.told()));
    rig.near.dial(rig.now, "one", dial()).unwrap();
    rig.near.hang_up(rig.now, "one").unwrap();
    assert!(ended("one", By::Us, None)(&rig.told()));
    let cancelled = rig.heard();
    let is_cancelled = |event: &ua::Event| {
        let by = ua::EndedBy::Cancelled;
        matches!(event, ua::Event::Ended { by: whose, .. } if *whose == by)
    };
    assert!(cancelled.iter().any(is_cancelled), "{cancelled:?}");
    for wrong in ["", "sip:", "sip:@", &"9".repeat(129)] {
        let dial = Dial {
            to: wrong.to_owned(),
            ..dial()
        };
        assert_eq!(
            rig.near.dial(rig.now, "two", dial),
            Err(LineError::Unwritable),
            "{wrong}"
        );
    }
    let forged = Dial {
        headers: vec![("X-A".to_owned(), "b\r\nRoute: <sip:evil>".to_owned())],
        ..dial()
    };
    assert_eq!(
        rig.near.dial(rig.now, "two", forged),
        Err(LineError::Unwritable)
    );
    assert!(rig.told().is_empty());
}

#[test]
fn a_call_that_comes_has_a_name_is_answered_or_refused_and_the_ninth_is_busy() {
    let mut rig = Rig::new();
    let (session, incoming) = rig.called();
    assert_eq!(incoming.from.name, "Bob B.");
    assert_eq!(incoming.from.number, "+4930123");
    assert_eq!(incoming.id.as_deref(), Some("c-2"));
    assert_eq!(incoming.sdp, Bytes::from(THEIRS));
    assert!(
        incoming
            .headers
            .contains(&("x-account".to_owned(), "77".to_owned()))
    );
    let parts: Vec<usize> = incoming.call.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{}", incoming.call);
    rig.near
        .answer(rig.now, &incoming.call, OURS.into())
        .unwrap();
    let heard = rig.heard();
    let answered = |event: &ua::Event| matches!(event, ua::Event::Answered { body, .. } if *body == Some(OURS.into()));
    assert!(heard.iter().any(answered), "{heard:?}");
    assert_eq!(
        rig.near.answer(rig.now, &incoming.call, OURS.into()),
        Err(LineError::NotNow)
    );
    rig.far.end(rig.now, session, Ending::default());
    assert!(ended(&incoming.call, By::Them, None)(&rig.told()));

    let (_, declined) = rig.called();
    rig.near.refuse(rig.now, &declined.call, 480).unwrap();
    assert!(ended(&declined.call, By::Us, Some(480))(&rig.told()));
    let (given_up, missed) = rig.called();
    rig.far.end(rig.now, given_up, Ending::default());
    assert!(ended(&missed.call, By::Them, Some(487))(&rig.told()));

    for _ in 0..CALLS_MAX {
        rig.called();
    }
    rig.heard.clear();
    let names: std::collections::BTreeSet<&str> = rig.near.calls().collect();
    assert_eq!(names.len(), CALLS_MAX);
    let invite = Invite {
        from: "<sip:b@c>".to_owned(),
        reliable: Reliable::No,
        ..call_to("anna", &[])
    };
    rig.far.invite(rig.now, invite).unwrap();
    let heard = rig.heard();
    let busy = |event: &ua::Event| matches!(event, ua::Event::Refused { status: 486, .. });
    assert!(heard.iter().any(busy), "{heard:?}");
    let full = Dial {
        to: "700".to_owned(),
        ..Dial::default()
    };
    assert_eq!(rig.near.dial(rig.now, "ninth", full), Err(LineError::Full));
}

#[test]
fn a_name_that_is_none_and_a_key_that_is_none_are_refused() {
    let mut rig = Rig::new();
    let now = rig.now;
    assert_eq!(rig.near.hang_up(now, "x"), Err(LineError::NoSuchCall));
    assert_eq!(rig.near.hold(now, "x", true), Err(LineError::NoSuchCall));
    assert_eq!(
        rig.near.answer(now, "x", Bytes::new()),
        Err(LineError::NoSuchCall)
    );
    rig.dialled("one");
    assert_eq!(rig.near.key(now, "one", 'x'), Err(LineError::Unwritable));
    assert_eq!(rig.near.key(now, "one", '\r'), Err(LineError::Unwritable));
    assert_eq!(rig.near.refuse(now, "one", 486), Err(LineError::NotNow));
    rig.near.key(now, "one", 'd').unwrap();
    let (_, request) = rig.requested_within();
    assert_eq!(request.body(), &Bytes::from("Signal=D\r\nDuration=160\r\n"));
}

#[test]
fn a_silent_other_side_ends_what_was_dialled() {
    let mut rig = Rig::new();
    let dial = Dial {
        to: "700".to_owned(),
        sdp: OURS.into(),
        headers: Vec::new(),
    };
    rig.near.dial(rig.now, "one", dial).unwrap();
    while rig.near.poll_output().is_some() {}
    let due = rig.near.deadline().unwrap();
    assert!(due <= rig.now + Duration::from_secs(33));
    rig.now += Duration::from_secs(33);
    rig.near.handle_timeout(rig.now);
    assert!(ended("one", By::Nobody, Some(408))(&rig.told()));
}
