use super::{
    BuildError, Builder, ErrorKind, Message, Method, Name, Scheme, TransactionKey, Uri, refusal_of,
};
use bytes::Bytes;

const INVITE: &str = "INVITE sip:service@example.com;transport=udp SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds;rport\r\n\
    Max-Forwards: 70\r\n\
    t: \"Service, the\" <sip:service@example.com>\r\n\
    From: Alice <sip:alice@example.com>;tag=1928301774\r\n\
    Call-ID: a84b4c76e66710@pc33\r\n\
    CSeq: 314159 INVITE\r\n\
    m: <sip:alice@192.0.2.4>, \"B, C\" <sip:b@192.0.2.5>;expires=60\r\n\
    X-Odd:   a  b\r\n\
    Content-Length: 4\r\n\r\nv=0\n";

fn parsed(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

#[test]
fn the_views_of_an_invite_say_what_it_says() {
    let invite = parsed(INVITE);
    assert_eq!(
        (invite.method(), invite.status()),
        (Some(Method::Invite), None)
    );
    assert_eq!(
        invite.request_uri(),
        Some("sip:service@example.com;transport=udp")
    );
    assert_eq!(invite.from().unwrap().tag(), Some("1928301774"));
    assert_eq!(invite.to().unwrap().display(), "Service, the");
    assert_eq!(invite.cseq().unwrap().number, 314_159);
    assert_eq!(invite.via().unwrap().rport(), Some(None));
    assert_eq!(invite.max_forwards(), Ok(Some(70)));
    let contacts: Vec<_> = invite.contacts().map(Result::unwrap).collect();
    assert_eq!(contacts.len(), 2);
    assert_eq!(contacts[1].params.get("expires"), Some("60"));
    assert_eq!(invite.header_named("x-odd"), Some("a  b"));
    assert_eq!(invite.body().as_ref(), b"v=0\n");
}

#[test]
fn a_response_copies_what_rfc_3261_asks_and_notes_the_source() {
    let invite = parsed(INVITE);
    let source = "198.51.100.7:1234".parse().unwrap();
    let ringing = Builder::response(&invite, 180, "Ringing")
        .to_tag("ours")
        .received(source)
        .header(Name::Contact, "<sip:us@192.0.2.9>")
        .build()
        .unwrap();
    assert_eq!((ringing.status(), ringing.reason()), (Some(180), "Ringing"));
    assert_eq!(ringing.to().unwrap().tag(), Some("ours"));
    let via = ringing.via().unwrap();
    assert_eq!(
        (via.received(), via.rport()),
        (Some(source.ip()), Some(Some(1234)))
    );
    assert_eq!(via.branch(), Some("z9hG4bK776asdhds"));
    assert_eq!(ringing.call_id(), invite.call_id());
}

#[test]
fn a_value_that_would_become_a_header_is_refused() {
    for value in ["a\r\nX: y", "a\nb", "a\rb", "a\0b"] {
        let built = Builder::request(Method::Options, "sip:a@b")
            .header("Subject", value)
            .build();
        assert_eq!(built.err(), Some(BuildError::Injection(Name::Subject)));
    }
}

#[test]
fn an_ack_has_the_key_of_its_invite() {
    let invite = parsed(INVITE);
    let ack = parsed(
        &INVITE
            .replace("INVITE sip", "ACK sip")
            .replace("314159 INVITE", "314159 ACK"),
    );
    let TransactionKey::Server { branch, .. } = invite.transaction_key().unwrap() else {
        panic!("a branch with the cookie makes a server key");
    };
    assert_eq!(branch, "z9hG4bK776asdhds");
    assert_eq!(
        invite.transaction_key().unwrap(),
        ack.transaction_key().unwrap()
    );
}

#[test]
fn a_fault_says_where_it_is_and_what_was_expected() {
    let error =
        Message::parse(Bytes::from_static(b"OPTIONS  sip:a@b SIP/2.0\r\n\r\n")).unwrap_err();
    assert_eq!(
        (error.kind, error.offset, error.answer),
        (ErrorKind::StartLine, 8, Some(400))
    );
    assert_eq!(
        error.to_string(),
        "start line, offset 8: expected a Request-URI, found ' '"
    );
}

/// An OPTIONS with these lines after the five that every request has.
fn with(lines: &[u8]) -> Vec<u8> {
    let head: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n";
    [head, lines, b"\r\n"].concat()
}

fn read(lines: &[u8]) -> Message {
    Message::parse(Bytes::from(with(lines))).unwrap()
}

/// Each could be read in two ways by two elements on the path of a call.
// covers: RFC 3261 §7.3.1, §20.14, §25.1
#[test]
fn what_could_be_read_in_two_ways_is_refused_where_it_stands() {
    let cases: [(&[u8], &str); 14] = [
        (
            b"Content-Length: 0\r\nContent-Length: 0\r\n",
            "one Content-Length",
        ),
        (b"Content-Length: 0\r\nl: 1\r\n", "one Content-Length"),
        (
            b"Content-Length: 1\r\n",
            "as many bytes as Content-Length says",
        ),
        (b"Content-Length: -1\r\n", "a length in digits"),
        (b"Content-Length: 1 1\r\n", "a length in digits"),
        (
            b"Content-Length: 18446744073709551617\r\n",
            "as many bytes as Content-Length says",
        ),
        (
            b"P-Asserted-Identity : <sip:boss@b>\r\n",
            "the colon at once: this header is trusted",
        ),
        (
            b"Privacy\t: none\r\n",
            "the colon at once: this header is trusted",
        ),
        (
            b"X: a\rContact: <sip:x@y>\r\n",
            "no carriage return within a line",
        ),
        (
            b"X: a\nContact: <sip:x@y>\r\n",
            "no line feed without a carriage return",
        ),
        (b"X: a\0b\r\n", "no NUL"),
        (b"X: \"\\\\\0\"\r\n", "no NUL"),
        (b"X\xe9: a\r\n", "a colon after the name"),
        (b": a\r\n", "a header's name"),
    ];
    for (lines, expected) in cases {
        let error = Message::parse(Bytes::from(with(lines))).unwrap_err();
        assert_eq!(
            (error.expected, error.answer),
            (expected, Some(400)),
            "{}",
            lines.escape_ascii()
        );
    }
    assert!(
        Message::parse(Bytes::from(with(b"Subject : a\r\n"))).is_ok(),
        "legal elsewhere"
    );
}

// covers: RFC 3261 §7.3.1, §7.3.3
#[test]
fn folds_compact_forms_and_latin_1_are_read_and_kept() {
    let message = read(b"s: one\r\n\ttwo\r\nX-Name: Jos\xe9\r\nk: a,b\r\nSUPPORTED: c\r\n");
    assert_eq!(message.header(Name::Subject), Some("one  \ttwo"));
    assert_eq!(message.header_named("x-name"), Some("José"));
    assert_eq!(
        message.values(Name::Supported).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    let raw: Vec<_> = message
        .lines()
        .skip(5)
        .map(|line| line.raw().to_vec())
        .collect();
    assert_eq!(
        raw[..2],
        [
            b"s: one\r\n\ttwo\r\n".to_vec(),
            b"X-Name: Jos\xe9\r\n".to_vec()
        ]
    );
}

#[test]
fn the_headers_of_the_extensions_are_read() {
    let message = read(
        b"x: 1800;refresher=uas\r\nMin-SE: 90\r\nRSeq: 7\r\nRAck: 7 12 INVITE\r\n\
        Reason: SIP;cause=200, Q.850;cause=16;text=\"Normal clearing\"\r\nPrivacy: id;header\r\n\
        Replaces: 1@x;to-tag=t;from-tag=f;early-only\r\nr: <sip:r@s?Replaces=a%3Bto-tag%3Db>\r\n\
        Retry-After: 18 (in (a) meeting);duration=60\r\no: refer;id=93\r\n\
        Subscription-State: active;expires=60\r\nP-Asserted-Identity: <sip:a@b>, <tel:+4930123>\r\n\
        Diversion: <sip:d@e>;reason=user-busy\r\nAllow: INVITE, BYE\r\nb: <sip:f@g>\r\n",
    );
    let session = message.session_expires().unwrap().unwrap();
    assert_eq!(
        (session.seconds, session.params.get("refresher")),
        (1800, Some("uas"))
    );
    assert_eq!(
        (message.min_se(), message.rseq()),
        (Ok(Some(90)), Ok(Some(7)))
    );
    let rack = message.rack().unwrap().unwrap();
    assert_eq!(
        (rack.rseq, rack.cseq.number, rack.cseq.method),
        (7, 12, Method::Invite)
    );
    assert_eq!(message.q850(), Some(16));
    assert_eq!(
        message.reasons().nth(1).unwrap().unwrap().text,
        "Normal clearing"
    );
    assert_eq!(message.privacy().collect::<Vec<_>>(), ["id", "header"]);
    let replaces = message.replaces().unwrap().unwrap();
    assert_eq!(
        (replaces.call_id, replaces.to_tag, replaces.from_tag),
        ("1@x", "t", "f")
    );
    assert!(replaces.early_only);
    let refer_to = message.refer_to().unwrap().unwrap();
    assert_eq!(super::unescape(refer_to.uri.headers), "Replaces=a;to-tag=b");
    let retry = message.retry_after().unwrap().unwrap();
    assert_eq!(
        (retry.seconds, retry.params.get("duration")),
        (18, Some("60"))
    );
    assert_eq!(
        message.event().unwrap().unwrap().params.get("id"),
        Some("93")
    );
    assert_eq!(
        message.subscription_state().unwrap().unwrap().label,
        "active"
    );
    let asserted: Vec<_> = message
        .asserted_identities()
        .map(|one| one.unwrap().uri.user)
        .collect();
    assert_eq!(asserted, [Some("a"), Some("+4930123")]);
    assert_eq!(
        message
            .diversions()
            .next()
            .unwrap()
            .unwrap()
            .params
            .get("reason"),
        Some("user-busy")
    );
    assert!(message.allows(Method::Bye) && !message.allows(Method::Refer));
    assert_eq!(message.referred_by().unwrap().unwrap().uri.user, Some("f"));
}

/// A fault in a value says where in the message it is, even in a list on the third line.
#[test]
fn a_fault_in_a_value_is_placed_in_the_message() {
    let lines = b"Route: <sip:a@b;lr>\r\nRoute: <sip:c@d;lr>, <sip:e@f:99999>\r\n";
    let message = read(lines);
    let error = message.routes().find_map(Result::err).unwrap();
    let place = memchr::memmem::find(message.bytes(), b"99999").unwrap();
    assert_eq!(
        (error.kind, error.offset),
        (ErrorKind::Value(Name::Route), place)
    );
    let text = format!("Route, offset {place}: expected a port, found '9'");
    assert_eq!(error.to_string(), text);
}

#[test]
fn more_headers_than_the_index_holds_inline_are_all_found() {
    let mut lines = b"X: y\r\n".repeat(100);
    lines.extend_from_slice(b"Subject: last\r\n");
    let message = read(&lines);
    assert_eq!(message.header(Name::Subject), Some("last"));
    assert_eq!(
        message.lines().filter(|line| line.value() == "y").count(),
        100
    );
}

// covers: RFC 3261 §18.2.1, RFC 3581 §4
#[test]
fn a_response_goes_back_by_a_via_that_tells_the_true_source() {
    let source = "198.51.100.7:1234".parse().unwrap();
    let cases = [
        (
            "SIP/2.0/UDP 198.51.100.7;branch=b",
            "SIP/2.0/UDP 198.51.100.7;branch=b",
        ),
        (
            "SIP/2.0/UDP a.b;branch=b",
            "SIP/2.0/UDP a.b;branch=b;received=198.51.100.7",
        ),
        (
            "SIP/2.0/UDP 198.51.100.7 ; rport ;branch=b;x=\"a;b\"",
            "SIP/2.0/UDP 198.51.100.7;branch=b;x=\"a;b\";received=198.51.100.7;rport=1234",
        ),
        (
            "SIP/2.0/UDP a.b;received=10.0.0.1, SIP/2.0/TCP c;rport",
            "SIP/2.0/UDP a.b;received=198.51.100.7, SIP/2.0/TCP c;rport",
        ),
    ];
    for (via, stamped) in cases {
        let request = parsed(&INVITE.replace(
            "SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds;rport",
            via,
        ));
        let answer = Builder::response(&request, 200, "OK")
            .received(source)
            .to_tag("t")
            .build();
        let answer = answer.unwrap();
        assert_eq!(answer.header(Name::Via), Some(stamped));
        assert_eq!(answer.to().unwrap().tag(), Some("t"));
    }
}

// covers: RFC 3261 §8.2.6.2
#[test]
fn a_request_that_does_not_parse_gets_its_400_and_an_ack_or_a_response_gets_nothing() {
    let broken = with(b"Content-Length: 3\r\n");
    let error = Message::parse(Bytes::from(broken.clone())).unwrap_err();
    let answer = Message::parse(refusal_of(&broken, &error, "ours").unwrap()).unwrap();
    assert_eq!(
        (answer.status(), answer.reason()),
        (Some(400), "Bad Request")
    );
    assert_eq!(answer.to().unwrap().tag(), Some("ours"));
    assert_eq!(answer.cseq().unwrap().number, 1);
    let ack = [b"ACK", broken.get(7..).unwrap()].concat();
    assert_eq!(refusal_of(&ack, &error, "ours"), None);
    let response = b"SIP/2.0 200 OK\r\nl: 5\r\n\r\n";
    let error = Message::parse(Bytes::from_static(response)).unwrap_err();
    assert_eq!(refusal_of(response, &error, "ours"), None);
}

// covers: RFC 3261 §19.1.1, §19.1.2
#[test]
fn uris_are_read_for_what_they_are() {
    let read = |text| {
        Uri::parse(text)
            .map(|uri| (uri.scheme, uri.user, uri.port))
            .map_err(|e| e.offset)
    };
    assert_eq!(
        read("sips:a:pw@b:5061;x=y?z=1"),
        Ok((Scheme::Sips, Some("a:pw"), Some(5061)))
    );
    assert_eq!(
        read("tel:+49-30-12;phone-context=x"),
        Ok((Scheme::Tel, Some("+49-30-12"), None))
    );
    assert_eq!(read("urn:service:sos"), Ok((Scheme::Other, None, None)));
    assert_eq!(read("sip:[2001:db8::1]"), Ok((Scheme::Sip, None, None)));
    for (text, offset) in [
        ("", 0),
        ("a@b", 1),
        ("sip:", 4),
        ("sip:@b", 4),
        ("sip:a@", 6),
        ("sip:a b@c", 5),
        ("sip:a@b:99999", 8),
        ("sip:2001:db8::10", 9),
        ("sip:[2001::db8::1]", 4),
        ("sip:a[b@c", 5),
        ("sip:a@b/c", 7),
        ("tel:", 4),
        ("tel:12x", 6),
    ] {
        assert_eq!(read(text), Err(offset), "{text}");
    }
}

// covers: RFC 3261 §17.1.3, §17.2.3
#[test]
fn a_key_tells_transactions_apart_and_survives_the_case_of_a_host() {
    let key = |message: &Message| message.transaction_key().unwrap().to_string();
    let invite = parsed(INVITE);
    let shouting = parsed(&INVITE.replace("UDP 192.0.2.4", "UDP HOST.example"));
    let quiet = parsed(&INVITE.replace("UDP 192.0.2.4", "UDP host.EXAMPLE"));
    assert_eq!(
        shouting.transaction_key().unwrap(),
        quiet.transaction_key().unwrap()
    );
    assert_eq!(key(&shouting), key(&quiet));
    assert_ne!(key(&invite), key(&quiet));
    let cancel = parsed(&INVITE.replace("INVITE", "CANCEL"));
    assert_ne!(key(&invite), key(&cancel));
    let old = parsed(&INVITE.replace(";branch=z9hG4bK776asdhds", ""));
    assert!(matches!(
        old.transaction_key(),
        Ok(TransactionKey::Legacy { cseq: 314_159, .. })
    ));
    let answer = Builder::response(&invite, 200, "OK").build().unwrap();
    assert!(matches!(
        answer.transaction_key(),
        Ok(TransactionKey::Client {
            method: "INVITE",
            ..
        })
    ));
}

/// The examples of the RFC.
// covers: RFC 3261 §19.1.4
#[test]
fn uris_are_the_same_when_the_rfc_says_so() {
    let same = |a, b| Uri::parse(a).unwrap().same_as(&Uri::parse(b).unwrap());
    for (a, b) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;newparam=5",
        ),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("tel:+49-30-12", "tel:+49(30)12"),
    ] {
        assert!(same(a, b) && same(b, a), "{a} {b}");
    }
    for (a, b) in [
        (
            "sip:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com:6000;transport=tcp",
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("sip:a%3Bb@c", "sip:a;b@c"),
        ("sip:a@b", "sips:a@b"),
    ] {
        assert!(!same(a, b) && !same(b, a), "{a} {b}");
    }
}
