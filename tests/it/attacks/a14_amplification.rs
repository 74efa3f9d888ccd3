//! A14: whoever forges a source has us send to it. Until a UDP source has shown that it hears us, it
//! gets at most three bytes for each one that came from it, whatever the method and however long.

use super::target::*;
use tandem::trunk::AbuseConfig;

const METHODS: [&str; 12] = [
    "INVITE",
    "REGISTER",
    "OPTIONS",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "MESSAGE",
    "INFO",
    "REFER",
    "BYE",
    "UPDATE",
    "CANCEL",
];

/// A listed source, one where endpoints may be, and one where nobody is.
fn sources() -> [(&'static str, bool); 3] {
    [
        ("203.0.113.77:5060", true),
        (ROAMING, true),
        (STRANGER, false),
    ]
}

/// Bytes sent for each byte received, over `count` requests and all that follows of them.
fn ratio(
    abuse: AbuseConfig,
    source: (&str, bool),
    words: impl Fn(u64) -> Words,
    count: u64,
) -> f64 {
    let mut server = Server::new(Made {
        abuse,
        roaming: source.1,
        ..Made::default()
    });
    for _ in 0..count {
        let n = server.fresh();
        let said = server.send(udp(source.0), &words(n).text());
        let elsewhere = said.iter().any(|(to, _)| to.remote != udp(source.0).remote);
        assert!(!elsewhere, "{said:?}");
        server.pass(20);
    }
    server.pass(120_000);
    server.bytes.1 as f64 / server.bytes.0 as f64
}

#[test]
fn an_unproven_source_gets_at_most_three_times_what_came_from_it() {
    for source in sources() {
        for method in METHODS {
            for (to, count) in [(ANSWERED, 1), ("nobody", 1), (ANSWERED, 100), (OUT, 1)] {
                if (method, to) == ("INVITE", OUT) {
                    // Rings the carrier itself, which is no answer: measured by itself below.
                    continue;
                }
                let words = |n| match method {
                    "INVITE" => Words::of(method, udp(source.0), n).to(to).sdp(),
                    _ => Words::of(method, udp(source.0), n).to(to),
                };
                let ratio = ratio(AbuseConfig::default(), source, words, count);
                assert!(ratio <= 3.0, "{method} {to} from {}: {ratio:.2}", source.0);
                if source.0 == STRANGER {
                    assert!(ratio == 0.0, "{method}: a stranger hears {ratio:.2}");
                }
            }
        }
    }
}

#[test]
fn the_smallest_request_there_is_gets_no_larger_share() {
    for source in sources() {
        let mut server = Server::new(Made {
            roaming: source.1,
            ..Made::default()
        });
        for n in 0..50 {
            let text = format!(
                "OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP a;branch=z9hG4bK{n}\r\nMax-Forwards:9\r\n\
                 f:<sip:a>;tag=1\r\nt:<sip:a>\r\ni:{n}\r\nCSeq:1 OPTIONS\r\nl:0\r\n\r\n"
            );
            server.send(udp(source.0), &text);
        }
        let (received, sent) = server.bytes;
        assert!(sent <= received * 3, "{sent} for {received}");
    }
}

#[test]
fn without_the_budget_one_invite_draws_many_times_its_bytes() {
    let off = AbuseConfig {
        amplification: 0,
        ..AbuseConfig::default()
    };
    let words = |n| Words::of("INVITE", udp("203.0.113.77:5060"), n).sdp();
    let ratio = ratio(off, sources()[0], words, 1);
    assert!(ratio > 6.0, "{ratio:.2}: the attack is none");
}

#[test]
fn who_has_shown_that_he_hears_us_gets_every_retransmission() {
    let mut server = Server::new(Made::default());
    // One whole call proves it: the ACK holds our tag.
    let (words, said) = server.call(ANSWERED);
    let ok = said
        .iter()
        .find(|(_, it)| it.status() == Some(200))
        .unwrap();
    let ack = Words {
        method: "ACK".to_owned(),
        tags: (
            words.tags.0.clone(),
            ok.1.to().unwrap().tag().unwrap().to_owned(),
        ),
        body: String::new(),
        lines: Vec::new(),
        ..words
    };
    server.send(ack.flow, &ack.text());
    let (_, mut said) = server.call(ANSWERED);
    said.extend(server.pass(31_000));
    let answers = statuses(&said).iter().filter(|it| **it == 200).count();
    assert!(answers >= 10, "{answers} times 200");
}

#[test]
fn an_unproven_source_has_few_calls_and_a_proven_one_few_that_wait_for_their_ack() {
    let abuse = AbuseConfig {
        unproven_invites: 20,
        unacknowledged: 50,
        ..AbuseConfig::default()
    };
    let flood = |abuse: &AbuseConfig, flow, proven: bool| {
        let mut server = Server::new(Made {
            abuse: abuse.clone(),
            ..Made::default()
        });
        if proven {
            let bye = Words {
                method: "BYE".to_owned(),
                n: 7_777,
                ..server.answered()
            };
            server.send(bye.flow, &bye.text());
        }
        for _ in 0..300 {
            let n = server.fresh();
            let words = Words::of("INVITE", flow, n).sdp();
            server.send(flow, &words.text());
        }
        server.control.holds().0
    };
    let same = udp("203.0.113.200:5060");
    assert_eq!(flood(&abuse, same, false), 20);
    // The call that proved it was ended before its ACK: it is one of the fifty.
    assert_eq!(flood(&abuse, same, true), 49);
    // On a connection nobody is forged, so the second bound alone holds.
    assert_eq!(flood(&abuse, tcp("203.0.113.200:5060"), false), 50);
    // The defence off: all of them are calls.
    let off = AbuseConfig {
        unproven_invites: 10_000,
        unacknowledged: 100_000,
        ..AbuseConfig::default()
    };
    assert_eq!(flood(&off, same, false), 300);
}
