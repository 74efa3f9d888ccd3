//! Which target is tried next, and which are left out.

use super::super::{
    Health, HealthConfig, Host, Hunt, NameCache, NextHop, Pong, Redirect, Routing, SendTo, Setback,
    Speaks, Target, TargetState, TrunkConfig, Verdict, hops, retry_after,
};
use super::at_ms;
use clock::{Duration, Now};
use sip::message::Message;
use sip::transport::Transport;

fn speaks() -> Speaks {
    Speaks::of([(Transport::Udp, false)])
}

fn target(last: u8) -> Target {
    Target {
        transport: Transport::Udp,
        address: ([192, 0, 2, last], 5060).into(),
    }
}

fn to(last: u8, priority: u16, weight: u16) -> SendTo {
    let hop = NextHop {
        host: Host::Ip([192, 0, 2, last].into()),
        port: None,
        transport: None,
    };
    SendTo {
        hop,
        priority,
        weight,
    }
}

fn trunk(targets: Vec<SendTo>, redirect: Redirect) -> TrunkConfig {
    TrunkConfig {
        targets,
        routing: Routing {
            redirect,
            ..Routing::USUAL
        },
        ..TrunkConfig::bare("acme")
    }
}

fn hunt(targets: u8, redirect: Redirect) -> Hunt {
    let trunk = trunk(
        (1..=targets).map(|n| to(n, n.into(), 1)).collect(),
        redirect,
    );
    let names = &mut NameCache::default();
    let (hops, _) = hops(Now::ZERO, &trunk, &speaks(), names, &mut || 0);
    Hunt::begin(&trunk, hops).unwrap()
}

fn response(status: u16, headers: &str) -> Message {
    let headers = headers.replace('|', "\r\n");
    let text = format!(
        "SIP/2.0 {status} Word\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
         From: <sip:a@x>;tag=1\r\nTo: <sip:b@y>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{headers}\r\n\r\n"
    );
    Message::parse(text.replace("\r\n\r\n\r\n", "\r\n\r\n").into()).unwrap()
}

#[test]
fn targets_are_tried_by_priority_and_within_one_by_weight() {
    let order = |targets: Vec<SendTo>, lots: &[u64]| {
        let trunk = trunk(targets, Redirect::Off);
        let mut lots = lots.iter().copied();
        let names = &mut NameCache::default();
        let random = &mut || lots.next().unwrap_or(0);
        let (hops, _) = hops(Now::ZERO, &trunk, &speaks(), names, random);
        let last = |hop: super::super::Hop| match hop.target.address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        hops.into_iter().map(last).collect::<Vec<_>>()
    };
    assert_eq!(order(vec![to(2, 20, 1), to(1, 10, 1)], &[]), [1, 2]);
    let three = || vec![to(1, 0, 70), to(2, 0, 30), to(3, 5, 1)];
    assert_eq!(order(three(), &[70]), [1, 2, 3]);
    assert_eq!(order(three(), &[71]), [2, 1, 3]);
    // The same address twice is tried once; a family without a listener not at all.
    assert_eq!(order(vec![to(1, 0, 1), to(1, 1, 1)], &[]), [1]);
    let v6 = SendTo::at(Transport::Udp, "[2001:db8::1]:5060".parse().unwrap());
    assert_eq!(order(vec![v6, to(1, 1, 1)], &[]), [1]);
    let tcp = SendTo::at(Transport::Tcp, "192.0.2.9:5060".parse().unwrap());
    assert_eq!(order(vec![tcp, to(1, 1, 1)], &[]), [1]);
}

// covers: RFC 3263 §4.3
#[test]
fn only_a_targets_own_fault_leads_to_the_next() {
    let next = [408, 500, 501, 502, 503, 504, 513, 580, 599];
    let over = [
        400, 401, 403, 404, 407, 410, 415, 480, 482, 484, 486, 487, 488, 491, 600, 603, 604, 606,
    ];
    for status in next {
        let verdict =
            hunt(2, Redirect::Off).on_setback(Setback::Refused(status, &response(status, "")));
        assert_eq!(verdict, Verdict::Next, "{status}");
    }
    for status in over {
        let verdict =
            hunt(2, Redirect::Off).on_setback(Setback::Refused(status, &response(status, "")));
        assert_eq!(verdict, Verdict::Over, "{status}");
    }
    assert_eq!(
        hunt(2, Redirect::Off).on_setback(Setback::Silence),
        Verdict::Next
    );
    assert_eq!(
        hunt(2, Redirect::Off).on_setback(Setback::Unreachable),
        Verdict::Next
    );
    // A phone that rang and was not answered was the right one.
    let mut rang = hunt(2, Redirect::Off);
    rang.rings();
    assert_eq!(
        rang.on_setback(Setback::Refused(408, &response(408, ""))),
        Verdict::Over
    );
    assert_eq!(
        rang.on_setback(Setback::Refused(503, &response(503, ""))),
        Verdict::Next
    );
}

#[test]
fn a_hunt_ends_with_its_last_target() {
    let mut hunt = hunt(3, Redirect::Off);
    assert_eq!(hunt.current.target, target(1));
    assert!(hunt.advance(|hop| hop.target != target(2)));
    assert_eq!(hunt.current.target, target(3));
    assert!(!hunt.advance(|_| true));
}

// covers: RFC 3261 §8.1.3.4
#[test]
fn a_redirection_is_followed_as_the_policy_says_in_order_of_q() {
    let contacts = "Contact: <sip:b@192.0.2.2>;q=0.3, <sip:b@192.0.2.1:5080>;q=0.9, \
                    <sip:b@198.51.100.9>;q=1.0, <mailto:b@192.0.2.1>";
    let uris = |redirect, status| match hunt(2, redirect)
        .on_setback(Setback::Refused(status, &response(status, contacts)))
    {
        Verdict::Redirected(uris) => uris,
        verdict => vec![format!("{verdict:?}")],
    };
    let own = ["sip:b@192.0.2.1:5080", "sip:b@192.0.2.2"];
    for status in [301, 302, 305] {
        assert_eq!(uris(Redirect::Same, status), own, "{status}");
    }
    assert_eq!(uris(Redirect::Any, 302).len(), 3);
    assert_eq!(uris(Redirect::Any, 302)[0], "sip:b@198.51.100.9");
    assert_eq!(uris(Redirect::Off, 302), ["Over"]);
    assert_eq!(uris(Redirect::Any, 300), ["Over"]);
    assert_eq!(uris(Redirect::Any, 380), ["Over"]);
}

#[test]
fn redirections_are_bounded_and_loops_end() {
    let redirect = |hunt: &mut Hunt, uri: &str| {
        let contact = format!("Contact: <{uri}>");
        hunt.on_setback(Setback::Refused(302, &response(302, &contact)))
    };
    let mut looping = hunt(1, Redirect::Same);
    looping.addressed("sip:b@192.0.2.1");
    assert_eq!(redirect(&mut looping, "sip:b@192.0.2.1"), Verdict::Over);
    let mut long = hunt(1, Redirect::Same);
    for n in 0..5 {
        let uri = format!("sip:b{n}@192.0.2.1");
        assert_eq!(redirect(&mut long, &uri), Verdict::Redirected(vec![uri]));
    }
    assert_eq!(redirect(&mut long, "sip:b9@192.0.2.1"), Verdict::Over);
}

// covers: RFC 3261 §17.1.1.2
#[test]
fn by_udp_a_target_is_given_three_invites_whatever_its_time() {
    let t1 = Duration::from_millis(500);
    for (wanted_ms, transport, given_ms) in [
        (500, Transport::Udp, 2_000),
        (500, Transport::Tcp, 500),
        (500, Transport::Tls, 500),
        (1_900, Transport::Udp, 2_000),
        (4_000, Transport::Udp, 4_000),
        (4_000, Transport::Tcp, 4_000),
    ] {
        let routing = Routing {
            patience: Duration::from_millis(wanted_ms),
            ..Routing::USUAL
        };
        let given = routing.patience_by(transport);
        assert_eq!(given.as_millis(), given_ms, "{wanted_ms} ms by {transport}");
        // How many INVITEs had T1 or more to be answered, and how often none is where each way loses a
        // datagram in five.
        let answered_in_time = |k: u32| t1 * ((1 << k) - 1) + t1 <= given;
        let sent = (0..7).filter(|k| answered_in_time(*k)).count();
        let lost = (1.0 - 0.8_f64 * 0.8).powi(i32::try_from(sent).unwrap());
        if transport == Transport::Udp {
            assert!(
                sent >= 3 && lost < 0.05,
                "{given:?}: {sent} INVITEs, {lost}"
            );
        }
    }
}

#[test]
fn a_retry_after_is_read_and_bounded() {
    let table = [
        ("Retry-After: 18", Some(18)),
        ("Retry-After: 5 (in a meeting);duration=10", Some(5)),
        ("Retry-After: 86400", Some(300)),
        ("Retry-After: soon", None),
        ("Supported: timer", None),
    ];
    for (header, want) in table {
        let got = retry_after(&response(503, header));
        assert_eq!(got, want.map(Duration::from_secs), "{header}");
    }
}

const WATCHED: HealthConfig = HealthConfig {
    interval: Duration::from_secs(30),
    timeout: Duration::from_secs(2),
    down_after: 3,
    up_after: 2,
};

fn health(targets: u8, config: Option<HealthConfig>) -> (Health, Vec<super::super::Hop>) {
    let trunk = trunk(
        (1..=targets).map(|n| to(n, n.into(), 1)).collect(),
        Redirect::Off,
    );
    let names = &mut NameCache::default();
    let (hops, _) = hops(Now::ZERO, &trunk, &speaks(), names, &mut || 0);
    let mut health = Health::default();
    health.configure(config);
    health.set_targets(Now::ZERO, &hops, || 0);
    (health, hops)
}

/// Sends what is due, and lets each come to that.
fn round(health: &mut Health, at: u64, pong: &Pong) -> Option<TargetState> {
    let due = health.due(at_ms(at));
    assert_eq!(due.len(), 1, "one is due at {at} ms");
    let change = health.on_pong(at_ms(at + 40), due[0].target, pong);
    change.map(|change| change.state)
}

// covers: RFC 3261 §11
#[test]
fn a_target_is_down_after_failures_in_a_row_and_up_after_answers() {
    let (mut health, _) = health(1, Some(WATCHED));
    let failed = Pong::Failed("no answer");
    let story = [
        (Pong::Answered(200), Some(TargetState::Up)),
        (failed.clone(), None),
        (failed.clone(), None),
        (Pong::Answered(404), None),
        (failed.clone(), None),
        (Pong::Answered(408), None),
        (failed.clone(), Some(TargetState::Down)),
        (failed.clone(), None),
        (Pong::Answered(200), None),
        (failed, None),
        (Pong::Answered(200), None),
        (Pong::Answered(200), Some(TargetState::Up)),
        (Pong::Answered(503), Some(TargetState::Draining)),
        (Pong::Answered(503), None),
        (Pong::Answered(405), Some(TargetState::Up)),
    ];
    for (n, (pong, want)) in story.into_iter().enumerate() {
        let at = 30_000 * n as u64;
        assert_eq!(health.deadline(), Some(at_ms(at)), "round {n}");
        assert_eq!(round(&mut health, at, &pong), want, "round {n}: {pong:?}");
    }
    assert_eq!(
        health.targets()[0].round_trip,
        Some(Duration::from_millis(40))
    );
}

#[test]
fn an_options_without_an_answer_is_overdue_after_its_time() {
    let (mut health, _) = health(1, Some(WATCHED));
    assert_eq!(health.due(at_ms(0)).len(), 1);
    assert_eq!(health.due(at_ms(1)).len(), 0, "one at a time");
    assert_eq!(health.deadline(), Some(at_ms(2_000)));
    assert_eq!(health.overdue(at_ms(1_999)), []);
    assert_eq!(health.overdue(at_ms(2_000)), [target(1)]);
}

#[test]
fn a_call_that_is_answered_proves_a_target_up() {
    let (mut health, _) = health(1, Some(WATCHED));
    for n in 0..3 {
        round(&mut health, 30_000 * n, &Pong::Failed("no answer"));
    }
    assert_eq!(health.targets()[0].state, TargetState::Down);
    let change = health.proven(at_ms(70_000), target(1)).unwrap();
    assert_eq!(change.state, TargetState::Up);
    assert_eq!(health.proven(at_ms(70_001), target(1)), None);
}

#[test]
fn targets_that_are_down_are_left_out_unless_all_are() {
    let (mut health, hops) = health(3, Some(WATCHED));
    let fail = |health: &mut Health, last: u8| {
        for _ in 0..3 {
            health.setback(at_ms(0), target(last), "silent", None);
        }
    };
    let order = |health: &Health, at: u64| {
        let ordered = health.order(at_ms(at), hops.clone());
        let targets: Vec<Target> = ordered.hops.iter().map(|hop| hop.target).collect();
        (targets, ordered.all_down)
    };
    assert_eq!(
        order(&health, 0),
        (vec![target(1), target(2), target(3)], false)
    );
    fail(&mut health, 1);
    assert_eq!(order(&health, 0), (vec![target(2), target(3)], false));
    // A Retry-After puts it behind the others until it is over.
    let rest = Some(Duration::from_secs(10));
    health.setback(at_ms(0), target(2), "503", rest);
    assert_eq!(order(&health, 9_999), (vec![target(3), target(2)], false));
    assert_eq!(order(&health, 10_000), (vec![target(2), target(3)], false));
    fail(&mut health, 2);
    fail(&mut health, 3);
    assert_eq!(
        order(&health, 20_000),
        (vec![target(1), target(2), target(3)], true)
    );
}

#[test]
fn without_a_watch_a_dead_target_only_rests() {
    let (mut health, hops) = health(2, None);
    assert_eq!(health.deadline(), None);
    assert_eq!(health.setback(at_ms(0), target(1), "silent", None), None);
    let first = |at| health.order(at_ms(at), hops.clone()).hops[0].target;
    assert_eq!(first(29_999), target(2));
    assert_eq!(first(30_000), target(1));
}
