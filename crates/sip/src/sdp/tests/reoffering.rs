//! Sequences of exchanges: hold, resume, glare, versions, late and forked answers, removal.

use super::super::{Codec, Direction, Negotiation, OfferError};
use super::{leg, line, media_lines, summary, theirs, version};

const PLAIN: &str = "m=audio 4000 RTP/AVP 8 0 101|a=rtpmap:101 telephone-event/8000";

/// A leg that has answered [`PLAIN`].
fn talking() -> Negotiation {
    let mut leg = leg();
    leg.answer(&theirs(PLAIN)).unwrap();
    leg
}

/// Who may speak: `send receive`, and whether they hold us.
fn flow(leg: &Negotiation) -> (bool, bool, bool) {
    let agreed = leg.agreed().unwrap();
    (agreed.send, agreed.receive, agreed.peer_holds)
}

/// The direction line of a description of ours.
fn direction(sdp: &[u8]) -> &str {
    let text = std::str::from_utf8(sdp).unwrap();
    let named = |line: &&str| {
        line.strip_prefix("a=")
            .and_then(Direction::from_attribute)
            .is_some()
    };
    text.lines().find(named).unwrap_or_default()
}

// covers: RFC 3264 §8.4, §6.1, RFC 4317 §3.1
#[test]
fn their_hold_is_answered_in_kind_and_their_resume_restores_both_ways() {
    let table = [
        (
            "sendonly",
            "m=audio 4000 RTP/AVP 8|a=sendonly",
            "a=recvonly",
            (false, true, true),
        ),
        (
            "inactive",
            "m=audio 4000 RTP/AVP 8|a=inactive",
            "a=inactive",
            (false, false, true),
        ),
        (
            "0.0.0.0",
            "m=audio 4000 RTP/AVP 8|c=IN IP4 0.0.0.0",
            "a=recvonly",
            (false, true, true),
        ),
        (
            "0.0.0.0 and sendonly",
            "m=audio 4000 RTP/AVP 8|c=IN IP4 0.0.0.0|a=sendonly",
            "a=recvonly",
            (false, true, true),
        ),
        (
            "0.0.0.0 and inactive",
            "m=audio 4000 RTP/AVP 8|c=IN IP4 0.0.0.0|a=inactive",
            "a=inactive",
            (false, false, true),
        ),
        (
            "recvonly is no hold",
            "m=audio 4000 RTP/AVP 8|a=recvonly",
            "a=sendonly",
            (true, false, false),
        ),
        (
            "at session level",
            "a=sendonly|m=audio 4000 RTP/AVP 8",
            "a=recvonly",
            (false, true, true),
        ),
        (
            "the section overrides",
            "a=sendonly|m=audio 4000 RTP/AVP 8|a=sendrecv",
            "a=sendrecv",
            (true, true, false),
        ),
    ];
    for (name, lines, ours, want) in table {
        let mut leg = talking();
        let held = leg.answer(&theirs(lines)).unwrap();
        assert_eq!((direction(&held), flow(&leg)), (ours, want), "{name}");
        let resumed = leg.answer(&theirs(PLAIN)).unwrap();
        assert_eq!(
            (direction(&resumed), flow(&leg)),
            ("a=sendrecv", (true, true, false)),
            "{name}"
        );
    }
}

// covers: RFC 3264 §8.4, §5.1, RFC 4317 §3.1
#[test]
fn our_hold_and_resume_are_offers_of_direction() {
    let table = [
        (Direction::SendOnly, "a=recvonly", (true, false, false)),
        (Direction::SendOnly, "a=inactive", (false, false, true)),
        (Direction::Inactive, "a=inactive", (false, false, false)),
        (Direction::SendOnly, "a=sendrecv", (true, false, false)),
    ];
    for (ours, answer, want) in table {
        let mut leg = talking();
        leg.set_direction(ours);
        let offer = leg.offer().unwrap();
        assert_eq!(direction(&offer), format!("a={ours}"));
        leg.take_answer(&theirs(&format!("{PLAIN}|{answer}")))
            .unwrap();
        assert_eq!(flow(&leg), want, "{ours} answered by {answer}");
        leg.set_direction(Direction::SendRecv);
        leg.offer().unwrap();
        leg.take_answer(&theirs(PLAIN)).unwrap();
        assert_eq!(flow(&leg), (true, true, false));
    }
}

// covers: RFC 3264 §8.4
#[test]
fn a_leg_that_holds_answers_their_offer_with_its_own_direction() {
    let mut leg = talking();
    leg.set_direction(Direction::SendOnly);
    let answer = leg.answer(&theirs(PLAIN)).unwrap();
    assert_eq!(direction(&answer), "a=sendonly");
    let both = leg
        .answer(&theirs("m=audio 4000 RTP/AVP 8|a=sendonly"))
        .unwrap();
    assert_eq!(direction(&both), "a=inactive");
}

// covers: RFC 3264 §8, RFC 8866 §5.2
#[test]
fn the_version_steps_by_one_with_each_change_and_stays_with_a_refresh() {
    let mut leg = leg();
    let first = leg.answer(&theirs(PLAIN)).unwrap();
    let refreshed = leg.answer(&theirs(PLAIN)).unwrap();
    assert_eq!(
        first, refreshed,
        "a session timer's refresh changes nothing"
    );

    let held = leg
        .answer(&theirs("m=audio 4000 RTP/AVP 8|a=sendonly"))
        .unwrap();
    let resumed = leg.answer(&theirs(PLAIN)).unwrap();
    let versions = [&first, &held, &resumed].map(|sdp| version(sdp));
    assert_eq!(versions, [1, 2, 3]);
    let origin = |sdp| line(sdp, "o=").rsplit_once(' ').unwrap().1.to_owned();
    assert_eq!(origin(&first), origin(&resumed));
}

// covers: RFC 3264 §8, §8.3.2, §10.2
#[test]
fn a_reoffer_keeps_every_line_in_place_and_the_agreed_numbers_first() {
    let mut leg = leg();
    let lines = "m=video 6000 RTP/AVP 31|m=audio 4000 RTP/AVP 97 98|a=rtpmap:97 PCMU/8000|\
                 a=rtpmap:98 telephone-event/8000|m=image 0 udptl t38";
    leg.answer(&theirs(lines)).unwrap();
    let offer = leg.offer().unwrap();
    assert_eq!(
        media_lines(&offer),
        [
            "m=video 0 RTP/AVP 31",
            "m=audio 20000 RTP/AVP 97 8 13 98",
            "m=image 0 udptl t38"
        ]
    );
    let answer =
        "m=video 0 RTP/AVP 31|m=audio 4000 RTP/AVP 97|a=rtpmap:97 PCMU/8000|m=image 0 udptl t38";
    leg.take_answer(&theirs(answer)).unwrap();
    assert_eq!(leg.agreed().unwrap().codec, Codec::Pcmu);
}

// covers: RFC 3264 §4, RFC 3261 §14.1, §14.2
#[test]
fn two_offers_at_once_are_refused_with_491_and_ours_stands() {
    let mut leg = talking();
    leg.offer().unwrap();
    let theirs_meanwhile = leg.answer(&theirs(PLAIN)).unwrap_err();
    assert_eq!(
        (theirs_meanwhile.status(), leg.offer()),
        (491, Err(OfferError::Glare))
    );
    assert!(leg.awaits_answer());
    leg.take_answer(&theirs(PLAIN)).unwrap();
    assert!(leg.answer(&theirs(PLAIN)).is_ok());
}

// covers: RFC 3264 §4
#[test]
fn an_answer_to_no_offer_of_ours_is_refused_and_changes_nothing() {
    let mut leg = talking();
    let before = leg.agreed().cloned();
    let stray = leg.take_answer(&theirs("m=audio 9999 RTP/AVP 0"));
    assert_eq!(
        (stray, leg.agreed()),
        (Err(OfferError::NoOffer), before.as_ref())
    );
}

// covers: RFC 3264 §8, RFC 3261 §14.1
#[test]
fn a_refused_offer_leaves_the_leg_as_it_was_agreed() {
    let mut leg = talking();
    let before = leg.agreed().cloned();
    leg.set_direction(Direction::Inactive);
    let refused = leg.offer().unwrap();
    leg.abandon();
    assert_eq!(leg.agreed(), before.as_ref());
    let answer = leg.answer(&theirs(PLAIN)).unwrap();
    assert_eq!(direction(&answer), "a=sendrecv");
    assert_eq!(
        version(&answer),
        version(&refused) + 1,
        "a version is never used twice"
    );
}

#[test]
fn an_answer_that_cannot_be_used_is_a_refused_offer() {
    let mut leg = talking();
    let before = leg.agreed().cloned();
    leg.set_direction(Direction::SendOnly);
    leg.offer().unwrap();
    assert!(leg.take_answer(b"v=0\r\nnonsense").is_err());
    assert_eq!(
        (leg.agreed(), leg.local().direction),
        (before.as_ref(), Direction::SendRecv)
    );
}

// covers: RFC 3264 §8.3, §8
#[test]
fn a_reoffer_that_cannot_be_taken_is_refused_and_the_session_stands() {
    let mut leg = talking();
    let before = leg.agreed().cloned();
    for lines in [
        "m=audio 4000 RTP/SAVP 8",
        "m=audio 4000 RTP/AVP 18",
        "m=audio 70000 RTP/AVP 8",
    ] {
        assert!(leg.answer(&theirs(lines)).is_err());
        assert_eq!(leg.agreed(), before.as_ref(), "{lines}");
    }
}

// covers: RFC 3264 §8.3.1, §8.3.2
#[test]
fn a_reoffer_may_move_the_stream_and_change_its_codec() {
    let mut leg = talking();
    leg.answer(&theirs("m=audio 5000 RTP/AVP 0|c=IN IP4 203.0.113.9"))
        .unwrap();
    let now = summary(leg.agreed().unwrap());
    assert_eq!(now, "PCMU/0 to 203.0.113.9:5000 5001 sendrecv 20ms");
}

// covers: RFC 3264 §8.1
#[test]
fn an_added_stream_does_not_take_over_from_the_one_in_use() {
    let mut leg = talking();
    let answer = leg
        .answer(&theirs(&format!("{PLAIN}|m=audio 6000 RTP/AVP 8")))
        .unwrap();
    assert_eq!(
        media_lines(&answer),
        ["m=audio 20000 RTP/AVP 8 101", "m=audio 0 RTP/AVP 8"]
    );
    let second_first = "m=audio 0 RTP/AVP 8|m=audio 6000 RTP/AVP 8";
    let moved = leg.answer(&theirs(second_first)).unwrap();
    assert_eq!(
        media_lines(&moved),
        ["m=audio 0 RTP/AVP 8", "m=audio 20000 RTP/AVP 8"]
    );
}

// covers: RFC 3264 §8.2, §8.1
#[test]
fn a_stream_taken_away_by_port_0_is_silent_until_it_is_offered_again() {
    let mut leg = talking();
    let answer = leg.answer(&theirs("m=audio 0 RTP/AVP 8")).unwrap();
    assert_eq!(media_lines(&answer), ["m=audio 0 RTP/AVP 8"]);
    assert_eq!(flow(&leg), (false, false, true));

    let offer = leg.offer().unwrap();
    assert_eq!(media_lines(&offer), ["m=audio 20000 RTP/AVP 8 0 13 101"]);
    leg.take_answer(&theirs(PLAIN)).unwrap();
    assert_eq!(flow(&leg), (true, true, false));
}

// covers: RFC 3264 §4, RFC 3261 §13.2.1
#[test]
fn a_late_offer_is_ours_in_the_200_and_answered_in_the_ack() {
    let mut answering = leg();
    let ours = answering.offer().unwrap();
    let mut calling = Negotiation::new(super::local(), 2);
    let ack = calling.answer(&ours).unwrap();
    answering.take_answer(&ack).unwrap();
    assert_eq!(answering.agreed().unwrap().codec, Codec::Pcma);
    assert_eq!(calling.agreed().unwrap().dtmf_payload_type, Some(101));
}

// covers: RFC 3261 §13.2.2.4, §13.2.1
#[test]
fn the_answer_of_another_fork_replaces_the_first_and_a_bad_one_does_not() {
    let mut leg = leg();
    leg.offer().unwrap();
    leg.take_answer(&theirs("m=audio 4000 RTP/AVP 8")).unwrap();
    leg.take_answer(&theirs("m=audio 4000 RTP/AVP 8")).unwrap();
    assert!(leg.take_answer(&theirs("m=audio 0 RTP/AVP 8")).is_err());
    assert_eq!(leg.agreed().unwrap().remote_rtp.port(), 4000);
    leg.take_answer(&theirs("m=audio 5000 RTP/AVP 0")).unwrap();
    assert_eq!(
        summary(leg.agreed().unwrap()),
        "PCMU/0 to 198.51.100.5:5000 5001 sendrecv 20ms"
    );
}

#[test]
fn an_offer_never_lists_a_payload_type_twice() {
    let remapped = [
        "m=audio 4000 RTP/AVP 101|a=rtpmap:101 PCMA/8000",
        "m=audio 4000 RTP/AVP 8|a=rtpmap:8 PCMU/8000",
        "m=audio 4000 RTP/AVP 8 101|a=rtpmap:101 CN/8000",
    ];
    for lines in remapped {
        let mut leg = leg();
        leg.answer(&theirs(lines)).unwrap();
        let offer = leg.offer().unwrap();
        let mut numbers: Vec<&str> = line(&offer, "m=audio").split(' ').skip(3).collect();
        numbers.sort_unstable();
        let all = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), all, "{lines}: {numbers:?}");
    }
}
