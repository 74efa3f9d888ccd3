//! Packets that repeat those before them (RFC 2198), and keys on a clock of their own.

use super::world::World;
use crate::Codec;
use crate::codec::{Coding, Encoder};
use crate::dsp::Tone;
use crate::port::PortPlan;
use crate::rtp::red::{self, Redundancy};
use crate::worker::DtmfVia;
use crate::worker::PortEvent;

const RED: u8 = 121;

fn repeats(plan: &mut PortPlan) {
    plan.coding = Coding::new(plan.codec).repeating(Some(RED));
}

/// A talker who repeats, or does not, and loses every `nth` packet; the other listens.
fn lossy(nth: usize, repeats_itself: bool) -> World {
    let mut world = World::new();
    let talker = world.phone(Codec::Pcma, 440.0, |plan| {
        if repeats_itself {
            repeats(plan);
        }
    });
    let listener = world.phone(Codec::Pcmu, 1_000.0, |_| {});
    world.bridge(talker, 1);
    world.bridge(listener, 1);
    world.phones[talker].speaks = false;
    let (mut redundancy, mut tone) = (Redundancy::new(RED), Tone::new(440.0, -13.0));
    for n in 1..=2_000 {
        let mut payload = [0; 160];
        Encoder::new(Codec::Pcma).encode(&tone.frame(), &mut payload);
        let header = world.phones[talker].header;
        let mut packet = [0; 400];
        let len = redundancy.write(8, header.time, &payload, &mut packet);
        match (n % nth, repeats_itself) {
            (0, _) => world.phones[talker].header.sequence = header.sequence.plus(1),
            (_, true) => world.send(talker, RED, &packet[..len.unwrap()]),
            (_, false) => world.send(talker, 8, &payload),
        }
        let header = &mut world.phones[talker].header;
        header.time = header.time.plus(160);
        world.frames(1);
    }
    world
}

// covers: RFC 2198 §3
#[test]
fn what_is_lost_is_heard_from_the_copy_in_the_next_packet() {
    let with = lossy(10, true).stats(0);
    let without = lossy(10, false).stats(0);
    assert!((190..=210).contains(&without.concealed), "{without:?}");
    assert_eq!(without.recovered, 0);
    assert!(with.recovered > 190 && with.concealed < 10, "{with:?}");
    let (with, without) = (with.rating.unwrap(), without.rating.unwrap());
    assert!(
        with.mos() > 4.2 && without.mos() < 3.6,
        "{with:?} {without:?}"
    );
}

// covers: RFC 2198 §3
#[test]
fn who_agreed_to_copies_gets_them_and_who_did_not_gets_none() {
    let mut world = World::new();
    for (codec, told) in [(Codec::Pcma, true), (Codec::Pcma, false)] {
        let phone = world.phone(codec, 440.0, |plan| {
            if told {
                repeats(plan);
            }
        });
        world.bridge(phone, 1);
    }
    world.frames(100);
    let heard = &world.phones[0].heard;
    assert!(heard.len() > 90);
    let mut before: Option<Vec<u8>> = None;
    for packet in heard {
        assert_eq!(packet.header.payload_type, RED);
        let (newest, mut older) = red::parse(&packet.payload).unwrap();
        assert_eq!(newest.payload_type, 8);
        let copy = older.next().map(|copy| copy.payload.to_vec());
        assert_eq!(copy, before);
        before = Some(newest.payload.to_vec());
    }
    let plain = &world.phones[1].heard;
    assert!(plain.len() > 90 && plain.iter().all(|it| it.header.payload_type == 8));
    assert!(world.phones[1].hears(440.0, 5));
}

#[test]
fn a_key_of_eight_thousand_ticks_beside_opus_has_the_length_that_was_meant() {
    let mut world = World::new();
    let phone = world.phone(Codec::Pcma, 440.0, |plan| {
        plan.codec = Codec::Opus;
        plan.coding = Coding::new(Codec::Opus);
        plan.payload_type = 111;
        plan.dtmf_payload_type = Some(101);
        plan.dtmf_clock_rate = 8_000;
    });
    world.phones[phone].speaks = false;
    for n in 1..=5_u16 {
        let [high, low] = (n * 160).to_be_bytes();
        let end = if n == 5 { 0x8A } else { 0x0A };
        world.send(phone, 101, &[7, end, high, low]);
        world.frames(1);
    }
    world.frames(10);
    let told = |event: &PortEvent| match event {
        PortEvent::Digit {
            digit,
            how: DtmfVia::Rfc4733,
            duration_ms,
            ..
        } => Some((digit.as_char(), *duration_ms)),
        _ => None,
    };
    let keys: Vec<_> = world.events.iter().filter_map(told).collect();
    assert_eq!(keys, [('7', 100)]);
}
