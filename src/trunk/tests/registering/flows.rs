//! Devices and their ways: by which flow an endpoint is called, and how a device is known again on another.

use super::*;

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
