#![allow(
    clippy::disallowed_methods,
    reason = "the library reckons by the system's clock"
)]

use std::time::Instant;

use super::*;
use crate::ice::CONSENT;
use crate::peer::Peer;

const NOW: Now = Now::from_nanos(5_000_000_000);

fn identity() -> Identity {
    let pair = rcgen::generate_simple_self_signed(["tandem".to_owned()]).unwrap();
    let (certificate, key) = (pair.cert.der().to_vec(), pair.signing_key.serialize_der());
    Identity::new(certificate, key, Instant::now()).unwrap()
}

fn ours() -> Credentials {
    Credentials {
        ufrag: "us".to_owned(),
        password: "a-password-that-is-long-enough".to_owned(),
    }
}

fn at(host: u8) -> SocketAddr {
    ([192, 0, 2, host], 5_000).into()
}

/// A browser that calls us.
fn client(identity: &Identity) -> Peer {
    Peer::new(NOW, identity.clone(), theirs("them"), ours()).unwrap()
}

fn theirs(ufrag: &str) -> Credentials {
    Credentials {
        ufrag: ufrag.to_owned(),
        password: "theirs-is-long-enough-as-well".to_owned(),
    }
}

fn terms(them: &Identity, ufrag: &str) -> Terms {
    Terms {
        credentials: theirs(ufrag),
        fingerprint: them.fingerprint().clone(),
    }
}

fn session(us: &Identity, them: &Identity) -> Session {
    Session::new(NOW, us, ours(), Some(terms(them, "them")))
}

/// What a session has to say, apart from datagrams; those are given to the client.
fn settle(now: Now, session: &mut Session, client: &mut Peer) -> Vec<Output> {
    let mut said = Vec::new();
    while let Some(output) = session.poll_output() {
        match output {
            Output::Transmit { to, bytes } => {
                assert_eq!(to, at(1), "nothing goes anywhere else");
                client.receive(now, &bytes);
            }
            other => said.push(other),
        }
    }
    said
}

/// Checks, then shakes hands from `from`, until nobody has anything to say.
fn shake(session: &mut Session, client: &mut Peer, from: SocketAddr) -> Vec<Output> {
    session.receive(NOW, at(1), &client.check(true));
    let mut said = settle(NOW, session, client);
    for step in 1..8 {
        let now = NOW + Duration::from_millis(step);
        for packet in client.says(now) {
            session.receive(now, from, &packet);
            said.extend(settle(now, session, client));
        }
    }
    said
}

fn names(said: &[Output]) -> Vec<String> {
    let name = |it: &Output| match it {
        Output::Path(at) => format!("path {}", at.ip()),
        Output::NoPath(at) => format!("no path {}", at.ip()),
        Output::Chosen(at) => format!("chosen {}", at.ip()),
        Output::Keys(_) => "keys".to_owned(),
        Output::Ended(why) => format!("ended: {why}"),
        Output::Transmit { .. } => "transmit".to_owned(),
    };
    said.iter().map(name).collect()
}

// covers: RFC 5764 §4.2
#[test]
fn both_ends_have_the_same_keys() {
    let (us, them) = (identity(), identity());
    let mut session = session(&us, &them);
    let mut client = client(&them);
    let said = shake(&mut session, &mut client, at(1));
    assert_eq!(names(&said), ["path 192.0.2.1", "chosen 192.0.2.1", "keys"]);
    let Some(Output::Keys(mine)) = said.into_iter().last() else {
        panic!("no keys");
    };
    let theirs = client.take_keys().unwrap();
    assert_eq!((mine.receive, mine.send), (theirs.send, theirs.receive));
    assert_eq!(client.met().as_ref(), Some(us.fingerprint()));
    // Secured, it only waits for consent.
    assert_eq!(session.deadline(), Some(NOW + CONSENT));
}

#[test]
fn a_stranger_gets_no_keys_and_ends_the_session() {
    let (us, them, stranger) = (identity(), identity(), identity());
    let mut session = session(&us, &them);
    let said = shake(&mut session, &mut client(&stranger), at(1));
    let last = "ended: the peer's certificate is not the one that its SDP names";
    assert_eq!(names(&said)[2..], [last]);
    assert!(session.is_over() && session.deadline().is_none());
}

#[test]
fn nobody_is_trusted_before_his_sdp_is_here() {
    let (us, them) = (identity(), identity());
    let mut session = Session::new(NOW, &us, ours(), None);
    let said = shake(&mut session, &mut client(&them), at(1));
    assert_eq!(names(&said), ["path 192.0.2.1", "chosen 192.0.2.1"]);
    session.meet(NOW, terms(&them, "them"));
    assert!(matches!(session.poll_output(), Some(Output::Keys(_))));
}

#[test]
fn while_its_phone_rings_a_peer_may_take_its_time() {
    let (us, them) = (identity(), identity());
    let mut session = Session::new(NOW, &us, ours(), None);
    assert_eq!(session.deadline(), None);
    let answered = NOW + 2 * CONNECT;
    session.meet(answered, terms(&them, "them"));
    assert_eq!(session.deadline(), Some(answered + CONNECT));
}

#[test]
fn another_print_is_another_handshake_and_the_same_one_is_none() {
    let (us, them, reloaded) = (identity(), identity(), identity());
    let mut session = session(&us, &them);
    shake(&mut session, &mut client(&them), at(1));
    // A restart on the way of checks alone.
    session.meet(NOW, terms(&them, "again"));
    assert_eq!(session.deadline(), Some(NOW + CONSENT));
    session.meet(NOW, terms(&reloaded, "them"));
    assert_eq!(session.deadline(), Some(NOW + SHAKE));
    let said = shake(&mut session, &mut client(&reloaded), at(1));
    assert_eq!(names(&said), ["keys"]);
}

#[test]
fn a_handshake_from_an_address_that_proved_nothing_is_not_heard_nor_answered() {
    let (us, them, attacker) = (identity(), identity(), identity());
    let mut session = session(&us, &them);
    // Before the peer has come, and after.
    let mut forged = client(&attacker);
    for _ in 0..2 {
        let said = shake(&mut session, &mut forged, at(6));
        assert!(!names(&said).iter().any(|name| name == "keys"));
    }
    assert!(session.refused().records > 0);
    let mut client = client(&them);
    let said = shake(&mut session, &mut client, at(1));
    assert_eq!(names(&said), ["keys"], "the peer has its own all the same");
}

#[test]
fn it_ends_when_nobody_comes_when_nobody_shakes_hands_and_when_consent_is_over() {
    let (us, them) = (identity(), identity());
    let mut alone = session(&us, &them);
    let mut silent = session(&us, &them);
    silent.receive(NOW, at(1), &client(&them).check(true));
    let mut secured = session(&us, &them);
    shake(&mut secured, &mut client(&them), at(1));
    for (session, lasts, why) in [
        (
            &mut alone,
            CONNECT,
            "no connectivity check came within 30 s",
        ),
        (
            &mut silent,
            SHAKE,
            "no handshake within 15 s of the first check",
        ),
        (&mut secured, CONSENT, "no connectivity check for 30 s"),
    ] {
        let mut client = client(&them);
        settle(NOW, session, &mut client);
        session.handle_timeout(NOW + (lasts - Duration::from_millis(1)));
        assert!(!session.is_over(), "{why}");
        session.handle_timeout(NOW + lasts);
        let said = settle(NOW, session, &mut client);
        assert_eq!(names(&said), [format!("ended: {why}")]);
    }
}

#[test]
fn what_is_lost_of_a_handshake_is_sent_again() {
    let (us, them) = (identity(), identity());
    let mut session = session(&us, &them);
    let mut client = client(&them);
    session.receive(NOW, at(1), &client.check(true));
    settle(NOW, &mut session, &mut client);
    let mut said = Vec::new();
    // Of ten datagrams three are lost, either way.
    let mut random = 7_u64;
    let mut arrives = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % 10 >= 3
    };
    for step in 1..400 {
        let now = NOW + Duration::from_millis(step * 25);
        for packet in client.says(now) {
            if arrives() {
                session.receive(now, at(1), &packet);
            }
        }
        session.handle_timeout(now);
        while let Some(output) = session.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => {
                    if arrives() {
                        client.receive(now, &bytes);
                    }
                }
                other => said.push(other),
            }
        }
        if client.keys().is_some() && !said.is_empty() {
            break;
        }
    }
    assert_eq!(names(&said), ["keys"]);
}

/// What somebody may send who wants to be heard before the peer is, or to end its handshake.
fn forgeries(attacker: &Identity) -> Vec<Vec<u8>> {
    let mut all = client(attacker).says(NOW);
    // A hello whose only suite is TLS_NULL_WITH_NULL_NULL, a fatal alert, and a fragment that never ends.
    let body = [&b"\xFE\xFD"[..], &[7; 32], b"\0\0\0\x02\0\0\x01\0"].concat();
    let length = body.len() as u8;
    let head = [1, 0, 0, length, 0, 0, 0, 0, 0, 0, 0, length];
    let record = [22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, length + 12];
    all.push([&record[..], &head, &body].concat());
    all.push(b"\x15\xFE\xFD\0\0\0\0\0\0\0\x01\0\x02\x02\x28".to_vec());
    let part = [1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4];
    let record = [22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 2, 0, 16];
    all.push([&record[..], &part, &[0; 4]].concat());
    all
}

/// How many of `count` set-ups make keys while somebody sends all his forgeries before and after each
/// datagram, from that address.
fn set_up_beside(count: usize, attacker: SocketAddr) -> usize {
    let (us, them, other) = (identity(), identity(), identity());
    let forged = forgeries(&other);
    let mut made = 0;
    for _ in 0..count {
        let mut session = session(&us, &them);
        let mut client = client(&them);
        let attack = |now: Now, session: &mut Session| {
            for bytes in &forged {
                session.receive(now, attacker, bytes);
            }
        };
        attack(NOW, &mut session);
        session.receive(NOW, at(1), &client.check(true));
        attack(NOW, &mut session);
        let mut said = Vec::new();
        for step in 1..8 {
            let now = NOW + Duration::from_millis(step);
            for packet in client.says(now) {
                attack(now, &mut session);
                session.receive(now, at(1), &packet);
                attack(now, &mut session);
                said.extend(settle(now, &mut session, &mut client));
            }
        }
        said.extend(settle(NOW, &mut session, &mut client));
        made += usize::from(names(&said).ends_with(&["keys".to_owned()]));
    }
    made
}

#[test]
fn a_thousand_set_ups_beside_forged_handshakes_from_elsewhere_all_connect() {
    assert_eq!(set_up_beside(1_000, at(6)), 1_000);
    // The control: were they taken from anywhere, as they are from where the peer is, none would.
    assert_eq!(set_up_beside(20, at(1)), 0);
}

#[test]
fn once_there_are_keys_only_the_peer_itself_can_end_it() {
    let (us, them, other) = (identity(), identity(), identity());
    let mut session = session(&us, &them);
    let mut client = client(&them);
    shake(&mut session, &mut client, at(1));
    // By somebody who can forge the peer's address, and has no key.
    for bytes in forgeries(&other) {
        session.receive(NOW, at(1), &bytes);
    }
    for kind in 20..=63 {
        session.receive(NOW, at(1), &[&[kind, 0xFE, 0xFD][..], &[0; 30]].concat());
        session.receive(NOW, at(1), &[kind]);
    }
    assert_eq!(settle(NOW, &mut session, &mut client).len(), 0);
    let now = NOW + Duration::from_millis(50);
    client.close(now);
    for packet in client.says(now) {
        session.receive(now, at(1), &packet);
    }
    let said = settle(now, &mut session, &mut client);
    assert_eq!(names(&said), ["ended: the peer closed the connection"]);
}

/// What a session wants sent: where to, and what.
fn sent(session: &mut Session) -> Vec<(SocketAddr, Vec<u8>)> {
    std::iter::from_fn(|| session.poll_output())
        .filter_map(|output| match output {
            Output::Transmit { to, bytes } => Some((to, bytes)),
            _ => None,
        })
        .collect()
}

#[test]
fn who_is_heard_from_elsewhere_is_asked_there_and_spoken_to_once_he_has_answered() {
    let (us, them) = (identity(), identity());
    let mut session = session(&us, &them);
    let mut client = client(&them);
    // Before there are keys nothing can have been authentic.
    session.heard(NOW, at(2));
    assert!(session.poll_output().is_none());
    shake(&mut session, &mut client, at(1));
    let later = NOW + Duration::from_secs(9);
    session.heard(later, at(1));
    assert!(session.poll_output().is_none(), "he is known to be there");
    session.heard(later, at(2));
    // His packets come faster than he is asked.
    session.heard(later + Duration::from_millis(20), at(3));
    let asked = sent(&mut session);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].0, at(2));
    client.receive(later, &asked[0].1);
    let answer = client.says(later).remove(0);
    // From elsewhere, changed, and twice it is worth nothing.
    let refused = session.refused().checks;
    session.receive(later, at(3), &answer);
    let mut forged = answer.clone();
    forged[40] ^= 1;
    session.receive(later, at(2), &forged);
    assert!(session.poll_output().is_none());
    session.receive(later, at(2), &answer);
    let said = settle(later, &mut session, &mut client);
    assert_eq!(names(&said), ["path 192.0.2.2", "chosen 192.0.2.2"]);
    assert_eq!(session.deadline(), Some(later + CONSENT));
    session.receive(later, at(2), &answer);
    assert!(session.poll_output().is_none());
    assert_eq!(session.refused().checks - refused, 3);
}

#[test]
fn who_does_not_answer_is_asked_again_and_never_spoken_to() {
    let (us, them) = (identity(), identity());
    let mut session = session(&us, &them);
    let mut client = client(&them);
    shake(&mut session, &mut client, at(1));
    let mut asked = Vec::new();
    for n in 0..50 {
        session.heard(NOW + n * Duration::from_millis(20), at(2));
        asked.extend(sent(&mut session));
    }
    assert_eq!(asked.len(), 17, "each 60 ms");
    assert!(session.paths().eq([at(1)]));
    // An answer to the first is too late: the last is waited for.
    for (n, answered) in [(0, false), (16, true)] {
        client.receive(NOW, &asked[n].1);
        let answer = client.says(NOW).remove(0);
        session.receive(NOW, at(2), &answer);
        assert_eq!(session.paths().count() == 2, answered);
    }
}
