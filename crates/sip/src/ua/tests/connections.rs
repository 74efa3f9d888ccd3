//! Connections that break under a call, and that a call goes over to.

use super::pair::{Link, Pair, Side, body};
use super::stories::{SECOND, established};
use crate::message::Name;
use crate::transport::{ConnectionId, Transport};
use crate::ua::*;

#[test]
fn a_caller_whose_connection_breaks_while_it_rings_is_gone() {
    let mut pair = Pair::new(
        1,
        Link {
            transport: Transport::Tcp,
            ..Link::CLEAN
        },
    );
    pair.call(Some("offer"));
    pair.run(SECOND);
    let flow = pair.flow(Side::B);
    pair.act(Side::B, |ua, now| ua.flow_failed(now, flow));
    assert_eq!(pair.told(Side::B), ["invited offer", "ended FlowFailed"]);
    assert_eq!(pair.ends[1].counts(), Counts::default());
}

// covers: RFC 5626 §5.3, RFC 7118 §5
#[test]
fn a_call_outlives_its_connection_and_goes_by_the_one_that_its_peer_is_on_now() {
    for side in [Side::A, Side::B] {
        let tcp = Link {
            transport: Transport::Tcp,
            ..Link::CLEAN
        };
        let mut pair = Pair::new(1, tcp);
        let (caller, callee) = established(&mut pair);
        pair.run(SECOND);
        let (session, lost) = match side {
            Side::A => (caller, pair.flow(Side::A)),
            Side::B => (callee, pair.flow(Side::B)),
        };
        let told = pair.told(side).len();
        pair.act(side, |ua, now| ua.flow_failed(now, lost));
        pair.run(SECOND);
        assert_eq!(pair.told(side).len(), told, "{side:?}: the call stands");
        let found = Flow {
            connection: Some(ConnectionId(77)),
            ..lost
        };
        let now = pair.now;
        let ua = pair.ua(side);
        // Of another connection nothing is said.
        ua.flow_moved(
            Flow {
                connection: Some(ConnectionId(76)),
                ..lost
            },
            lost,
        );
        ua.flow_moved(lost, found);
        ua.end(now, session, Ending::default());
        let bye = std::iter::from_fn(|| ua.poll_output()).find_map(|output| match output {
            Output::Transmit { flow, bytes } if bytes.starts_with(b"BYE") => Some(flow),
            _ => None,
        });
        assert_eq!(bye, Some(found), "{side:?}");
    }
}

#[test]
fn a_refused_connection_fails_the_call_at_once() {
    let mut pair = Pair::new(
        1,
        Link {
            transport: Transport::Tcp,
            loss_percent: 100,
            ..Link::CLEAN
        },
    );
    pair.call(Some("offer"));
    let flow = pair.flow(Side::A);
    pair.act(Side::A, |ua, now| ua.flow_failed(now, flow));
    assert_eq!(pair.told(Side::A), ["refused 503"]);
    pair.rest();
    pair.assert_empty();
}

#[test]
fn over_a_stream_nothing_but_the_2xx_is_ever_sent_twice() {
    let mut pair = Pair::new(
        1,
        Link {
            transport: Transport::Tcp,
            delay_ms: 2000,
            ..Link::CLEAN
        },
    );
    let caller = pair.call(Some("offer"));
    pair.run(10 * SECOND);
    let callee = pair.invited();
    pair.act(Side::B, |ua, now| {
        ua.accept(now, callee, body("answer"), &[])
    });
    pair.run(10 * SECOND);
    pair.act(Side::A, |ua, now| ua.end(now, caller, Ending::default()));
    pair.rest();
    assert_eq!(
        pair.said(Side::A)
            .iter()
            .filter(|said| *said != "ACK")
            .count(),
        2
    );
    assert!(
        pair.latest(Side::A, "INVITE")
            .header(Name::Contact)
            .unwrap()
            .contains("transport=tcp")
    );
    assert_eq!(
        pair.told(Side::B),
        ["invited offer", "confirmed", "ended Peer"]
    );
    pair.assert_empty();
}
