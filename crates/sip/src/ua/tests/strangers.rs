//! Requests from a peer that is not one of us: what is wrong with them, and what they get.

use super::pair::Side;
use super::pair::address;
use crate::message::{Message, Name};
use crate::transport::{Flow, ListenerId, Transport};
use crate::ua::*;
use bytes::Bytes;
use clock::{Duration, Now};

pub(super) fn ua() -> UserAgent {
    let listener = Listener {
        id: ListenerId(0),
        transport: Transport::Udp,
        advertised_host: "10.0.0.2".into(),
        advertised_port: 5060,
    };
    UserAgent::new(UserAgentConfig::new(vec![listener], "us"), 9)
}

pub(super) fn flow() -> Flow {
    Flow::udp(ListenerId(0), address(Side::A))
}

/// A request; `extra` are further header lines, each with its CRLF.
fn request(method: &str, cseq: u32, branch: &str, to_tag: &str, extra: &str) -> String {
    format!(
        "{method} sip:bob@10.0.0.2 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.1:5060;branch={branch}\r\n\
         From: <sip:alice@10.0.0.1>;tag=a\r\nTo: <sip:bob@10.0.0.2>{to_tag}\r\n\
         Call-ID: call\r\nCSeq: {cseq} {method}\r\nContact: <sip:alice@10.0.0.1>\r\n{extra}\r\n"
    )
}

/// Feeds a message, and returns what was sent and what was told.
fn feed(ua: &mut UserAgent, text: &str) -> (Vec<Message>, Vec<Event>) {
    ua.receive(
        Now::ZERO,
        flow(),
        Bytes::copy_from_slice(text.as_bytes()),
        true,
    );
    drain(ua)
}

pub(super) fn drain(ua: &mut UserAgent) -> (Vec<Message>, Vec<Event>) {
    let (mut sent, mut told) = (Vec::new(), Vec::new());
    while let Some(output) = ua.poll_output() {
        match output {
            Output::Transmit { bytes, .. } => sent.push(Message::parse(bytes).unwrap()),
            Output::Event(event) => told.push(event),
        }
    }
    (sent, told)
}

pub(super) fn statuses(sent: &[Message]) -> Vec<u16> {
    sent.iter().filter_map(Message::status).collect()
}

// covers: RFC 3261 §8.2.1, RFC 3261 §20.5, RFC 3428 §4, RFC 6665 §4.2.1.1
#[test]
fn messages_and_subscriptions_are_refused_unless_they_are_allowed() {
    let message = request("MESSAGE", 1, "z9hG4bKm", "", "");
    let subscribe = |event| {
        request(
            "SUBSCRIBE",
            1,
            "z9hG4bKs",
            "",
            &format!("Event: {event}\r\n"),
        )
    };
    let mut plain = ua();
    for text in [&message, &subscribe("presence")] {
        let (sent, _) = feed(&mut plain, text);
        assert_eq!(statuses(&sent), [405]);
        let allow = sent[0].header(Name::Allow).unwrap();
        assert!(
            allow.contains("PRACK") && !allow.contains("MESSAGE") && !allow.contains("SUBSCRIBE")
        );
    }
    let mut config = plain.config.clone();
    config.messages = true;
    config.event_packages = vec!["dialog".into(), "message-summary".into()];
    let mut open = UserAgent::new(config, 9);
    assert!(matches!(
        feed(&mut open, &message).1[..],
        [Event::Requested { .. }]
    ));
    assert!(matches!(
        feed(&mut open, &subscribe("dialog")).1[..],
        [Event::Requested { .. }]
    ));
    let (sent, _) = feed(
        &mut open,
        &subscribe("presence")
            .replace("z9hG4bKs", "z9hG4bKt")
            .replace("Call-ID: call", "Call-ID: other"),
    );
    assert_eq!(statuses(&sent), [489]);
    assert_eq!(
        sent[0].header(Name::AllowEvents),
        Some("dialog, message-summary")
    );
}

// covers: RFC 3261 §16.3
#[test]
fn our_own_invite_that_comes_back_is_a_loop_and_another_target_makes_it_a_spiral() {
    let mut ua = ua();
    let invite = Invite {
        request_uri: "sip:bob@10.0.0.1".into(),
        flow: flow(),
        from: "<sip:us@10.0.0.2>".into(),
        to: "<sip:bob@10.0.0.1>".into(),
        contact_user: "us".into(),
        headers: vec![],
        offer: None,
        credentials: None,
        max_forwards: 70,
        reliable: Reliable::Supported,
        timers: None,
    };
    ua.invite(Now::ZERO, invite).unwrap();
    let (sent, _) = drain(&mut ua);
    let text = String::from_utf8(sent[0].bytes().to_vec()).unwrap();
    let proxied = |uri: &str, branch: &str| {
        let via = format!("Via: SIP/2.0/UDP 10.0.0.1;branch={branch}\r\nVia:");
        text.replacen("Via:", &via, 1)
            .replacen("sip:bob@10.0.0.1", uri, 1)
    };
    let (sent, told) = feed(&mut ua, &proxied("sip:bob@10.0.0.1", "z9hG4bKloop"));
    assert_eq!(statuses(&sent), [482]);
    assert!(matches!(told[..], [Event::TurnedAway { status: 482, .. }]));
    // The loop was answered by a transaction of its own, so the spiral is no merged copy of it.
    let other = proxied("sip:carol@10.0.0.2", "z9hG4bKspiral").replace("CSeq: 1 ", "CSeq: 2 ");
    let (sent, told) = feed(&mut ua, &other);
    assert_eq!(statuses(&sent), [100]);
    assert!(matches!(told[..], [Event::Invited { .. }]));
}

fn sdp(length: usize, kind: &str) -> String {
    format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n")
}

// covers: RFC 3261 §8.2.1, RFC 3261 §8.2.2.3, RFC 3261 §8.2.3, RFC 3261 §12.2.2, RFC 7332 §3
#[test]
fn what_cannot_be_served_is_refused_with_what_would_be() {
    let invite = |extra: &str| request("INVITE", 1, "z9hG4bKx", "", extra);
    let table = [
        (
            request("DANCE", 1, "z9hG4bKx", "", ""),
            501,
            Name::Allow,
            "INVITE",
        ),
        (
            invite("Require: 199, timer\r\n"),
            420,
            Name::Unsupported,
            "199",
        ),
        (invite("Max-Forwards: 0\r\n"), 483, Name::Server, "us"),
        (
            invite(&sdp(0, "application/sdp")).replace("Length: 0", "Length: 1") + "x",
            100,
            Name::Server,
            "us",
        ),
        (
            invite(&sdp(1, "text/plain")) + "x",
            415,
            Name::Accept,
            "application/sdp",
        ),
        (
            invite(&("Content-Encoding: gzip\r\n".to_owned() + &sdp(1, "application/sdp"))) + "x",
            415,
            Name::AcceptEncoding,
            "identity",
        ),
        (
            invite("Supported: timer\r\nSession-Expires: 60\r\n"),
            422,
            Name::MinSe,
            "90",
        ),
        (
            request("BYE", 1, "z9hG4bKx", ";tag=none", ""),
            481,
            Name::Server,
            "us",
        ),
        (
            request("INVITE", 1, "z9hG4bKx", ";tag=0123456789abcdef", ""),
            481,
            Name::Server,
            "us",
        ),
        (
            request("UPDATE", 1, "z9hG4bKx", "", ""),
            481,
            Name::Server,
            "us",
        ),
        (
            request("CANCEL", 1, "z9hG4bKx", "", ""),
            481,
            Name::Server,
            "us",
        ),
    ];
    for (text, status, name, value) in table {
        let (sent, told) = feed(&mut ua(), &text);
        assert_eq!(statuses(&sent), [status], "{text}");
        if status != 100 {
            assert!(
                sent[0].header(name).is_some_and(|v| v.contains(value)),
                "{text}"
            );
            assert!(told.iter().all(|it| matches!(it, Event::TurnedAway { .. })));
        }
    }
}

// covers: RFC 3261 §8.2.2.2
#[test]
fn the_same_call_by_another_way_is_a_482() {
    let mut ua = ua();
    assert_eq!(
        statuses(&feed(&mut ua, &request("INVITE", 1, "z9hG4bKx", "", "")).0),
        [100]
    );
    let (sent, told) = feed(&mut ua, &request("INVITE", 1, "z9hG4bKy", "", ""));
    assert_eq!(statuses(&sent), [482]);
    assert!(matches!(told[..], [Event::TurnedAway { status: 482, .. }]));
}

// covers: RFC 3261 §17.2.3
#[test]
fn a_retransmission_is_absorbed_by_branch_or_by_the_old_rules() {
    for branch in ["z9hG4bKx", "1"] {
        let mut ua = ua();
        let invite = request("INVITE", 1, branch, "", "");
        let (_, told) = feed(&mut ua, &invite);
        let [Event::Invited { session, .. }] = told[..] else {
            panic!()
        };
        assert_eq!(feed(&mut ua, &invite).1.len(), 0);
        assert_eq!(ua.counts().retransmissions, 1);
        ua.end(
            Now::ZERO,
            session,
            Ending {
                status: 486,
                ..Ending::default()
            },
        );
        let (sent, _) = drain(&mut ua);
        let tag = format!(";tag={}", sent[0].to().unwrap().tag().unwrap());
        assert_eq!(statuses(&feed(&mut ua, &invite).0), [486]);
        feed(
            &mut ua,
            &request("INVITE", 1, branch, &tag, "").replace("INVITE", "ACK"),
        );
        // Confirmed: nothing is sent again, and after T4 nothing is left.
        assert_eq!(feed(&mut ua, &invite).0.len(), 0);
        ua.handle_timeout(Now::ZERO + Duration::from_secs(6));
        assert_eq!(ua.counts().transactions, 0);
    }
}

// covers: RFC 3261 §12.2.2
#[test]
fn gaps_in_cseq_are_legal_and_steps_back_are_not() {
    let mut ua = ua();
    let (_, told) = feed(&mut ua, &request("INVITE", 5, "z9hG4bKx", "", ""));
    let [Event::Invited { session, .. }] = told[..] else {
        panic!()
    };
    ua.accept(Now::ZERO, session, None, &[]);
    let (sent, _) = drain(&mut ua);
    let tag = format!(";tag={}", sent[0].to().unwrap().tag().unwrap());
    let info = |cseq, branch: &str| request("INFO", cseq, branch, &tag, "");
    let (sent, told) = feed(&mut ua, &info(50, "z9hG4bK1"));
    assert_eq!((sent.len(), told.len()), (0, 1));
    let (sent, told) = feed(&mut ua, &info(49, "z9hG4bK2"));
    assert_eq!((statuses(&sent), told.len()), (vec![500], 0));
    // Another's tag is another dialog.
    let other = info(51, "z9hG4bK3").replace("tag=a", "tag=b");
    assert_eq!(statuses(&feed(&mut ua, &other).0), [481]);
}

// covers: RFC 3261 §14.2
#[test]
fn a_second_offer_before_the_first_is_answered_gets_500_with_a_time() {
    let mut ua = ua();
    let (_, told) = feed(&mut ua, &request("INVITE", 1, "z9hG4bKx", "", ""));
    let [Event::Invited { session, .. }] = told[..] else {
        panic!()
    };
    ua.accept(Now::ZERO, session, None, &[]);
    let (sent, _) = drain(&mut ua);
    let tag = format!(";tag={}", sent[0].to().unwrap().tag().unwrap());
    feed(&mut ua, &request("ACK", 1, "z9hG4bK0", &tag, ""));
    let offer = |cseq, branch: &str| {
        request("INVITE", cseq, branch, &tag, &sdp(1, "application/sdp")) + "x"
    };
    assert_eq!(feed(&mut ua, &offer(2, "z9hG4bK1")).1.len(), 1);
    let (sent, _) = feed(&mut ua, &offer(3, "z9hG4bK2"));
    assert_eq!(statuses(&sent), [500]);
    assert!(sent[0].retry_after().unwrap().unwrap().seconds <= 10);
    // An UPDATE without an offer is a mere refresh and passes.
    let update = request("UPDATE", 4, "z9hG4bK3", &tag, "");
    assert_eq!(statuses(&feed(&mut ua, &update).0), [200]);
}

// covers: RFC 3261 §12.1.1, RFC 3261 §12.2.1.1, RFC 3261 §16.12.1.2
#[test]
fn the_recorded_route_is_walked_loose_or_strict() {
    let routes = "Record-Route: <sip:p1.example;lr>, <sip:p2.example>\r\n";
    let table = [
        (
            routes.to_owned(),
            "sip:alice@10.0.0.1",
            "<sip:p1.example;lr> <sip:p2.example>",
        ),
        (
            routes.replace(";lr", ""),
            "sip:p1.example",
            "<sip:p2.example> <sip:alice@10.0.0.1>",
        ),
    ];
    for (routes, uri, wanted) in table {
        let mut ua = ua();
        let (_, told) = feed(&mut ua, &request("INVITE", 1, "z9hG4bKx", "", &routes));
        let [Event::Invited { session, .. }] = told[..] else {
            panic!()
        };
        ua.accept(Now::ZERO, session, None, &[]);
        let (sent, _) = drain(&mut ua);
        assert!(sent[0].header(Name::RecordRoute).is_some());
        let tag = format!(";tag={}", sent[0].to().unwrap().tag().unwrap());
        feed(&mut ua, &request("ACK", 1, "z9hG4bK0", &tag, ""));
        ua.end(Now::ZERO, session, Ending::default());
        let (sent, _) = drain(&mut ua);
        assert_eq!(sent[0].request_uri(), Some(uri));
        assert_eq!(
            sent[0].values(Name::Route).collect::<Vec<_>>().join(" "),
            wanted
        );
    }
}

// covers: RFC 3261 §18.2.2
#[test]
fn a_response_without_rport_goes_to_the_port_of_the_via() {
    let mut ua = ua();
    let text = request("OPTIONS", 1, "z9hG4bKx", ";tag=x", "").replace("10.0.0.1:5060", "h:5999");
    ua.receive(Now::ZERO, flow(), text.into(), true);
    let Some(Output::Transmit { flow, bytes }) = ua.poll_output() else {
        panic!()
    };
    assert_eq!(flow.remote, "10.0.0.1:5999".parse().unwrap());
    let response = Message::parse(bytes).unwrap();
    assert_eq!(
        response.via().unwrap().received(),
        Some([10, 0, 0, 1].into())
    );
}

#[test]
fn a_malformed_request_is_answered_only_to_those_who_may_speak_to_us() {
    let broken = request("INVITE", 1, "z9hG4bKx", "", "").replace("1 INVITE", "one INVITE");
    for trusted in [true, false] {
        let mut ua = ua();
        ua.receive(Now::ZERO, flow(), Bytes::from(broken.clone()), trusted);
        let (sent, told) = drain(&mut ua);
        let wanted = if trusted { vec![400] } else { vec![] };
        assert_eq!((statuses(&sent), told.len()), (wanted, 0));
        assert_eq!((ua.counts().malformed, ua.counts().transactions), (1, 0));
    }
}

// covers: RFC 3261 §8.1.3.3, RFC 3261 §18.1.2
#[test]
fn strays_are_counted_and_nothing_else() {
    let mut ua = ua();
    let response = request("INVITE", 1, "z9hG4bK0123456789abcdef", ";tag=x", "")
        .replace("INVITE sip:bob@10.0.0.2 SIP/2.0", "SIP/2.0 200 OK");
    for text in [response, request("ACK", 1, "z9hG4bKx", ";tag=x", "")] {
        let (sent, told) = feed(&mut ua, &text);
        assert_eq!((sent.len(), told.len()), (0, 0));
    }
    assert_eq!(
        ua.counts(),
        Counts {
            strays: 2,
            ..Counts::default()
        }
    );
}

// covers: RFC 3261 §21.5.4
#[test]
fn beyond_a_limit_a_call_gets_503_with_a_time_and_no_memory() {
    let mut ua = ua();
    ua.config.limits.dialogs = 1;
    assert_eq!(
        statuses(&feed(&mut ua, &request("INVITE", 1, "z9hG4bKx", "", "")).0),
        [100]
    );
    let other = request("INVITE", 1, "z9hG4bKy", "", "").replace("Call-ID: call", "Call-ID: other");
    let (sent, told) = feed(&mut ua, &other);
    assert_eq!((statuses(&sent), told.len()), (vec![503], 0));
    assert!(sent[0].header(Name::RetryAfter).is_some());
    let counts = ua.counts();
    assert_eq!(
        (counts.transactions, counts.sessions, counts.refused_full),
        (1, 1, 1)
    );
}

// covers: RFC 4320 §4.2
#[test]
fn a_request_that_its_user_never_answers_is_forgotten_in_silence() {
    let mut ua = ua();
    let (sent, told) = feed(&mut ua, &request("OPTIONS", 1, "z9hG4bKx", "", ""));
    assert_eq!((sent.len(), told.len()), (0, 1));
    ua.handle_timeout(Now::ZERO + Duration::from_secs(33));
    assert_eq!((drain(&mut ua).0.len(), ua.counts().transactions), (0, 0));
}

#[test]
fn octets_that_are_no_text_in_a_via_are_answered_as_they_came_and_leave_nothing() {
    let mut ua = ua();
    let text = request("INVITE", 1, "z9hG4bK1;rport", "", "");
    let mut bytes = text.into_bytes();
    let at = bytes.windows(8).position(|it| it == b"z9hG4bK1").unwrap() + 7;
    bytes[at] = 0x8c;
    ua.receive(Now::ZERO, flow(), Bytes::from(bytes), true);
    let (sent, told) = drain(&mut ua);
    let [Event::Invited { session, .. }] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(statuses(&sent), [100]);
    assert!(sent[0].bytes().windows(8).any(|it| it == b"z9hG4bK\x8c"));
    ua.end(Now::ZERO, session, Ending::default());
    assert_eq!(statuses(&drain(&mut ua).0), [603]);
    ua.handle_timeout(Now::ZERO + Duration::from_secs(100));
    assert_eq!(ua.counts(), Counts::default());
}

#[test]
fn a_request_whose_response_cannot_be_written_is_forgotten() {
    let mut ua = ua();
    // Copied into the response, these leave no room for our own headers.
    let route = |length| format!("Record-Route: <sip:p;lr;x={}>\r\n", "x".repeat(length));
    let invite = request(
        "INVITE",
        1,
        "z9hG4bKlong;rport",
        "",
        &route(8_000).repeat(8),
    );
    let invite = invite.replace("Contact: <sip:alice@10.0.0.1>\r\n", "");
    let room = crate::message::limits::MESSAGE_MAX - invite.len() - route(0).len();
    let invite = invite.trim_end().to_owned() + "\r\n" + &route(room) + "\r\n";
    let (sent, told) = feed(&mut ua, &invite);
    assert_eq!(statuses(&sent), [100]);
    let [Event::Invited { session, .. }] = told[..] else {
        panic!("{told:?}")
    };
    let long = [("X-Long".to_owned(), "y".repeat(2_000))];
    ua.accept(Now::ZERO, session, None, &long);
    let (sent, _) = drain(&mut ua);
    assert!(sent.iter().all(|it| it.status() != Some(200)));
    ua.end(Now::ZERO, session, Ending::default());
    ua.handle_timeout(Now::ZERO + Duration::from_secs(100));
    drain(&mut ua);
    ua.handle_timeout(Now::ZERO + Duration::from_secs(200));
    assert_eq!(ua.counts().transactions, 0);
}
