//! Secured legs: what their phones hear, what attackers reach, and what becomes of keys.

use std::net::SocketAddr;

use super::world::World;
use crate::capture::Capture;
use crate::port::{Keys, Latch, PlayId, Playback, PortUpdate, Remote, Security};
use crate::rtp::rtcp::write_report;
use crate::rtp::{HEADER_LEN, Packet, write_header};
use crate::source::Clip;
use crate::srtp::{MasterKey, OVERHEAD_MAX, Protector, Suite, Unprotector};
use crate::worker::{Garbage, Lane, PortCommand, PortEvent, Refusal};
use crate::{Codec, FRAME};

fn key(suite: Suite, seed: u8) -> MasterKey {
    let bytes: Vec<u8> = (0..suite.key_len() + suite.salt_len())
        .map(|n| (n as u8).wrapping_mul(seed | 1).wrapping_add(seed))
        .collect();
    MasterKey::new(suite, &bytes).unwrap()
}

/// The keys of phone `n`: what we send it with, what it sends with.
fn keys_of(suite: Suite, n: usize) -> (MasterKey, MasterKey) {
    let seed = 2 * n as u8;
    (key(suite, 10 + seed), key(suite, 11 + seed))
}

fn port_keys(suite: Suite, n: usize) -> Box<Keys> {
    let (ours, theirs) = keys_of(suite, n);
    Keys::new(ours, theirs).unwrap()
}

/// Gives the phone its end of the keys.
fn key_phone(world: &mut World, phone: usize, suite: Suite, n: usize) {
    let (ours, theirs) = keys_of(suite, n);
    world.phones[phone].keys = Some((
        Protector::new(theirs).unwrap(),
        Unprotector::new(ours).unwrap(),
    ));
}

/// A phone whose leg is secured, in bridge 1.
fn secured(world: &mut World, suite: Suite, hz: f32) -> usize {
    let n = world.phones.len();
    let phone = world.phone(Codec::Pcma, hz, |plan| {
        plan.security = Security::Srtp(port_keys(suite, n));
        plan.dtmf_payload_type = Some(101);
    });
    key_phone(world, phone, suite, n);
    world.bridge(phone, 1);
    phone
}

fn plain(world: &mut World, hz: f32) -> usize {
    let phone = world.phone(Codec::Pcma, hz, |plan| {
        plan.dtmf_payload_type = Some(101);
    });
    world.bridge(phone, 1);
    phone
}

fn update(world: &World, phone: usize, security: Security) -> PortCommand {
    PortCommand::Update(Box::new(PortUpdate {
        port: world.port(phone),
        remote: Some(Remote::of(world.phones[phone].address, false)),
        codec: Codec::Pcma,
        coding: crate::codec::Coding::new(Codec::Pcma),
        payload_type: 8,
        keys_elsewhere: false,
        dtmf_payload_type: Some(101),
        dtmf_clock_rate: 8_000,
        cn_payload_type: None,
        send: true,
        receive: true,
        rtcp_mux: false,
        security,
        ptime_ms: 20,
    }))
}

fn assert_both_hear(world: &World, a: usize, b: usize) {
    assert!(world.phones[a].hears(1_000.0, 0), "a hears b");
    assert!(world.phones[b].hears(440.0, 0), "b hears a");
}

fn relayed(world: &World, phone: usize) -> u64 {
    world.stats(phone).relayed
}

#[test]
fn secured_and_plain_legs_hear_each_other_by_relay_and_by_mix() {
    for suite in Suite::ALL {
        for other in [None, Some(suite), Some(Suite::AesCm128HmacSha1_32)] {
            let mut world = World::new();
            let a = secured(&mut world, suite, 440.0);
            let b = match other {
                Some(suite) => secured(&mut world, suite, 1_000.0),
                None => plain(&mut world, 1_000.0),
            };
            world.frames(60);
            assert_both_hear(&world, a, b);
            assert!(relayed(&world, a) > 50 && relayed(&world, b) > 50);
            // The phones' own sequence numbers have wrapped by now; ours follow.
            world
                .phones
                .iter()
                .for_each(|it| it.assert_one_steady_stream());

            // A third one who speaks makes it a mix: our own packets, on ticks.
            let third = plain(&mut world, 1_500.0);
            let before = relayed(&world, a);
            world.frames(10);
            world.clear();
            world.frames(30);
            assert_both_hear(&world, a, b);
            assert!(world.phones[a].hears(1_500.0, 0) && world.phones[third].hears(440.0, 0));
            assert_eq!(relayed(&world, a), before);
            let stats = world.stats(a);
            assert_eq!((stats.unauthentic, stats.replayed, stats.unsent), (0, 0, 0));
        }
    }
}

#[test]
fn music_and_keys_reach_a_secured_phone() {
    let mut world = World::new();
    let a = secured(&mut world, Suite::AeadAes256Gcm, 440.0);
    let samples = vec![8_000; 20 * FRAME];
    let clip = std::sync::Arc::new(Clip::from_pcm8k(samples).unwrap());
    let port = world.port(a);
    world.command(PortCommand::Play {
        port,
        play: Playback::once(PlayId(1), vec![clip]),
    });
    world.frames(30);
    assert_eq!(world.played(), [(PlayId(1), true)]);
    assert!(world.phones[a].heard.len() >= 20);
    let digits = "5".chars().filter_map(crate::Digit::from_char).collect();
    world.command(PortCommand::SendDigits {
        port,
        digits,
        duration_ms: 100,
    });
    world.frames(20);
    let events = world.phones[a].heard.iter();
    assert!(events.filter(|it| it.header.payload_type == 101).count() >= 5);
}

/// A packet as a stranger would make it, with or without a tag that looks right.
fn forged(number: u16, len: usize) -> [u8; 1500] {
    let mut packet = [0x5A; 1500];
    packet[..HEADER_LEN].copy_from_slice(&[0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0xAB, 0xC0]);
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    packet[len - 1] = number as u8;
    packet
}

/// 10,000 a second, with the right source address, source identifier and near sequence numbers.
#[test]
fn a_flood_of_bad_tags_costs_good_sound_nothing() {
    for suite in Suite::ALL {
        let mut world = World::new();
        let a = secured(&mut world, suite, 440.0);
        let b = secured(&mut world, suite, 1_000.0);
        world.frames(5);
        world.clear();
        let (from, mut number) = (world.phones[a].address, 0_u16);
        for _ in 0..100 {
            for _ in 0..200 {
                number = number.wrapping_add(331);
                let len = 172 + suite.tag_len();
                world.arrive(a, from, &mut forged(number, len), len);
            }
            world.frames(1);
        }
        assert_eq!(world.phones[b].heard.len(), 100);
        assert_both_hear(&world, a, b);
        world.phones[b].assert_one_steady_stream();
        let stats = world.stats(a);
        assert_eq!(stats.unauthentic + stats.replayed, 20_000, "{suite:?}");
        assert_eq!(stats.lost, 0);
    }
}

#[test]
fn plain_sound_for_a_secured_port_is_dropped_counted_and_not_answered() {
    let mut world = World::new();
    let a = secured(&mut world, Suite::AesCm128HmacSha1_80, 440.0);
    let b = plain(&mut world, 1_000.0);
    world.phones[a].keys = None;
    world.phones[b].speaks = false;
    world.frames(20);
    assert!(world.phones[b].heard.is_empty());
    let stats = world.stats(a);
    assert_eq!((stats.unauthentic, stats.received), (20, 0));
    // Control: the same phone on a plain port is heard.
    world.command(update(&world, a, Security::Plain));
    world.frames(20);
    assert!(world.phones[b].hears(440.0, 0));
}

#[test]
fn only_an_authentic_packet_latches_a_port() {
    let mut world = World::new();
    let suite = Suite::AeadAes128Gcm;
    let a = world.phone(Codec::Pcma, 440.0, |plan| {
        plan.security = Security::Srtp(port_keys(suite, 0));
        plan.latch = Latch::FirstPacketThenLock;
    });
    key_phone(&mut world, a, suite, 0);
    let thief: SocketAddr = "192.0.2.66:6666".parse().unwrap();
    for number in 0..50 {
        world.arrive(a, thief, &mut forged(number, 172), 172);
    }
    assert_eq!(world.worker.locked(world.port(a)), None);
    world.speak(a);
    let locked = world.worker.locked(world.port(a));
    assert_eq!(locked, Some(world.phones[a].address));
    // Control: of a plain port, the thief's packet does.
    let b = world.phone(Codec::Pcma, 1_000.0, |plan| {
        plan.latch = Latch::FirstPacketThenLock;
    });
    world.arrive(b, thief, &mut forged(1, 172), 172);
    assert_eq!(world.worker.locked(world.port(b)), Some(thief));
}

/// Whoever reads packets on the way may send them again, and sooner than the true one arrives.
#[test]
fn a_packet_sent_again_from_elsewhere_does_not_take_the_place_of_the_true_one() {
    let mut world = World::new();
    let suite = Suite::AesCm128HmacSha1_80;
    let a = secured(&mut world, suite, 440.0);
    let b = secured(&mut world, suite, 1_000.0);
    world.frames(5);
    world.clear();
    let header = world.phones[a].header;
    let mut packet = [0x55; 1500];
    let _ = write_header(&header, &mut packet);
    let (protector, _) = world.phones[a].keys.as_mut().unwrap();
    let len = protector.rtp(&mut packet, 172).unwrap();
    let thief: SocketAddr = "192.0.2.66:6666".parse().unwrap();
    world.arrive(a, thief, &mut packet.clone(), len);
    assert!(world.phones[b].heard.is_empty());
    let from = world.phones[a].address;
    world.arrive(a, from, &mut packet.clone(), len);
    assert_eq!(world.phones[b].heard.len(), 1);
    world.arrive(a, from, &mut packet, len);
    assert_eq!(world.phones[b].heard.len(), 1, "and once");
    let stats = world.stats(a);
    assert_eq!((stats.foreign, stats.replayed), (1, 1));
}

// covers: RFC 3711 §3.4
#[test]
fn reports_are_protected_and_opened_too() {
    let mut world = World::new();
    let suite = Suite::AesCm128HmacSha1_32;
    let a = secured(&mut world, suite, 440.0);
    let _ = plain(&mut world, 1_000.0);
    world.frames(300);
    // The phone has opened them, or it had failed; what it read is a compound.
    assert!(!world.phones[a].reports.is_empty());
    let mut bytes = [0; 200];
    let theirs = world.phones[a].header.ssrc;
    let len = write_report(&mut bytes, theirs, None, &[], "phone").unwrap();
    let (port, from, now) = (world.port(a), world.phones[a].address, world.now);
    let in_clear = &mut bytes.clone();
    world
        .worker
        .receive(now, port, Lane::Rtcp, from, in_clear, len);
    let (protector, _) = world.phones[a].keys.as_mut().unwrap();
    let len = protector.rtcp(&mut bytes, len).unwrap();
    world
        .worker
        .receive(now, port, Lane::Rtcp, from, &mut bytes, len);
    let stats = world.stats(a);
    assert_eq!((stats.rtcp_received, stats.unauthentic), (1, 1));
    // The goodbye goes when the port and its keys are no more.
    let before = world.phones[a].reports.len();
    let port = world.port(a);
    world.command(PortCommand::Close { port });
    assert_eq!(world.phones[a].reports.len(), before + 1);
}

#[test]
fn a_key_that_stays_keeps_its_counters_and_a_new_one_replaces_it() {
    let mut world = World::new();
    let suite = Suite::AesCm128HmacSha1_80;
    let a = secured(&mut world, suite, 440.0);
    let b = plain(&mut world, 1_000.0);
    // Past the wrap of the phone's sequence numbers: with a counter of zero it would be deaf.
    world.frames(60);
    world.clear();
    let same = Security::Srtp(port_keys(suite, 0));
    world.command(update(&world, a, same));
    world.frames(20);
    assert_both_hear(&world, a, b);

    // A new key for each direction, and another suite.
    let suite = Suite::AeadAes256Gcm;
    world.command(update(&world, a, Security::Srtp(port_keys(suite, 3))));
    key_phone(&mut world, a, suite, 3);
    world.clear();
    world.frames(20);
    assert_both_hear(&world, a, b);
    let stats = world.stats(a);
    assert_eq!((stats.unauthentic, stats.replayed, stats.unsent), (0, 0, 0));
}

#[test]
fn a_port_that_awaits_its_keys_is_deaf_and_dumb_until_they_come() {
    let mut world = World::new();
    let suite = Suite::AeadAes128Gcm;
    let a = world.phone(Codec::Pcma, 440.0, |plan| {
        plan.security = Security::Awaited;
        plan.dtmf_payload_type = Some(101);
    });
    world.bridge(a, 1);
    let b = plain(&mut world, 1_000.0);
    world.frames(20);
    assert!(world.phones[a].heard.is_empty() && world.phones[b].heard.is_empty());
    assert!(world.stats(a).unsent > 0 && world.stats(a).keyless > 0);

    let port = world.port(a);
    let keys = port_keys(suite, 0);
    world.command(PortCommand::Key { port, keys });
    key_phone(&mut world, a, suite, 0);
    world.clear();
    world.frames(20);
    assert_both_hear(&world, a, b);
    // A re-offer of the same leg says so again: the keys stay.
    world.command(update(&world, a, Security::Awaited));
    world.clear();
    world.frames(20);
    assert_both_hear(&world, a, b);

    // Keys for a leg in clear are a mistake, and come back.
    let (port, keys) = (world.port(b), port_keys(suite, 5));
    world.command(PortCommand::Key { port, keys });
    let refused = |event: &PortEvent| matches!(event, PortEvent::Refused { why, .. } if *why == Refusal::NoKeysAwaited);
    let back = |event: &PortEvent| matches!(event, PortEvent::Garbage(Garbage::Keys(_)));
    assert!(world.events.iter().any(refused) && world.events.iter().any(back));
}

#[test]
fn a_capture_holds_what_was_said_and_not_its_cipher() {
    let mut world = World::new();
    let a = secured(&mut world, Suite::AeadAes128Gcm, 440.0);
    let b = plain(&mut world, 1_000.0);
    let (capture, mut reader) = Capture::new(400);
    let port = world.port(a);
    world.command(PortCommand::Capture { port, capture });
    let from = world.phones[a].address;
    world.frames(20);
    world.arrive(a, from, &mut forged(9, 190), 190);
    let mut counted = [0; 2];
    while let Ok(packet) = reader.pop() {
        let read = Packet::parse(packet.bytes()).unwrap();
        let heard = &world.phones[if packet.sent { a } else { b }].heard;
        assert!(heard.iter().any(|it| it.payload == read.payload()));
        counted[usize::from(packet.sent)] += 1;
    }
    assert!(counted.iter().all(|&count| count >= 19), "{counted:?}");
}

#[test]
fn without_room_for_a_tag_nothing_is_relayed() {
    let mut world = World::new();
    let a = plain(&mut world, 440.0);
    let b = secured(&mut world, Suite::AesCm128HmacSha1_80, 1_000.0);
    world.frames(2);
    let mut packet = forged(1, 172);
    let (port, from, now) = (world.port(a), world.phones[a].address, world.now);
    let (exact, roomy) = (172, 172 + OVERHEAD_MAX);
    let mut relay = |room: usize, number: u8| {
        packet[3] = number;
        let buffer = &mut packet[..room];
        world
            .worker
            .receive(now, port, Lane::Rtp, from, buffer, 172)
    };
    assert_eq!(relay(exact, 1), None);
    assert_eq!(relay(roomy, 2).map(|it| it.len), Some(182));
    assert_eq!(world.stats(b).unsent, 1);
}
