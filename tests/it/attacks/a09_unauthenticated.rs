//! A9: requests of nobody, and requests that guess a dialog (CVE-2021-37624, CVE-2021-41157): refused
//! or not heard, and nothing of them reaches anybody else.

use super::target::*;

const OUTSIDE: [&str; 7] = [
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PUBLISH",
    "INFO",
    "OPTIONS",
];

fn lines(method: &str) -> &'static str {
    match method {
        "SUBSCRIBE" | "NOTIFY" => "Event: presence",
        "REFER" => "Refer-To: <sip:+19005550000@198.51.100.66>",
        _ => "Subject: x",
    }
}

#[test]
fn a_method_of_nobody_is_refused_and_goes_nowhere() {
    // Who, and what he hears: nothing, a challenge, a refusal.
    let sources: [(_, bool, &[u16]); 4] = [
        (udp(STRANGER), false, &[]),
        (tcp(STRANGER), false, &[403]),
        (udp(ROAMING), true, &[401, 405]),
        (udp("203.0.113.9:5060"), true, &[405, 489]),
    ];
    for (flow, roaming, allowed) in sources {
        let mut server = Server::new(Made {
            roaming,
            ..Made::default()
        });
        if roaming {
            server.register(udp("100.64.0.1:5060"), "ann");
        }
        for method in OUTSIDE {
            for to in ["ann", ANSWERED] {
                let n = server.fresh();
                let words = Words::of(method, flow, n).to(to).line(lines(method));
                let mut said = server.send(flow, &words.text());
                said.extend(server.pass(40_000));
                let mut got = statuses(&said);
                got.dedup();
                let is_carriers_ping = method == "OPTIONS" && allowed.contains(&489);
                let fits = match got.as_slice() {
                    [] => allowed.is_empty(),
                    [200] => is_carriers_ping,
                    // What no part of us serves is said so to whom we know.
                    [status] => allowed.contains(status) || method == "PUBLISH",
                    _ => false,
                };
                assert!(fits, "{method} from {}: {got:?}", flow.remote);
                // Nobody else hears a byte.
                let elsewhere = said.iter().find(|(to, _)| to.remote != flow.remote);
                assert!(elsewhere.is_none(), "{method}: {elsewhere:?}");
                assert_eq!(server.control.holds(), (0, 0));
            }
        }
    }
}

#[test]
fn a_guessed_tag_ends_moves_and_reaches_no_call() {
    let mut server = Server::new(Made::default());
    let call = server.standing();
    for flow in [call.flow, udp(STRANGER), udp(ROAMING), tcp(STRANGER)] {
        for method in [
            "BYE", "INFO", "REFER", "INVITE", "UPDATE", "NOTIFY", "MESSAGE",
        ] {
            for guess in 0..200_u64 {
                let n = server.fresh() + 1_000;
                let words = Words {
                    method: method.to_owned(),
                    flow,
                    n,
                    tags: (call.tags.0.clone(), format!("{:016x}", guess * 7_919)),
                    lines: vec![lines(method).to_owned()],
                    ..call.clone()
                };
                let said = server.send(flow, &words.text());
                let got = statuses(&said);
                assert!(matches!(got.as_slice(), [] | [481]), "{method}: {got:?}");
                assert!(said.iter().all(|(to, _)| to.remote == flow.remote));
            }
        }
    }
    assert_eq!(server.control.holds().0, 1, "the call is over");
    // Replaces names a dialog by its tags: guessed ones find none.
    let n = server.fresh();
    let (from, _) = call.tags.clone();
    let replaces = format!(
        "Replaces: {};to-tag=0123456789abcdef;from-tag={from}",
        call.call
    );
    let words = Words::of("INVITE", call.flow, n).line(&replaces).sdp();
    let said = server.send(call.flow, &words.text());
    assert!(statuses(&said).contains(&481), "{said:?}");
    assert_eq!(server.control.holds().0, 1);
    // The control: with the true tag the same words end it, so the tag is all that stands between.
    let bye = Words {
        method: "BYE".to_owned(),
        n: 9_999,
        ..call
    };
    assert_eq!(statuses(&server.send(bye.flow, &bye.text())), [200]);
    server.pass(100);
    assert_eq!(server.control.holds().0, 0);
}

#[test]
fn tags_are_64_bits_that_nobody_can_foretell() {
    let mut server = Server::new(Made::default());
    let (mut tags, mut ones) = (std::collections::BTreeSet::new(), [0_u32; 64]);
    for _ in 0..2_000 {
        let n = server.fresh();
        let words = Words::of("INVITE", tcp("203.0.113.8:5060"), n).sdp();
        let said = server.send(words.flow, &words.text());
        let tagged = said
            .iter()
            .find_map(|(_, it)| it.to().ok()?.tag().map(str::to_owned));
        let tag = tagged.unwrap();
        assert_eq!(tag.len(), 16, "{tag}");
        let bits = u64::from_str_radix(&tag, 16).unwrap();
        for (bit, count) in ones.iter_mut().enumerate() {
            *count += u32::try_from(bits >> bit & 1).unwrap();
        }
        tags.insert(bits);
        // The call ends, so that the next has a place.
        let cancel = Words {
            method: "BYE".to_owned(),
            n: n + 100_000,
            tags: (words.tags.0.clone(), tag),
            ..words
        };
        server.send(cancel.flow, &cancel.text());
        server.pass(40_000);
    }
    assert_eq!(tags.len(), 2_000);
    // Each bit is set half of the time: 1,000 of 2,000, give or take five standard deviations.
    for (bit, count) in ones.iter().enumerate() {
        assert!((888..=1_112).contains(count), "bit {bit}: {count}");
    }
}
