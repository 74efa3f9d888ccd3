//! Laws that hold for whatever is generated: what is printed reads back, what would break out of
//! its line is refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use proptest::prelude::*;
use sip::message::{
    BuildError, Builder, Message, Method, Name, NameAddr, Uri, escape_user, name_addr, unescape,
};
use sip::transport::{Frame, StreamFramer};

/// A header nobody knows.
fn header() -> impl Strategy<Value = (String, String)> {
    ("X-[A-Za-z0-9-]{0,12}", "[!-~]([ -~é日]{0,40}[!-~])?")
}

fn request(headers: &[(String, String)], body: &[u8]) -> Message {
    let start = Builder::request(Method::Invite, "sip:bob@example.com")
        .header(Name::Via, "SIP/2.0/TCP c.example.com;branch=z9hG4bK1")
        .header(Name::From, "<sip:a@example.com>;tag=1")
        .header(Name::To, "<sip:b@example.com>")
        .header(Name::CallId, "x")
        .header(Name::CSeq, "1 INVITE");
    let filled = headers
        .iter()
        .fold(start, |builder, (name, value)| builder.header(name, value));
    filled
        .body("text/plain", Bytes::copy_from_slice(body))
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // covers: RFC 3261 §7.3.1
    #[test]
    fn what_is_built_reads_back_and_is_passed_on_byte_for_byte(
        headers in prop::collection::vec(header(), 0..40),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let message = request(&headers, &body);
        prop_assert_eq!(message.body().as_ref(), &body[..]);
        let unknown = message.lines().filter(|line| line.name() == Name::Other);
        let read: Vec<_> = unknown.map(|line| (line.name_text().to_owned(), line.value().to_owned())).collect();
        prop_assert_eq!(&read, &headers);
        let onward = Builder::request(Method::Invite, "sip:carol@example.com")
            .copy_lines(&message, |line| line.name() == Name::Other)
            .build()
            .unwrap();
        let raw = |message: &Message| -> Vec<u8> {
            message.lines().filter(|line| line.name() == Name::Other).flat_map(|line| line.raw().to_vec()).collect()
        };
        prop_assert_eq!(raw(&message), raw(&onward));
    }

    #[test]
    fn a_value_never_becomes_a_second_header(value in "[a\r\n\0: ]{0,12}") {
        let built = Builder::request(Method::Options, "sip:a@b").header("X-One", &value).build();
        match built {
            Ok(message) => prop_assert_eq!(message.lines().count(), 2),
            Err(error) => prop_assert_eq!(error, BuildError::Injection(Name::Other)),
        }
    }

    #[test]
    fn a_uri_or_a_reason_never_ends_the_first_line(text in "[a\r\n ]{0,8}") {
        let uri = format!("sip:{text}");
        if let Ok(message) = Builder::request(Method::Options, &uri).build() {
            prop_assert_eq!(message.request_uri(), Some(uri.as_str()));
        }
        if let Ok(answer) = Builder::response(&request(&[], b""), 200, &text).build() {
            prop_assert_eq!(answer.reason(), text.as_str());
        }
    }

    // covers: RFC 3261 §19.1.1, §19.1.2
    #[test]
    fn a_uri_gives_back_the_parts_it_was_made_of(
        user in "[ -~é]{1,20}",
        host in prop_oneof![Just("example.com"), Just("192.0.2.1"), Just("[2001:db8::1]")],
        port in prop::option::of(any::<u16>()),
        transport in prop::option::of("[a-z]{1,5}"),
    ) {
        let mut text = format!("sip:{}@{host}", escape_user(&user));
        port.iter().for_each(|port| text.push_str(&format!(":{port}")));
        transport.iter().for_each(|name| text.push_str(&format!(";transport={name};lr")));
        let uri = Uri::parse(&text).unwrap();
        prop_assert_eq!(uri.user_name().unwrap(), user);
        prop_assert_eq!(uri.host.unwrap().to_string(), host);
        prop_assert_eq!(uri.port, port);
        prop_assert_eq!(uri.params.get("Transport"), transport.as_deref());
        prop_assert_eq!(uri.params.has("lr"), transport.is_some());
        prop_assert_eq!(uri.to_string(), text);
    }

    #[test]
    fn a_display_name_reads_back_whatever_it_holds(display in "[ -~éß日]{1,30}", tag in "[a-z0-9]{1,8}") {
        let text = format!("{};tag={tag}", name_addr(&display, "sip:a@b"));
        let address = NameAddr::parse(&text).unwrap();
        prop_assert_eq!(address.display(), display);
        prop_assert_eq!(address.tag(), Some(tag.as_str()));
    }

    #[test]
    fn an_escape_resolves_to_what_was_escaped(text in any::<String>()) {
        let escaped = escape_user(&text);
        prop_assert!(escaped.is_ascii());
        prop_assert_eq!(unescape(&escaped), text);
    }

    // covers: RFC 3261 §7.3.1
    #[test]
    fn commas_part_values_only_outside_quotes_and_brackets(names in prop::collection::vec("[a-z,\"\\\\]{1,8}", 1..6)) {
        let addresses: Vec<_> = names.iter().map(|name| name_addr(name, "sip:a,b@c")).collect();
        let header = ("Contact".to_owned(), addresses.join(" , "));
        let message = request(&[header], b"");
        let read: Vec<_> = message.contacts().map(|one| one.unwrap().display().into_owned()).collect();
        prop_assert_eq!(read, names);
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_messages(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6),
        chunk in 1usize..400,
    ) {
        let messages: Vec<_> = bodies.iter().map(|body| request(&[], body).bytes().clone()).collect();
        let mut framer = StreamFramer::new();
        let mut cut = Vec::new();
        for part in messages.concat().chunks(chunk) {
            framer.push(part).unwrap();
            while let Some(frame) = framer.poll_frame().unwrap() {
                cut.extend(match frame { Frame::Message(bytes) => Some(bytes), Frame::Ping => None });
            }
        }
        prop_assert_eq!(cut, messages);
    }
}
