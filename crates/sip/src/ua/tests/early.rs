//! Before the answer: reliable provisional responses, PRACK, and offers by UPDATE.

use super::offering::agreeable;
use super::pair::{Pair, Side, body, status};
use crate::message::{Message, Method, Name};
use crate::ua::*;
use bytes::Bytes;
use clock::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A call that B was told of, between ends that like reliable responses; `offer` is A's.
fn ringing(offer: Option<&'static str>, reliable: Reliable) -> (Pair, SessionId, SessionId) {
    let mut pair = Pair::clean();
    pair.reliable = reliable;
    pair.ends[1].config.reliable_progress = true;
    let caller = pair.call(offer);
    pair.run(SECOND / 10);
    let callee = pair.invited();
    (pair, caller, callee)
}

// covers: RFC 3261 §17.2.1
#[test]
fn an_invite_that_is_answered_within_its_turn_is_not_told_100_before() {
    let mut pair = Pair::clean();
    pair.policy = |pair, side, event| {
        if let Event::Invited { session, .. } = event {
            let session = *session;
            pair.act(side, |ua, now| ua.accept(now, session, body("answer"), &[]));
        }
    };
    let caller = pair.call(Some("offer"));
    pair.run(SECOND);
    assert_eq!(pair.said(Side::B), ["200 INVITE"]);
    finish(pair, caller);
    // Control: whoever answers after that hears 100 first.
    let (pair, ..) = ringing(Some("offer"), Reliable::No);
    assert_eq!(pair.said(Side::B), ["100 INVITE"]);
}

/// The same with a first exchange that was completed reliably.
fn settled() -> (Pair, SessionId, SessionId) {
    let (mut pair, caller, callee) = ringing(Some("offer"), Reliable::Supported);
    progress(&mut pair, callee, 183, Some("early"));
    assert_eq!(pair.told(Side::A), ["progressed 183 early"]);
    (pair, caller, callee)
}

fn progress(pair: &mut Pair, callee: SessionId, status: u16, sdp: Option<&'static str>) {
    let sdp = sdp.map(|sdp| Bytes::from_static(sdp.as_bytes()));
    pair.act(Side::B, |ua, now| ua.progress(now, callee, status, sdp));
    pair.run(SECOND / 10);
}

fn accept(pair: &mut Pair, callee: SessionId, sdp: Option<&'static str>) {
    let sdp = sdp.map(|sdp| Bytes::from_static(sdp.as_bytes()));
    pair.act(Side::B, |ua, now| ua.accept(now, callee, sdp, &[]));
    pair.run(SECOND / 10);
}

fn finish(mut pair: Pair, caller: SessionId) {
    pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
    pair.rest();
    pair.assert_empty();
}

/// The same message with another number in the header `name`.
fn renumbered(message: &Message, name: &str, old: u32, new: u32) -> Bytes {
    let text = String::from_utf8(message.bytes().to_vec()).unwrap();
    let (old, new) = (format!("{name}: {old}"), format!("{name}: {new}"));
    assert!(text.contains(&old));
    text.replace(&old, &new).into()
}

// covers: RFC 3262 §3, RFC 3262 §4, RFC 3262 §5, RFC 6337 §3.1
#[test]
fn an_answer_that_was_given_reliably_is_not_said_again_and_told_with_the_200() {
    let (mut pair, caller, callee) = settled();
    let early = pair.latest(Side::B, "183 INVITE");
    assert!(early.lists(Name::Require, "100rel") && early.allows(Method::Prack));
    let prack = pair.latest(Side::A, "PRACK");
    let rack = prack.rack().unwrap().unwrap();
    assert_eq!(
        (Some(rack.rseq), rack.cseq.number),
        (early.rseq().unwrap(), 1)
    );
    assert_eq!(prack.to().unwrap().tag(), early.to().unwrap().tag());
    accept(&mut pair, callee, Some("early"));
    assert!(pair.latest(Side::B, "200 INVITE").body().is_empty());
    assert_eq!(
        pair.told(Side::A),
        ["progressed 183 early", "answered early"]
    );
    assert_eq!(pair.told(Side::B), ["invited offer", "confirmed"]);
    assert_eq!(pair.said(Side::A), ["INVITE", "PRACK", "ACK"]);
    finish(pair, caller);
}

// covers: RFC 3262 §3
#[test]
fn the_second_waits_for_the_first_and_the_200_for_neither_without_a_description() {
    let (mut pair, caller, callee) = ringing(Some("offer"), Reliable::Supported);
    pair.act(Side::B, |ua, now| {
        ua.progress(now, callee, 180, None);
        ua.progress(now, callee, 183, body("early"));
    });
    assert_eq!(pair.said(Side::B), ["100 INVITE", "180 INVITE"]);
    pair.run(SECOND / 40);
    assert_eq!(pair.said(Side::B)[2..], ["200 PRACK", "183 INVITE"]);
    pair.run(SECOND / 20);
    let numbers: Vec<_> = ["180 INVITE", "183 INVITE"]
        .map(|line| pair.latest(Side::B, line).rseq().unwrap().unwrap())
        .to_vec();
    assert_eq!(numbers[1], numbers[0] + 1);
    pair.act(Side::B, |ua, now| {
        ua.progress(now, callee, 182, None);
        ua.accept(now, callee, body("early"), &[]);
    });
    assert_eq!(pair.said(Side::B).last().unwrap(), "200 INVITE");
    pair.run(SECOND);
    assert_eq!(pair.told(Side::B).last().unwrap(), "confirmed");
    assert_eq!(
        pair.count(Side::B, "481 PRACK"),
        0,
        "it was for something that was said"
    );
    finish(pair, caller);
}

// covers: RFC 3262 §3
#[test]
fn a_200_waits_for_the_acknowledgement_of_the_answer_that_came_before_it() {
    for cancels in [false, true] {
        let (mut pair, caller, callee) = ringing(Some("offer"), Reliable::Supported);
        pair.link.loss_percent = 100;
        pair.act(Side::B, |ua, now| {
            ua.progress(now, callee, 183, body("early"));
            ua.accept(now, callee, body("early"), &[]);
        });
        pair.run(SECOND);
        pair.link.loss_percent = 0;
        assert_eq!(pair.count(Side::B, "200 INVITE"), 0);
        if cancels {
            pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
            pair.rest();
            assert_eq!(
                pair.told(Side::B),
                ["invited offer", "held", "ended Cancelled"]
            );
            pair.assert_empty();
            continue;
        }
        pair.run(2 * SECOND);
        assert_eq!(
            pair.told(Side::A),
            ["progressed 183 early", "answered early"]
        );
        assert_eq!(
            pair.told(Side::B),
            ["invited offer", "held", "sent", "confirmed"]
        );
        finish(pair, caller);
    }
}

// covers: RFC 3262 §3
#[test]
fn one_that_nobody_acknowledges_is_repeated_at_doubled_times_and_ends_in_504() {
    let (mut pair, _, callee) = ringing(Some("offer"), Reliable::Supported);
    let start = pair.now;
    pair.link.loss_percent = 100;
    pair.act(Side::B, |ua, now| {
        ua.progress(now, callee, 183, body("early"))
    });
    pair.run(40 * SECOND);
    let times: Vec<_> = pair
        .sent
        .iter()
        .filter(|(_, side, message)| *side == Side::B && message.status() == Some(183))
        .map(|(at, _, _)| at.as_millis() - start.as_millis())
        .collect();
    assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(pair.told(Side::B), ["invited offer", "ended NoAck"]);
    assert!(pair.count(Side::B, "504 INVITE") > 0);
    pair.link.loss_percent = 0;
    let caller = pair.call(None);
    pair.act(Side::A, |ua, now| ua.end(now, caller, status(0)));
    pair.rest();
    assert_eq!(pair.ends[1].counts().sessions, 0);
}

// covers: RFC 3262 §4
#[test]
fn repeated_and_early_ones_are_dropped_and_each_fork_counts_for_itself() {
    let (mut pair, caller, _) = settled();
    let early = pair.latest(Side::B, "183 INVITE");
    let rseq = early.rseq().unwrap().unwrap();
    pair.inject(Side::B, early.bytes().clone());
    pair.inject(Side::B, renumbered(&early, "RSeq", rseq, rseq + 2));
    pair.run(SECOND / 10);
    assert_eq!(
        (pair.count(Side::A, "PRACK"), pair.told(Side::A).len()),
        (1, 1)
    );
    pair.inject(Side::B, renumbered(&early, "RSeq", rseq, rseq + 1));
    pair.run(SECOND / 20);
    assert_eq!(
        (pair.count(Side::A, "PRACK"), pair.told(Side::A).len()),
        (2, 2)
    );
    let other = String::from_utf8(early.bytes().to_vec()).unwrap();
    let tag = early.to().unwrap().tag().unwrap().to_owned();
    pair.inject(Side::B, other.replace(&tag, "another-fork").into());
    pair.run(SECOND / 20);
    assert_eq!(pair.count(Side::A, "PRACK"), 3);
    let prack = pair.latest(Side::A, "PRACK");
    assert_eq!(prack.to().unwrap().tag(), Some("another-fork"));
    finish(pair, caller);
}

// covers: RFC 3262 §3, RFC 3262 §7.2
#[test]
fn a_prack_for_nothing_that_was_said_gets_481_and_one_without_a_rack_400() {
    let (mut pair, caller, _) = ringing(Some("offer"), Reliable::Supported);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| ua.progress(now, callee, 180, None));
    let rseq = pair.latest(Side::B, "180 INVITE").rseq().unwrap().unwrap();
    pair.run(SECOND / 10);
    let prack = pair.latest(Side::A, "PRACK");
    let text = String::from_utf8(prack.bytes().to_vec()).unwrap();
    let branch = prack.via().unwrap().branch().unwrap().to_owned();
    let rack = format!("RAck: {rseq} 1 INVITE");
    assert!(text.contains(&rack));
    let table = [
        (format!("RAck: {} 1 INVITE", rseq + 1), "481 PRACK"),
        (format!("RAck: {} 1 INVITE", rseq - 1), "481 PRACK"),
        (format!("RAck: {rseq} 2 INVITE"), "481 PRACK"),
        (format!("RAck: {rseq} 1 UPDATE"), "481 PRACK"),
        (rack.clone(), "481 PRACK"),
        ("X-Rack: none".to_owned(), "400 PRACK"),
        ("RAck: one".to_owned(), "400 PRACK"),
    ];
    for (at, (wrong, answer)) in table.into_iter().enumerate() {
        let before = pair.count(Side::B, answer);
        let fresh = text
            .replace(&rack, &wrong)
            .replace(&branch, &format!("z9hG4bKnew{at}"));
        pair.inject(Side::A, fresh.into());
        pair.run(SECOND / 20);
        assert_eq!(pair.count(Side::B, answer), before + 1, "{wrong}");
    }
    finish(pair, caller);
}

// covers: RFC 3262 §5, RFC 6337 §2.2
#[test]
fn a_late_offer_comes_with_the_provisional_response_and_its_answer_with_the_prack() {
    let (mut pair, caller, callee) = ringing(None, Reliable::Required);
    // It would have to be reliable, and then carry an offer (RFC 3261 §13.2.1).
    progress(&mut pair, callee, 180, None);
    assert_eq!(pair.said(Side::B), ["100 INVITE"]);
    progress(&mut pair, callee, 183, Some("their offer"));
    assert_eq!(pair.told(Side::A), ["progressed 183 their offer"]);
    assert_eq!(pair.count(Side::A, "PRACK"), 0);
    pair.act(Side::A, |ua, now| {
        ua.acknowledge(now, caller, body("our answer"))
    });
    pair.run(SECOND / 10);
    assert_eq!(pair.told(Side::B), ["invited", "agreed our answer"]);
    accept(&mut pair, callee, Some("their offer"));
    assert_eq!(pair.told(Side::A).last().unwrap(), "answered");
    assert_eq!(pair.told(Side::B).last().unwrap(), "confirmed");
    finish(pair, caller);
}

// covers: RFC 3262 §5, RFC 6337 §2.2
#[test]
fn a_prack_may_carry_an_offer_which_is_answered_in_its_200() {
    let (mut pair, caller, callee) = ringing(Some("offer"), Reliable::ByUser);
    progress(&mut pair, callee, 183, Some("early"));
    assert_eq!(pair.count(Side::A, "PRACK"), 0, "the user words it");
    pair.act(Side::A, |ua, now| {
        ua.acknowledge(now, caller, body("other"))
    });
    pair.run(SECOND / 20);
    assert_eq!(pair.told(Side::B).last().unwrap(), "offered other");
    // The call may be accepted at once; its 200 still comes after what is open.
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("early"), &[])
    });
    pair.run(SECOND / 20);
    assert_eq!(pair.count(Side::B, "200 INVITE"), 0);
    pair.act(Side::B, |ua, now| {
        ua.answer_offer(now, callee, body("agreed"))
    });
    pair.run(SECOND / 10);
    assert_eq!(pair.told(Side::A)[1..], ["agreed agreed", "answered"]);
    finish(pair, caller);
}

// covers: RFC 3262 §3
#[test]
fn reliability_is_what_both_want() {
    let table = [
        (Reliable::No, false, false),
        (Reliable::No, true, false),
        (Reliable::Supported, false, false),
        (Reliable::Supported, true, true),
        (Reliable::Required, false, true),
    ];
    for (asks, likes, is_reliable) in table {
        let mut pair = Pair::clean();
        pair.reliable = asks;
        pair.ends[1].config.reliable_progress = likes;
        let caller = pair.call(Some("offer"));
        pair.run(SECOND / 10);
        let callee = pair.invited();
        progress(&mut pair, callee, 180, None);
        assert_eq!(
            pair.count(Side::A, "PRACK") == 1,
            is_reliable,
            "{asks:?} {likes}"
        );
        let invite = pair.latest(Side::A, "INVITE");
        assert_eq!(
            invite.lists(Name::Supported, "100rel"),
            asks != Reliable::No
        );
        finish(pair, caller);
    }
}

// covers: RFC 3311 §5.1, RFC 3311 §5.2, RFC 3311 §4
#[test]
fn each_end_may_offer_by_update_before_the_answer_once_the_first_exchange_is_done() {
    let (mut pair, caller, callee) = settled();
    pair.act(Side::A, |ua, now| ua.reinvite(now, caller, body("hold")));
    pair.run(SECOND / 10);
    assert_eq!(pair.told(Side::B).last().unwrap(), "offered hold");
    pair.act(Side::B, |ua, now| {
        ua.answer_offer(now, callee, body("held"))
    });
    pair.run(SECOND / 10);
    assert_eq!(pair.told(Side::A).last().unwrap(), "agreed held");
    pair.act(Side::B, |ua, now| ua.reinvite(now, callee, body("move")));
    pair.run(SECOND / 10);
    assert_eq!(pair.told(Side::A).last().unwrap(), "offered move");
    pair.act(Side::A, |ua, now| ua.refuse_offer(now, caller, 488));
    pair.run(SECOND / 10);
    assert_eq!(pair.told(Side::B).last().unwrap(), "disagreed 488");
    accept(&mut pair, callee, Some("early"));
    // What was agreed last stands: the first answer would be wrong now.
    assert_eq!(pair.told(Side::A).last().unwrap(), "answered");
    finish(pair, caller);
}

// covers: RFC 3311 §5.1
#[test]
fn no_offer_is_made_by_update_before_the_first_is_answered_reliably() {
    let (mut pair, caller, callee) = ringing(Some("offer"), Reliable::No);
    progress(&mut pair, callee, 183, Some("early"));
    pair.act(Side::A, |ua, now| ua.reinvite(now, caller, body("hold")));
    pair.act(Side::B, |ua, now| ua.reinvite(now, callee, body("hold")));
    assert_eq!(pair.told(Side::A).last().unwrap(), "disagreed 491");
    assert_eq!(pair.told(Side::B).last().unwrap(), "disagreed 491");
    assert_eq!(
        pair.count(Side::A, "UPDATE") + pair.count(Side::B, "UPDATE"),
        0
    );
    finish(pair, caller);
}

// covers: RFC 3311 §5.2, RFC 3261 §14.1
#[test]
fn updates_that_meet_before_the_answer_are_both_made_after_the_back_off() {
    let (mut pair, caller, callee) = settled();
    pair.policy = agreeable;
    pair.act(Side::A, |ua, now| ua.reinvite(now, caller, body("from a")));
    pair.act(Side::B, |ua, now| ua.reinvite(now, callee, body("from b")));
    pair.run(10 * SECOND);
    let refused = [Side::A, Side::B].map(|side| pair.count(side, "491 UPDATE"));
    assert_eq!(refused, [1, 1]);
    assert_eq!(
        pair.told(Side::A)[1..],
        ["offered from b", "disagreed 491", "agreed yes"]
    );
    assert_eq!(pair.told(Side::B)[1..], ["agreed yes", "offered anew"]);
    finish(pair, caller);
}

// covers: RFC 3311 §5.2
#[test]
fn an_update_while_the_one_before_has_no_answer_is_put_off_by_the_time_it_is_told() {
    let (mut pair, caller, callee) = settled();
    pair.act(Side::A, |ua, now| ua.reinvite(now, caller, body("one")));
    pair.run(SECOND / 20);
    assert_eq!(pair.told(Side::B).last().unwrap(), "offered one");
    let update = pair.latest(Side::A, "UPDATE");
    let (number, branch) = (
        update.cseq().unwrap().number,
        update.via().unwrap().branch().unwrap(),
    );
    let text = String::from_utf8(update.bytes().to_vec()).unwrap();
    let second = text
        .replace(branch, "z9hG4bKsecond")
        .replace(&format!("CSeq: {number}"), &format!("CSeq: {}", number + 1));
    pair.inject(Side::A, second.into());
    pair.run(SECOND / 20);
    let refusal = pair.latest(Side::B, "500 UPDATE");
    assert!(refusal.retry_after().unwrap().unwrap().seconds <= 10);
    pair.act(Side::B, |ua, now| ua.answer_offer(now, callee, body("yes")));
    pair.run(SECOND / 10);
    assert_eq!(pair.told(Side::A).last().unwrap(), "agreed yes");
    // The caller's end: 500 with a time to wait is tried again, and given up some time.
    pair.policy = |pair, side, event| {
        if let Event::Offered { session, .. } = event {
            let session = *session;
            pair.act(side, |ua, now| ua.refuse_offer(now, session, 500));
        }
    };
    let before = pair.count(Side::A, "UPDATE");
    pair.act(Side::A, |ua, now| ua.reinvite(now, caller, body("two")));
    pair.run(20 * SECOND);
    assert_eq!(
        pair.count(Side::A, "UPDATE"),
        before + 1,
        "a plain 500 is final"
    );
    assert_eq!(pair.told(Side::A).last().unwrap(), "disagreed 500");
    finish(pair, caller);
}

// covers: RFC 3311 §5.1, RFC 3262 §3
#[test]
fn an_offer_of_the_callee_waits_until_its_answer_is_acknowledged() {
    let (mut pair, caller, callee) = ringing(Some("offer"), Reliable::Supported);
    pair.act(Side::B, |ua, now| {
        ua.progress(now, callee, 183, body("early"));
        ua.reinvite(now, callee, body("move"));
    });
    assert_eq!(pair.count(Side::B, "UPDATE"), 0);
    pair.run(SECOND / 2);
    assert_eq!(pair.told(Side::A), ["progressed 183 early", "offered move"]);
    assert_eq!(
        pair.told(Side::B),
        ["invited offer"],
        "it was not refused meanwhile"
    );
    pair.act(Side::A, |ua, now| {
        ua.answer_offer(now, caller, body("moved"))
    });
    pair.run(SECOND / 10);
    assert_eq!(pair.told(Side::B).last().unwrap(), "agreed moved");
    finish(pair, caller);
}

#[test]
fn an_offer_that_always_meets_another_is_given_up() {
    let (mut pair, caller, _) = settled();
    pair.act(Side::A, |ua, now| ua.reinvite(now, caller, body("never")));
    pair.policy = |pair, side, event| {
        if let (Side::B, Event::Offered { session, .. }) = (side, event) {
            let session = *session;
            pair.act(side, |ua, now| ua.refuse_offer(now, session, 491));
        }
    };
    pair.run(50 * SECOND);
    assert_eq!(pair.count(Side::A, "UPDATE"), 9);
    assert_eq!(pair.told(Side::A).last().unwrap(), "disagreed 491");
    finish(pair, caller);
}

// covers: RFC 3311 §5.1, RFC 3261 §13.2.2.4
#[test]
fn what_is_open_in_an_early_dialog_ends_with_it() {
    for who in 0..4 {
        let (mut pair, caller, callee) = settled();
        pair.act(Side::A, |ua, now| ua.reinvite(now, caller, body("hold")));
        pair.run(SECOND / 20);
        match who {
            0 => pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default())),
            1 => pair.act(Side::B, |ua, now| ua.end(now, callee, status(486))),
            2 => {
                // Another fork answers: the one that was asked never will.
                let early = pair.latest(Side::B, "183 INVITE");
                let tag = early.to().unwrap().tag().unwrap().to_owned();
                pair.act(Side::B, |ua, now| {
                    ua.answer_offer(now, callee, body("held"))
                });
                pair.run(SECOND / 20);
                pair.act(Side::A, |ua, now| ua.reinvite(now, caller, body("resume")));
                accept(&mut pair, callee, None);
                let answer = pair.latest(Side::B, "200 INVITE").bytes().to_vec();
                let other = String::from_utf8(answer)
                    .unwrap()
                    .replace(&tag, "another-fork");
                pair.inject(Side::B, other.into());
                pair.run(SECOND / 20);
                pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
            }
            _ => {
                accept(&mut pair, callee, Some("early"));
                assert_eq!(pair.count(Side::B, "200 INVITE"), 0);
                pair.act(Side::B, |ua, now| ua.refuse_offer(now, callee, 488));
                pair.run(SECOND / 10);
                assert_eq!(pair.told(Side::A)[1..], ["disagreed 488", "answered early"]);
                pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
            }
        }
        pair.rest();
        pair.assert_empty();
    }
}
