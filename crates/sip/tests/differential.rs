//! Two other parsers as oracles: what all of us read, we read alike; where they fail is counted.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use rsip::headers::UntypedHeader;
use rsip::message::{HasHeaders, HeadersExt};
use rsip::prelude::ToTypedHeader;
use sip::message::{Accepts, Cause, Message, Method, Refusal};
use sipx_sip::headers::{CSeq, CallId, Via};
use sipx_sip::parser::{Limits, parse_datagram};
use sipx_testkit::{rfc4475, rfc5118};

const INVITE: &[u8] = include_bytes!("../../../tests/data/sip/invite_1300.sip");

const ANYTHING: Accepts<'static> = Accepts {
    methods: &[
        Method::Invite,
        Method::Options,
        Method::Register,
        Method::Message,
    ],
    extensions: &[],
    bodies: Some(&[]),
    tel: true,
    passes_on: false,
};

/// What a parser read: method or status, URI, Call-ID, CSeq, number of Vias.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    start: String,
    uri: String,
    call_id: String,
    cseq: String,
    vias: usize,
}

fn ours(message: &Message) -> Reading {
    let status = message.status().map(|status| status.to_string());
    let cseq = message.cseq().unwrap();
    Reading {
        start: status.unwrap_or_else(|| message.method_str().unwrap().to_owned()),
        uri: message.request_uri().unwrap_or_default().to_owned(),
        call_id: message.call_id().unwrap().to_owned(),
        cseq: format!("{} {}", cseq.number, cseq.method_str),
        vias: message.vias().count(),
    }
}

fn sipx(bytes: &Bytes) -> Option<Reading> {
    let message = parse_datagram(bytes.clone(), &Limits::datagram()).ok()?;
    let (start, uri) = match &message {
        sipx_sip::message::Message::Request(request) => {
            (request.method.as_bytes().to_vec(), request.uri.to_string())
        }
        sipx_sip::message::Message::Response(response) => (
            response.status.code().to_string().into_bytes(),
            String::new(),
        ),
    };
    let cseq = message.headers().typed::<CSeq>()?.ok()?;
    let CallId(call_id) = message.headers().typed::<CallId>()?.ok()?;
    let vias: Vec<_> = message
        .headers()
        .typed_all::<Via>()
        .collect::<Result<_, _>>()
        .ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Reading {
        start: text(&start),
        uri,
        call_id: text(&call_id),
        cseq: format!("{} {}", cseq.sequence, text(cseq.method.as_bytes())),
        vias: vias.len(),
    })
}

fn rsip(bytes: &Bytes) -> Option<Reading> {
    let message = rsip::SipMessage::try_from(bytes.as_ref()).ok()?;
    let (start, uri) = match &message {
        rsip::SipMessage::Request(request) => (request.method.to_string(), request.uri.to_string()),
        rsip::SipMessage::Response(response) => {
            (response.status_code.code().to_string(), String::new())
        }
    };
    let cseq = message.cseq_header().ok()?.typed().ok()?;
    let is_via = |header: &&rsip::Header| matches!(header, rsip::Header::Via(_));
    Some(Reading {
        start,
        uri,
        call_id: message.call_id_header().ok()?.value().to_owned(),
        cseq: format!("{} {}", cseq.seq, cseq.method),
        vias: message.headers().iter().filter(is_via).count(),
    })
}

/// Well-formed messages: those all three are bound to read, with one Via a line.
fn well_formed() -> Vec<(&'static str, Bytes)> {
    let taken = [
        "esc01",
        "escnull",
        "lwsdisp",
        "longreq",
        "semiuri",
        "transports",
        "mpart01",
        "badbranch",
        "zeromf",
    ];
    let torture = taken.map(|name| (name, Bytes::from_static(rfc4475::case(name).unwrap().bytes)));
    let addresses = rfc5118::CASES.iter().filter(|case| case.name != "ipv6-bad");
    let mut all: Vec<_> = torture
        .into_iter()
        .chain(addresses.map(|case| (case.name, case.wire())))
        .collect();
    all.push(("invite_1300", Bytes::from_static(INVITE)));
    all
}

#[test]
fn what_sipx_reads_we_read_alike() {
    for (name, bytes) in well_formed() {
        let message = Message::parse(bytes.clone()).unwrap();
        assert_eq!(sipx(&bytes), Some(ours(&message)), "{name}");
    }
}

#[test]
fn what_rsip_reads_we_read_alike() {
    let mut read = 0;
    for (name, bytes) in well_formed() {
        let message = Message::parse(bytes.clone()).unwrap();
        if let Some(theirs) = rsip(&bytes) {
            assert_eq!(theirs, ours(&message), "{name}");
            read += 1;
        }
    }
    assert_eq!(
        (read, well_formed().len()),
        (9, 21),
        "how many rsip reads of how many"
    );
}

/// Whether a message of RFC 4475 has a form nobody should take for good, whoever serves it.
fn is_malformed(bytes: &Bytes) -> bool {
    let Ok(message) = Message::parse(bytes.clone()) else {
        return true;
    };
    let checked = match message.is_request() {
        true => message.validate_request(&ANYTHING),
        false => message.validate_response(),
    };
    matches!(
        checked,
        Err(Refusal {
            cause: Cause::Malformed(_),
            ..
        })
    )
}

/// Whether rsip, asked for all it offers of the headers a server reads, finds nothing wrong.
fn rsip_takes(bytes: &Bytes) -> bool {
    let Ok(message) = rsip::SipMessage::try_from(bytes.as_ref()) else {
        return false;
    };
    let needed = message.via_header().is_ok_and(|via| via.typed().is_ok())
        && message.from_header().is_ok_and(|from| from.typed().is_ok())
        && message.to_header().is_ok_and(|to| to.typed().is_ok())
        && message.cseq_header().is_ok_and(|cseq| cseq.typed().is_ok())
        && message.call_id_header().is_ok();
    needed
        && message
            .contact_header()
            .map_or(true, |contact| contact.typed().is_ok())
}

/// rsip is right where it reads a sound message as we do, and refuses, at any depth, a malformed
/// one.
#[test]
fn rsip_gets_fewer_of_the_49_torture_messages_right() {
    let is_right = |case: &&'static rfc4475::Case| {
        let bytes = Bytes::from_static(case.bytes);
        if is_malformed(&bytes) {
            return !rsip_takes(&bytes);
        }
        rsip(&bytes) == Message::parse(bytes).ok().map(|message| ours(&message))
    };
    let (right, wrong): (Vec<&rfc4475::Case>, Vec<&rfc4475::Case>) =
        rfc4475::classified().partition(is_right);
    let names: Vec<_> = wrong.iter().map(|case| case.name).collect();
    assert_eq!(right.len(), 33, "wrong: {names:?}");
}
