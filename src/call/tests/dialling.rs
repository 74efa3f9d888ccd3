//! Callees who ring, answer, refuse or are given up, and what of theirs a caller hears before the answer.

use super::*;

// covers: S3-13, RFC 3326 §3.1
#[test]
fn the_first_of_several_contacts_wins_and_the_others_are_told_that_it_was_another() {
    let mut rig = Rig::waiting();
    let token = rig.dial(&[20_002, 20_004, 20_006], Ringback::Keep);
    rig.answer_from(LegId(2));
    assert_eq!(rig.said(LegId(1)), [SipCommand::End(Cause::Elsewhere)]);
    assert_eq!(rig.said(LegId(3)), [SipCommand::End(Cause::Elsewhere)]);
    assert!(rig.told().contains(&Notice::Bridged(token)));
    assert_eq!(rig.bridged_ports(), [20_000, 20_004]);
    // A second answer that crossed our CANCEL changes nothing.
    rig.answer_from(LegId(3));
    assert_eq!(rig.bridged_ports(), [20_000, 20_004]);
}

#[test]
fn a_dialling_ends_with_its_last_refusal_and_tells_the_most_telling_one() {
    let mut rig = Rig::waiting();
    let token = rig.dial(&[20_002, 20_004], Ringback::Keep);
    rig.refusal_from(LegId(1), 486);
    rig.refusal_from(LegId(2), 503);
    let ends: Vec<_> = rig
        .told()
        .into_iter()
        .filter(|notice| matches!(notice, Notice::DialEnded { .. }))
        .collect();
    assert_eq!(
        ends,
        [Notice::DialEnded {
            token,
            result: DialResult::Busy
        }]
    );
    assert!(!rig.call.is_ending(), "the caller is still there");
}

#[test]
fn a_caller_who_gives_up_is_not_told_of_as_one_who_rang_too_long() {
    let mut rig = Rig::waiting();
    rig.dial(&[20_002], Ringback::Keep);
    rig.ended(LegId::CALLER, EndedBy::Peer);
    assert_eq!(rig.said(LegId(1)), [SipCommand::End(Cause::Cancelled)]);
}

#[test]
fn ringing_ends_at_its_time_out_with_a_cancel_that_says_so() {
    let mut rig = Rig::waiting();
    let token = rig.dial(&[20_002], Ringback::Keep);
    let due = rig.call.deadline().unwrap();
    assert_eq!(due, NOW + Duration::from_secs(20));
    rig.now = due;
    rig.call.handle_timeout(due);
    rig.drain();
    assert_eq!(rig.said(LegId(1)), [SipCommand::End(Cause::NoAnswer)]);
    let ended = Notice::DialEnded {
        token,
        result: DialResult::NoAnswer,
    };
    assert!(rig.told().contains(&ended));
}

#[test]
fn early_media_of_a_lone_callee_reaches_a_caller_who_is_not_answered() {
    let mut rig = Rig::new();
    rig.dial(&[20_002], Ringback::Tone);
    let answer = phone(5_000).answer(&rig.offer_to(LegId(1))).unwrap();
    let progressed = Event::Progressed {
        session: SESSION(),
        status: 183,
        body: Some(answer),
        fork: 0,
        needs_answer: false,
        response: response(183),
    };
    rig.sip(LegId(1), progressed);
    let said = rig.said(LegId::CALLER);
    assert!(
        matches!(
            said.as_slice(),
            [
                SipCommand::Progress { status: 180, .. },
                SipCommand::Progress {
                    status: 183,
                    body: Some(_)
                }
            ]
        ),
        "{said:?}"
    );
    assert_eq!(rig.bridged_ports(), [20_000, 20_002]);
    rig.answer_from(LegId(1));
    assert!(rig.told().contains(&Notice::Bridged(DialToken(9))));
}

// covers: RFC 3261 §13.2.2.4
#[test]
fn bad_answers_of_two_forks_and_a_bad_one_in_the_200_end_that_leg_alone_and_once() {
    let mut rig = Rig::new();
    let token = rig.dial(&[20_002], Ringback::Tone);
    let bad = || Some(Bytes::from_static(b"v=0\r\nm=audio none\r\n"));
    for fork in [0, 1] {
        let early = Event::Progressed {
            session: SESSION(),
            status: 183,
            body: bad(),
            fork,
            needs_answer: false,
            response: response(183),
        };
        rig.sip(LegId(1), early);
    }
    assert!(rig.bridged_ports().is_empty(), "nothing to be heard yet");
    let answered = Event::Answered {
        session: SESSION(),
        body: bad(),
        needs_answer: false,
        fork: 1,
        response: response(200),
    };
    rig.sip(LegId(1), answered);
    // The 200 is acknowledged inside: what is left to say is the BYE, once.
    let ends = rig.said(LegId(1));
    let ends = ends.iter().filter(|it| matches!(it, SipCommand::End(_)));
    assert_eq!(ends.count(), 1);
    let result = DialResult::Refused(488);
    assert!(rig.told().contains(&Notice::DialEnded { token, result }));
    rig.ended(LegId(1), EndedBy::Us);
    assert!(!rig.call.is_ending(), "the caller's plan goes on");
}

// covers: RFC 3262 §5, RFC 3311 §5.1
#[test]
fn a_callee_who_answered_reliably_may_offer_anew_before_the_200_which_says_nothing() {
    let mut rig = Rig::waiting();
    rig.dial(&[20_002], Ringback::Keep);
    let mut callee = phone(5_000);
    let answer = callee.answer(&rig.offer_to(LegId(1))).unwrap();
    let progressed = Event::Progressed {
        session: SESSION(),
        status: 183,
        body: Some(answer),
        fork: 0,
        needs_answer: false,
        response: response(RELIABLE),
    };
    rig.sip(LegId(1), progressed);
    let offered = Event::Offered {
        session: SESSION(),
        body: Some(callee.offer().unwrap()),
        fork: 0,
    };
    rig.sip(LegId(1), offered);
    let said = rig.said(LegId(1));
    let [SipCommand::AnswerOffer(Some(answer))] = said.as_slice() else {
        panic!("{said:?}")
    };
    callee.take_answer(answer).unwrap();
    let answered = |body| Event::Answered {
        session: SESSION(),
        body,
        needs_answer: false,
        fork: 0,
        response: response(200),
    };
    rig.sip(LegId(1), answered(None));
    assert!(rig.told().contains(&Notice::Bridged(DialToken(9))));
    assert_eq!(rig.bridged_ports(), [20_000, 20_002]);
    // Without an exchange before it, such a 200 ends the leg.
    let mut rig = Rig::waiting();
    rig.dial(&[20_002], Ringback::Keep);
    rig.sip(LegId(1), answered(None));
    assert!(!rig.told().contains(&Notice::Bridged(DialToken(9))));
}
