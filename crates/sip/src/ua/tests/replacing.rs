//! INVITEs that would take the place of another call.

use super::pair::{Pair, Side, body};
use super::stories::established;
use crate::message::Method;
use crate::ua::*;
use bytes::Bytes;
use clock::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Sends `to` a request of a third party that carries these header lines, and returns what it got.
fn ask(pair: &mut Pair, to: Side, method: &str, headers: &str) -> (u16, Option<Option<SessionId>>) {
    let (from, host) = match to {
        Side::A => (Side::B, "10.0.0.1"),
        Side::B => (Side::A, "10.0.0.2"),
    };
    let count = pair.sent.len();
    let text = format!(
        "{method} sip:u@{host} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.{};branch=z9hG4bKthird{count}\r\n\
         From: <sip:third@x>;tag=third{count}\r\nTo: <sip:u@{host}>\r\nCall-ID: third{count}\r\n\
         CSeq: 1 {method}\r\nContact: <sip:third@10.0.0.9>\r\n{headers}Content-Length: 0\r\n\r\n",
        1 + from as u8
    );
    let before = pair.events.len();
    pair.inject(from, Bytes::from(text));
    pair.run(SECOND / 20);
    let told = pair.events[before..]
        .iter()
        .find_map(|(_, _, event)| match event {
            Event::Invited {
                session, replaces, ..
            } => Some((*session, *replaces)),
            _ => None,
        });
    let answers = pair.sent[count..].iter().filter(|(_, side, _)| *side == to);
    let status = answers
        .filter_map(|(_, _, message)| message.status())
        .next();
    if let Some((session, _)) = told {
        pair.act(to, |ua, now| ua.end(now, session, Ending::default()));
    }
    pair.run(SECOND / 20);
    (status.unwrap_or(0), told.map(|(_, replaces)| replaces))
}

fn header(name: &str) -> String {
    format!("Require: replaces\r\nReplaces: {name}\r\n")
}

/// What a third party must write so that `side` finds this session of its own.
fn name_at(pair: &mut Pair, side: Side, session: SessionId) -> String {
    let name = pair.ua(side).dialog_name(session).unwrap();
    let replaces = name.as_replaces();
    let (call_id, to, from) = (replaces.call_id, replaces.from_tag, replaces.to_tag);
    format!("{call_id};to-tag={to};from-tag={from}")
}

// covers: RFC 3891 §3, RFC 3891 §5
#[test]
fn a_confirmed_call_is_found_at_either_end_by_the_name_that_the_other_has_for_it() {
    let mut pair = Pair::clean();
    let (caller, callee) = established(&mut pair);
    for (side, ours, other, theirs) in [
        (Side::A, caller, Side::B, callee),
        (Side::B, callee, Side::A, caller),
    ] {
        let name = pair.ua(other).dialog_name(theirs).unwrap().to_string();
        assert_eq!(name, name_at(&mut pair, side, ours));
        assert_eq!(
            ask(&mut pair, side, "INVITE", &header(&name)),
            (100, Some(Some(ours)))
        );
        let early = header(&(name.clone() + ";early-only"));
        assert_eq!(ask(&mut pair, side, "INVITE", &early), (486, None));
        let read = crate::message::Replaces::parse(&name).unwrap();
        assert_eq!(pair.ua(side).find_dialog(&read), Some(ours));
    }
    let plain = ask(&mut pair, Side::B, "INVITE", "Require: replaces\r\n");
    assert_eq!(plain, (100, Some(None)));
    assert!(
        pair.latest(Side::A, "INVITE")
            .lists(crate::message::Name::Supported, "replaces")
    );
}

// covers: RFC 3891 §3
#[test]
fn what_cannot_be_replaced_is_refused_with_the_reason_and_the_call_goes_on() {
    let mut pair = Pair::clean();
    let (caller, callee) = established(&mut pair);
    let good = name_at(&mut pair, Side::B, callee);
    let (call_id, tags) = good.split_once(';').unwrap();
    let bad = "a Replaces that nobody can read";
    let table = [
        (header(&format!("other;{tags}")), 481),
        (header(&good.replace("to-tag=", "to-tag=0")), 481),
        (header(&good.replace("from-tag=", "from-tag=0")), 481),
        (header(&format!("{call_id};to-tag=1;from-tag=2")), 481),
        (header(call_id), 400),
        (header(bad), 400),
        (header(&format!("{good}, {good}")), 400),
        (header(&good) + &header(&good), 400),
    ];
    for (headers, status) in table {
        assert_eq!(
            ask(&mut pair, Side::B, "INVITE", &headers),
            (status, None),
            "{headers}"
        );
    }
    for method in ["OPTIONS", "REFER", "NOTIFY"] {
        assert_eq!(
            ask(&mut pair, Side::B, method, &header(&good)),
            (400, None),
            "{method}"
        );
    }
    let inside = [("Replaces".to_owned(), good)];
    pair.act(Side::A, |ua, now| {
        ua.request_in(now, caller, Method::Info, &inside, None)
    })
    .unwrap();
    pair.run(SECOND);
    assert_eq!(pair.told(Side::A).last().unwrap(), "told 400");
    pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
    pair.rest();
    assert_eq!(
        pair.told(Side::B).last().unwrap(),
        "ended Peer",
        "it was standing until then"
    );
    pair.assert_empty();
}

// covers: RFC 3891 §3
#[test]
fn a_call_that_ended_is_declined_and_one_long_forgotten_unknown() {
    let mut pair = Pair::clean();
    let (caller, callee) = established(&mut pair);
    let name = header(&name_at(&mut pair, Side::B, callee));
    // The end is told at B, its BYE is not answered yet.
    pair.link.delay_ms = 200;
    pair.act(Side::B, |ua, now| ua.end(now, callee, Ending::default()));
    assert_eq!(pair.ua(Side::B).dialog_name(callee), None);
    pair.link.delay_ms = 10;
    assert_eq!(ask(&mut pair, Side::B, "INVITE", &name), (603, None));
    pair.rest();
    assert_eq!(ask(&mut pair, Side::B, "INVITE", &name), (603, None));
    assert_eq!(pair.ua(Side::A).dialog_name(caller), None);
    pair.rest();
    for _ in 0..600 {
        let caller = pair.call(Some("offer"));
        pair.run(SECOND / 20);
        pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
        pair.rest();
    }
    assert_eq!(ask(&mut pair, Side::B, "INVITE", &name), (481, None));
}

// covers: RFC 3891 §3, RFC 3891 §4
#[test]
fn an_early_call_is_replaced_at_who_placed_it_and_never_at_who_rings() {
    let mut pair = Pair::clean();
    let caller = pair.call(Some("offer"));
    pair.run(SECOND / 10);
    let callee = pair.invited();
    assert_eq!(
        pair.ua(Side::A).dialog_name(caller),
        None,
        "nobody rang yet"
    );
    pair.act(Side::B, |ua, now| ua.progress(now, callee, 180, None));
    pair.run(SECOND / 10);
    let early = name_at(&mut pair, Side::A, caller) + ";early-only";
    let found = ask(&mut pair, Side::A, "INVITE", &header(&early));
    assert_eq!(found, (100, Some(Some(caller))));
    let ringing = name_at(&mut pair, Side::B, callee);
    assert_eq!(
        ask(&mut pair, Side::B, "INVITE", &header(&ringing)),
        (481, None)
    );
    let read = crate::message::Replaces::parse(&ringing).unwrap();
    assert_eq!(
        pair.ua(Side::B).find_dialog(&read),
        Some(callee),
        "its user may know"
    );
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("answer"), &[])
    });
    pair.run(SECOND);
    assert_eq!(pair.told(Side::A).last().unwrap(), "answered answer");
}
