//! Session timers (RFC 4028): a long call is refreshed, and a dead peer found out.

use super::pair::{Pair, Side, body};
use super::stories::{SECOND, established};
use crate::message::Name;
use crate::ua::*;

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
