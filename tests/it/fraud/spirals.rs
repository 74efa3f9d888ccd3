//! Calls that come back: forwardings in a circle, and two forwarded calls that are none.

use super::*;

/// A carrier that sends every call of ours straight back to us; how many it saw, and the last answer.
fn round(lab: &mut Lab, hops: impl Fn(&Message) -> u8) -> (usize, Option<u16>) {
    let mut seen = 0;
    let mut status = None;
    lab.invite(FAR, "+33142685309", "From: <sip:+15550000001@x>;tag=a");
    for turn in 0..100 {
        lab.pass(Duration::from_millis(1));
        let got = lab.take(FAR);
        status = got
            .iter()
            .filter_map(Message::status)
            .rfind(|it| *it >= 300)
            .or(status);
        let Some(invite) = got
            .into_iter()
            .find(|it| it.method() == Some(Method::Invite))
        else {
            break;
        };
        seen += 1;
        let from = invite.from().unwrap().uri.as_str();
        let left = hops(&invite);
        let lines = format!("From: <{from}>;tag=b{turn}|Max-Forwards: {left}");
        lab.invite(FAR, "+33142685309", &lines);
    }
    (seen, status)
}

#[test]
fn a_forwarding_that_leads_back_to_us_is_known_after_two_turns_even_if_hops_are_reset() {
    let mut guarded = lab("", "");
    let (seen, status) = round(&mut guarded, |_| 70);
    assert_eq!((seen, status), (3, Some(482)), "{}", guarded.troubles());
    assert!(guarded.troubles().contains("call-loop"));

    // The control: whoever lets calls come back 40 times pays for 41.
    let mut open = limited("returns = 40", "", "");
    let (seen, status) = round(&mut open, |_| 70);
    assert_eq!((seen, status), (41, Some(482)), "{}", open.troubles());
}

/// A carrier that sends every call back with another caller each time and the hops that `hops` makes of
/// those left; how many it saw of 40 at most, and the last answer.
fn spiral(hops: impl Fn(u8) -> u8) -> (usize, Option<u16>) {
    let mut lab = lab("", "");
    let mut seen = 0;
    let mut left = 12;
    let mut status = None;
    for turn in 0..40 {
        let lines = format!("From: <sip:+1555{turn:07}@x>;tag=c{turn}|Max-Forwards: {left}");
        lab.invite(FAR, "+33142685309", &lines);
        lab.pass(Duration::from_millis(1));
        let got = lab.take(FAR);
        status = got
            .iter()
            .filter_map(Message::status)
            .rfind(|it| *it >= 300)
            .or(status);
        let Some(invite) = got
            .into_iter()
            .find(|it| it.method() == Some(Method::Invite))
        else {
            break;
        };
        left = hops(invite.max_forwards().unwrap().unwrap());
        seen += 1;
    }
    (seen, status)
}

// covers: RFC 3261 §16.3
#[test]
fn a_spiral_with_changing_callers_ends_by_its_hops() {
    assert_eq!(spiral(|left| left), (12, Some(483)));
    // The control: hops that are not counted end nothing.
    assert_eq!(spiral(|_| 12), (40, None));
}

#[test]
fn two_forwarded_calls_of_one_caller_are_no_loop() {
    let mut lab = lab("", "");
    for tag in ["a", "b", "c", "d", "e"] {
        let lines = format!("From: <sip:+15550000001@x>;tag={tag}");
        lab.invite(FAR, "+33142685308", &lines);
        assert!(lab.invited(FAR).is_some(), "{}", lab.troubles());
    }
}
