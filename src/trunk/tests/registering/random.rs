//! Random registrations, and the promises that hold whatever comes.

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

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
