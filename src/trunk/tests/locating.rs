//! RFC 3263 and RFC 2782 as tables, over a DNS of one text.

use std::net::IpAddr;

use super::super::names::{Answer, Naptr, Question, Records, Srv, TTL_MAX, TTL_MIN};
use super::super::{Host, Look, NAMES_MAX, NameCache, NextHop, Speaks, locate, weighted};
use super::at_ms;
use clock::{Duration, Now};
use sip::message::Uri;
use sip::transport::Transport;

/// A zone: lines of `name TYPE data…`.
fn ask(zone: &str, question: &Question) -> Answer {
    let (name, kind) = match question {
        Question::Naptr(name) => (name, "NAPTR"),
        Question::Srv(name) => (name, "SRV"),
        Question::Addresses(name) => (name, "A"),
    };
    let lines: Vec<Vec<&str>> = zone
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() > 2 && words[0] == &**name && words[1] == kind)
        .collect();
    if lines.is_empty() {
        return Answer::Nothing(Duration::from_secs(30));
    }
    let records = match kind {
        "NAPTR" => Records::Naptr(
            lines
                .iter()
                .map(|it| Naptr {
                    order: it[2].parse().unwrap(),
                    preference: it[3].parse().unwrap(),
                    flags: it[4].to_owned(),
                    service: it[5].to_owned(),
                    replacement: it[6].into(),
                })
                .collect(),
        ),
        "SRV" => Records::Srv(
            lines
                .iter()
                .map(|it| Srv {
                    priority: it[2].parse().unwrap(),
                    weight: it[3].parse().unwrap(),
                    port: it[4].parse().unwrap(),
                    target: it[5].trim_matches('.').into(),
                })
                .collect(),
        ),
        _ => Records::Addresses(lines.iter().map(|it| it[2].parse().unwrap()).collect()),
    };
    Answer::Records(records, Duration::from_secs(60))
}

fn all() -> Speaks {
    let transports = [Transport::Udp, Transport::Tcp, Transport::Tls];
    Speaks::of(
        transports
            .into_iter()
            .flat_map(|it| [(it, false), (it, true)]),
    )
}

/// What is found under a URI, and the questions it took.
fn found_by(uri: &str, zone: &str, speaks: &Speaks) -> (Vec<String>, Vec<String>) {
    let hop = NextHop::of_uri(&Uri::parse(uri).unwrap()).unwrap();
    let (mut names, mut asked) = (NameCache::default(), Vec::new());
    loop {
        let found = locate(Now::ZERO, &hop, speaks, &mut names, &mut || 0);
        while let Some(question) = names.poll_question() {
            asked.push(question.to_string());
            names.answered(Now::ZERO, &question, ask(zone, &question));
        }
        if !found.asking {
            return (
                found.targets.iter().map(ToString::to_string).collect(),
                asked,
            );
        }
    }
}

/// The records of RFC 3263 §4.1 and §4.2, with addresses.
const EXAMPLE: &str = "\
example.com NAPTR 50 50 s SIPS+D2T _sips._tcp.example.com
example.com NAPTR 90 50 s SIP+D2T _sip._tcp.example.com
example.com NAPTR 100 50 s SIP+D2U _sip._udp.example.com
_sips._tcp.example.com SRV 0 1 5061 tls.example.com
_sip._tcp.example.com SRV 0 1 5060 server1.example.com
_sip._tcp.example.com SRV 0 2 5060 server2.example.com
_sip._udp.example.com SRV 0 1 5060 server1.example.com
tls.example.com A 192.0.2.9
server1.example.com A 192.0.2.1
server2.example.com A 192.0.2.2
server2.example.com A 2001:db8::2
example.com A 192.0.2.3";

// covers: RFC 3263 §4.1
// covers: RFC 3263 §4.2
#[test]
fn a_uri_is_located_as_the_rfc_says() {
    let no_tls = Speaks::of([(Transport::Udp, false), (Transport::Tcp, false)]);
    let udp_only = Speaks::of([(Transport::Udp, false)]);
    let table: [(&str, &str, &Speaks, &[&str]); 16] = [
        // The example of §4.1: the client speaks TCP and UDP, so its service is SIP+D2T.
        (
            "sip:example.com",
            EXAMPLE,
            &no_tls,
            &["TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060"],
        ),
        ("sip:example.com", EXAMPLE, &all(), &["TLS 192.0.2.9:5061"]),
        (
            "sip:example.com",
            EXAMPLE,
            &udp_only,
            &["UDP 192.0.2.1:5060"],
        ),
        ("sips:example.com", EXAMPLE, &all(), &["TLS 192.0.2.9:5061"]),
        (
            "sip:example.com;transport=udp",
            EXAMPLE,
            &all(),
            &["UDP 192.0.2.1:5060"],
        ),
        (
            "sip:example.com:5070",
            EXAMPLE,
            &all(),
            &["UDP 192.0.2.3:5070"],
        ),
        (
            "sips:example.com:5070",
            EXAMPLE,
            &all(),
            &["TLS 192.0.2.3:5070"],
        ),
        (
            "sip:example.com:5070;transport=tcp",
            EXAMPLE,
            &all(),
            &["TCP 192.0.2.3:5070"],
        ),
        ("sip:192.0.2.77", EXAMPLE, &all(), &["UDP 192.0.2.77:5060"]),
        ("sips:192.0.2.77", EXAMPLE, &all(), &["TLS 192.0.2.77:5061"]),
        (
            "sip:[2001:db8::7]:5090;transport=tcp",
            "",
            &all(),
            &["TCP [2001:db8::7]:5090"],
        ),
        (
            "sip:example.com;maddr=192.0.2.50",
            EXAMPLE,
            &all(),
            &["UDP 192.0.2.50:5060"],
        ),
        // No NAPTR: the SRV records of each transport.
        (
            "sip:plain.example",
            "_sip._tcp.plain.example SRV 0 1 5080 a.example\na.example A 192.0.2.4",
            &all(),
            &["TCP 192.0.2.4:5080"],
        ),
        // Neither: the host itself, UDP.
        (
            "sip:bare.example",
            "bare.example A 192.0.2.5",
            &all(),
            &["UDP 192.0.2.5:5060"],
        ),
        // RFC 2782: a dot says that the service is not there.
        (
            "sip:not.example;transport=udp",
            "_sip._udp.not.example SRV 0 0 0 .\nnot.example A 192.0.2.6",
            &all(),
            &[],
        ),
        ("sip:nobody.example", "", &all(), &[]),
    ];
    for (uri, zone, speaks, want) in table {
        assert_eq!(found_by(uri, zone, speaks).0, want, "{uri}");
    }
}

#[test]
fn a_port_or_a_transport_shortens_the_questions() {
    let questions = |uri| found_by(uri, EXAMPLE, &all()).1;
    assert_eq!(questions("sip:192.0.2.1"), Vec::<String>::new());
    assert_eq!(
        questions("sip:example.com:5060"),
        ["A and AAAA of example.com"]
    );
    let by_tcp = questions("sip:example.com;transport=tcp");
    assert_eq!(by_tcp[0], "SRV of _sip._tcp.example.com");
    assert_eq!(questions("sip:example.com")[0], "NAPTR of example.com");
}

// covers: RFC 2782
#[test]
fn equal_priorities_are_drawn_by_weight() {
    let items = || {
        // The example zone of RFC 2782: a fast, a slow and a backup server.
        vec![
            ((0, 3), "new-fast-box"),
            ((1, 0), "sysadmins-box"),
            ((0, 1), "old-slow-box"),
            ((1, 0), "server"),
        ]
    };
    let drawn = |lots: &[u64]| {
        let mut lots = lots.iter().copied();
        weighted(items(), &mut || lots.next().unwrap_or(0))
    };
    // Running sums 3 and 4 for lots 0 to 4: three of five go to the fast one, or more by the rule `>=`.
    assert_eq!(
        drawn(&[0]),
        ["new-fast-box", "old-slow-box", "sysadmins-box", "server"]
    );
    assert_eq!(drawn(&[3])[0], "new-fast-box");
    assert_eq!(drawn(&[4])[..2], ["old-slow-box", "new-fast-box"]);
    let mut seed = 7_u64;
    let mut random = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let mut first = [0; 3];
    for _ in 0..30_000 {
        let items = vec![((0, 60), 0), ((0, 30), 1), ((0, 10), 2)];
        first[weighted(items, &mut random)[0]] += 1;
    }
    // 60, 30 and 10 in a hundred, within two.
    for (count, want) in first.into_iter().zip([18_000, 9_000, 3_000_i32]) {
        assert!((count - want).abs() < 600, "{first:?}");
    }
}

#[test]
fn an_answer_holds_for_its_time_within_our_bounds_and_longer_while_dns_is_dead() {
    let question = Question::Addresses("a.example".into());
    let records = || Records::Addresses(vec![IpAddr::from([192, 0, 2, 1])]);
    let answer = |ttl| Answer::Records(records(), Duration::from_secs(ttl));
    // TTL of the answer, until when it is good.
    let table = [
        (0, TTL_MIN),
        (60, Duration::from_secs(60)),
        (86_400, TTL_MAX),
    ];
    for (ttl, holds) in table {
        let mut names = NameCache::default();
        assert_eq!(names.look(Now::ZERO, &question), Look::Asking);
        assert_eq!(names.poll_question(), Some(question.clone()));
        names.answered(Now::ZERO, &question, answer(ttl));
        assert_eq!(names.deadline(Now::ZERO), Some(Now::ZERO + holds));
        let before = Now::ZERO + (holds - Duration::from_millis(1));
        assert_eq!(names.look(before, &question), Look::Known(Some(records())));
        assert_eq!(names.poll_question(), None);
        // Old: still given, and asked for once.
        for _ in 0..3 {
            let known = Look::Known(Some(records()));
            assert_eq!(names.look(Now::ZERO + holds, &question), known);
        }
        assert_eq!(names.poll_question(), Some(question.clone()));
        assert_eq!(names.poll_question(), None);
        names.answered(
            Now::ZERO + holds,
            &question,
            Answer::Failed("dead".to_owned()),
        );
        let later = Now::ZERO + holds + Duration::from_secs(3);
        assert_eq!(names.look(later, &question), Look::Known(Some(records())));
        assert_eq!(names.poll_question(), None, "not asked again at once");
        let again = Now::ZERO + holds + Duration::from_secs(5);
        assert_eq!(names.look(again, &question), Look::Known(Some(records())));
        assert_eq!(names.poll_question(), Some(question.clone()));
    }
}

#[test]
fn what_was_never_answered_is_told_dead_and_what_is_not_there_is_remembered() {
    let mut names = NameCache::default();
    let question = Question::Srv("_sip._udp.a.example".into());
    assert_eq!(names.look(at_ms(0), &question), Look::Asking);
    names.answered(at_ms(10), &question, Answer::Failed("SERVFAIL".to_owned()));
    assert_eq!(
        names.look(at_ms(20), &question),
        Look::Dead("SERVFAIL".to_owned())
    );
    // Asked again after five seconds; meanwhile nobody waits for it.
    assert_eq!(
        names.look(at_ms(6_000), &question),
        Look::Dead("SERVFAIL".to_owned())
    );
    names.answered(
        at_ms(6_010),
        &question,
        Answer::Nothing(Duration::from_secs(86_400)),
    );
    assert_eq!(names.look(at_ms(6_020), &question), Look::Known(None));
    // Five minutes at most: a name that appears is found.
    names.poll_question();
    names.poll_question();
    assert_eq!(names.look(at_ms(306_011), &question), Look::Known(None));
    assert_eq!(names.poll_question(), Some(question));
}

#[test]
fn the_cache_is_bounded_and_forgets_what_was_not_used_for_longest() {
    let mut names = NameCache::default();
    let question = |n: usize| Question::Addresses(format!("h{n}.example").into());
    let one = || Records::Addresses(vec![IpAddr::from([192, 0, 2, 1])]);
    for n in 0..NAMES_MAX {
        let at = at_ms(n as u64);
        names.look(at, &question(n));
        names.answered(at, &question(n), Answer::Records(one(), TTL_MAX));
    }
    names.look(at_ms(900_000), &question(0));
    for n in NAMES_MAX..2 * NAMES_MAX {
        names.look(at_ms(900_001 + n as u64), &question(n));
        assert_eq!(names.len(), NAMES_MAX);
    }
    assert_eq!(names.look(at_ms(2_000_000), &question(1)), Look::Asking);
    let answers = std::iter::from_fn(|| names.poll_question()).count();
    assert!(answers <= NAMES_MAX + 1, "{answers} questions are kept");
}

#[test]
fn hosts_are_addresses_or_names_and_nothing_else() {
    let good = [
        "sip.example.com",
        "SIP.Example.COM.",
        "carrier",
        "_sip._udp.x",
        "192.0.2.1",
        "[2001:db8::1]",
        "2001:db8::1",
    ];
    for text in good {
        assert!(Host::parse(text).is_some(), "{text}");
    }
    assert_eq!(
        Host::parse("SIP.Example.COM."),
        Host::parse("sip.example.com")
    );
    let long = format!("{}.example", "x".repeat(64));
    let bad = [
        "",
        ".",
        "a..b",
        "1.2.3.400",
        "-a.example",
        "a-.example",
        "a b",
        "a;b",
        "a@b",
        "é.example",
        &long,
    ];
    for text in bad {
        assert_eq!(Host::parse(text), None, "{text}");
    }
    let hops = [
        ("a.example:5070", Some("a.example:5070")),
        ("[2001:db8::1]:5070", Some("[2001:db8::1]:5070")),
        ("2001:db8::1", Some("[2001:db8::1]")),
        ("a.example:0", None),
        ("a.example:70000", None),
        ("a.example:", None),
    ];
    for (text, want) in hops {
        let hop = NextHop::parse(text, None).map(|hop| hop.to_string());
        assert_eq!(hop.as_deref(), want, "{text}");
    }
}
