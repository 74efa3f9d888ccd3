//! What is agreed on anew while a call stands: hold, another network, what the other side wants.

use super::*;

fn sdp_said(heard: &[ua::Event]) -> String {
    let body = heard.iter().find_map(|event| match event {
        ua::Event::Offered { body, .. } => body.clone(),
        _ => None,
    });
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}

// covers: RFC 3264 §8, RFC 3264 §8.4
#[test]
fn it_holds_in_the_client_s_name_and_goes_on() {
    let mut rig = Rig::new();
    let session = rig.dialled("one");
    rig.told();
    for (on, version, direction) in [(true, "1 2 IN", "inactive"), (false, "1 3 IN", "sendrecv")] {
        rig.near.hold(rig.now, "one", on).unwrap();
        assert_eq!(rig.near.hold(rig.now, "one", on), Err(LineError::NotNow));
        let offer = sdp_said(&rig.heard());
        assert!(offer.contains(version), "{offer}");
        assert!(offer.contains(&format!("a={direction}\r\n")), "{offer}");
        rig.far.answer_offer(rig.now, session, Some(THEIRS.into()));
        let call = "one".to_owned();
        assert_eq!(rig.told(), [Event::Held { call, on }]);
    }
    rig.near.hold(rig.now, "one", true).unwrap();
    rig.run();
    rig.far.refuse_offer(rig.now, session, 488);
    let (call, on) = ("one".to_owned(), false);
    assert_eq!(
        rig.told(),
        [Event::Held { call, on }],
        "as it is, not as it was wished"
    );
}

#[test]
fn it_offers_anew_and_a_held_call_stays_held() {
    let mut rig = Rig::new();
    let session = rig.dialled("one");
    rig.near.hold(rig.now, "one", true).unwrap();
    rig.run();
    rig.far.answer_offer(rig.now, session, Some(THEIRS.into()));
    rig.told();
    rig.heard.clear();
    let moved = OURS.replace("1 1 IN IP4 127.0.0.1", "1 2 IN IP4 127.0.0.9");
    rig.near.renegotiate(rig.now, "one", moved.into()).unwrap();
    let offer = sdp_said(&rig.heard());
    assert!(offer.contains("o=- 1 4 IN IP4 127.0.0.9"), "{offer}");
    assert!(offer.contains("a=inactive"), "{offer}");
    rig.far.answer_offer(rig.now, session, Some(THEIRS.into()));
    let told = rig.told();
    assert!(
        matches!(&told[..], [Event::Answered { call, sdp: Some(_), .. }] if call == "one"),
        "{told:?}"
    );
    rig.near.renegotiate(rig.now, "one", OURS.into()).unwrap();
    rig.run();
    rig.far.refuse_offer(rig.now, session, 488);
    let call = "one".to_owned();
    assert_eq!(rig.told(), [Event::NotRenegotiated { call, status: 488 }]);
}

#[test]
fn they_may_offer_and_are_answered_or_refused() {
    let mut rig = Rig::new();
    let session = rig.dialled("one");
    rig.told();
    for answers in [true, false] {
        rig.far.reinvite(rig.now, session, Some(THEIRS.into()));
        let told = rig.told();
        assert!(
            matches!(&told[..], [Event::Offered { call, .. }] if call == "one"),
            "{told:?}"
        );
        assert_eq!(rig.near.hold(rig.now, "one", true), Err(LineError::NotNow));
        if answers {
            rig.near.answer(rig.now, "one", OURS.into()).unwrap();
        } else {
            rig.near.refuse(rig.now, "one", 488).unwrap();
        }
        let heard = rig.heard();
        let result = heard.iter().find_map(|event| match event {
            ua::Event::OfferAnswered { result, .. } => Some(result.is_ok()),
            _ => None,
        });
        assert_eq!(result, Some(answers));
    }
}
