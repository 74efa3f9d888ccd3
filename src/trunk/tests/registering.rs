//! The registrar against RFC 3261 §10, and its promises as properties.

use std::collections::{BTreeMap, BTreeSet};

use clock::Duration;
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use sip::message::Message;
use sip::transport::{Flow, ListenerId, Transport};

use super::super::{
    Change, Contact, Digests, EndpointConfig, Registrar, RegistrarConfig, Reply, Row, Target, Way,
};
use super::{at_ms, endpoint, request, tcp, udp};

fn alice() -> EndpointConfig {
    endpoint("alice", Digests::Md5)
}

fn registrar() -> Registrar {
    Registrar::new(RegistrarConfig {
        expires_min: Duration::from_secs(30),
        expires_default: Duration::from_secs(600),
        expires_max: Duration::from_secs(3_600),
    })
}

fn register(call_id: &str, cseq: u32, lines: &str) -> Message {
    let lines = format!(
        "To: <sip:alice@example.org>|Call-ID: {call_id}|CSeq: {cseq} REGISTER|User-Agent: phone|{lines}"
    );
    request(
        "REGISTER",
        "sip:example.org",
        "alice",
        lines.trim_end_matches('|'),
    )
}

/// Feeds one REGISTER of alice at `ms`.
fn feed(registrar: &mut Registrar, ms: u64, request: &Message) -> Reply {
    registrar.handle(at_ms(ms), &alice(), request, udp("198.51.100.5:40000"))
}

/// The contacts of a 200, without brackets; else the status.
fn said(reply: &Reply) -> String {
    if reply.status != 200 {
        return reply.status.to_string();
    }
    let values: Vec<String> = reply
        .headers
        .iter()
        .map(|(_, value)| value.replace(['<', '>'], ""))
        .collect();
    values.join(" ")
}

fn changes(registrar: &mut Registrar) -> Vec<String> {
    let change = |change| match change {
        Change::Bound(row) => format!("bound {} {}s", row.contact, row.expires_in.as_secs()),
        Change::Unbound { contact, .. } => format!("unbound {contact}"),
        Change::Reachable { endpoint, yes } => format!("reachable {endpoint} {yes}"),
        Change::Moved { from, to } => {
            let number = |flow: Flow| flow.connection.map_or(0, |it| it.0);
            format!("moved {} to {}", number(from), number(to))
        }
    };
    std::iter::from_fn(|| registrar.poll_output())
        .map(change)
        .collect()
}

// covers: RFC 3261 §10.3, §10.2.1, §10.2.1.1, §20.10
#[test]
fn a_contact_is_bound_for_the_time_it_asks_within_our_limits() {
    let table = [
        ("Contact: <sip:a@192.0.2.5>", "sip:a@192.0.2.5;expires=600"),
        (
            "Contact: <sip:a@192.0.2.5>|Expires: 120",
            "sip:a@192.0.2.5;expires=120",
        ),
        (
            "Contact: <sip:a@192.0.2.5>;expires=90|Expires: 120",
            "sip:a@192.0.2.5;expires=90",
        ),
        (
            "Contact: <sip:a@192.0.2.5>;expires=99999",
            "sip:a@192.0.2.5;expires=3600",
        ),
        (
            "Contact: <sip:a@192.0.2.5>;expires=99999999999",
            "sip:a@192.0.2.5;expires=3600",
        ),
        (
            "Contact: <sip:a@192.0.2.5>;expires=soon",
            "sip:a@192.0.2.5;expires=600",
        ),
        (
            "Contact: <sip:a@192.0.2.5>;q=0.5",
            "sip:a@192.0.2.5;expires=600;q=0.500",
        ),
        ("Contact: <sip:a@192.0.2.5>;expires=29", "423"),
        (
            "Contact: <sip:a@192.0.2.5>;expires=30",
            "sip:a@192.0.2.5;expires=30",
        ),
        ("Contact: <sip:a@192.0.2.5>;expires=0", ""),
        ("", ""),
        ("Contact: *|Expires: 0", ""),
        ("Contact: *|Expires: 5", "400"),
        ("Contact: *", "400"),
        ("Contact: *, <sip:a@192.0.2.5>|Expires: 0", "400"),
        ("Contact: *|Contact: <sip:a@192.0.2.5>|Expires: 0", "400"),
        ("Contact: <sip:a@192.0.2.5", "400"),
        (
            "Contact: <sip:a@1.1.1.1>, <sip:b@1.1.1.1>|Contact: <sip:c@1.1.1.1>, <sip:d@1.1.1.1>",
            "403",
        ),
    ];
    for (lines, want) in table {
        let mut registrar = registrar();
        let reply = feed(&mut registrar, 0, &register("c", 1, lines));
        assert_eq!(said(&reply), want, "{lines}");
        assert_eq!(registrar.is_empty(), !want.starts_with("sip:"), "{lines}");
    }
}

// covers: RFC 3261 §10.3, §20.23, §21.4.17
#[test]
fn too_short_a_time_is_refused_with_the_least_that_is_taken() {
    let reply = feed(
        &mut registrar(),
        0,
        &register("c", 1, "Contact: <sip:a@192.0.2.5>;expires=1"),
    );
    assert_eq!(reply.headers, [("Min-Expires".to_owned(), "30".to_owned())]);
}

/// A browser's page by its connection: the contact that it made up, and what it says of its device.
fn page(registrar: &mut Registrar, ms: u64, (connection, cseq): (u64, u32), lines: &str) -> Reply {
    let flow = Flow {
        transport: Transport::Wss,
        ..tcp("198.51.100.5:40000", connection)
    };
    let request = register("page", cseq, lines);
    registrar.handle(at_ms(ms), &alice(), &request, flow)
}

const JSSIP: &str = "Supported: path,gruu,outbound|Contact: <sip:a@x.invalid;transport=ws>;+sip.ice;\
                     reg-id=1;+sip.instance=\"<urn:uuid:f0342a7d-4f10-4692-abdb-99484c26d1ad>\"";

// covers: RFC 5626 §4.2, RFC 5626 §6, RFC 7118 §5
#[test]
fn a_device_that_registers_by_a_new_flow_takes_the_place_of_its_old_one() {
    let mut registrar = registrar();
    let reply = page(&mut registrar, 0, (1, 1), JSSIP);
    assert_eq!(
        said(&reply),
        "sip:a@x.invalid;transport=ws;expires=600;+sip.instance=\"urn:uuid:\
         f0342a7d-4f10-4692-abdb-99484c26d1ad\";reg-id=1 outbound"
    );
    assert_eq!(reply.headers.last().unwrap().0, "Require");
    changes(&mut registrar);
    // The page was loaded again: another contact, the same device.
    let again = JSSIP.replace("a@x", "b@y");
    page(&mut registrar, 1, (2, 2), &again);
    assert_eq!(
        changes(&mut registrar),
        [
            "unbound sip:a@x.invalid;transport=ws",
            "bound sip:b@y.invalid;transport=ws 600s",
            "moved 1 to 2"
        ]
    );
    // Another flow of it, and another device, stand beside.
    page(
        &mut registrar,
        2,
        (3, 3),
        &again.replace("reg-id=1", "reg-id=2"),
    );
    page(
        &mut registrar,
        3,
        (4, 4),
        &again.replace("f0342a7d", "00000000"),
    );
    assert_eq!(registrar.contacts(at_ms(3), "alice").len(), 3);
}

// covers: RFC 5626 §6
#[test]
fn a_device_is_known_by_its_instance_only_if_it_knows_outbound_and_comes_itself() {
    let table = [
        ("as it is", JSSIP.to_owned(), true),
        ("no outbound", JSSIP.replace(",outbound", ""), false),
        ("no reg-id", JSSIP.replace("reg-id=1;", ""), false),
        ("reg-id 0", JSSIP.replace("reg-id=1", "reg-id=0"), false),
        (
            "too large a one",
            JSSIP.replace("reg-id=1", "reg-id=2147483648"),
            false,
        ),
        (
            "no instance",
            JSSIP.replace("+sip.instance", "+sip.instant"),
            false,
        ),
        ("no URN", JSSIP.replace("<urn:", "urn:"), false),
        (
            "an endless one",
            JSSIP.replace("f0342a7d", &"f".repeat(300)),
            false,
        ),
        (
            "by a proxy",
            format!("Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKp|{JSSIP}"),
            false,
        ),
    ];
    for (what, lines, want) in table {
        let reply = page(&mut registrar(), 0, (1, 1), &lines);
        assert_eq!(reply.status, 200, "{what}");
        let is_outbound = reply.headers.iter().any(|(name, _)| name == "Require");
        assert_eq!(is_outbound, want, "{what}");
    }
}

// covers: RFC 5626 §5.3, RFC 7118 §5
#[test]
fn whoever_lost_his_connection_is_known_again_by_his_device_or_his_contact() {
    let plain = "Contact: <sip:a@x.invalid;transport=ws>";
    for lines in [JSSIP, plain] {
        let mut registrar = registrar();
        page(&mut registrar, 0, (1, 1), lines);
        registrar.flow_failed(at_ms(10), tcp("198.51.100.5:40000", 1));
        assert!(!registrar.is_reachable("alice"));
        changes(&mut registrar);
        page(&mut registrar, 20, (2, 2), &lines.replace("a@x", "other@x"));
        let moved = changes(&mut registrar).contains(&"moved 1 to 2".to_owned());
        assert_eq!(moved, lines == JSSIP, "another contact: {lines}");
        page(&mut registrar, 30, (3, 3), lines);
        assert!(
            changes(&mut registrar)
                .iter()
                .any(|it| it.starts_with("moved")),
            "{lines}"
        );
        // Once moved, it is not moved from there again.
        page(&mut registrar, 40, (3, 4), lines);
        assert!(
            !changes(&mut registrar)
                .iter()
                .any(|it| it.starts_with("moved")),
            "{lines}"
        );
    }
}

#[test]
fn what_is_remembered_of_lost_connections_is_bounded_and_expires() {
    let mut registrar = registrar();
    for n in 1..=100_u64 {
        let lines = format!("Contact: <sip:a{n}@x.invalid;transport=ws>");
        page(&mut registrar, n, (n, u32::try_from(n).unwrap()), &lines);
        registrar.flow_failed(at_ms(n), tcp("198.51.100.5:40000", n));
    }
    changes(&mut registrar);
    let mut moved = |n: u64, ms| {
        let lines = format!("Contact: <sip:a{n}@x.invalid;transport=ws>");
        page(
            &mut registrar,
            ms,
            (1_000 + ms, u32::try_from(ms).unwrap()),
            &lines,
        );
        let told = changes(&mut registrar);
        told.iter().any(|it| it.starts_with("moved"))
    };
    assert!(!moved(50, 200), "the oldest are forgotten");
    assert!(moved(99, 201));
    assert!(!moved(100, 700_000), "expired");
}

// covers: RFC 3261 §10.2.3, §10.3
#[test]
fn every_current_binding_is_told_with_the_time_left() {
    let mut registrar = registrar();
    feed(
        &mut registrar,
        0,
        &register("c", 1, "Contact: <sip:a@192.0.2.5>;expires=100"),
    );
    let both = feed(
        &mut registrar,
        10_000,
        &register("d", 1, "Contact: <sip:b@192.0.2.6>;expires=50"),
    );
    assert_eq!(
        said(&both),
        "sip:a@192.0.2.5;expires=90 sip:b@192.0.2.6;expires=50"
    );
    let later = feed(&mut registrar, 60_000, &register("e", 1, ""));
    assert_eq!(
        said(&later),
        "sip:a@192.0.2.5;expires=40",
        "the other is over at this very moment"
    );
}

// covers: RFC 3261 §10.2.2, §10.3
#[test]
fn a_wildcard_removes_every_binding_and_nothing_is_removed_out_of_order() {
    let mut registrar = registrar();
    feed(
        &mut registrar,
        0,
        &register("c", 5, "Contact: <sip:a@192.0.2.5>, <sip:b@192.0.2.6>"),
    );
    let late = feed(
        &mut registrar,
        1,
        &register("c", 5, "Contact: *|Expires: 0"),
    );
    assert_eq!((late.status, registrar.len()), (500, 2));
    let next = feed(
        &mut registrar,
        2,
        &register("c", 6, "Contact: *|Expires: 0"),
    );
    assert_eq!((next.status, registrar.len()), (200, 0));
}

// covers: RFC 3261 §10.3, §10.2.4
#[test]
fn the_same_call_id_must_count_up_and_another_may_start_anew() {
    let mut registrar = registrar();
    let contact = "Contact: <sip:a@192.0.2.5>";
    let statuses = [("c", 7), ("c", 8), ("c", 8), ("c", 3), ("new", 1)]
        .map(|(call_id, cseq)| feed(&mut registrar, 0, &register(call_id, cseq, contact)).status);
    assert_eq!(statuses, [200, 200, 500, 500, 200]);
    assert_eq!(registrar.len(), 1);
}

// covers: RFC 3261 §10.3
#[test]
fn all_contacts_of_a_request_are_changed_or_none() {
    let mut registrar = registrar();
    feed(
        &mut registrar,
        0,
        &register("c", 5, "Contact: <sip:a@192.0.2.5>;expires=100"),
    );
    for lines in [
        "Contact: <sip:b@192.0.2.6>, <sip:c@192.0.2.6>;expires=3",
        "Contact: <sip:b@192.0.2.6>, <sip:a@192.0.2.5>",
        "Contact: <sip:b@192.0.2.6>, <sip:",
    ] {
        let reply = feed(&mut registrar, 0, &register("c", 5, lines));
        assert_ne!(reply.status, 200, "{lines}");
        let now = feed(&mut registrar, 0, &register("q", 1, ""));
        assert_eq!(said(&now), "sip:a@192.0.2.5;expires=100", "{lines}");
    }
}

// covers: RFC 3261 §19.1.4, §10.3
#[test]
fn a_binding_is_known_again_by_the_rules_for_equal_uris() {
    let table = [
        ("sip:a@host.example", "sip:a@HOST.example", true),
        ("sip:a@192.0.2.5", "sip:%61@192.0.2.5", true),
        ("sip:a@192.0.2.5", "sip:A@192.0.2.5", false),
        ("sip:a@192.0.2.5", "sip:a@192.0.2.5:5060", false),
        ("sip:a@192.0.2.5", "sip:a@192.0.2.5;transport=tcp", false),
        (
            "sip:a@192.0.2.5;transport=UDP",
            "sip:a@192.0.2.5;transport=udp",
            true,
        ),
        ("sip:a@192.0.2.5", "sip:a@192.0.2.5;ob", true),
        ("sip:a@192.0.2.5;line=1", "sip:a@192.0.2.5;line=2", false),
        ("sip:a@192.0.2.5", "sips:a@192.0.2.5", false),
        ("sip:a@[2001:db8::5]", "sip:a@[2001:DB8:0::5]", true),
    ];
    for (one, other, same) in table {
        let mut registrar = registrar();
        feed(
            &mut registrar,
            0,
            &register("c", 1, &format!("Contact: <{one}>")),
        );
        feed(
            &mut registrar,
            0,
            &register("c", 2, &format!("Contact: <{other}>")),
        );
        assert_eq!(registrar.len(), if same { 1 } else { 2 }, "{one} {other}");
    }
}

#[test]
fn a_call_goes_back_on_the_flow_that_registered_and_the_preferred_comes_first() {
    let mut registrar = registrar();
    let flows = [udp("198.51.100.5:40000"), tcp("198.51.100.5:40001", 9)];
    registrar.handle(
        at_ms(0),
        &alice(),
        &register("c", 1, "Contact: <sip:a@10.0.0.5>;q=0.5"),
        flows[0],
    );
    registrar.handle(
        at_ms(0),
        &alice(),
        &register("d", 1, "Contact: <sip:b@10.0.0.6>"),
        flows[1],
    );
    let rung = |contact: Contact| (contact.uri, contact.way, contact.q);
    let contacts: Vec<_> = registrar
        .contacts(at_ms(1), "alice")
        .into_iter()
        .map(rung)
        .collect();
    assert_eq!(
        contacts,
        [
            ("sip:b@10.0.0.6".to_owned(), Way::Flow(flows[1]), 1_000),
            ("sip:a@10.0.0.5".to_owned(), Way::Flow(flows[0]), 500),
        ]
    );
    assert!(
        registrar.contacts(at_ms(600_000), "alice").is_empty(),
        "expired, timer or not"
    );
}

#[test]
fn a_renewal_from_another_address_moves_the_flow() {
    let mut registrar = registrar();
    let contact = "Contact: <sip:a@10.0.0.5>";
    let moved = udp("203.0.113.77:5");
    feed(&mut registrar, 0, &register("c", 1, contact));
    registrar.handle(at_ms(9), &alice(), &register("c", 2, contact), moved);
    let ways: Vec<Way> = registrar
        .contacts(at_ms(9), "alice")
        .into_iter()
        .map(|c| c.way)
        .collect();
    assert_eq!(ways, [Way::Flow(moved)]);
}

#[test]
fn changes_are_told_once_to_the_store_and_the_centre() {
    let mut registrar = registrar();
    feed(
        &mut registrar,
        0,
        &register("c", 1, "Contact: <sip:a@192.0.2.5>;expires=60"),
    );
    assert_eq!(
        changes(&mut registrar),
        ["reachable alice true", "bound sip:a@192.0.2.5 60s"]
    );
    feed(&mut registrar, 0, &register("c", 2, ""));
    assert!(
        changes(&mut registrar).is_empty(),
        "a question changes nothing"
    );
    feed(
        &mut registrar,
        30_000,
        &register("c", 3, "Contact: <sip:a@192.0.2.5>;expires=60"),
    );
    assert_eq!(changes(&mut registrar), ["bound sip:a@192.0.2.5 60s"]);
    assert_eq!(registrar.deadline(), Some(at_ms(90_000)));
    registrar.handle_timeout(at_ms(89_999));
    assert!(registrar.is_reachable("alice"));
    registrar.handle_timeout(at_ms(90_000));
    assert_eq!(
        changes(&mut registrar),
        ["unbound sip:a@192.0.2.5", "reachable alice false"]
    );
    assert_eq!(
        (registrar.deadline(), registrar.is_reachable("alice")),
        (None, false)
    );
}

#[test]
fn a_lost_connection_ends_the_registrations_on_it_and_no_others() {
    let mut registrar = registrar();
    let (lost, other) = (tcp("198.51.100.5:1", 1), tcp("198.51.100.5:2", 2));
    registrar.handle(
        at_ms(0),
        &alice(),
        &register("c", 1, "Contact: <sip:a@10.0.0.5>"),
        lost,
    );
    registrar.handle(
        at_ms(0),
        &alice(),
        &register("d", 1, "Contact: <sip:b@10.0.0.5>"),
        other,
    );
    feed(
        &mut registrar,
        0,
        &register("e", 1, "Contact: <sip:c@10.0.0.5>"),
    );
    changes(&mut registrar);
    registrar.flow_failed(at_ms(1), lost);
    assert_eq!(changes(&mut registrar), ["unbound sip:a@10.0.0.5"]);
    registrar.flow_failed(at_ms(1), udp("198.51.100.5:40000"));
    assert_eq!(registrar.len(), 2, "a datagram that was lost says nothing");
}

#[test]
fn a_phone_that_restarts_with_new_contacts_pushes_out_its_oldest() {
    let mut registrar = registrar();
    for port in 1..=5 {
        let lines = format!("Contact: <sip:a@10.0.0.5:{port}>");
        assert_eq!(
            feed(&mut registrar, 0, &register(&format!("c{port}"), 1, &lines)).status,
            200
        );
    }
    let uris: Vec<String> = registrar
        .contacts(at_ms(0), "alice")
        .into_iter()
        .map(|c| c.uri)
        .collect();
    assert_eq!(
        uris,
        ["sip:a@10.0.0.5:5", "sip:a@10.0.0.5:4", "sip:a@10.0.0.5:3"]
    );
}

#[test]
fn a_static_contact_is_rung_without_any_registration() {
    let mut registrar = registrar();
    let target = Target {
        transport: Transport::Udp,
        address: "192.0.2.7:5060".parse().unwrap(),
    };
    let desk = EndpointConfig {
        contact: Some(("sip:desk@192.0.2.7".to_owned(), target)),
        ..endpoint("desk", Digests::Md5)
    };
    registrar.configure([&desk, &alice()]);
    assert_eq!(changes(&mut registrar), ["reachable desk true"]);
    assert_eq!(
        registrar.contacts(at_ms(0), "desk")[0].way,
        Way::Address(target)
    );
    registrar.configure([&alice()]);
    assert_eq!(changes(&mut registrar), ["reachable desk false"]);
}

#[test]
fn an_endpoint_that_is_no_longer_configured_is_forgotten() {
    let mut registrar = registrar();
    feed(
        &mut registrar,
        0,
        &register("c", 1, "Contact: <sip:a@192.0.2.5>"),
    );
    changes(&mut registrar);
    registrar.configure([&alice()]);
    assert!(changes(&mut registrar).is_empty());
    registrar.configure([&endpoint("bob", Digests::Md5)]);
    assert_eq!(
        changes(&mut registrar),
        ["unbound sip:a@192.0.2.5", "reachable alice false"]
    );
}

#[test]
fn restored_rows_ring_again_except_on_connections_that_died_with_the_server() {
    let row = |contact: &str, transport, secs| Row {
        endpoint: "alice".to_owned(),
        contact: contact.to_owned(),
        expires_in: Duration::from_secs(secs),
        q: 1_000,
        call_id: "c".to_owned(),
        cseq: 4,
        transport,
        listener: ListenerId(0),
        remote: "198.51.100.5:40000".parse().unwrap(),
        user_agent: "phone".to_owned(),
    };
    let mut registrar = registrar();
    registrar.restore(at_ms(0), row("sip:udp@10.0.0.5", Transport::Udp, 60));
    registrar.restore(
        at_ms(0),
        row("sip:tcp@192.0.2.5:5070;transport=tcp", Transport::Tcp, 60),
    );
    registrar.restore(
        at_ms(0),
        row("sip:ws@x.invalid;transport=ws", Transport::Wss, 60),
    );
    registrar.restore(at_ms(0), row("sip:late@10.0.0.5", Transport::Udp, 0));
    assert_eq!(
        changes(&mut registrar),
        [
            "reachable alice true",
            "unbound sip:ws@x.invalid;transport=ws",
            "unbound sip:late@10.0.0.5"
        ]
    );
    let remotes: Vec<String> = registrar
        .contacts(at_ms(0), "alice")
        .into_iter()
        .map(|contact| match contact.way {
            Way::Flow(Flow {
                remote,
                connection: None,
                ..
            }) => remote.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(remotes, ["192.0.2.5:5070", "198.51.100.5:40000"]);
    let replayed = feed(
        &mut registrar,
        0,
        &register("c", 4, "Contact: <sip:udp@10.0.0.5>"),
    );
    assert_eq!(replayed.status, 500, "the sequence survives a restart");
}

/// One thing that happens to a registrar.
#[derive(Clone, Debug)]
enum Event {
    Register {
        call: u8,
        cseq: u32,
        contact: u8,
        expires: u32,
        connection: Option<u64>,
    },
    Wildcard {
        call: u8,
        cseq: u32,
    },
    Lost(u64),
    Later(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let register = (
        0..3_u8,
        1..40_u32,
        0..5_u8,
        prop::sample::select(vec![0, 30, 60, 600]),
        prop::option::of(0..3_u64),
    )
        .prop_map(
            |(call, cseq, contact, expires, connection)| Event::Register {
                call,
                cseq,
                contact,
                expires,
                connection,
            },
        );
    proptest::prop_oneof![
        6 => register,
        1 => (0..3_u8, 1..40_u32).prop_map(|(call, cseq)| Event::Wildcard { call, cseq }),
        1 => (0..3_u64).prop_map(Event::Lost),
        2 => (0..90_000_u64).prop_map(Event::Later),
    ]
}

proptest! {
    #[test]
    fn what_the_store_was_told_is_what_can_be_rung(
        events in prop::collection::vec(event(), 1..60),
        timers_run in any::<bool>(),
    ) {
        let mut registrar = registrar();
        let mut ms = 0;
        let mut stored = BTreeMap::new();
        let mut reachable = false;
        for event in events {
            let mut flow = udp("198.51.100.5:40000");
            let message = match event {
                Event::Register { call, cseq, contact, expires, connection } => {
                    if let Some(connection) = connection {
                        flow = tcp("198.51.100.5:40000", connection);
                    }
                    let lines = format!("Contact: <sip:c{contact}@10.0.0.5>;expires={expires}");
                    Some(register(&format!("call{call}"), cseq, &lines))
                }
                Event::Wildcard { call, cseq } => {
                    Some(register(&format!("call{call}"), cseq, "Contact: *|Expires: 0"))
                }
                Event::Lost(connection) => {
                    registrar.flow_failed(at_ms(ms), tcp("198.51.100.5:40000", connection));
                    None
                }
                Event::Later(more) => {
                    ms += more;
                    None
                }
            };
            if let Some(message) = message {
                registrar.handle(at_ms(ms), &alice(), &message, flow);
            }
            if timers_run || registrar.deadline().is_some_and(|at| at <= at_ms(ms)) {
                registrar.handle_timeout(at_ms(ms));
            }
            while let Some(change) = registrar.poll_output() {
                match change {
                    Change::Bound(row) => drop(stored.insert(row.contact.clone(), row)),
                    Change::Unbound { contact, .. } => drop(stored.remove(&contact)),
                    Change::Reachable { yes, .. } => {
                        prop_assert_eq!(yes, !reachable, "told twice");
                        reachable = yes;
                    }
                    Change::Moved { .. } => {}
                }
            }
            let rung = registrar.contacts(at_ms(ms), "alice").into_iter().map(|contact| contact.uri);
            let rung: BTreeSet<String> = rung.collect();
            prop_assert_eq!(&rung, &stored.keys().cloned().collect::<BTreeSet<_>>());
            prop_assert_eq!(reachable, !rung.is_empty());
            prop_assert!(rung.len() <= alice().contacts_max);
            prop_assert_eq!(registrar.len(), rung.len());
        }
    }
}
