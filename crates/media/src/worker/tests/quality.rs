//! How a leg fares: silence told in time, ratings by the formula, extended reports both ways.

use clock::Duration;

use super::world::World;
use crate::Codec;
use crate::dsp::Tone;
use crate::port::{PortStats, Security};
use crate::quality::{Path, Robustness, rate};
use crate::rtp::rtcp::{Compound, ReportBlock, RtcpPacket, write_report};
use crate::rtp::xr::{VoipMetrics, append_metrics};
use crate::worker::{Lane, PortEvent};

fn stats(world: &World, phone: usize) -> PortStats {
    world.stats(phone)
}

/// The silences told of a phone: how long, and how long of its partner.
fn silences(world: &World, phone: usize) -> Vec<(u32, Option<u32>)> {
    let of = |event: &PortEvent| match event {
        PortEvent::NoMedia {
            port,
            silent_ms,
            partner_ms,
        } if *port == world.port(phone) => Some((*silent_ms, *partner_ms)),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

fn ends(world: &World, phone: usize) -> usize {
    let back = |event: &&PortEvent| matches!(event, PortEvent::MediaBack { port, .. } if *port == world.port(phone));
    world.events.iter().filter(back).count()
}

/// The phone says `count` frames, of which every `nth` is lost on the way.
fn speak_losing(world: &mut World, phone: usize, count: usize, nth: usize) {
    world.phones[phone].speaks = false;
    for n in 1..=count {
        if n % nth == 0 {
            let header = &mut world.phones[phone].header;
            header.sequence = header.sequence.plus(1);
            header.time = header.time.plus(160);
        } else {
            world.speak(phone);
        }
        world.frames(1);
    }
}

#[test]
fn one_direction_that_dies_is_told_within_two_seconds_and_so_is_its_return() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(100);
    assert_eq!(silences(&world, 0), []);
    world.phones[0].speaks = false;
    world.frames(100);
    let told = silences(&world, 0);
    assert_eq!(told.len(), 1, "within 2 s: {told:?}");
    assert!(told[0].0 <= 1_940 && told[0].1 <= Some(40), "{told:?}");
    assert_eq!((silences(&world, 1), ends(&world, 0)), (vec![], 0));
    world.phones[0].speaks = true;
    world.frames(2);
    assert_eq!(ends(&world, 0), 1);
    let stats = stats(&world, 0);
    assert_eq!(stats.silences, 1);
    assert!(
        stats.silence_longest >= Duration::from_millis(1_980),
        "{stats:?}"
    );
}

#[test]
fn when_both_directions_die_neither_is_called_one_way() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(100);
    world
        .phones
        .iter_mut()
        .for_each(|phone| phone.speaks = false);
    world.frames(100);
    for phone in [0, 1] {
        let told = silences(&world, phone);
        assert!(told.len() == 1 && told[0].1 > Some(1_500), "{told:?}");
    }
}

#[test]
fn a_phone_that_said_it_would_pause_is_not_taken_for_dead() {
    let mut world = World::new();
    for hz in [440.0, 1_000.0] {
        let phone = world.phone(Codec::Pcma, hz, |plan| plan.cn_payload_type = Some(13));
        world.bridge(phone, 1);
    }
    world.frames(50);
    world.phones[0].speaks = false;
    world.send(0, 13, &[50]);
    world.frames(500);
    assert_eq!(silences(&world, 0), []);
    world.frames(1_100);
    assert_eq!(silences(&world, 0).len(), 1, "for 30 s, and no longer");
}

#[test]
fn five_percent_of_loss_cost_what_the_formula_says_relayed_or_decoded() {
    for other in [Codec::Pcma, Codec::Pcmu] {
        let mut world = World::new();
        for codec in [Codec::Pcma, other] {
            let phone = world.phone(codec, 440.0, |_| {});
            world.bridge(phone, 1);
        }
        speak_losing(&mut world, 0, 2_000, 20);
        let [lossy, whole] = [stats(&world, 0), stats(&world, 1)];
        assert!((99..=100).contains(&lossy.lost), "{lossy:?}");
        assert!((1_999..=2_000).contains(&lossy.expected), "{lossy:?}");
        let path = Path {
            delay: lossy.delay + Duration::from_millis(20),
            loss_percent: 5.0,
            burst_ratio: 1.0,
        };
        let want = rate(Robustness::of(Codec::Pcma), &path);
        let got = lossy.rating.unwrap();
        assert!((got.r() - want.r()).abs() < 0.5, "{got:?}, want {want:?}");
        let whole = whole.rating.unwrap();
        assert!(whole.mos() > 4.3 && got.mos() < 4.0, "{whole:?} {got:?}");
        assert!(lossy.rating_worst.unwrap() <= got);
        if other == Codec::Pcmu {
            assert!((90..=110).contains(&lossy.concealed), "{lossy:?}");
            assert!(lossy.frames > 1_900, "{lossy:?}");
        }
    }
}

// covers: RFC 3611 §4.7
#[test]
fn reports_carry_the_metrics_of_what_was_heard() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    speak_losing(&mut world, 0, 1_000, 20);
    let last = world.phones[0].reports.last().unwrap();
    let packets: Vec<_> = Compound::parse(last).unwrap().packets().collect();
    let metrics = packets.iter().find_map(|packet| match packet {
        RtcpPacket::Extended { blocks, .. } => blocks.metrics().next(),
        _ => None,
    });
    let metrics = metrics.unwrap();
    assert_eq!(metrics.ssrc, world.phones[0].header.ssrc);
    assert!((11..=13).contains(&metrics.loss_rate), "{metrics:?}");
    assert_eq!((metrics.discard_rate, metrics.burst_density), (0, 0));
    assert!((11..=13).contains(&metrics.gap_density), "{metrics:?}");
    assert!(
        metrics.r_factor < Some(80) && metrics.mos_cq < Some(41),
        "{metrics:?}"
    );
    // The tone has -13 dBFS, of which every sixteenth packet is looked at.
    let level = metrics.signal_dbm0.unwrap();
    assert!((-11..=-8).contains(&level), "{metrics:?}");
}

/// The phone reports on what it hears of us.
fn report(world: &mut World, phone: usize, block: ReportBlock, metrics: Option<VoipMetrics>) {
    let mut packet = [0; 1500];
    let mut len = write_report(&mut packet, 77, None, &[block], "phone").unwrap();
    if let Some(metrics) = metrics {
        len = append_metrics(&mut packet, len, 77, &metrics).unwrap();
    }
    let mut from = world.phones[phone].address;
    from.set_port(from.port() + 1);
    let (now, port) = (world.now, world.port(phone));
    let _ = world
        .worker
        .receive(now, port, Lane::Rtcp, from, &mut packet, len);
}

// covers: RFC 3611 §4.7, RFC 3550 §6.4.2
#[test]
fn what_the_peer_hears_is_rated_by_its_own_metrics_or_by_its_loss() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(100);
    let ssrc = world.phones[0].heard[0].header.ssrc;
    let block = ReportBlock {
        ssrc,
        fraction_lost: 26,
        ..ReportBlock::default()
    };
    report(&mut world, 0, block, None);
    let by_loss = stats(&world, 0).peer_rating.unwrap();
    assert!((55.0..70.0).contains(&by_loss.r()), "{by_loss:?}");
    let metrics = VoipMetrics {
        ssrc,
        r_factor: Some(81),
        ..VoipMetrics::default()
    };
    report(&mut world, 0, block, Some(metrics));
    assert_eq!(stats(&world, 0).peer_rating.unwrap().r(), 81.0);
    // Of somebody else's stream it tells nothing.
    let elsewhere = VoipMetrics {
        ssrc: ssrc ^ 1,
        r_factor: Some(10),
        ..metrics
    };
    report(&mut world, 0, block, Some(elsewhere));
    assert_eq!(stats(&world, 0).peer_rating, Some(by_loss));
}

// covers: RFC 3550 §6.3.5
#[test]
fn a_peer_whose_reports_and_sound_have_ended_is_told_once() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(100);
    let ended = |world: &World| {
        let ended = |event: &&PortEvent| matches!(event, PortEvent::NoReports { .. });
        world.events.iter().filter(ended).count()
    };
    let block = ReportBlock::default();
    report(&mut world, 0, block, None);
    world.frames(1_600);
    assert_eq!(ended(&world), 0, "who is heard needs no reports");
    report(&mut world, 0, block, None);
    world.phones[0].speaks = false;
    world.frames(1_200);
    assert_eq!(ended(&world), 0);
    world.frames(2_000);
    assert_eq!(ended(&world), 1);
}

#[test]
fn clipped_and_silent_frames_are_seen_relayed_and_decoded() {
    for other in [Codec::Pcma, Codec::Pcmu] {
        let mut world = World::new();
        for codec in [Codec::Pcma, other] {
            let phone = world.phone(codec, 440.0, |_| {});
            world.bridge(phone, 1);
        }
        world.phones[0].speaks = false;
        let mut loud = Tone::new(440.0, -0.1);
        for n in 0..320 {
            let mut frame = loud.frame().map(|sample| sample.saturating_mul(2));
            if n >= 160 {
                frame = [0; 160];
            }
            let mut payload = [0; 160];
            crate::codec::Encoder::new(Codec::Pcma).encode(&frame, &mut payload);
            world.send(0, 8, &payload);
            let header = &mut world.phones[0].header;
            header.time = header.time.plus(160);
            world.frames(1);
        }
        let sound = stats(&world, 0).sound;
        let looked_at = if other == Codec::Pcma { 20 } else { 310 };
        assert!(sound.frames >= looked_at, "{sound:?}");
        let half = sound.frames / 2;
        assert!(sound.clipped.abs_diff(half) <= 5, "{sound:?}");
        assert!(sound.silent.abs_diff(half) <= 5, "{sound:?}");
    }
}

#[test]
fn a_secured_packet_that_comes_before_its_key_is_counted_as_that() {
    let mut world = World::new();
    let phone = world.phone(Codec::Pcma, 440.0, |plan| plan.security = Security::Awaited);
    world.frames(10);
    let stats = stats(&world, phone);
    assert_eq!((stats.keyless, stats.unauthentic), (10, 0));
    assert_eq!(world.worker.stats().totals.keyless, 0);
    let port = world.port(phone);
    world.command(crate::worker::PortCommand::Close { port });
    assert_eq!(world.worker.stats().totals.keyless, 10);
}

// covers: RFC 3550 §6.6, RFC 3550 §6.3.7
#[test]
fn who_has_spoken_says_goodbye_when_the_port_closes() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    let mute = world.phone(Codec::Pcma, 440.0, |_| {});
    world.phones[mute].speaks = false;
    world.frames(50);
    for phone in [0, mute] {
        let port = world.port(phone);
        world.command(crate::worker::PortCommand::Close { port });
    }
    let last = world.phones[0].reports.last().unwrap();
    let packets: Vec<_> = Compound::parse(last).unwrap().packets().collect();
    let Some(RtcpPacket::Goodbye(goodbye)) = packets.last() else {
        panic!("{packets:?}")
    };
    let ours = world.phones[0].heard[0].header.ssrc;
    assert_eq!(goodbye.sources().collect::<Vec<_>>(), [ours]);
    assert!(matches!(packets[0], RtcpPacket::SenderReport { .. }));
    assert!(world.phones[mute].reports.is_empty(), "it was never there");
}
