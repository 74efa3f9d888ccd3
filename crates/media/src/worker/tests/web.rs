//! A browser's port: whose place and whose keys come on the media path.

use std::net::SocketAddr;

use super::world::World;
use crate::Codec;
use crate::port::{Keys, Latch, Security};
use crate::srtp::{MasterKey, Protector, Suite, Unprotector};
use crate::worker::PortCommand;

const SUITE: Suite = Suite::AeadAes128Gcm;

fn key(n: u8) -> MasterKey {
    MasterKey::new(SUITE, &vec![n; SUITE.key_len() + SUITE.salt_len()]).unwrap()
}

/// A browser and a telephone, whose ports are bridged.
fn talk() -> (World, usize, usize) {
    let mut world = World::new();
    let browser = world.phone(Codec::Pcma, 440.0, |plan| {
        // What its SDP says of addresses is of no account.
        plan.remote = None;
        plan.rtcp_mux = true;
        plan.latch = Latch::Proven;
        plan.security = Security::Awaited;
        plan.dtmf_payload_type = Some(101);
    });
    let telephone = world.phone(Codec::Pcma, 1_000.0, |plan| {
        plan.dtmf_payload_type = Some(101);
    });
    world.bridge(browser, 1);
    world.bridge(telephone, 1);
    (world, browser, telephone)
}

fn lead(world: &mut World, browser: usize, to: Option<SocketAddr>) {
    let port = world.port(browser);
    world.command(PortCommand::Path { port, to });
}

fn secure(world: &mut World, browser: usize) {
    let (port, keys) = (world.port(browser), Keys::new(key(1), key(2)).unwrap());
    world.command(PortCommand::Key { port, keys });
    let ends = (Protector::new(key(2)), Unprotector::new(key(1)));
    world.phones[browser].keys = ends.0.zip(ends.1);
}

#[test]
fn a_browser_hears_and_is_heard_once_its_place_and_its_keys_are_known() {
    let (mut world, browser, telephone) = talk();
    world.frames(20);
    assert!(world.phones[telephone].heard.is_empty());
    secure(&mut world, browser);
    world.frames(20);
    assert!(world.phones[browser].heard.is_empty(), "sent nowhere");
    assert!(world.phones[telephone].hears(440.0, 2));

    let at = world.phones[browser].address;
    lead(&mut world, browser, Some(at));
    world.clear();
    world.frames(20);
    assert!(world.phones[browser].hears(1_000.0, 0));
    assert!(world.phones[telephone].hears(440.0, 0));
    let relayed = [browser, telephone].map(|phone| world.stats(phone).relayed);
    assert!(relayed.iter().all(|&packets| packets >= 19), "{relayed:?}");

    // It walks to another network: heard from there, and spoken to there once that is said.
    world.phones[browser].address = "10.9.0.1:7000".parse().unwrap();
    let to = Some(world.phones[browser].address);
    lead(&mut world, browser, to);
    world.clear();
    world.frames(20);
    assert!(world.phones[browser].hears(1_000.0, 0));
    assert!(world.phones[telephone].hears(440.0, 0));

    lead(&mut world, browser, None);
    world.clear();
    world.frames(20);
    assert!(world.phones[browser].heard.is_empty(), "consent is over");
}

#[test]
fn what_is_in_clear_from_a_proven_place_is_not_heard() {
    let (mut world, browser, telephone) = talk();
    let at = world.phones[browser].address;
    lead(&mut world, browser, Some(at));
    secure(&mut world, browser);
    let keys = world.phones[browser].keys.take();
    world.frames(20);
    assert!(world.phones[telephone].heard.is_empty());
    assert!(world.stats(browser).unauthentic >= 19);
    world.phones[browser].keys = keys;
    world.frames(20);
    assert!(world.phones[telephone].hears(440.0, 2), "the control");
}
