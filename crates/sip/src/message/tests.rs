use super::{BuildError, Builder, ErrorKind, Message, Method, Name, TransactionKey};
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
