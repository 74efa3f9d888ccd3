//! Browsers over real sockets: a client that checks, shakes hands and speaks, on one shared port with all others.
#![expect(
    clippy::disallowed_methods,
    reason = "real sockets, real threads: who talks takes his time"
)]

mod attacks;
mod scene;

use std::time::Duration;

use media::port::PortId;
use media::worker::{Loss, MediaPlane, NoPort, PortEvent};

use super::super::DoorStats;
use scene::{Scene, load};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn two_browsers_on_one_port_and_two_telephones_hear_each_other_and_nobody_else() {
    let mut scene = Scene::new(81);
    for (n, hz) in [(0, 440.0), (1, 600.0)] {
        scene.browser(hz, n);
        scene.telephone(hz + 560.0, n);
        scene.meet(n as usize);
    }
    let to = scene.browsers[0].voice.to;
    assert_eq!(scene.browsers[1].voice.to, to, "one port for all");
    let set_up = scene.until_heard();
    // The counters are told each 100 ms; the first packet may come before its way is known.
    scene.talk(SECOND / 4);
    let before = door(&scene);
    scene.forget();
    scene.talk(3 * SECOND);
    let mut gaps = Vec::new();
    for (n, hz) in [(0, 440.0), (1, 600.0)] {
        let (browser, telephone) = (&scene.browsers[n].voice, &scene.telephones[n].1);
        for (voice, hz) in [(browser, hz + 560.0), (telephone, hz)] {
            assert!(voice.heard.len() > 120, "{} packets", voice.heard.len());
            assert_eq!(
                (voice.hears(hz), voice.lost(), voice.odd),
                (100, 0, 0),
                "{hz} Hz"
            );
            gaps.push(voice.longest_gap());
        }
    }
    println!(
        "heard after {set_up:?}; longest gaps {gaps:?}; load {}",
        load()
    );
    assert!(gaps.iter().all(|gap| *gap < SECOND / 4), "{gaps:?}");
    assert!(scene.events.iter().all(|event| !is_refused(event)));
    let strays = |door: &DoorStats| door.unrouted + door.other + door.dropped;
    let after = door(&scene);
    assert!(
        after.media - before.media >= 250 && strays(&after) == strays(&before),
        "{before:?}, {after:?}"
    );
    scene.close();
}

fn is_refused(event: &PortEvent) -> bool {
    matches!(event, PortEvent::Refused { .. })
}

#[test]
fn a_browser_that_walks_to_another_network_is_heard_and_hears_from_there() {
    let mut scene = Scene::new(82);
    scene.browser(440.0, 1);
    scene.telephone(1_000.0, 1);
    scene.meet(0);
    scene.until_heard();
    let before = scene.browsers[0].walks(83);
    let took = scene.until_heard();
    println!("heard both ways {took:?} after the walk; load {}", load());
    assert!(took < SECOND, "{took:?}");
    scene.forget();
    while before.recv(&mut [0; 2_000]).is_ok() {}
    scene.talk(SECOND);
    assert_eq!(scene.browsers[0].voice.hears(1_000.0), 100);
    assert_eq!(scene.telephones[0].1.hears(440.0), 100);
    assert!(
        before.recv(&mut [0; 2_000]).is_err(),
        "nothing goes to where it was"
    );
    scene.close();
}

#[test]
fn a_browser_that_is_moved_without_its_knowledge_is_heard_and_hears_at_once() {
    let mut scene = Scene::new(88);
    scene.browser(440.0, 1);
    scene.telephone(1_000.0, 1);
    scene.meet(0);
    scene.until_heard();
    scene.forget();
    scene.talk(SECOND);
    let before = scene.browsers[0].is_moved(89);
    scene.talk(SECOND);
    let (browser, telephone) = (&scene.browsers[0].voice, &scene.telephones[0].1);
    let (hears, is_heard) = (browser.longest_gap(), telephone.longest_gap());
    println!(
        "misses {hears:?}, is missed for {is_heard:?}; load {}",
        load()
    );
    assert!(hears < SECOND / 4 && is_heard < SECOND / 4);
    assert_eq!((browser.hears(1_000.0), telephone.hears(440.0)), (100, 100));
    assert!(browser.heard.len() > 85 && telephone.heard.len() > 85);
    assert_eq!(browser.odd, 0);
    scene.until("counted", |scene| {
        (door(scene).moved, scene.workers.web_counts().asked) == (1, 1)
    });
    while before.recv(&mut [0; 2_000]).is_ok() {}
    scene.talk(SECOND / 4);
    assert!(before.recv(&mut [0; 2_000]).is_err(), "nothing goes there");
    scene.close();
}

fn door(scene: &Scene) -> DoorStats {
    scene.workers.stats().next().unwrap().0.door
}

#[test]
fn a_page_that_is_left_is_told_of_and_spoken_to_no_more() {
    let mut scene = Scene::new(84);
    scene.browser(440.0, 1);
    scene.telephone(1_000.0, 1);
    scene.meet(0);
    scene.until_heard();
    let now = scene.clock.now();
    scene.browsers[0].peer.close(now);
    scene.browsers[0].voice.speaks = false;
    scene.until("told", |scene| {
        lost(scene) == Some((PortId(0), Loss::Closed))
    });
    scene.talk(SECOND / 10);
    scene.forget();
    scene.talk(SECOND);
    assert!(scene.browsers[0].voice.heard.is_empty());
    scene.close();
}

/// The first loss that was told.
fn lost(scene: &Scene) -> Option<(PortId, Loss)> {
    scene.events.iter().find_map(|event| match event {
        PortEvent::Lost { port, why } => Some((PortId(port.0 & 0xFFFF), *why)),
        _ => None,
    })
}

#[test]
fn what_is_found_out_before_a_port_opens_is_not_lost() {
    let mut scene = Scene::new(85);
    scene.telephone(1_000.0, 1);
    // The page has our SDP, asks for its way and shakes hands; only then the port opens.
    let n = scene.browser_ahead(440.0);
    scene.meet(n);
    scene.until("secured", |scene| {
        scene.browsers[0].voice.talker.guards.is_some()
    });
    scene.talk(SECOND / 10);
    scene.open_late(n, 1);
    scene.until_heard();
    assert!(scene.events.iter().all(|event| !is_refused(event)));
    scene.close();
}

#[test]
fn ports_without_browsers_are_none_and_those_given_back_leave_nothing() {
    let mut plain = super::workers(86);
    assert_eq!(plain.reserve_web(None).map(|_| ()), Err(NoPort::NoWeb));
    let mut scene = Scene::new(87);
    let mut held = Vec::new();
    while let Ok((reserved, end)) = scene.workers.reserve_web(Some(0)) {
        let names = held.iter().map(|(_, ufrag)| ufrag);
        assert!(names.into_iter().all(|name| *name != end.ufrag));
        held.push((reserved, end.ufrag));
    }
    assert_eq!(held.len(), 16);
    let (first, _) = held[0];
    assert_eq!(scene.workers.relocate(0, first.port, 1), Err(NoPort::NoWeb));
    scene.until("sixteen sessions", |scene| {
        scene.workers.web_counts().sessions == 16
    });
    for (reserved, _) in &held {
        scene.workers.release(0, reserved.port);
        scene.workers.release(0, reserved.port);
    }
    assert_eq!(scene.workers.bound(), 0);
    scene.until("no session", |scene| {
        scene.workers.web_counts().sessions == 0
    });
}
