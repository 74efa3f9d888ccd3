//! Who may speak, what else comes: attackers, keys, reports, silence.

use clock::Duration;

use super::world::World;
use crate::dsp::level;
use crate::port::Latch;
use crate::rtp::Header;
use crate::rtp::event::EventPayload;
use crate::rtp::rtcp::{Compound, ReportBlock, RtcpPacket, append_goodbye, write_report};
use crate::worker::{DtmfVia, Lane, PortCommand, PortEvent, Refusal};
use crate::{Codec, Digit, FRAME};

fn stats(world: &World, phone: usize) -> crate::port::PortStats {
    world.stats(phone)
}

fn event(code: u8, end: bool, duration: u16) -> [u8; 4] {
    EventPayload {
        event: code,
        end,
        volume: 10,
        duration,
    }
    .to_bytes()
}

/// The phone presses a key for 60 ms, as RFC 4733 has it.
fn press(world: &mut World, phone: usize, payload_type: u8, code: u8) {
    world.phones[phone].speaks = false;
    for n in 1..=3 {
        world.send(phone, payload_type, &event(code, n == 3, n * 160));
        world.frames(1);
    }
    for _ in 0..2 {
        world.send(phone, payload_type, &event(code, true, 480));
    }
    let header = &mut world.phones[phone].header;
    header.time = header.time.plus(480);
    world.phones[phone].speaks = true;
}

#[test]
fn a_stranger_is_neither_heard_nor_answered_before_the_lock_nor_after() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    let stranger = "192.0.2.66:4000".parse().unwrap();
    let header = Header {
        payload_type: 8,
        ..world.phones[0].header
    };
    world.inject(0, stranger, &header, &[0; 160]);
    world.frames(5);
    world.inject(0, stranger, &header, &[0; 160]);
    // The port that the SDP named is a stranger too, once the phone was heard from another.
    world.phones[0].address.set_port(4_002);
    world.frames(20);
    assert_eq!(stats(&world, 0).foreign, 2 + 20);
    let firsts = world
        .events
        .iter()
        .filter(|event| matches!(event, PortEvent::FirstPacket { .. }));
    assert_eq!(firsts.count(), 2);
}

#[test]
fn behind_nat_the_first_valid_packet_locks_and_sound_goes_back_where_it_came_from() {
    let mut world = World::new();
    let a = world.phone(Codec::Pcma, 440.0, |plan| {
        plan.latch = Latch::FirstPacketThenLock
    });
    let b = world.phone(Codec::Pcma, 1_000.0, |_| {});
    world.bridge(a, 1);
    world.bridge(b, 1);
    world.phones[a].address = "203.0.113.5:61000".parse().unwrap();
    world.phones[b].speaks = false;
    let invalid = Header {
        payload_type: 77,
        ..world.phones[a].header
    };
    world.inject(a, "198.51.100.1:9".parse().unwrap(), &invalid, &[0; 160]);
    world.frames(2);
    world.phones[b].speaks = true;
    world.frames(20);
    assert!(world.phones[a].hears(1_000.0, 0) && world.phones[b].hears(440.0, 0));
    assert_eq!(stats(&world, a).unknown_payload, 1);
}

// covers: RFC 4733 §2.5.1.4
#[test]
fn a_key_that_was_pressed_before_the_bridge_is_no_press_to_the_partner() {
    let mut world = World::new();
    let a = world.phone(Codec::Pcma, 440.0, |_| {});
    let b = world.phone(Codec::Pcma, 1_000.0, |_| {});
    world.bridge(b, 1);
    world.frames(5);
    world.phones[a].speaks = false;
    world.send(a, 101, &event(2, false, 160));
    world.send(a, 101, &event(2, true, 320));
    world.bridge(a, 1);
    // Its end is said three times, and the next key is another.
    world.send(a, 101, &event(2, true, 320));
    world.send(a, 101, &event(2, true, 320));
    let header = &mut world.phones[a].header;
    header.time = header.time.plus(800);
    world.send(a, 101, &event(5, true, 320));
    world.frames(5);
    let keys = world.phones[b].heard.iter();
    let keys = keys.filter(|it| it.header.payload_type > 95);
    let keys: Vec<_> = keys.map(|it| it.payload[0]).collect();
    assert_eq!(keys, [5]);
    assert_eq!(world.digits().len(), 2);
}

#[test]
fn garbage_from_the_network_is_counted_and_nothing_else() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(2);
    world.clear();
    world
        .phones
        .iter_mut()
        .for_each(|phone| phone.speaks = false);
    let from = world.phones[0].address;
    let mut noise = 1_u32;
    for len in 0..200_usize {
        let mut packet: Vec<u8> = (0..len)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8 & 0x3F
            })
            .collect();
        let port = world.port(0);
        for lane in [Lane::Rtp, Lane::Rtcp] {
            assert_eq!(
                world
                    .worker
                    .receive(world.now, port, lane, from, &mut packet, len),
                None
            );
        }
    }
    world.collect();
    assert_eq!(stats(&world, 0).malformed, 400);
    assert!(world.phones[1].heard.is_empty());
}

#[test]
fn a_key_is_told_once_and_passes_a_relay_in_the_partners_payload_type() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(10);
    press(&mut world, 0, 101, 5);
    world.frames(5);
    assert_eq!(world.digits(), [('5', 60)]);
    let events: Vec<_> = world.phones[1]
        .heard
        .iter()
        .filter(|heard| heard.header.payload_type == 102)
        .collect();
    assert_eq!(events.len(), 5);
    assert!(
        events
            .iter()
            .all(|heard| heard.header.time == events[0].header.time)
    );
    for pair in world.phones[1].heard.windows(2) {
        assert_eq!(pair[1].header.sequence.ahead_of(pair[0].header.sequence), 1);
    }
}

#[test]
fn a_key_is_made_anew_where_packets_are_not_passed_on() {
    for (agreed, wanted) in [(Some(102), true), (None, false)] {
        let mut world = World::new();
        let a = world.phone(Codec::Pcma, 440.0, |_| {});
        let b = world.phone(Codec::Pcmu, 1_000.0, |plan| plan.dtmf_payload_type = agreed);
        world.bridge(a, 1);
        world.bridge(b, 1);
        world.frames(10);
        press(&mut world, a, 101, 1);
        world.phones[a].speaks = false;
        world.frames(12);
        let heard = &world.phones[b];
        let events = heard
            .heard
            .iter()
            .filter(|heard| heard.header.payload_type == 102)
            .count();
        assert_eq!(events, if wanted { 5 } else { 0 });
        let level = |hz| crate::dsp::Goertzel::new(hz, 8_000);
        let sound = heard.sound();
        let tones = sound
            .chunks(160)
            .filter(|frame| level(697.0).dbfs(frame) > -20.0 && level(1_209.0).dbfs(frame) > -20.0);
        assert_eq!(tones.count() >= 3, !wanted);
    }
}

#[test]
fn digits_are_sent_as_events_in_one_stream_with_the_audio_around_them() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(5);
    let digits = "12#".chars().filter_map(Digit::from_char).collect();
    let port = world.port(0);
    world.command(PortCommand::SendDigits {
        port,
        digits,
        duration_ms: 100,
    });
    world.frames(40);
    let ends: Vec<u8> = world.phones[0]
        .heard
        .iter()
        .filter(|heard| heard.header.payload_type == 101 && heard.payload[1] & 0x80 != 0)
        .map(|heard| heard.payload[0])
        .collect();
    assert_eq!(ends, [1, 1, 1, 2, 2, 2, 11, 11, 11]);
    for pair in world.phones[0].heard.windows(2) {
        assert_eq!(pair[1].header.sequence.ahead_of(pair[0].header.sequence), 1);
    }
    let last = world.phones[0].heard.len() - 10;
    assert!(
        world.phones[0].hears(1_000.0, last - 24),
        "the partner is heard again"
    );
}

#[test]
fn silence_is_told_while_we_receive_and_told_again() {
    let mut world = World::new();
    world.phone(Codec::Pcma, 440.0, |_| {});
    world.frames(50);
    world.phones[0].speaks = false;
    world.frames(250);
    let silences: Vec<u32> = world
        .events
        .iter()
        .filter_map(|event| match event {
            PortEvent::NoMedia { silent_ms, .. } => Some(*silent_ms),
            _ => None,
        })
        .collect();
    assert_eq!(silences.len(), 2);
    assert!((1_900..1_950).contains(&silences[0]) && (3_800..3_850).contains(&silences[1]));
}

// covers: RFC 3550 §6.4
#[test]
fn reports_tell_what_was_sent_and_heard_every_five_seconds_and_a_goodbye_ends_nothing() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(1_000);
    let reports = &world.phones[0].reports;
    assert!(
        (3..=4).contains(&reports.len()),
        "{} in 20 s",
        reports.len()
    );
    let packets: Vec<_> = Compound::parse(&reports[0]).unwrap().packets().collect();
    let RtcpPacket::SenderReport {
        ssrc,
        sender,
        blocks,
    } = packets[0]
    else {
        panic!()
    };
    assert_eq!(ssrc, world.phones[0].heard[0].header.ssrc);
    assert!(sender.packets > 100 && sender.octets == sender.packets * 160);
    let block = blocks.about(world.phones[0].header.ssrc).unwrap();
    assert_eq!((block.lost, block.fraction_lost), (0, 0));

    let about = ReportBlock {
        ssrc,
        lost: 7,
        jitter: 80,
        ..ReportBlock::default()
    };
    let mut bytes = [0; 200];
    let theirs = world.phones[0].header.ssrc;
    let len = write_report(&mut bytes, theirs, None, &[about], "phone").unwrap();
    let len = append_goodbye(&mut bytes, len, theirs).unwrap();
    let (port, from) = (world.port(0), world.phones[0].address);
    world
        .worker
        .receive(world.now, port, Lane::Rtcp, from, &mut bytes, len);
    let stats = stats(&world, 0);
    assert_eq!(
        (stats.rtcp_received, stats.peer_lost, stats.peer_jitter),
        (1, 7, 80)
    );
    world.clear();
    world.frames(20);
    assert!(world.phones[0].hears(1_000.0, 0) && world.phones[1].hears(440.0, 0));
}

// covers: RFC 5761 §4
#[test]
fn multiplexed_reports_are_told_from_sound_by_their_second_byte() {
    let mut world = World::new();
    let a = world.phone(Codec::Pcma, 440.0, |plan| plan.rtcp_mux = true);
    world.frames(3);
    let mut bytes = [0; 200];
    let len = write_report(&mut bytes, 1, None, &[], "phone").unwrap();
    let (port, from) = (world.port(a), world.phones[a].address);
    world
        .worker
        .receive(world.now, port, Lane::Rtp, from, &mut bytes, len);
    let stats = stats(&world, a);
    assert_eq!(
        (stats.rtcp_received, stats.unknown_payload, stats.malformed),
        (1, 0, 0)
    );
}

#[test]
fn a_command_for_no_port_is_refused_and_its_box_comes_back() {
    let mut world = World::new();
    let port = crate::port::PortId(5);
    let digits = Box::new([]);
    world.command(PortCommand::SendDigits {
        port,
        digits,
        duration_ms: 100,
    });
    assert_eq!(world.garbage(), ["digits"]);
    let refused = |event: &PortEvent| {
        matches!(
            event,
            PortEvent::Refused {
                why: Refusal::NoSuchPort,
                ..
            }
        )
    };
    assert!(world.events.iter().any(refused));
}

#[test]
fn a_worker_that_nobody_polls_takes_no_commands_and_loses_only_chatter() {
    let mut world = World::new();
    world.phone(Codec::Pcma, 440.0, |_| {});
    world.phones[0].speaks = false;
    let port = world.port(0);
    while world.worker.takes_commands() {
        world.worker.command(
            world.now,
            PortCommand::Untap {
                port: crate::port::PortId(5),
            },
        );
    }
    let now = world.now + Duration::from_secs(60);
    world.worker.tick(now);
    assert!(world.worker.stats().events_dropped > 0);
    world.collect();
    world.command(PortCommand::Close { port });
    assert!(matches!(
        world.events.last(),
        Some(PortEvent::Closed { .. })
    ));
}

#[test]
fn how_a_digit_came_is_told() {
    let mut world = World::new();
    let a = world.phone(Codec::Pcma, 440.0, |_| {});
    world.frames(2);
    press(&mut world, a, 101, 11);
    let how = world.events.iter().find_map(|event| match event {
        PortEvent::Digit { how, digit, .. } => Some((*how, digit.as_char())),
        _ => None,
    });
    assert_eq!(how, Some((DtmfVia::Rfc4733, '#')));
}

#[test]
fn a_key_in_the_sound_is_found_when_asked_for_and_the_relay_goes_on() {
    // The partner takes no telephone-events, so the tone stays what it is.
    let mut world = World::new();
    for hz in [440.0, 1_000.0] {
        let phone = world.phone(Codec::Pcma, hz, |plan| plan.dtmf_payload_type = None);
        world.bridge(phone, 1);
    }
    let port = world.port(0);
    for (on, found) in [(false, 0), (true, 1)] {
        world.command(PortCommand::DetectTones { port, on });
        world.phones[0].speaks = false;
        let mut tone = crate::dsp::DtmfTone::new(Digit::from_char('7').unwrap(), -12.0);
        for frame in 0..20 {
            let mut samples = crate::SILENCE;
            if (5..10).contains(&frame) {
                tone.fill(&mut samples);
            }
            let mut payload = [0; 160];
            crate::codec::Encoder::new(Codec::Pcma).encode(&samples, &mut payload);
            world.send(0, 8, &payload);
            let header = &mut world.phones[0].header;
            header.time = header.time.plus(160);
            world.frames(1);
        }
        let digits = world.digits();
        assert_eq!(digits.len(), found);
        assert!(
            digits
                .iter()
                .all(|&(key, held)| key == '7' && (80..=120).contains(&held))
        );
    }
    assert_eq!(stats(&world, 1).relayed, 40);
}

/// The levels of the 20 ms frames that a phone heard, in dBFS.
fn levels(world: &World, phone: usize) -> Vec<f32> {
    let sound = world.phones[phone].sound();
    let (frames, _) = sound.as_chunks::<FRAME>();
    frames.iter().map(|frame| level::dbfs(frame)).collect()
}

// covers: RFC 3389 §3
#[test]
fn a_pause_sounds_as_the_silent_phone_told_and_ends_with_its_next_word() {
    let mut world = World::new();
    for (codec, hz) in [(Codec::Pcma, 440.0), (Codec::Pcmu, 1_000.0)] {
        let phone = world.phone(codec, hz, |plan| plan.cn_payload_type = Some(13));
        world.bridge(phone, 1);
    }
    // Until the bridge has found its place on the wheel.
    world.frames(70);
    world.phones[0].speaks = false;
    world.send(0, 13, &[50, 1, 2]);
    world.clear();
    for _ in 0..100 {
        world.frames(1);
        let header = &mut world.phones[0].header;
        header.time = header.time.plus(160);
    }
    let noise = levels(&world, 1);
    assert_eq!(noise.len(), 100);
    for level in &noise[10..] {
        assert!((level + 47.0).abs() < 2.0, "told -50 dBov, heard {noise:?}");
    }
    assert!(!world.phones[1].hears(440.0, 10));

    world.phones[0].speaks = true;
    world.clear();
    world.frames(20);
    assert!(world.phones[1].hears(440.0, 8));
    // This pause is told by nobody.
    world.phones[0].speaks = false;
    world.clear();
    world.frames(40);
    assert!(levels(&world, 1)[20..].iter().all(|&level| level < -70.0));
    world.phones[1].assert_one_steady_stream();
}

#[test]
fn a_pause_that_began_while_the_call_was_relayed_sounds_as_told_when_it_is_mixed() {
    let mut world = World::new();
    for hz in [440.0, 1_000.0] {
        let phone = world.phone(Codec::Pcma, hz, |plan| plan.cn_payload_type = Some(13));
        world.bridge(phone, 1);
    }
    world.frames(20);
    world.phones[0].speaks = false;
    world.send(0, 13, &[40]);
    world.frames(10);
    let third = world.phone(Codec::Pcma, 1_500.0, |_| {});
    world.phones[third].speaks = false;
    world.bridge(third, 1);
    world.phones[1].speaks = false;
    world.frames(30);
    world.clear();
    world.frames(20);
    assert!(
        levels(&world, 1)
            .iter()
            .all(|level| (level + 37.0).abs() < 2.0)
    );
}
