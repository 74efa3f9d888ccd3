//! From target to target: what leads on and what does not, who is asked in which order.

use sip::message::Name;
use tandem::control::What;

use super::{CALLER, ONE, THREE, TWO, a_thousand_calls, final_of, invite_at, lab, ms, talk};

const TARGETS: &str = "send_to = [\"10.9.1.1\", \"10.9.1.2\"]";

// covers: RFC 3263 §4.3
#[test]
fn a_target_that_is_silent_is_left_for_the_next_and_the_call_is_heard() {
    let mut lab = lab(TARGETS);
    lab.invite(CALLER.0, "+15550001", "");
    invite_at(&mut lab, ONE);
    lab.pass(ms(3_900));
    assert!(lab.invited(TWO.0).is_none(), "it is waited for");
    lab.pass(ms(200));
    let invite = invite_at(&mut lab, TWO);
    println!("silent for 4 s: {}", talk(&mut lab, TWO, &invite));
    let rerouted = lab
        .events
        .iter()
        .filter(|it| matches!(it, What::Rerouted { .. }));
    assert_eq!(rerouted.count(), 1);
}

/// A lost datagram is no dead target: by UDP the shortest time leaves room for three INVITEs.
#[test]
fn a_target_whose_answers_get_lost_is_asked_three_times_before_the_next() {
    let short = format!("{TARGETS}\ntarget_timeout = \"500ms\"");
    let mut lost = lab(&short);
    lost.invite(CALLER.0, "+15550001", "");
    let invite = invite_at(&mut lost, ONE);
    lost.pass(ms(1_900));
    assert!(lost.invited(TWO.0).is_none(), "given up after two");
    // The third is answered.
    println!("the third INVITE: {}", talk(&mut lost, ONE, &invite));
    let mut dead = lab(&short);
    dead.invite(CALLER.0, "+15550001", "");
    dead.pass(ms(2_050));
    let invite = invite_at(&mut dead, TWO);
    talk(&mut dead, TWO, &invite);
}

/// The control: with one target alone, the caller is refused when the transaction's time is over.
#[test]
fn without_another_target_silence_fails_the_call() {
    let mut lab = lab("send_to = [\"10.9.1.1\"]");
    lab.invite(CALLER.0, "+15550001", "");
    invite_at(&mut lab, ONE);
    lab.pass(ms(31_000));
    assert!(final_of(&mut lab).is_none());
    lab.pass(ms(2_000));
    let refused = final_of(&mut lab).unwrap().status();
    assert!(refused.is_some_and(|status| status >= 400), "{refused:?}");
    assert!(lab.invited(TWO.0).is_none());
    lab.nothing_is_left();
}

// covers: RFC 3261 §16.7, RFC 3263 §4.3
#[test]
fn a_target_at_fault_is_left_for_the_next_and_the_call_is_heard() {
    for status in [408, 500, 502, 503, 504, 580] {
        let mut lab = lab(TARGETS);
        lab.invite(CALLER.0, "+15550001", "");
        let first = invite_at(&mut lab, ONE);
        lab.reply(ONE.0, &first, status, "");
        lab.pass(ms(20));
        let invite = invite_at(&mut lab, TWO);
        println!("{status}: {}", talk(&mut lab, TWO, &invite));
    }
}

/// The control of rerouting by cause: what the callee says is said to the caller, and nobody else rings.
#[test]
fn a_callee_who_refuses_is_not_asked_by_another_way() {
    for status in [404, 480, 486, 488, 600, 603] {
        let mut lab = lab(TARGETS);
        lab.invite(CALLER.0, "+15550001", "");
        let first = invite_at(&mut lab, ONE);
        lab.reply(ONE.0, &first, status, "");
        lab.pass(ms(5_000));
        assert!(lab.invited(TWO.0).is_none(), "{status} was rerouted");
        let refused = final_of(&mut lab).unwrap().status();
        assert!(refused.is_some_and(|it| it >= 400), "{status}: {refused:?}");
        lab.nothing_is_left();
    }
}

#[test]
fn a_callee_who_rang_is_not_asked_by_another_way_for_his_silence() {
    let mut lab = lab(TARGETS);
    lab.invite(CALLER.0, "+15550001", "");
    let first = invite_at(&mut lab, ONE);
    lab.reply(ONE.0, &first, 180, "");
    lab.pass(ms(30_000));
    assert!(lab.invited(TWO.0).is_none());
    lab.reply(ONE.0, &first, 408, "");
    lab.pass(ms(100));
    assert!(lab.invited(TWO.0).is_none());
    lab.nothing_is_left();
}

// covers: RFC 3261 §8.1.3.4
#[test]
fn a_redirection_is_followed_and_the_call_is_heard() {
    let mut lab = lab("send_to = [\"10.9.1.1\"]\nredirect = \"any\"");
    lab.invite(CALLER.0, "+15550001", "");
    let first = invite_at(&mut lab, ONE);
    let contacts = "Contact: <sip:x@10.9.1.2>;q=0.2, <sip:y@10.9.1.3>;q=0.9";
    lab.reply(ONE.0, &first, 302, contacts);
    lab.pass(ms(20));
    let preferred = invite_at(&mut lab, THREE);
    assert_eq!(preferred.request_uri(), Some("sip:y@10.9.1.3"));
    lab.reply(THREE.0, &preferred, 503, "");
    lab.pass(ms(20));
    let invite = invite_at(&mut lab, TWO);
    println!("302, 503: {}", talk(&mut lab, TWO, &invite));
}

/// The control: whose contacts are not followed fails the call.
#[test]
fn a_redirection_to_a_host_that_is_not_the_trunks_is_not_followed() {
    for (redirect, contact) in [("same", "10.9.1.2"), ("off", "10.9.1.1:5080")] {
        let mut lab = lab(&format!(
            "send_to = [\"10.9.1.1\"]\nredirect = \"{redirect}\""
        ));
        lab.invite(CALLER.0, "+15550001", "");
        let first = invite_at(&mut lab, ONE);
        lab.reply(ONE.0, &first, 302, &format!("Contact: <sip:x@{contact}>"));
        lab.pass(ms(100));
        assert!(lab.invited(contact_address(contact).as_str()).is_none());
        assert!(final_of(&mut lab).unwrap().status() >= Some(400));
        lab.nothing_is_left();
    }
}

fn contact_address(contact: &str) -> String {
    match contact.contains(':') {
        true => contact.to_owned(),
        false => format!("{contact}:5060"),
    }
}

#[test]
fn redirections_end_after_five_and_a_loop_at_once() {
    let mut endless = lab("send_to = [\"10.9.1.1\"]");
    endless.invite(CALLER.0, "+15550001", "");
    for n in 0..6 {
        let invite = invite_at(&mut endless, ONE);
        endless.reply(
            ONE.0,
            &invite,
            302,
            &format!("Contact: <sip:x{n}@10.9.1.1>"),
        );
        endless.pass(ms(20));
    }
    assert!(endless.invited(ONE.0).is_none(), "a sixth was followed");
    assert!(final_of(&mut endless).unwrap().status() >= Some(400));
    endless.nothing_is_left();

    let mut looping = lab("send_to = [\"10.9.1.1\"]");
    looping.invite(CALLER.0, "+15550001", "");
    let invite = invite_at(&mut looping, ONE);
    let own = format!("Contact: <{}>", invite.request_uri().unwrap());
    looping.reply(ONE.0, &invite, 302, &own);
    looping.pass(ms(20));
    assert!(looping.invited(ONE.0).is_none(), "the loop was followed");
    assert!(final_of(&mut looping).unwrap().status() >= Some(400));
    looping.nothing_is_left();
}

// covers: RFC 2782
#[test]
fn priority_and_weight_are_obeyed_over_many_calls() {
    let mut lab = lab(
        "send_to = [{ host = \"10.9.1.1\", priority = 10, weight = 70 }, \
         { host = \"10.9.1.2\", priority = 10, weight = 30 }, \
         { host = \"10.9.1.3\", priority = 20 }]",
    );
    let came = a_thousand_calls(&mut lab);
    println!("of 1,000 calls by 70 to 30, and a second priority: {came:?}");
    assert_eq!(came.iter().sum::<i32>(), 1_000);
    // Four standard deviations of a binomial: 58.
    assert!((came[0] - 700).abs() < 58 && came[2] == 0, "{came:?}");
    lab.nothing_is_left();
}

// covers: RFC 3261 §8.1.2
#[test]
fn an_outbound_proxy_gets_every_call_with_itself_in_route_and_the_call_is_heard() {
    let mut lab = lab("send_to = [\"10.9.1.1\"]\nproxy = \"10.9.1.2\"");
    lab.invite(CALLER.0, "+15550001", "");
    assert!(lab.invited(ONE.0).is_none(), "past its proxy");
    let invite = invite_at(&mut lab, TWO);
    assert_eq!(invite.header(Name::Route), Some("<sip:10.9.1.2;lr>"));
    assert_eq!(invite.request_uri(), Some("sip:+33142685300@10.9.1.1"));
    println!("by a proxy: {}", talk(&mut lab, TWO, &invite));
}

/// RFC 3581: answers go to where the request came from, whatever port its Via names.
// covers: RFC 3581 §4
#[test]
fn answers_go_back_the_way_that_the_request_came() {
    let mut lab = lab("send_to = [\"10.9.1.1\"]");
    let behind = "10.9.0.1:31337";
    lab.speaks(behind, CALLER.1);
    let invite = crate::lab::invite_text(CALLER.0, "+15550001", "", 9_000);
    let asks = invite.replacen(";branch", ";rport;branch", 1);
    lab.receive(behind, asks);
    let out = invite_at(&mut lab, ONE);
    lab.reply(ONE.0, &out, 200, "");
    lab.pass(ms(20));
    assert!(lab.take(CALLER.0).is_empty(), "it went to the Via's port");
    let back = lab.take(behind);
    let answer = back.iter().find(|it| it.status() == Some(200)).unwrap();
    let via = answer.header(Name::Via).unwrap();
    assert!(
        via.contains("rport=31337") && via.contains("received=10.9.0.1"),
        "{via}"
    );
    lab.hear_each_other((behind, CALLER.1), ONE);
    // The control: without rport the Via's own port is answered (RFC 3261 §18.2.2).
    let mut plain = super::lab("send_to = [\"10.9.1.1\"]");
    plain.receive(behind, invite);
    assert!(!plain.take(CALLER.0).is_empty());
}
