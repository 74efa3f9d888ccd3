//! A7: a server that answers every proof with a new nonce keeps us busy for ever (CVE-2020-28242).

use super::target::*;
use sip::message::{Message, Name};

/// How often one call out proves itself to a carrier that is never content, and whether it gave up.
fn proofs(server: &mut Server, stale: bool) -> (usize, bool) {
    let (words, mut said) = server.call(OUT);
    let mut proofs = 0;
    for round in 0..50 {
        let invites = requests(&said, "INVITE");
        let Some((_, invite)) = invites.first() else {
            break;
        };
        proofs += usize::from(invite.header(Name::Authorization).is_some());
        let stale = if stale { ", stale=true" } else { "" };
        let nonce = server.fresh();
        let ask = format!(
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\", algorithm=MD5, \
             qop=\"auth\"{stale}\r\n"
        );
        let answer = response(invite, 401, &format!("t{round}"), &ask, "");
        said = server.send(udp(CARRIER), &answer);
    }
    // The caller's leg is told: a final answer that is no success.
    let refused = statuses(&said).iter().any(|status| *status >= 300);
    if refused {
        let tag = said.iter().find_map(|(_, it)| final_tag(it));
        let ack = Words {
            method: "ACK".to_owned(),
            tags: (words.tags.0.clone(), tag.unwrap_or_default()),
            body: String::new(),
            lines: Vec::new(),
            ..words.clone()
        };
        server.send(words.flow, &ack.text());
    }
    (proofs, refused)
}

fn final_tag(message: &Message) -> Option<String> {
    message.status().filter(|status| *status >= 200)?;
    Some(message.to().ok()?.tag()?.to_owned())
}

#[test]
fn a_request_is_proven_twice_at_most_then_the_leg_fails() {
    for stale in [false, true] {
        let mut server = Server::new(Made::default());
        assert_eq!(proofs(&mut server, stale), (2, true), "stale {stale}");
    }
    // The defence off: as often as it is asked.
    let mut server = Server::new(Made {
        proofs: 200,
        ..Made::default()
    });
    assert!(proofs(&mut server, false).0 > 40);
}

#[test]
fn ten_thousand_challenges_leave_nothing_behind() {
    let mut server = Server::new(Made::default());
    let (mut asked, mut most, mut halfway) = (0, 0, 0);
    while asked < 10_000 {
        asked += proofs(&mut server, false).0 + 1;
        server.pass(100);
        server.events.clear();
        most = most.max(server.control.sip_counts().transactions);
        if asked >= 5_000 && halfway == 0 {
            halfway = resident_kb();
        }
    }
    let grown = resident_kb().saturating_sub(halfway);
    server.pass(70_000);
    let left = server.control.sip_counts();
    let held = server.control.holds();
    assert_eq!((left.transactions, left.sessions, held), (0, 0, (0, 0)));
    // 32 s of a call each 100 ms, three client transactions and one server transaction each.
    assert!(most < 2_000, "{most} transactions at once");
    assert!(grown < 8_192, "{grown} kB more in the second half");
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}
