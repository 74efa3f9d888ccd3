//! One story of two ends each: how a call begins, and how it ends.

use super::pair::{Link, Pair, Side, body, status};
use crate::message::{Method, Name};
use crate::ua::*;
use clock::Duration;
use std::net::IpAddr;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A call that both ends believe in; returns the caller's and the callee's session.
pub(super) fn established(pair: &mut Pair) -> (SessionId, SessionId) {
    let caller = pair.call(Some("offer"));
    pair.run(SECOND / 10);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("answer"), &[])
    });
    pair.run(SECOND / 10);
    assert_eq!(pair.told(Side::A).last().unwrap(), "answered answer");
    assert_eq!(pair.told(Side::B).last().unwrap(), "confirmed");
    (caller, callee)
}

// covers: RFC 3261 §12.1, RFC 3261 §13.2.1, RFC 3261 §13.2.2.4, RFC 3261 §13.3.1.4, RFC 3261 §15.1
#[test]
fn a_call_is_placed_rings_is_answered_and_hung_up() {
    let mut pair = Pair::clean();
    let caller = pair.call(Some("offer"));
    pair.run(SECOND);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| ua.progress(now, callee, 180, None));
    pair.run(SECOND);
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("answer"), &[])
    });
    pair.run(SECOND);
    let ending = Ending {
        reason: Some(q850(16, "Normal")),
        ..Ending::default()
    };
    pair.act(Side::A, |ua, now| ua.end(now, caller, ending));
    pair.rest();
    assert_eq!(
        pair.told(Side::A),
        ["progressed 180", "answered answer", "ended Us"]
    );
    assert_eq!(
        pair.told(Side::B),
        ["invited offer", "confirmed", "ended Peer"]
    );
    assert_eq!(pair.said(Side::A), ["INVITE", "ACK", "BYE"]);
    assert_eq!(
        pair.said(Side::B),
        ["100 INVITE", "180 INVITE", "200 INVITE", "200 BYE"]
    );
    pair.assert_empty();
}

// covers: RFC 3326 §2
#[test]
fn the_reason_of_a_hang_up_reaches_the_other_end() {
    let mut pair = Pair::clean();
    let (caller, _) = established(&mut pair);
    let ending = Ending {
        reason: Some(q850(31, "Normal, unspecified")),
        ..Ending::default()
    };
    pair.act(Side::A, |ua, now| ua.end(now, caller, ending));
    pair.rest();
    let Some((_, _, Event::Ended { q850, reason, .. })) = pair.events.last() else {
        panic!()
    };
    assert_eq!(*q850, Some(31));
    assert_eq!(
        reason.as_deref(),
        Some("Q.850;cause=31;text=\"Normal, unspecified\"")
    );
}

// covers: RFC 3261 §8.1.1.7, RFC 3261 §12.1.1, RFC 3581 §3, RFC 3581 §4
#[test]
fn responses_carry_a_64_bit_tag_and_the_true_source() {
    let mut pair = Pair::clean();
    established(&mut pair);
    let invite = pair.latest(Side::A, "INVITE");
    assert_eq!(invite.via().unwrap().rport(), Some(None));
    assert!(
        invite
            .via()
            .unwrap()
            .branch()
            .unwrap()
            .starts_with("z9hG4bK")
    );
    assert_eq!(invite.max_forwards().unwrap(), Some(70));
    let answer = pair.latest(Side::B, "200 INVITE");
    assert_eq!(answer.via().unwrap().rport(), Some(Some(5060)));
    assert_eq!(
        answer.via().unwrap().received(),
        Some(IpAddr::from([10, 0, 0, 1]))
    );
    assert_eq!(answer.to().unwrap().tag().unwrap().len(), 16);
    let ack = pair.latest(Side::A, "ACK");
    assert_eq!(ack.to().unwrap().tag(), answer.to().unwrap().tag());
    assert_eq!(ack.request_uri(), Some("sip:bob@10.0.0.2:5060"));
    assert_ne!(ack.via().unwrap().branch(), invite.via().unwrap().branch());
}

// covers: RFC 3261 §13.3.1.3, RFC 3261 §17.1.1.3
#[test]
fn a_busy_callee_is_told_to_the_caller_once_and_acknowledged() {
    let mut pair = Pair::clean();
    pair.call(Some("offer"));
    pair.run(SECOND);
    let callee = pair.invited();
    let ending = Ending {
        status: 486,
        reason: Some(q850(17, "User busy")),
        headers: vec![],
    };
    pair.act(Side::B, |ua, now| ua.end(now, callee, ending));
    pair.rest();
    assert_eq!(pair.told(Side::A), ["refused 486"]);
    assert_eq!(pair.told(Side::B), ["invited offer", "ended Us"]);
    assert_eq!(pair.said(Side::A), ["INVITE", "ACK"]);
    let (invite, ack) = (pair.latest(Side::A, "INVITE"), pair.latest(Side::A, "ACK"));
    assert_eq!(ack.via().unwrap().branch(), invite.via().unwrap().branch());
    let Some((_, _, Event::Refused { q850, reason, .. })) = pair.events.last() else {
        panic!()
    };
    assert_eq!((*q850, reason.as_str()), (Some(17), "Busy Here"));
    pair.assert_empty();
}

// covers: RFC 3261 §17.1.1.2
#[test]
fn nobody_there_is_a_408_after_seven_invites_and_32_seconds() {
    let mut pair = Pair::new(
        1,
        Link {
            loss_percent: 100,
            ..Link::CLEAN
        },
    );
    pair.call(Some("offer"));
    pair.rest();
    assert_eq!(pair.told(Side::A), ["refused 408"]);
    assert_eq!(pair.said(Side::A), ["INVITE"; 7]);
    assert_eq!(pair.events[0].0.as_millis(), 32_000);
    pair.assert_empty();
}

// covers: RFC 3261 §11.2
#[test]
fn options_in_a_dialog_is_answered_inside() {
    let mut pair = Pair::clean();
    let (caller, _) = established(&mut pair);
    pair.act(Side::A, |ua, now| {
        ua.request_in(now, caller, Method::Options, &[], None)
    })
    .unwrap();
    pair.run(SECOND);
    assert_eq!(pair.told(Side::A).last().unwrap(), "told 200");
    assert!(pair.latest(Side::B, "200 OPTIONS").allows(Method::Update));
}

// covers: RFC 3261 §9.1, RFC 3261 §9.2, RFC 3261 §15.1.2
#[test]
fn a_cancelled_call_ends_with_487_and_both_ends_know() {
    let mut pair = Pair::clean();
    let caller = pair.call(Some("offer"));
    pair.run(SECOND);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| ua.progress(now, callee, 180, None));
    pair.run(SECOND);
    let ending = Ending {
        reason: Some("SIP;cause=200;text=\"Call completed elsewhere\"".into()),
        ..Ending::default()
    };
    pair.act(Side::A, |ua, now| ua.end(now, caller, ending));
    pair.rest();
    assert_eq!(pair.told(Side::A), ["progressed 180", "ended Us"]);
    assert_eq!(pair.told(Side::B), ["invited offer", "ended Cancelled"]);
    assert_eq!(pair.said(Side::A), ["INVITE", "CANCEL", "ACK"]);
    let said = pair.said(Side::B);
    assert_eq!(said[2..], ["200 CANCEL", "487 INVITE"]);
    let (invite, cancel) = (
        pair.latest(Side::A, "INVITE"),
        pair.latest(Side::A, "CANCEL"),
    );
    assert_eq!(
        cancel.via().unwrap().branch(),
        invite.via().unwrap().branch()
    );
    assert!(cancel.header(Name::Reason).unwrap().contains("elsewhere"));
    pair.assert_empty();
}

// covers: RFC 3261 §9.1
#[test]
fn a_cancel_waits_for_the_first_provisional() {
    let mut pair = Pair::clean();
    let caller = pair.call(Some("offer"));
    pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
    assert_eq!(pair.said(Side::A), ["INVITE"]);
    assert_eq!(pair.told(Side::A), ["ended Us"]);
    pair.rest();
    assert_eq!(pair.said(Side::A), ["INVITE", "CANCEL", "ACK"]);
    pair.assert_empty();
}

// covers: RFC 3261 §9.1, RFC 3261 §13.2.2.4
#[test]
fn a_200_that_crosses_the_cancel_is_acknowledged_and_hung_up() {
    let mut pair = Pair::clean();
    let caller = pair.call(Some("offer"));
    pair.run(SECOND);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("answer"), &[])
    });
    pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
    pair.rest();
    assert_eq!(pair.told(Side::A), ["ended Us"]);
    assert_eq!(
        pair.told(Side::B),
        ["invited offer", "confirmed", "ended Peer"]
    );
    assert_eq!(pair.said(Side::A), ["INVITE", "CANCEL", "ACK", "BYE"]);
    pair.assert_empty();
}

// covers: RFC 3261 §13.3.1.4
#[test]
fn an_answer_nobody_acknowledges_is_repeated_and_then_hung_up() {
    let mut pair = Pair::clean();
    pair.call(Some("offer"));
    pair.run(SECOND);
    pair.link.loss_percent = 100;
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("answer"), &[])
    });
    pair.run(40 * SECOND);
    assert_eq!(pair.told(Side::B), ["invited offer", "ended NoAck"]);
    // At 0, 0.5, 1.5, 3.5 s and then every 4 s up to 32 s.
    assert_eq!(pair.count(Side::B, "200 INVITE"), 11);
    assert!(pair.count(Side::B, "BYE") >= 1);
    pair.rest();
    assert_eq!(pair.ends[1].counts().sessions, 0);
}

// covers: RFC 3261 §13.2.2.4, RFC 6026 §7.2
#[test]
fn each_repeated_200_is_acknowledged_again_and_told_once() {
    let mut pair = Pair::clean();
    established(&mut pair);
    let answer = pair.latest(Side::B, "200 INVITE");
    pair.inject(Side::B, answer.bytes().clone());
    pair.inject(Side::B, answer.bytes().clone());
    pair.run(SECOND);
    assert_eq!(pair.said(Side::A), ["INVITE", "ACK", "ACK", "ACK"]);
    assert_eq!(pair.told(Side::A), ["answered answer"]);
    assert_eq!(pair.told(Side::B), ["invited offer", "confirmed"]);
}

// covers: RFC 3261 §13.2.2.4, RFC 6026 §8.4
#[test]
fn a_second_fork_that_answers_is_acknowledged_and_hung_up() {
    let mut pair = Pair::clean();
    established(&mut pair);
    let answer = pair.latest(Side::B, "200 INVITE");
    let text = String::from_utf8(answer.bytes().to_vec()).unwrap();
    let other = text.replace(answer.to().unwrap().tag().unwrap(), "another-fork");
    pair.inject(Side::B, other.into());
    pair.run(SECOND);
    let bye = pair.latest(Side::A, "BYE");
    assert_eq!(bye.to().unwrap().tag(), Some("another-fork"));
    assert_eq!(pair.said(Side::A), ["INVITE", "ACK", "ACK", "BYE"]);
    assert_eq!(pair.told(Side::A), ["answered answer"]);
    assert_eq!(pair.ends[0].counts().sessions, 1);
}

// covers: RFC 3261 §12.1.2, RFC 3261 §13.2.2.1
#[test]
fn each_early_fork_has_its_number_and_the_answer_names_one() {
    let mut pair = Pair::clean();
    pair.call(Some("offer"));
    pair.run(SECOND);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| {
        ua.progress(now, callee, 183, body("early"))
    });
    pair.run(SECOND);
    let early = pair.latest(Side::B, "183 INVITE");
    let text = String::from_utf8(early.bytes().to_vec()).unwrap();
    let other = text.replace(early.to().unwrap().tag().unwrap(), "another-fork");
    pair.inject(Side::B, other.into());
    pair.run(SECOND);
    assert_eq!(pair.ends[0].counts().dialogs, 2);
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("answer"), &[])
    });
    pair.run(SECOND);
    let forks: Vec<u32> = pair
        .events
        .iter()
        .filter_map(|(_, _, event)| match event {
            Event::Progressed { fork, .. } | Event::Answered { fork, .. } => Some(*fork),
            _ => None,
        })
        .collect();
    assert_eq!(forks, [0, 1, 0]);
    assert_eq!(pair.ends[0].counts().dialogs, 1);
}

// covers: RFC 3261 §12.2.1.1, RFC 3261 §12.2.2
#[test]
fn requests_in_the_dialog_reach_the_user_and_its_answers_return() {
    let mut pair = Pair::clean();
    let (caller, _) = established(&mut pair);
    let dtmf = Some(("application/dtmf-relay".to_owned(), "Signal=5".into()));
    let sent = pair.act(Side::A, |ua, now| {
        ua.request_in(now, caller, Method::Info, &[], dtmf)
    });
    pair.run(SECOND);
    let Some((
        _,
        Side::B,
        Event::InDialog {
            request_id,
            request,
            ..
        },
    )) = pair.events.last().cloned()
    else {
        panic!()
    };
    assert_eq!(request.body().as_ref(), b"Signal=5");
    pair.act(Side::B, |ua, now| {
        ua.respond_in(now, request_id, 200, &[], None)
    });
    pair.run(SECOND);
    let Some((
        _,
        Side::A,
        Event::InDialogResponse {
            request_id, status, ..
        },
    )) = pair.events.last()
    else {
        panic!()
    };
    assert_eq!((Ok(*request_id), *status), (sent, 200));
}

// covers: RFC 3261 §15.1.1
#[test]
fn a_callee_that_hangs_up_before_the_ack_waits_for_it_with_the_bye() {
    let mut pair = Pair::clean();
    pair.call(Some("offer"));
    pair.run(SECOND);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("answer"), &[])
    });
    pair.act(Side::B, |ua, now| ua.end(now, callee, Ending::default()));
    assert_eq!(pair.count(Side::B, "BYE"), 0);
    pair.rest();
    assert_eq!(pair.told(Side::B), ["invited offer", "ended Us"]);
    assert_eq!(pair.told(Side::A), ["answered answer", "ended Peer"]);
    pair.assert_empty();
}

#[test]
fn two_hang_ups_that_cross_end_quietly() {
    let mut pair = Pair::clean();
    let (caller, callee) = established(&mut pair);
    pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
    pair.act(Side::B, |ua, now| ua.end(now, callee, Ending::default()));
    pair.rest();
    assert_eq!(pair.told(Side::A).last().unwrap(), "ended Us");
    assert_eq!(pair.told(Side::B).last().unwrap(), "ended Us");
    assert_eq!(
        (
            pair.count(Side::A, "200 BYE"),
            pair.count(Side::B, "200 BYE")
        ),
        (1, 1)
    );
    pair.assert_empty();
}

// covers: RFC 3261 §13.3.1.1
#[test]
fn a_phone_that_rings_long_says_so_each_minute() {
    let mut pair = Pair::clean();
    pair.call(Some("offer"));
    pair.run(SECOND);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| ua.progress(now, callee, 180, None));
    pair.run(150 * SECOND);
    assert_eq!(pair.count(Side::B, "180 INVITE"), 3);
    pair.act(Side::B, |ua, now| ua.end(now, callee, status(480)));
    pair.rest();
    pair.assert_empty();
}
