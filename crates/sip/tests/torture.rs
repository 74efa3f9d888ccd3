//! The torture messages of RFC 4475 and RFC 5118, each with the exact answer it earns and the layer
//! that gives it.
//!
//! Every message is offered as a datagram and as a stream cut by the framer, in one piece and byte
//! by byte. The server they meet is ours: it takes calls and registrations over SIP and `tel`,
//! reads SDP and plain text, and knows the extensions `100rel`, `timer` and `replaces`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use sip::message::{Accepts, Cause, ErrorKind, Message, Method};
use sip::transport::{Frame, StreamFramer};
use sipx_testkit::{rfc4475, rfc5118};

const SERVER: Accepts<'static> = Accepts {
    methods: &[
        Method::Invite,
        Method::Ack,
        Method::Bye,
        Method::Cancel,
        Method::Options,
        Method::Register,
        Method::Message,
    ],
    extensions: &["100rel", "timer", "replaces"],
    bodies: Some(&["application/sdp", "text/plain", "multipart/mixed"]),
    tel: true,
    passes_on: false,
};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Every layer of the message module takes it.
    Taken,
    /// [`Message::parse`], or on a stream the framer, refuses it with this answer.
    Form(u16),
    /// It parses; [`Message::validate_request`] refuses it with this answer.
    Meaning(u16),
    /// It is dropped without an answer by the parser.
    FormDropped,
    /// It parses and is dropped without an answer by the check.
    MeaningDropped,
    /// The stream has not brought all of it, and never will.
    Waits,
}
use Fate::{Form, FormDropped, Meaning, MeaningDropped, Taken, Waits};

fn of_datagram(bytes: Bytes) -> Fate {
    match Message::parse(bytes) {
        Err(error) => error.answer.map_or(FormDropped, Form),
        Ok(message) => of_message(&message),
    }
}

fn of_message(message: &Message) -> Fate {
    let checked = match message.is_request() {
        true => message.validate_request(&SERVER),
        false => message.validate_response(),
    };
    match checked {
        Ok(()) => Taken,
        Err(refusal) => refusal.answer.map_or(MeaningDropped, Meaning),
    }
}

fn read(name: &str) -> Message {
    Message::parse(Bytes::from_static(rfc4475::case(name).unwrap().bytes)).unwrap()
}

fn of_stream(bytes: &[u8], chunk: usize) -> Fate {
    let mut framer = StreamFramer::new();
    for chunk in bytes.chunks(chunk) {
        framer.push(chunk).unwrap();
        match framer.poll_frame() {
            Ok(Some(Frame::Message(message))) => return of_datagram(message),
            Ok(Some(Frame::Ping)) => panic!("no torture message begins with a keep-alive"),
            Ok(None) => {}
            Err(refused) => return refused.error.answer.map_or(FormDropped, Form),
        }
    }
    Waits
}

/// Name in the RFC's archive, fate as a datagram, fate on a stream.
const RFC_4475: [(&str, Fate, Fate); 49] = [
    // 3.1.1 valid; a method nobody knows is still refused by a server, with a 501.
    ("wsinv", Taken, Taken),
    ("intmeth", Meaning(501), Meaning(501)),
    ("esc01", Taken, Taken),
    ("escnull", Taken, Taken),
    ("esc02", Meaning(501), Meaning(501)),
    ("lwsdisp", Taken, Taken),
    ("longreq", Taken, Taken),
    ("dblreq", Taken, Taken),
    ("semiuri", Taken, Taken),
    ("transports", Taken, Taken),
    ("mpart01", Taken, Taken),
    ("unreason", Taken, Taken),
    ("noreason", Taken, Taken),
    // 3.1.2 invalid.
    ("badinv01", Meaning(400), Meaning(400)),
    ("clerr", Form(400), Waits),
    ("ncl", Form(400), Form(400)),
    ("scalar02", Meaning(400), Meaning(400)),
    ("scalarlg", MeaningDropped, MeaningDropped),
    ("quotbal", Meaning(400), Meaning(400)),
    ("ltgtruri", Form(400), Form(400)),
    ("lwsruri", Form(400), Form(400)),
    ("lwsstart", Form(400), Form(400)),
    ("trws", Form(400), Form(400)),
    ("escruri", Meaning(400), Meaning(400)),
    // A Date nobody here needs may be ignored.
    ("baddate", Taken, Taken),
    ("regbadct", Meaning(400), Meaning(400)),
    ("badaspec", Meaning(400), Meaning(400)),
    // The one message of the archive whose head never ends.
    ("baddn", Form(400), Waits),
    ("badvers", Form(505), Form(505)),
    ("mismatch01", Meaning(400), Meaning(400)),
    ("mismatch02", Meaning(400), Meaning(400)),
    ("bigcode", FormDropped, FormDropped),
    // 3.2 a branch of the cookie alone: matched as from before RFC 3261.
    ("badbranch", Taken, Taken),
    // 3.3 application layer.
    ("insuf", Meaning(400), Meaning(400)),
    ("unkscm", Meaning(416), Meaning(416)),
    ("novelsc", Meaning(416), Meaning(416)),
    ("unksm2", Meaning(400), Meaning(400)),
    ("bext01", Meaning(420), Meaning(420)),
    ("invut", Meaning(415), Meaning(415)),
    // The scheme of an Authorization is the registrar's matter: it challenges.
    ("regaut01", Taken, Taken),
    ("multi01", Meaning(400), Meaning(400)),
    ("mcl01", Form(400), Form(400)),
    ("bcast", MeaningDropped, MeaningDropped),
    ("zeromf", Taken, Taken),
    ("cparam01", Taken, Taken),
    ("cparam02", Taken, Taken),
    ("regescrt", Taken, Taken),
    ("sdp01", Meaning(406), Meaning(406)),
    // 3.4 no branch, no tag, no Content-Length: a datagram only.
    ("inv2543", Taken, Form(400)),
];

// covers: RFC 4475 §3.1.1.1, §3.1.1.2, §3.1.1.3, §3.1.1.4, §3.1.1.5, §3.1.1.6, §3.1.1.7, §3.1.1.8, §3.1.1.9, §3.1.1.10, §3.1.1.11, §3.1.1.12, §3.1.1.13
// covers: RFC 4475 §3.1.2.1, §3.1.2.2, §3.1.2.3, §3.1.2.4, §3.1.2.5, §3.1.2.6, §3.1.2.7, §3.1.2.8, §3.1.2.9, §3.1.2.10, §3.1.2.11, §3.1.2.12, §3.1.2.13, §3.1.2.14, §3.1.2.15, §3.1.2.16, §3.1.2.17, §3.1.2.18, §3.1.2.19
// covers: RFC 4475 §3.2.1, §3.3.1, §3.3.2, §3.3.3, §3.3.4, §3.3.5, §3.3.6, §3.3.7, §3.3.8, §3.3.9, §3.3.10, §3.3.11, §3.3.12, §3.3.13, §3.3.14, §3.3.15, §3.4.1
#[test]
fn each_message_of_rfc_4475_meets_its_fate_as_a_datagram_and_on_a_stream() {
    let mut wrong = Vec::new();
    for (name, datagram, stream) in RFC_4475 {
        let bytes = rfc4475::case(name).unwrap().bytes;
        let met = of_datagram(Bytes::from_static(bytes));
        if met != datagram {
            wrong.push(format!("{name}: want {datagram:?}, was {met:?}"));
        }
        for chunk in [1, 7, bytes.len()] {
            let met = of_stream(bytes, chunk);
            if met != stream {
                wrong.push(format!(
                    "{name} in chunks of {chunk}: want {stream:?}, was {met:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let named: Vec<_> = rfc4475::classified().map(|case| case.name).collect();
    assert!(
        named
            .iter()
            .all(|name| RFC_4475.iter().any(|row| row.0 == *name))
    );
}

/// All are requests to be taken but the one whose address lacks its brackets.
// covers: RFC 5118 §4.1, §4.2, §4.3, §4.4, §4.5, §4.6, §4.7, §4.8, §4.9, §4.10
#[test]
fn each_message_of_rfc_5118_meets_its_fate_as_a_datagram_and_on_a_stream() {
    assert_eq!(rfc5118::CASES.len(), 12);
    let mut wrong = Vec::new();
    for case in rfc5118::CASES {
        let want = if case.name == "ipv6-bad" {
            Meaning(400)
        } else {
            Taken
        };
        let bytes = case.wire();
        let met = [
            of_datagram(bytes.clone()),
            of_stream(&bytes, 1),
            of_stream(&bytes, 7),
            of_stream(&bytes, bytes.len()),
        ];
        if met != [want; 4] {
            let cause = Message::parse(bytes).map(|message| message.validate_request(&SERVER));
            wrong.push(format!(
                "{}: want {want:?}, was {met:?}: {cause:?}",
                case.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_taken_is_read_for_what_it_says() {
    let wsinv = read("wsinv");
    let branches: Vec<_> = wsinv.vias().map(|via| via.unwrap().branch()).collect();
    assert_eq!(
        branches,
        [
            Some("390skdjuw"),
            Some("z9hG4bK9ikj8"),
            Some("z9hG4bK30239")
        ]
    );
    assert_eq!(wsinv.cseq().map(|cseq| cseq.number), Ok(9));
    assert_eq!(wsinv.max_forwards(), Ok(Some(68)));
    assert_eq!(
        wsinv.header_named("NewFangledHeader"),
        Some("newfangled value   continued newfangled value")
    );
    let esc02 = read("esc02");
    assert_eq!(esc02.method_str(), Some("RE%47IST%45R"));
    let unreason = read("unreason");
    assert!(unreason.reason().ends_with("простое"));
    assert_eq!(read("noreason").reason(), "");
    assert_eq!(read("dblreq").body().len(), 0);
    assert_eq!(
        read("lwsdisp")
            .from()
            .map(|from| from.display().into_owned()),
        Ok("caller".into())
    );
}

/// The archive's copy has no end of headers; with one, its unquoted comma is what is wrong.
// covers: RFC 4475 §3.1.2.15
#[test]
fn a_display_name_with_a_bare_comma_earns_a_400() {
    let bytes = [rfc4475::case("baddn").unwrap().bytes, b"\r\n"].concat();
    let message = Message::parse(Bytes::from(bytes)).unwrap();
    let refusal = message.validate_request(&SERVER).unwrap_err();
    assert_eq!(refusal.answer, Some(400));
    assert!(matches!(refusal.cause, Cause::Malformed(error) if error.found == Some(b',')));
}

#[test]
fn a_message_with_no_hops_left_is_not_passed_on() {
    let zeromf = rfc4475::case("zeromf").unwrap().bytes;
    let message = Message::parse(Bytes::from_static(zeromf)).unwrap();
    let passing = Accepts {
        passes_on: true,
        ..SERVER
    };
    let refusal = message.validate_request(&passing).unwrap_err();
    assert_eq!((refusal.answer, refusal.cause), (Some(483), Cause::Hops));
}

#[test]
fn the_420_names_what_is_not_supported() {
    let bext01 = rfc4475::case("bext01").unwrap().bytes;
    let message = Message::parse(Bytes::from_static(bext01)).unwrap();
    let refusal = message.validate_request(&SERVER).unwrap_err();
    let answer = refusal
        .response(&message)
        .unwrap()
        .to_tag("t")
        .build()
        .unwrap();
    assert_eq!(answer.status(), Some(420));
    let expected = "nothingSupportsThis, nothingSupportsThisEither";
    assert_eq!(
        answer.header(sip::message::Name::Unsupported),
        Some(expected)
    );
}

#[test]
fn a_fault_in_the_form_is_placed() {
    let at = |name| {
        let bytes = rfc4475::case(name).unwrap().bytes;
        let error = Message::parse(Bytes::from_static(bytes)).unwrap_err();
        (error.kind, bytes.get(error.offset).copied())
    };
    assert_eq!(at("ltgtruri"), (ErrorKind::StartLine, Some(b'<')));
    assert_eq!(at("lwsstart"), (ErrorKind::StartLine, Some(b' ')));
    assert_eq!(at("ncl"), (ErrorKind::Framing, Some(b'-')));
    assert_eq!(at("clerr"), (ErrorKind::Framing, None));
}
