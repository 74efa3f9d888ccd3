//! Sessions without sockets: who is found, who is not, and what is left of who has gone.

use std::net::SocketAddr;

use clock::{Duration, Now};
use media::port::PortId;
use media::worker::{WebPeer, WebRenamed};
use webrtc_lite::peer::Peer;
use webrtc_lite::{Credentials, Identity, Output};

use super::lobby::Lobby;
use super::{Guest, SystemClock, identity};

const NOW: Now = Now::from_nanos(5_000_000_000);

const THEIRS: &str = "theirs-is-long-enough-as-well";

fn made() -> Identity {
    identity(SystemClock::reading(NOW)).unwrap()
}

fn guest(n: u32) -> Guest {
    Guest {
        worker: 0,
        port: PortId(n),
    }
}

fn ours(n: u32) -> Credentials {
    Credentials {
        ufrag: format!("us{n}"),
        password: format!("a-password-that-is-long-enough-{n}"),
    }
}

fn at(port: u16) -> SocketAddr {
    ([192, 0, 2, 7], port).into()
}

fn browser(identity: &Identity, n: u32) -> Peer {
    let own = Credentials {
        ufrag: "them".to_owned(),
        password: THEIRS.to_owned(),
    };
    Peer::new(NOW, identity.clone(), own, ours(n)).unwrap()
}

fn peer(identity: &Identity) -> WebPeer {
    WebPeer {
        ufrag: "them".to_owned(),
        password: THEIRS.to_owned(),
        fingerprint: identity.fingerprint().to_string(),
        renamed: None,
    }
}

/// What there is to say, apart from datagrams; those go to the browser.
fn settle(now: Now, lobby: &mut Lobby, browser: &mut Peer, mine: SocketAddr) -> Vec<String> {
    let mut said = Vec::new();
    while let Some((guest, output)) = lobby.poll_output() {
        match output {
            Output::Transmit { to, bytes } if to == mine => browser.receive(now, &bytes),
            Output::Transmit { to, .. } => said.push(format!("sent to {to}")),
            Output::Path(at) => said.push(format!("{} at {}", guest.port.0, at.port())),
            Output::NoPath(at) => said.push(format!("{} not at {}", guest.port.0, at.port())),
            Output::Chosen(at) => said.push(format!("{} to {}", guest.port.0, at.port())),
            Output::Keys(_) => said.push(format!("{} has keys", guest.port.0)),
            Output::Ended(why) => said.push(format!("{}: {why}", guest.port.0)),
        }
    }
    said
}

/// Shakes hands from an address until there is nothing to say.
fn shake(lobby: &mut Lobby, browser: &mut Peer, from: SocketAddr) -> Vec<String> {
    let mut said = Vec::new();
    for step in 1..8 {
        let now = NOW + Duration::from_millis(step);
        for packet in browser.says(now) {
            lobby.receive(now, 0, from, &packet);
            said.extend(settle(now, lobby, browser, from));
        }
    }
    said
}

#[test]
fn browsers_on_one_port_are_told_apart_by_name_and_then_by_address() {
    let (us, them) = (made(), [made(), made()]);
    let mut lobby = Lobby::new(us);
    for n in [0, 1] {
        lobby.wait_for(NOW, guest(n), ours(n));
        lobby.meet(NOW, guest(n), peer(&them[n as usize]));
    }
    let mut browsers = [browser(&them[0], 0), browser(&them[1], 1)];
    for (n, browser) in browsers.iter_mut().enumerate() {
        let mine = at(5_000 + n as u16);
        lobby.receive(NOW, 0, mine, &browser.check(true));
        let said = settle(NOW, &mut lobby, browser, mine);
        assert_eq!(
            said,
            [
                format!("{n} at {}", mine.port()),
                format!("{n} to {}", mine.port())
            ]
        );
    }
    for (n, browser) in browsers.iter_mut().enumerate() {
        let said = shake(&mut lobby, browser, at(5_000 + n as u16));
        assert_eq!(said, [format!("{n} has keys")]);
    }
    assert_eq!((lobby.counts.secured, lobby.counts.strange), (2, 0));
    // One who leaves is told so, is found no more, and is not looked after any more.
    lobby.leave(NOW, guest(0));
    assert!(matches!(
        lobby.poll_output(),
        Some((_, Output::Transmit { .. }))
    ));
    lobby.receive(NOW, 0, at(5_000), &browsers[0].check(true));
    assert_eq!((lobby.counts.strange, lobby.counts.sessions), (1, 1));
    assert!(lobby.poll_output().is_none());
    lobby.leave(NOW, guest(1));
    assert_eq!(lobby.deadline(), None);
}

#[test]
fn what_names_nobody_or_comes_to_another_workers_socket_is_counted_and_not_answered() {
    let (us, them) = (made(), made());
    let mut lobby = Lobby::new(us);
    lobby.wait_for(NOW, guest(0), ours(0));
    let mut browser = browser(&them, 0);
    let good = browser.check(true);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    lobby.receive(NOW, 1, at(1), &good);
    lobby.receive(NOW, 0, at(1), &forged);
    lobby.receive(NOW, 0, at(1), b"\x16\xfe\xfd");
    lobby.receive(NOW, 0, at(1), b"");
    assert!(lobby.poll_output().is_none());
    assert_eq!((lobby.counts.strange, lobby.counts.taken), (4, 4));
    lobby.receive(NOW, 0, at(1), &good);
    assert!(lobby.poll_output().is_some(), "the control");
}

#[test]
fn a_print_that_cannot_be_read_is_nobodys() {
    let (us, them) = (made(), made());
    let mut lobby = Lobby::new(us);
    lobby.wait_for(NOW, guest(0), ours(0));
    let unreadable = WebPeer {
        fingerprint: "sha-1 00:11".to_owned(),
        ..peer(&them)
    };
    lobby.meet(NOW, guest(0), unreadable);
    let mut browser = browser(&them, 0);
    lobby.receive(NOW, 0, at(1), &browser.check(true));
    settle(NOW, &mut lobby, &mut browser, at(1));
    let said = shake(&mut lobby, &mut browser, at(1));
    let last = "0: the peer's certificate is not the one that its SDP names";
    assert_eq!(said.first().map(String::as_str), Some(last));
}

// covers: RFC 7675 §5.1
#[test]
fn whose_checks_cease_is_given_up_after_thirty_seconds_and_who_goes_on_is_not() {
    let (us, them) = (made(), made());
    let mut lobby = Lobby::new(us);
    let mut browsers = [browser(&them, 0), browser(&them, 1)];
    for (n, browser) in (0..).zip(&mut browsers) {
        lobby.wait_for(NOW, guest(n), ours(n));
        lobby.meet(NOW, guest(n), peer(&them));
        let mine = at(5_000 + n as u16);
        lobby.receive(NOW, 0, mine, &browser.check(true));
        settle(NOW, &mut lobby, browser, mine);
        assert_eq!(shake(&mut lobby, browser, mine), [format!("{n} has keys")]);
    }
    let mut said = Vec::new();
    for second in 1..=120 {
        let now = NOW + Duration::from_secs(second);
        // The second goes on to ask, until its hour comes too.
        if second <= 60 && second % 5 == 0 {
            lobby.receive(now, 0, at(5_001), &browsers[1].check(false));
        }
        lobby.handle_timeout(now);
        let news = settle(now, &mut lobby, &mut browsers[1], at(5_001));
        said.extend(news.into_iter().map(|it| format!("{second} s: {it}")));
    }
    assert_eq!(
        said,
        [
            "30 s: 0: no connectivity check for 30 s",
            "90 s: 1: no connectivity check for 30 s"
        ]
    );
    assert_eq!((lobby.counts.lost, lobby.deadline()), (2, None));
}

// covers: RFC 8839 §4.4.3, RFC 8445 §9
#[test]
fn after_a_restart_checks_find_their_way_by_the_new_name_and_until_then_by_the_old() {
    let (us, them) = (made(), made());
    let mut lobby = Lobby::new(us);
    lobby.wait_for(NOW, guest(0), ours(0));
    lobby.meet(NOW, guest(0), peer(&them));
    let mut old = browser(&them, 0);
    lobby.receive(NOW, 0, at(1), &old.check(true));
    settle(NOW, &mut lobby, &mut old, at(1));
    shake(&mut lobby, &mut old, at(1));
    let Credentials { ufrag, password } = ours(9);
    let renamed = Some(WebRenamed { ufrag, password });
    let anew = WebPeer {
        ufrag: "anew".to_owned(),
        renamed,
        ..peer(&them)
    };
    // Told twice, it is one restart.
    for _ in 0..2 {
        lobby.meet(NOW, guest(0), anew.clone());
    }
    lobby.receive(NOW, 0, at(1), &old.check(true));
    assert!(lobby.poll_output().is_some(), "the old name holds");
    let own = Credentials {
        ufrag: "anew".to_owned(),
        password: THEIRS.to_owned(),
    };
    let mut new = Peer::new(NOW, them.clone(), own, ours(9)).unwrap();
    lobby.receive(NOW, 0, at(2), &new.check(true));
    let said = settle(NOW, &mut lobby, &mut new, at(2));
    assert_eq!(said, ["0 at 2", "0 to 2"]);
    lobby.receive(NOW, 0, at(1), &old.check(true));
    assert!(lobby.poll_output().is_none(), "and no longer");
    assert_eq!((lobby.counts.secured, lobby.counts.lost), (1, 0));
    lobby.leave(NOW, guest(0));
    lobby.receive(NOW, 0, at(2), &new.check(true));
    assert_eq!(lobby.counts.strange, 1);
}

#[test]
fn one_who_has_moved_is_asked_where_he_is_heard_and_his_answer_finds_his_session() {
    let (us, them) = (made(), made());
    let mut lobby = Lobby::new(us);
    let mut browsers = [browser(&them, 0), browser(&them, 1)];
    for (n, browser) in (0..).zip(&mut browsers) {
        lobby.wait_for(NOW, guest(n), ours(n));
        lobby.meet(NOW, guest(n), peer(&them));
        let mine = at(5_000 + n as u16);
        lobby.receive(NOW, 0, mine, &browser.check(true));
        settle(NOW, &mut lobby, browser, mine);
        shake(&mut lobby, browser, mine);
    }
    let later = NOW + Duration::from_secs(1);
    lobby.heard(later, guest(1), at(6_000));
    assert!(settle(later, &mut lobby, &mut browsers[1], at(6_000)).is_empty());
    let answer = browsers[1].says(later).remove(0);
    // From where nobody was asked it finds nobody.
    let strange = lobby.counts.strange;
    lobby.receive(later, 0, at(6_001), &answer);
    assert_eq!(lobby.counts.strange, strange + 1);
    lobby.receive(later, 0, at(6_000), &answer);
    let said = settle(later, &mut lobby, &mut browsers[1], at(6_000));
    assert_eq!(said, ["1 at 6000", "1 to 6000"]);
    assert_eq!(lobby.counts.asked, 1);
    // Who is gone is not asked, and answers nobody.
    lobby.leave(later, guest(1));
    lobby.heard(later, guest(1), at(6_002));
    lobby.receive(later, 0, at(6_000), &answer);
    assert_eq!((lobby.counts.asked, lobby.counts.strange), (1, strange + 2));
}
