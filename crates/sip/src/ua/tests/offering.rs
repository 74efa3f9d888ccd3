//! Offers and answers within a call.

use super::pair::{Pair, Side, body};
use super::stories::{SECOND, established};
use crate::ua::*;

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
