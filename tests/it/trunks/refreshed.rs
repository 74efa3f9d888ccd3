//! The session timer of a trunk's calls (RFC 4028): what each policy says and does in both roles, and the
//! sound of a call that is refreshed.

use sip::message::{Message, Method, Name};

use super::{CALLER, ONE, final_of, invite_at, ms};
use crate::lab::Lab;

const TO_ONE: &str = "send_to = [\"10.9.1.1\"]";

fn lab(timer: &str) -> Lab {
    super::lab(&format!("{TO_ONE}\n[trunks.acme.session_timer]\n{timer}"))
}

/// What our INVITE says of the timer: Supported, Require, Session-Expires, Min-SE.
fn said(invite: &Message) -> [Option<String>; 4] {
    let lists = |name, tag: &str| invite.lists(name, tag).then(|| tag.to_owned());
    let value = |name| invite.header(name).map(str::to_owned);
    [
        lists(Name::Supported, "timer"),
        lists(Name::Require, "timer"),
        value(Name::SessionExpires),
        value(Name::MinSe),
    ]
}

// covers: RFC 4028 §7.1
#[test]
fn an_invite_to_the_carrier_says_what_the_trunks_policy_is() {
    let table = [
        ("mode = \"refuse\"", [None, None, None, None]),
        ("mode = \"accept\"", [Some("timer"), None, None, Some("90")]),
        ("", [Some("timer"), None, Some("1800"), Some("90")]),
        (
            "mode = \"require\"\nexpires = \"10m\"\nmin = \"2m\"",
            [Some("timer"), Some("timer"), Some("600"), Some("120")],
        ),
    ];
    for (timer, want) in table {
        let mut lab = lab(timer);
        lab.invite(CALLER.0, "+15550001", "");
        let invite = invite_at(&mut lab, ONE);
        let want = want.map(|it| it.map(str::to_owned));
        assert_eq!(said(&invite), want, "{timer}");
    }
}

/// A call out that stands, and the trunk's answer to it.
fn call_out(timer: &str, lines: &str) -> (Lab, Message) {
    let mut lab = lab(timer);
    lab.invite(CALLER.0, "+15550001", "");
    let invite = invite_at(&mut lab, ONE);
    lab.reply(ONE.0, &invite, 200, lines);
    lab.pass(ms(50));
    let answer = final_of(&mut lab).unwrap();
    assert_eq!(answer.status(), Some(200));
    lab.take(ONE.0);
    (lab, answer)
}

fn latest(lab: &mut Lab, method: Method) -> Option<Message> {
    let got = lab.take(ONE.0).into_iter();
    got.filter(|it| it.method() == Some(method)).last()
}

// covers: RFC 4028 §10
#[test]
fn we_refresh_a_call_to_the_carrier_and_it_is_heard_through_it() {
    let lines = "Require: timer|Session-Expires: 120;refresher=uac|Allow: INVITE, ACK, BYE, UPDATE";
    let (mut lab, _) = call_out("mode = \"ask\"\nexpires = \"2m\"", lines);
    lab.hear_each_other(CALLER, ONE);
    for turn in 0..3 {
        lab.pass(ms(56_000));
        assert!(
            latest(&mut lab, Method::Update).is_none(),
            "{turn}: too soon"
        );
        lab.pass(ms(3_000));
        let update = latest(&mut lab, Method::Update).unwrap();
        assert_eq!(
            update.header(Name::SessionExpires),
            Some("120;refresher=uac")
        );
        let answer = sip::message::Builder::response(&update, 200, "OK")
            .header(Name::Require, "timer")
            .header(Name::SessionExpires, "120;refresher=uac")
            .header(Name::Contact, "<sip:far@10.9.1.1:5060>");
        lab.receive(ONE.0, answer.build().unwrap().bytes().clone());
        let heard = lab.hear_each_other(CALLER, ONE);
        println!(
            "after refresh {}: {:.1} and {:.1} dBFS",
            turn + 1,
            heard.0,
            heard.1
        );
        lab.pass(ms(500));
    }
}

/// Both roles' end: the carrier is gone, and its leg is ended before the interval is over.
// covers: RFC 4028 §10
#[test]
fn a_carrier_that_should_refresh_and_does_not_is_taken_for_gone() {
    let lines = "Require: timer|Session-Expires: 120;refresher=uas";
    let (mut lab, _) = call_out("mode = \"accept\"", lines);
    lab.pass(ms(85_000));
    assert!(latest(&mut lab, Method::Bye).is_none());
    lab.pass(ms(5_000));
    assert!(
        latest(&mut lab, Method::Bye).is_some(),
        "two thirds of 120 s are over"
    );
    // The control: refused, the same words start no timer.
    let (mut lab, answer) = call_out("mode = \"refuse\"", lines);
    lab.pass(ms(600_000));
    assert!(latest(&mut lab, Method::Bye).is_none());
    lab.hear_each_other(CALLER, ONE);
    lab.request(CALLER.0, &answer, "BYE");
    super::ended_at(&mut lab, ONE);
}

/// A call of the carrier: what our answer says of the timer.
fn answered(timer: &str, lines: &str) -> (Lab, Message) {
    let mut lab = super::lab(&format!(
        "send_to = [\"10.9.1.1\"]\n[trunks.in]\naddresses = [\"10.9.1.3\"]\n\
         [trunks.in.session_timer]\n{timer}"
    ));
    lab.invite(super::THREE.0, "+15550001", lines);
    if let Some(invite) = lab.invited(ONE.0) {
        lab.reply(ONE.0, &invite, 200, "");
    }
    lab.pass(ms(50));
    let got = lab.take(super::THREE.0);
    let last = got.into_iter().rfind(|it| it.status() >= Some(200));
    (lab, last.unwrap())
}

// covers: RFC 4028 §9, RFC 3261 §8.2.2.3, RFC 3261 §21.4.16
#[test]
fn a_carriers_invite_is_answered_as_the_trunks_policy_says() {
    let asks = "Supported: timer|Session-Expires: 600";
    let table = [
        ("mode = \"refuse\"", asks, 200, None),
        (
            "mode = \"refuse\"",
            "Require: timer|Session-Expires: 600",
            420,
            None,
        ),
        ("mode = \"accept\"", asks, 200, Some("600;refresher=uac")),
        ("mode = \"accept\"", "", 200, None),
        ("", "", 200, Some("1800;refresher=uas")),
        ("expires = \"5m\"", asks, 200, Some("300;refresher=uac")),
        ("mode = \"require\"", asks, 200, Some("600;refresher=uac")),
        ("mode = \"require\"", "", 421, None),
        ("min = \"15m\"", asks, 422, None),
    ];
    for (timer, lines, status, expires) in table {
        let (lab, answer) = answered(timer, lines);
        let what = format!("{timer}, {lines}: {}", lab.troubles());
        assert_eq!(answer.status(), Some(status), "{what}");
        assert_eq!(answer.header(Name::SessionExpires), expires, "{what}");
        let extra = match status {
            420 => answer.header(Name::Unsupported),
            421 => answer.header(Name::Require),
            422 => answer.header(Name::MinSe),
            _ => None,
        };
        let want = [(420, "timer"), (421, "timer"), (422, "900")];
        let want = want.iter().find(|(it, _)| *it == status);
        assert_eq!(extra, want.map(|(_, value)| *value), "{what}");
    }
    let (lab, _) = answered("mode = \"require\"", "");
    let want = "sip-session-timer-required: want a peer that supports session timers (RFC 4028), have an \
                INVITE without timer in Supported; have the peer support them, or set \
                trunks.in.session_timer.mode = \"ask\"";
    assert!(lab.troubles().contains(want), "{}", lab.troubles());
    let (lab, _) = answered("min = \"15m\"", asks);
    let want = "trunks.in.session_timer.min = \"600s\"";
    assert!(lab.troubles().contains(want), "{}", lab.troubles());
}
