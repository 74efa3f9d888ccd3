//! A15, guessing: after some wrong proofs a source is not heard for a while, and nobody can have another
//! banned by forging him.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::target::*;
use clock::Now;
use sip::transport::Flow;
use tandem::control::What;
use tandem::trunk::{AbuseConfig, BanRules, Bans};

/// One guess of ann's password from `flow`: asks for a nonce unless one is given, then a wrong proof.
/// Returns the statuses heard.
fn guess(server: &mut Server, flow: Flow, nonce: Option<&str>) -> Vec<u16> {
    let n = server.fresh();
    let bare = Words::of("REGISTER", flow, n).user("ann").to("ann");
    let asked = server.send(flow, &bare.text());
    let mut heard = statuses(&asked);
    let Some((_, challenge)) = asked.first() else {
        return heard;
    };
    let mut proof = proof(challenge, "ann", &format!("guess{n}"), &bare);
    if let Some(other) = nonce {
        let own = proof.split("nonce=\"").nth(1).unwrap();
        let own = own.split('"').next().unwrap().to_owned();
        proof = proof.replace(&own, other);
    }
    let n = server.fresh();
    let again = Words { n, ..bare }.line(&proof);
    heard.extend(statuses(&server.send(flow, &again.text())));
    heard
}

fn banned(server: &Server) -> Vec<IpAddr> {
    let bans = server.control.bans(server.now, 10);
    bans.into_iter().map(|ban| ban.source).collect()
}

#[test]
fn ten_wrong_proofs_ban_a_source_and_the_operator_may_lift_it() {
    for flow in [udp(ROAMING), tcp(ROAMING)] {
        let mut server = Server::new(Made::default());
        for _ in 0..10 {
            assert_eq!(guess(&mut server, flow, None), [401, 401]);
        }
        assert_eq!(banned(&server), [flow.remote.ip()]);
        assert_eq!(guess(&mut server, flow, None), [0_u16; 0]);
        // Nothing of him is read, not even the right password; others are heard.
        assert_eq!(server.control.guard_counts().banned, 1);
        server.register(udp("100.64.0.10:5060"), "bob");
        assert!(server.control.lift_ban(server.now, flow.remote.ip()));
        assert_eq!(guess(&mut server, flow, None), [401, 401]);
        // By itself it ends after ten minutes.
        for _ in 0..9 {
            guess(&mut server, flow, None);
        }
        assert_eq!(banned(&server), [flow.remote.ip()]);
        server.pass(601_000);
        assert_eq!(guess(&mut server, flow, None), [401, 401]);
    }
}

#[test]
fn every_failure_is_one_line_and_says_where_it_was_proven_to_come_from() {
    let mut server = Server::new(Made::default());
    for _ in 0..10 {
        guess(&mut server, udp(ROAMING), None);
    }
    let failures: Vec<_> = server
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::AuthFailed {
                source,
                is_proven,
                user,
                banned,
                ..
            } => Some((
                source.to_string(),
                *is_proven,
                user.clone(),
                banned.is_some(),
            )),
            _ => None,
        })
        .collect();
    let line = |banned| ("100.64.0.9".to_owned(), true, "ann".to_owned(), banned);
    assert_eq!(failures[..9], vec![line(false); 9]);
    assert_eq!(failures[9..], [line(true)]);
}

#[test]
fn a_forged_source_is_not_banned_for_what_he_never_sent() {
    let mut server = Server::new(Made::default());
    // The attacker sees no challenge that goes to the victim: he makes up nonces, or uses his own.
    let (attacker, victim) = (udp("100.64.0.66:5060"), udp(ROAMING));
    let n = server.fresh();
    let bare = Words::of("REGISTER", attacker, n).user("ann").to("ann");
    let own = server.send(attacker, &bare.text()).remove(0).1;
    for round in 0..100 {
        let words = Words {
            n: 500 + round,
            flow: victim,
            ..bare.clone()
        };
        let line = proof(&own, "ann", "guess", &bare);
        server.send(victim, &words.line(&line).text());
    }
    assert_eq!(banned(&server), [] as [IpAddr; 0]);
    server.register(victim, "ann");
    // The control: the same hundred from where the nonce was given are banned.
    for _ in 0..10 {
        guess(&mut server, attacker, None);
    }
    assert_eq!(banned(&server), [attacker.remote.ip()]);
}

#[test]
fn a_trunks_address_and_those_never_banned_are_not_and_with_0_nobody_is() {
    let exempt = AbuseConfig {
        never_ban: vec!["100.64.0.0/16".parse().unwrap()],
        ..AbuseConfig::default()
    };
    let off = AbuseConfig {
        bans: BanRules {
            failures: 0,
            ..BanRules::default()
        },
        ..AbuseConfig::default()
    };
    let carriers = "203.0.113.50:5060";
    for (abuse, source) in [
        (exempt, ROAMING),
        (off, ROAMING),
        (AbuseConfig::default(), carriers),
    ] {
        let mut server = Server::new(Made {
            abuse,
            ..Made::default()
        });
        for _ in 0..200 {
            assert_eq!(guess(&mut server, udp(source), None), [401, 401]);
        }
        assert_eq!(banned(&server), [] as [IpAddr; 0]);
    }
}

fn at(secs: u64) -> Now {
    Now::ZERO + Duration::from_secs(secs)
}

#[test]
fn each_ban_is_twice_as_long_up_to_the_longest_and_then_forgotten() {
    let mut bans = Bans::new(BanRules::default(), 7);
    let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    let (mut now, mut lengths) = (10, Vec::new());
    for _ in 0..10 {
        let lasts = (0..10).find_map(|_| bans.failed(at(now), ip)).unwrap();
        assert!(bans.is_banned(at(now + lasts.as_secs() - 1), ip));
        now += lasts.as_secs() + 1;
        assert!(!bans.is_banned(at(now), ip));
        lengths.push(lasts.as_secs() / 60);
    }
    assert_eq!(
        lengths,
        [10, 20, 40, 80, 160, 320, 640, 1_280, 1_440, 1_440]
    );
    // A day of quiet, and it begins anew.
    now += 86_401;
    let lasts = (0..10).find_map(|_| bans.failed(at(now), ip)).unwrap();
    assert_eq!(lasts, Duration::from_secs(600));
    // Slow guesses do not add up.
    let slow = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
    assert!((0..100).all(|round| bans.failed(at(now + round * 61), slow).is_none()));
}

#[test]
fn of_ipv6_a_whole_64_is_one_source() {
    let mut bans = Bans::new(BanRules::default(), 7);
    let host = |low: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, low));
    for low in 0..10 {
        bans.failed(at(1), host(low));
    }
    assert!(bans.is_banned(at(2), host(999)));
    let next = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1));
    assert!(!bans.is_banned(at(2), next));
    assert_eq!(bans.list(at(2), 9)[0].source, host(0));
}

#[test]
fn a_million_sources_take_less_than_64_mb_and_a_ban_outlives_a_crowd_of_failures() {
    let rules = BanRules {
        entries: 1_000_000,
        failures: 2,
        ..BanRules::default()
    };
    let mut bans = Bans::new(rules, 0xfeed);
    let ip = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(n.wrapping_mul(2_654_435_761)));
    for n in 0..1_000_000 {
        bans.failed(at(1), ip(n));
        bans.failed(at(1), ip(n));
    }
    let kept = bans.list(at(2), usize::MAX).len();
    assert!(kept >= 999_000, "{kept} of a million are banned");
    assert!(bans.bytes() <= 64_000_000, "{} bytes", bans.bytes());
    // Another million that failed once each push out no ban.
    for n in 0..1_000_000_u32 {
        bans.failed(
            at(3),
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(n) << 64 | 0x2001 << 112)),
        );
    }
    let still = bans.list(at(4), usize::MAX).len();
    assert!(still >= 990_000, "{still} of {kept} bans are left");
    assert!(bans.bytes() <= 64_000_000, "{} bytes", bans.bytes());
}
