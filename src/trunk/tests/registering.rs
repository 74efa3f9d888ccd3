//! The registrar against RFC 3261 §10, and its promises as properties: here, what a REGISTER does.

mod flows;
mod random;

use std::collections::{BTreeMap, BTreeSet};

use clock::Duration;
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
