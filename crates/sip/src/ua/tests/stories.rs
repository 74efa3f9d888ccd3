//! One story of two ends each.

use super::pair::{Link, Pair, Side, body, status};
use crate::auth::{Algorithm, AuthorizationHeader, Credentials, DigestServer, Ha1};
use crate::message::{Method, Name};
use crate::transport::{ConnectionId, Transport};
use crate::ua::*;
use clock::Duration;
use std::net::IpAddr;

const SECOND: Duration = Duration::from_secs(1);

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

#[test]
fn a_caller_whose_connection_breaks_while_it_rings_is_gone() {
    let mut pair = Pair::new(
        1,
        Link {
            transport: Transport::Tcp,
            ..Link::CLEAN
        },
    );
    pair.call(Some("offer"));
    pair.run(SECOND);
    let flow = pair.flow(Side::B);
    pair.act(Side::B, |ua, now| ua.flow_failed(now, flow));
    assert_eq!(pair.told(Side::B), ["invited offer", "ended FlowFailed"]);
    assert_eq!(pair.ends[1].counts(), Counts::default());
}

// covers: RFC 5626 §5.3, RFC 7118 §5
#[test]
fn a_call_outlives_its_connection_and_goes_by_the_one_that_its_peer_is_on_now() {
    for side in [Side::A, Side::B] {
        let tcp = Link {
            transport: Transport::Tcp,
            ..Link::CLEAN
        };
        let mut pair = Pair::new(1, tcp);
        let (caller, callee) = established(&mut pair);
        pair.run(SECOND);
        let (session, lost) = match side {
            Side::A => (caller, pair.flow(Side::A)),
            Side::B => (callee, pair.flow(Side::B)),
        };
        let told = pair.told(side).len();
        pair.act(side, |ua, now| ua.flow_failed(now, lost));
        pair.run(SECOND);
        assert_eq!(pair.told(side).len(), told, "{side:?}: the call stands");
        let found = Flow {
            connection: Some(ConnectionId(77)),
            ..lost
        };
        let now = pair.now;
        let ua = pair.ua(side);
        // Of another connection nothing is said.
        ua.flow_moved(
            Flow {
                connection: Some(ConnectionId(76)),
                ..lost
            },
            lost,
        );
        ua.flow_moved(lost, found);
        ua.end(now, session, Ending::default());
        let bye = std::iter::from_fn(|| ua.poll_output()).find_map(|output| match output {
            Output::Transmit { flow, bytes } if bytes.starts_with(b"BYE") => Some(flow),
            _ => None,
        });
        assert_eq!(bye, Some(found), "{side:?}");
    }
}

#[test]
fn an_offer_of_ours_is_given_up_with_its_call_or_after_three_minutes() {
    for ends in [true, false] {
        let mut pair = Pair::clean();
        let (caller, _) = established(&mut pair);
        pair.act(Side::A, |ua, now| {
            ua.reinvite(now, caller, body("never answered"))
        });
        pair.run(SECOND);
        if ends {
            pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
            pair.link.loss_percent = 100;
            pair.run(40 * SECOND);
            let counts = pair.ends[0].counts();
            assert_eq!((counts.transactions, counts.sessions), (0, 0));
        } else {
            pair.run(181 * SECOND);
            assert_eq!(pair.told(Side::A).last().unwrap(), "disagreed 408");
        }
    }
}

// covers: RFC 3261 §17.1.1.3
#[test]
fn a_refused_re_invite_is_acknowledged_although_its_call_is_over() {
    let mut pair = Pair::clean();
    let (caller, callee) = established(&mut pair);
    // The BYE of one end and the re-INVITE of the other cross.
    pair.act(Side::A, |ua, now| {
        ua.reinvite(now, caller, body("too late"))
    });
    pair.act(Side::B, |ua, now| ua.end(now, callee, Ending::default()));
    pair.rest();
    assert_eq!(
        pair.count(Side::B, "481 INVITE"),
        1,
        "it came again and again"
    );
    assert_eq!(pair.said(Side::A).last().unwrap(), "ACK");
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

#[test]
fn a_refused_connection_fails_the_call_at_once() {
    let mut pair = Pair::new(
        1,
        Link {
            transport: Transport::Tcp,
            loss_percent: 100,
            ..Link::CLEAN
        },
    );
    pair.call(Some("offer"));
    let flow = pair.flow(Side::A);
    pair.act(Side::A, |ua, now| ua.flow_failed(now, flow));
    assert_eq!(pair.told(Side::A), ["refused 503"]);
    pair.rest();
    pair.assert_empty();
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

// covers: RFC 3261 §13.2.2.4, RFC 3261 §13.3.1
#[test]
fn an_invite_without_an_offer_gets_one_and_answers_it_in_the_ack() {
    let mut pair = Pair::clean();
    let caller = pair.call(None);
    pair.run(SECOND);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("their offer"), &[])
    });
    pair.run(SECOND);
    assert_eq!(pair.told(Side::A), ["answered late their offer"]);
    assert_eq!(pair.count(Side::A, "ACK"), 0);
    pair.act(Side::A, |ua, now| {
        ua.acknowledge(now, caller, body("our answer"))
    });
    pair.run(SECOND);
    assert_eq!(pair.told(Side::B), ["invited", "confirmed our answer"]);
    pair.act(Side::B, |ua, now| ua.end(now, callee, Ending::default()));
    pair.rest();
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

// covers: RFC 3261 §14.1, RFC 3261 §14.2
#[test]
fn a_reinvite_is_offered_answered_and_confirmed() {
    let mut pair = Pair::clean();
    let (caller, callee) = established(&mut pair);
    pair.act(Side::B, |ua, now| ua.reinvite(now, callee, body("hold")));
    pair.run(SECOND);
    assert_eq!(pair.told(Side::A).last().unwrap(), "offered hold");
    pair.act(Side::A, |ua, now| {
        ua.answer_offer(now, caller, body("held"))
    });
    pair.run(SECOND);
    assert_eq!(pair.told(Side::B).last().unwrap(), "agreed held");
    pair.act(Side::A, |ua, now| ua.reinvite(now, caller, None));
    pair.run(SECOND);
    assert_eq!(pair.told(Side::B).last().unwrap(), "offered");
    pair.act(Side::B, |ua, now| {
        ua.answer_offer(now, callee, body("late offer"))
    });
    pair.run(SECOND);
    assert_eq!(pair.told(Side::A).last().unwrap(), "agreed late offer");
    pair.act(Side::A, |ua, now| {
        ua.acknowledge(now, caller, body("late answer"))
    });
    pair.run(SECOND);
    assert_eq!(pair.told(Side::B).last().unwrap(), "confirmed late answer");
    pair.act(Side::A, |ua, now| ua.reinvite(now, caller, body("bad")));
    pair.run(SECOND);
    pair.act(Side::B, |ua, now| ua.refuse_offer(now, callee, 488));
    pair.run(SECOND);
    assert_eq!(pair.told(Side::A).last().unwrap(), "disagreed 488");
    pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
    pair.rest();
    pair.assert_empty();
}

/// Takes every offer, and makes its own anew when theirs came first.
pub(super) fn agreeable(pair: &mut Pair, side: Side, event: &Event) {
    match event {
        Event::Offered { session, .. } => {
            let session = *session;
            pair.act(side, |ua, now| ua.answer_offer(now, session, body("yes")));
        }
        Event::OfferAnswered {
            session,
            result: Err(491),
        } => {
            let session = *session;
            // Their re-INVITE must have its ACK first.
            pair.run(SECOND);
            pair.act(side, |ua, now| ua.reinvite(now, session, body("anew")));
        }
        _ => {}
    }
}

// covers: RFC 3261 §14.1, RFC 3261 §14.2
#[test]
fn two_offers_that_meet_are_both_made_after_the_back_off() {
    let mut pair = Pair::clean();
    let (caller, callee) = established(&mut pair);
    pair.policy = agreeable;
    pair.act(Side::A, |ua, now| ua.reinvite(now, caller, body("from a")));
    pair.act(Side::B, |ua, now| ua.reinvite(now, callee, body("from b")));
    pair.run(10 * SECOND);
    assert_eq!(
        (
            pair.count(Side::A, "491 INVITE"),
            pair.count(Side::B, "491 INVITE")
        ),
        (1, 1)
    );
    assert_eq!(
        pair.told(Side::A)[1..],
        ["offered from b", "disagreed 491", "agreed yes"]
    );
    assert_eq!(pair.told(Side::B)[2..], ["agreed yes", "offered anew"]);
    pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
    pair.rest();
    pair.assert_empty();
}

// covers: RFC 4028 §7.1, RFC 4028 §9, RFC 4028 §10, RFC 3311 §5.1, RFC 3311 §5.2
#[test]
fn a_long_call_is_refreshed_by_update_at_half_the_interval() {
    let mut pair = Pair::clean();
    let (caller, _) = established(&mut pair);
    let answer = pair.latest(Side::B, "200 INVITE");
    assert_eq!(
        answer.header(Name::SessionExpires),
        Some("1800;refresher=uac")
    );
    assert!(answer.lists(Name::Require, "timer"));
    pair.run(3000 * SECOND);
    assert_eq!(
        (
            pair.count(Side::A, "UPDATE"),
            pair.count(Side::B, "200 UPDATE")
        ),
        (3, 3)
    );
    let update = pair.latest(Side::A, "UPDATE");
    assert_eq!(
        update.header(Name::SessionExpires),
        Some("1800;refresher=uac")
    );
    pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
    pair.rest();
    assert_eq!(pair.told(Side::A), ["answered answer", "ended Us"]);
    pair.assert_empty();
}

// covers: RFC 4028 §10
#[test]
fn a_dead_peer_ends_the_session_at_both_ends() {
    let mut pair = Pair::clean();
    established(&mut pair);
    pair.link.loss_percent = 100;
    pair.rest();
    assert_eq!(pair.told(Side::A).last().unwrap(), "ended SessionTimer");
    assert_eq!(pair.told(Side::B).last().unwrap(), "ended SessionTimer");
    pair.assert_empty();
}

// covers: RFC 4028 §7.4
#[test]
fn a_refresh_falls_back_to_a_reinvite_where_update_is_not_allowed() {
    let mut pair = Pair::clean();
    established(&mut pair);
    let id = pair.ends[0].sessions.names()[0];
    pair.ends[0].sessions.get_mut(id).unwrap().peer_takes_update = false;
    pair.policy = |pair, side, event| {
        if let Event::Offered { session, .. } = event {
            let session = *session;
            pair.act(side, |ua, now| ua.answer_offer(now, session, body("same")));
        }
    };
    pair.run(1000 * SECOND);
    assert_eq!(pair.count(Side::A, "INVITE"), 2);
    assert_eq!(pair.latest(Side::A, "INVITE").body().as_ref(), b"offer");
    assert_eq!(pair.told(Side::A), ["answered answer"]);
    pair.run(1000 * SECOND);
    assert_eq!(pair.count(Side::A, "INVITE"), 3);
}

// covers: RFC 4028 §5, RFC 4028 §7.4, RFC 4028 §9
#[test]
fn a_session_interval_that_is_too_small_is_raised_to_what_the_422_demands() {
    let mut pair = Pair::clean();
    pair.ends[0].config.session_expires = 100 * SECOND;
    pair.ends[1].config.min_se = 300 * SECOND;
    established(&mut pair);
    assert_eq!(pair.count(Side::B, "422 INVITE"), 1);
    let again = pair.latest(Side::A, "INVITE");
    assert_eq!(again.header(Name::SessionExpires), Some("300"));
    assert_eq!(again.header(Name::MinSe), Some("300"));
    assert_eq!(again.cseq().unwrap().number, 2);
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

// covers: RFC 3261 §10.2, RFC 3261 §22.1, RFC 3261 §22.2, RFC 7616 §3.3
#[test]
fn a_challenged_registration_is_sent_again_with_the_strongest_proof() {
    let mut pair = Pair::clean();
    let register = OutOfDialog {
        method: Method::Register,
        request_uri: "sip:10.0.0.2".into(),
        flow: pair.flow(Side::A),
        from: "<sip:alice@10.0.0.2>".into(),
        to: "<sip:alice@10.0.0.2>".into(),
        contact_user: Some("alice".into()),
        headers: vec![
            ("Call-ID".into(), "mine".into()),
            ("CSeq".into(), "7".into()),
        ],
        body: None,
        credentials: Some(Credentials::password("alice", "sesame")),
    };
    let sent = pair
        .act(Side::A, |ua, now| ua.request(now, register))
        .unwrap();
    let mut digest = DigestServer::new([1; 32], "tandem", 60 * SECOND);
    let peer = IpAddr::from([10, 0, 0, 1]);
    for round in 0..2 {
        pair.run(SECOND);
        let Some((
            now,
            Side::B,
            Event::Requested {
                request_id,
                request,
                ..
            },
        )) = pair.events.last().cloned()
        else {
            panic!()
        };
        assert_eq!(
            (request.call_id(), request.cseq().unwrap().number),
            (Ok("mine"), 7 + round)
        );
        let lookup = |user: &str, alg| Some(Ha1::from_password(user, "tandem", "sesame", alg));
        let verified = request.header(Name::Authorization).map(|value| {
            let header = AuthorizationHeader::parse(value).unwrap();
            let uri = request.request_uri().unwrap();
            digest
                .verify(now, peer, &header, ("REGISTER", uri, b""), lookup)
                .unwrap()
                .algorithm
        });
        let challenges = [Algorithm::Md5, Algorithm::Sha256].map(|alg| {
            (
                "WWW-Authenticate".to_owned(),
                digest.challenge(now, peer, alg, false),
            )
        });
        match verified {
            None => pair.act(Side::B, |ua, now| {
                ua.respond(now, request_id, 401, &challenges, None)
            }),
            Some(algorithm) => {
                assert_eq!(algorithm, Algorithm::Sha256);
                pair.act(Side::B, |ua, now| {
                    ua.respond(now, request_id, 200, &[], None)
                });
            }
        }
    }
    pair.rest();
    let Some((
        _,
        Side::A,
        Event::Response {
            request_id, status, ..
        },
    )) = pair.events.last()
    else {
        panic!()
    };
    assert_eq!((*request_id, *status), (sent, 200));
    pair.assert_empty();
}

// covers: RFC 3261 §22.2, RFC 3261 §22.3
#[test]
fn wrong_credentials_are_sent_twice_at_most_and_never_to_another_realm() {
    let challenge = |realm: &str| {
        vec![(
            "Proxy-Authenticate".to_owned(),
            format!("Digest realm=\"{realm}\", nonce=\"n\""),
        )]
    };
    for (realm, invites) in [("ours", 3), ("theirs", 1)] {
        let mut pair = Pair::clean();
        pair.policy = match realm {
            "ours" => |pair, _, event| refuse_with(pair, event, "ours"),
            _ => |pair, _, event| refuse_with(pair, event, "theirs"),
        };
        fn refuse_with(pair: &mut Pair, event: &Event, realm: &str) {
            if let Event::Invited { session, .. } = event {
                let value = format!("Digest realm=\"{realm}\", nonce=\"n\"");
                let headers = vec![("Proxy-Authenticate".to_owned(), value)];
                let ending = Ending {
                    status: 407,
                    reason: None,
                    headers,
                };
                let session = *session;
                pair.act(Side::B, |ua, now| ua.end(now, session, ending));
            }
        }
        let us = Credentials {
            realm: Some("ours".into()),
            ..Credentials::password("a", "b")
        };
        pair.call_as(Some("offer"), Some(us));
        pair.rest();
        assert_eq!(
            pair.count(Side::A, "INVITE"),
            invites,
            "{:?}",
            challenge(realm)
        );
        assert_eq!(pair.told(Side::A), ["refused 407"]);
        pair.assert_empty();
    }
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

#[test]
fn over_a_stream_nothing_but_the_2xx_is_ever_sent_twice() {
    let mut pair = Pair::new(
        1,
        Link {
            transport: Transport::Tcp,
            delay_ms: 2000,
            ..Link::CLEAN
        },
    );
    let caller = pair.call(Some("offer"));
    pair.run(10 * SECOND);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("answer"), &[])
    });
    pair.run(10 * SECOND);
    pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
    pair.rest();
    assert_eq!(
        pair.said(Side::A)
            .iter()
            .filter(|said| *said != "ACK")
            .count(),
        2
    );
    assert!(
        pair.latest(Side::A, "INVITE")
            .header(Name::Contact)
            .unwrap()
            .contains("transport=tcp")
    );
    assert_eq!(
        pair.told(Side::B),
        ["invited offer", "confirmed", "ended Peer"]
    );
    pair.assert_empty();
}
