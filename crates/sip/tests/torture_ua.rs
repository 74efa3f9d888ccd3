//! The torture messages of RFC 4475 and RFC 5118 as a peer sees them: what the user agent answers,
//! tells its user, or keeps to itself, as a datagram and on a stream, from a peer and from a
//! stranger.
//!
//! Beside `torture.rs`, which says what layer judges, this says what can be observed from outside.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use clock::Now;
use sip::message::{Message, Method, Name};
use sip::transport::{ConnectionId, Flow, Frame, ListenerId, StreamFramer, Transport};
use sip::ua::{Counts, Event, Listener, Output, UserAgent, UserAgentConfig};
use sipx_testkit::{rfc4475, rfc5118};

/// What is seen of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// A call: 100 goes out at once, and the user is told.
    Called,
    /// A request that the user answers.
    Asked(Method),
    /// Well-formed and not served: refused within a transaction.
    Refused(u16),
    /// A request in a dialog that is not there: 481, without a transaction.
    NoDialog,
    /// Malformed: answered without a transaction, if its sender may speak to us.
    Unfit(u16),
    /// Malformed, and never answered: a response, or nobody to answer to.
    Dropped,
    /// A response to no request of ours.
    Stray,
}
use Method::{Message as Text, Options, Register};
use Seen::{Asked, Called, Dropped, NoDialog, Refused, Stray, Unfit};

fn user_agent() -> UserAgent {
    let listener = |id, transport| Listener {
        id: ListenerId(id),
        transport,
        advertised_host: "192.0.2.1".into(),
        advertised_port: 5060,
    };
    let listeners = vec![listener(0, Transport::Udp), listener(1, Transport::Tcp)];
    let mut config = UserAgentConfig::new(listeners, "tortured");
    config.messages = true;
    UserAgent::new(config, 4475)
}

const fn datagram() -> Flow {
    let remote = std::net::Ipv4Addr::new(192, 0, 2, 9);
    Flow::udp(
        ListenerId(0),
        std::net::SocketAddr::new(std::net::IpAddr::V4(remote), 5060),
    )
}

const fn stream() -> Flow {
    Flow {
        transport: Transport::Tcp,
        listener: ListenerId(1),
        connection: Some(ConnectionId(1)),
        ..datagram()
    }
}

/// Drains what one message brought about, and names it.
fn observe(ua: &mut UserAgent, before: Counts) -> (Seen, Vec<Bytes>) {
    let (mut sent, mut told) = (Vec::new(), Vec::new());
    while let Some(output) = ua.poll_output() {
        match output {
            Output::Transmit { bytes, .. } => sent.push(bytes),
            // Told beside the refusal that went out.
            Output::Event(Event::TurnedAway { .. }) => {}
            Output::Event(event) => told.push(event),
        }
    }
    let statuses: Vec<_> = sent
        .iter()
        .map(|bytes| Message::parse(bytes.clone()).unwrap().status().unwrap())
        .collect();
    let after = ua.counts();
    let malformed = after.malformed - before.malformed;
    let opened = after.transactions - before.transactions;
    let seen = match (&statuses[..], &told[..], malformed, opened) {
        ([100], [Event::Invited { .. }], 0, 1) => Called,
        ([], [Event::Requested { request, .. }], 0, 1) => Asked(request.method().unwrap()),
        ([481], [], 0, 0) => NoDialog,
        // On a reliable transport it is over at once (RFC 3261 §17.2.2).
        (&[status], [], 0, _) => Refused(status),
        (&[status], [], 1, 0) => Unfit(status),
        ([], [], 1, 0) => Dropped,
        ([], [], 0, 0) if after.strays > before.strays => Stray,
        other => panic!("{other:?}"),
    };
    (seen, sent)
}

fn as_datagram(bytes: &[u8], trusted: bool) -> Seen {
    let (mut ua, before) = (user_agent(), Counts::default());
    let message = Bytes::copy_from_slice(bytes);
    ua.receive(Now::ZERO, datagram(), message, trusted);
    observe(&mut ua, before).0
}

/// What each message on a stream brings about; nothing while one is not all there.
fn on_stream(bytes: &[u8], chunk: usize) -> Vec<Seen> {
    let (mut ua, mut framer, mut seen) = (user_agent(), StreamFramer::new(), Vec::new());
    for chunk in bytes.chunks(chunk) {
        framer.push(chunk).unwrap();
        loop {
            let before = ua.counts();
            match framer.poll_frame() {
                Ok(None) => break,
                Ok(Some(Frame::Ping)) => panic!("no torture message is a keep-alive"),
                Ok(Some(Frame::Message(message))) => {
                    ua.receive(Now::ZERO, stream(), message, true);
                    seen.push(observe(&mut ua, before).0);
                }
                Err(refused) => {
                    ua.unframeable(stream(), &refused, true);
                    seen.push(observe(&mut ua, before).0);
                    return seen;
                }
            }
        }
    }
    seen
}

/// Name in the RFC's archive, what is seen of it as a datagram, and on a stream where that differs.
const RFC_4475: [(&str, Seen, Option<&[Seen]>); 49] = [
    // 3.1.1 valid; this one has a To tag.
    ("wsinv", NoDialog, None),
    ("intmeth", Refused(501), None),
    ("esc01", Called, None),
    ("escnull", Asked(Register), None),
    ("esc02", Refused(501), None),
    ("lwsdisp", Asked(Options), None),
    ("longreq", Called, None),
    // Octets behind the body: no part of a datagram, on a stream the next request, whose own body is
    // longer than it says.
    (
        "dblreq",
        Asked(Register),
        Some(&[Asked(Register), Called, Dropped]),
    ),
    ("semiuri", Asked(Options), None),
    ("transports", Asked(Options), None),
    ("mpart01", Asked(Text), None),
    ("unreason", Stray, None),
    ("noreason", Stray, None),
    // 3.1.2 invalid.
    ("badinv01", Unfit(400), None),
    ("clerr", Unfit(400), Some(&[])),
    ("ncl", Unfit(400), None),
    ("scalar02", Unfit(400), None),
    ("scalarlg", Dropped, None),
    ("quotbal", Unfit(400), None),
    ("ltgtruri", Unfit(400), None),
    ("lwsruri", Unfit(400), None),
    ("lwsstart", Unfit(400), None),
    ("trws", Unfit(400), None),
    ("escruri", Unfit(400), None),
    // A Date nobody here needs may be ignored.
    ("baddate", Called, None),
    ("regbadct", Unfit(400), None),
    ("badaspec", Unfit(400), None),
    // The one message of the archive whose head never ends.
    ("baddn", Unfit(400), Some(&[])),
    ("badvers", Unfit(505), None),
    ("mismatch01", Unfit(400), None),
    ("mismatch02", Unfit(400), None),
    ("bigcode", Dropped, None),
    // 3.2 a branch of the cookie alone: matched as from before RFC 3261.
    ("badbranch", Asked(Options), None),
    // 3.3 application layer.
    ("insuf", Unfit(400), None),
    ("unkscm", Refused(416), None),
    ("novelsc", Refused(416), None),
    ("unksm2", Unfit(400), None),
    ("bext01", Refused(420), None),
    ("invut", Refused(415), None),
    // The scheme of an Authorization is the registrar's matter: it challenges.
    ("regaut01", Asked(Register), None),
    ("multi01", Unfit(400), None),
    ("mcl01", Unfit(400), None),
    // A response with Vias of others left on it belongs to them.
    ("bcast", Stray, None),
    ("zeromf", Asked(Options), None),
    ("cparam01", Asked(Register), None),
    ("cparam02", Asked(Register), None),
    ("regescrt", Asked(Register), None),
    ("sdp01", Refused(406), None),
    // 3.4 no branch, no tag, no Content-Length: a datagram only.
    ("inv2543", Called, Some(&[Unfit(400)])),
];

/// Name, and what is seen of it either way.
const RFC_5118: [(&str, Seen); 12] = [
    ("ipv6-good", Asked(Register)),
    ("ipv6-bad", Unfit(400)),
    ("port-ambiguous", Asked(Register)),
    ("port-unambiguous", Asked(Register)),
    ("via-received-param-with-delim", NoDialog),
    ("via-received-param-no-delim", Asked(Options)),
    ("ipv6-in-sdp", Called),
    ("mult-ip-in-header", NoDialog),
    ("mult-ip-in-sdp", Called),
    ("ipv4-mapped-ipv6", Called),
    ("ipv6-bug-abnf-3-colons", Asked(Options)),
    ("ipv6-correct-abnf-2-colons", Asked(Options)),
];

/// Both archives: name, bytes, datagram, stream.
fn rows() -> impl Iterator<Item = (&'static str, Vec<u8>, Seen, Vec<Seen>)> {
    let torture = RFC_4475.into_iter().map(|(name, seen, streamed)| {
        let bytes = rfc4475::case(name).unwrap().bytes.to_vec();
        (name, bytes, seen, streamed.unwrap_or(&[seen]).to_vec())
    });
    let addresses = RFC_5118.into_iter().map(|(name, seen)| {
        let case = rfc5118::CASES
            .iter()
            .find(|case| case.name == name)
            .unwrap();
        (name, case.wire().to_vec(), seen, vec![seen])
    });
    torture.chain(addresses)
}

// covers: RFC 4475 §3.1.1.1, §3.1.1.2, §3.1.1.3, §3.1.1.4, §3.1.1.5, §3.1.1.6, §3.1.1.7, §3.1.1.8, §3.1.1.9, §3.1.1.10, §3.1.1.11, §3.1.1.12, §3.1.1.13
// covers: RFC 4475 §3.1.2.1, §3.1.2.2, §3.1.2.3, §3.1.2.4, §3.1.2.5, §3.1.2.6, §3.1.2.7, §3.1.2.8, §3.1.2.9, §3.1.2.10, §3.1.2.11, §3.1.2.12, §3.1.2.13, §3.1.2.14, §3.1.2.15, §3.1.2.16, §3.1.2.17, §3.1.2.18, §3.1.2.19
// covers: RFC 4475 §3.2.1, §3.3.1, §3.3.2, §3.3.3, §3.3.4, §3.3.5, §3.3.6, §3.3.7, §3.3.8, §3.3.9, §3.3.10, §3.3.11, §3.3.12, §3.3.13, §3.3.14, §3.3.15, §3.4.1
// covers: RFC 5118 §4.1, §4.2, §4.3, §4.4, §4.5, §4.6, §4.7, §4.8, §4.9, §4.10
// covers: RFC 3261 §8.2.1, §8.2.2.1, §8.2.2.3, §8.2.3
#[test]
fn every_torture_message_is_seen_as_the_tables_say_by_datagram_and_by_stream() {
    let mut wrong = Vec::new();
    for (name, bytes, want, wants) in rows() {
        let met = as_datagram(&bytes, true);
        if met != want {
            wrong.push(format!("{name}: want {want:?}, was {met:?}"));
        }
        for chunk in [1, 7, bytes.len()] {
            let met = on_stream(&bytes, chunk);
            if met != wants {
                wrong.push(format!("{name} by {chunk}: want {wants:?}, was {met:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        (rfc4475::classified().count(), rfc5118::CASES.len()),
        (49, 12)
    );
    let named = |name| RFC_4475.iter().any(|row| row.0 == name);
    assert!(rfc4475::classified().all(|case| named(case.name)));
}

#[test]
fn a_stranger_hears_nothing_of_what_is_malformed_and_the_same_of_the_rest() {
    for (name, bytes, want, _) in rows() {
        let want = if let Unfit(_) = want { Dropped } else { want };
        assert_eq!(as_datagram(&bytes, false), want, "{name}");
    }
}

// covers: RFC 3261 §8.2.7, §17.2.1, §17.2.2
#[test]
fn the_same_datagram_again_brings_the_same_answer_and_no_second_event() {
    for (name, bytes, want, _) in rows() {
        let mut ua = user_agent();
        let take = |ua: &mut UserAgent| {
            let message = Bytes::copy_from_slice(&bytes);
            ua.receive(Now::ZERO, datagram(), message, true);
        };
        take(&mut ua);
        let (_, first) = observe(&mut ua, Counts::default());
        let before = ua.counts();
        take(&mut ua);
        let mut again = Vec::new();
        while let Some(output) = ua.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => again.push(bytes),
                Output::Event(event) => panic!("{name}: {event:?}"),
            }
        }
        assert_eq!(first, again, "{name}");
        assert_eq!(before.transactions, ua.counts().transactions, "{name}");
        let absorbed = matches!(want, Called | Asked(_) | Refused(_));
        assert_eq!(ua.counts().retransmissions, u64::from(absorbed), "{name}");
    }
}

// covers: RFC 3261 §8.2.6.2
#[test]
fn every_answer_can_be_matched_by_who_asked() {
    for (name, bytes, _, _) in rows() {
        let mut ua = user_agent();
        ua.receive(Now::ZERO, datagram(), Bytes::from(bytes.clone()), true);
        let (_, sent) = observe(&mut ua, Counts::default());
        let asked = Message::parse(Bytes::from(bytes));
        let (Ok(asked), Some(answer)) = (asked, sent.first()) else {
            continue;
        };
        let answer = Message::parse(answer.clone()).unwrap();
        for kept in [Name::CallId, Name::CSeq, Name::From] {
            assert_eq!(asked.header(kept), answer.header(kept), "{name} {kept}");
        }
        assert_eq!(
            asked.headers(Name::Via).count(),
            answer.headers(Name::Via).count()
        );
        let is_final = answer.status().unwrap() > 100;
        let has_tag = answer.to().is_ok_and(|to| to.tag().is_some());
        assert!(!is_final || has_tag || asked.to().is_err(), "{name}");
    }
}

#[test]
fn a_refusal_says_what_would_have_been_served() {
    let table = [
        ("intmeth", Name::Allow, "INVITE"),
        ("bext01", Name::Unsupported, "nothingSupportsThisEither"),
        ("invut", Name::Accept, "application/sdp"),
    ];
    for (name, header, value) in table {
        let mut ua = user_agent();
        let message = Bytes::from_static(rfc4475::case(name).unwrap().bytes);
        ua.receive(Now::ZERO, datagram(), message, true);
        let (_, sent) = observe(&mut ua, Counts::default());
        let answer = Message::parse(sent[0].clone()).unwrap();
        assert!(answer.header(header).unwrap().contains(value), "{name}");
    }
}

/// The statuses that go out for what is seen.
fn answers(seen: Seen) -> Vec<u16> {
    match seen {
        Called => vec![100],
        NoDialog => vec![481],
        Refused(status) | Unfit(status) => vec![status],
        Asked(_) | Dropped | Stray => Vec::new(),
    }
}

fn transmitted(ua: &mut UserAgent) -> Vec<Bytes> {
    let outputs = std::iter::from_fn(|| ua.poll_output());
    let bytes = outputs.filter_map(|output| match output {
        Output::Transmit { bytes, .. } => Some(bytes),
        Output::Event(_) => None,
    });
    bytes.collect()
}

fn status_of(bytes: &[u8]) -> u16 {
    let message = Message::parse(Bytes::copy_from_slice(bytes)).unwrap();
    message.status().unwrap()
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

// covers: RFC 3261 §18.3
#[test]
fn over_a_real_udp_socket_every_torture_message_is_answered_as_the_table_says() {
    use std::net::UdpSocket;
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    for socket in [&server, &peer] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut buffer = vec![0; 65_536];
    for (name, bytes, want, _) in rows() {
        peer.send_to(&bytes, server.local_addr().unwrap()).unwrap();
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        let mut ua = user_agent();
        let flow = Flow {
            remote: from,
            ..datagram()
        };
        let message = Bytes::copy_from_slice(&buffer[..length]);
        ua.receive(Now::ZERO, flow, message, true);
        let sent = transmitted(&mut ua);
        let mut heard = Vec::new();
        for answer in &sent {
            // To the socket that asked, whatever port the message's Via names.
            server.send_to(answer, from).unwrap();
            let length = peer.recv(&mut buffer).unwrap();
            heard.push(status_of(&buffer[..length]));
        }
        assert_eq!(heard, answers(want), "{name}");
    }
}

// covers: RFC 3261 §18.3
#[test]
fn over_a_real_tcp_connection_every_torture_message_is_answered_as_the_table_says() {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (name, bytes, _, wants) in rows() {
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, from) = listener.accept().unwrap();
        for socket in [&peer, &server] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        peer.write_all(&bytes).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let (mut ua, mut framer) = (user_agent(), StreamFramer::new());
        let flow = Flow {
            remote: from,
            ..stream()
        };
        let mut sent = Vec::new();
        let mut chunk = [0; 1_000];
        'connection: loop {
            let length = server.read(&mut chunk).unwrap();
            if length == 0 {
                break;
            }
            framer.push(&chunk[..length]).unwrap();
            loop {
                match framer.poll_frame() {
                    Ok(None) => break,
                    Ok(Some(Frame::Ping)) => panic!("no torture message is a keep-alive"),
                    Ok(Some(Frame::Message(message))) => {
                        ua.receive(Now::ZERO, flow, message, true);
                        sent.extend(transmitted(&mut ua));
                    }
                    Err(refused) => {
                        ua.unframeable(flow, &refused, true);
                        sent.extend(transmitted(&mut ua));
                        break 'connection;
                    }
                }
            }
        }
        for answer in &sent {
            server.write_all(answer).unwrap();
        }
        drop(server);
        let mut heard = Vec::new();
        // A connection that was cut off unread is reset once its answer was taken.
        let _ = peer.read_to_end(&mut heard);
        let (mut statuses, mut answered) = (Vec::new(), StreamFramer::new());
        answered.push(&heard).unwrap();
        while let Ok(Some(Frame::Message(message))) = answered.poll_frame() {
            statuses.push(status_of(&message));
        }
        let want: Vec<u16> = wants.iter().flat_map(|seen| answers(*seen)).collect();
        assert_eq!(statuses, want, "{name}");
    }
}
