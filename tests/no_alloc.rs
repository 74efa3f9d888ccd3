//! The media plane's law: once a worker is made, its thread neither allocates nor frees.
//!
//! A counting allocator watches a full worker for ten seconds of its time: a thousand relayed ports,
//! prompts, hold music, conferences, recordings, tone detection, keys and reports, and ports that
//! open and close meanwhile.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use clock::Now;
use media::bridge::BridgeId;
use media::capture::{Capture, RawPacket};
use media::codec::{Coding, Encoder};
use media::port::{Keys, PlayId, Playback, PortId, PortPlan, Remote, Security};
use media::rtp::{Header, RtpTime, Sequence, write_header};
use media::source::Clip;
use media::srtp::{MasterKey, OVERHEAD_MAX, Protector, Suite};
use media::tap::{Tap, VoiceEnd, VoiceTap};
use media::worker::{Lane, PortCommand, PortEvent, TICK, Worker, WorkerConfig};
use media::{Codec, Digit};

struct Counting;

thread_local! {
    /// What this thread has asked of the heap while it was watched; `None` while it is not.
    static ASKED: Cell<Option<u64>> = const { Cell::new(None) };
}

fn asked() {
    ASKED.with(|asked| asked.set(asked.get().map(|count| count + 1)));
}

#[expect(
    unsafe_code,
    reason = "an allocator can only be counted by being one; it forwards"
)]
// SAFETY: every call is forwarded unchanged to the system's allocator, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        asked();
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        asked();
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        asked();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const RELAYED: u32 = 1_000;
const PLAYING: u32 = 40;
const MIXED: u32 = 24;
const PORTS: u32 = RELAYED + PLAYING + MIXED;

fn address(port: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, (port >> 8) as u8, (port & 255) as u8], 4_000))
}

fn codec(port: u32) -> Codec {
    if port >= RELAYED && port % 2 == 1 {
        Codec::Pcmu
    } else {
        Codec::Pcma
    }
}

fn plan(port: u32) -> Box<PortPlan> {
    let local = SocketAddr::from(([10, 1, 0, 1], 20_000));
    let random = u64::from(port).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut plan = PortPlan::new(PortId(port), local, codec(port), random);
    plan.remote = Some(Remote::of(address(port), false));
    plan.inband_dtmf = port.is_multiple_of(97);
    // A tone stays a tone where neither side takes events: then the relay goes on.
    let events = !plan.inband_dtmf && !(port ^ 1).is_multiple_of(97);
    plan.dtmf_payload_type = events.then_some(101);
    if let Some(suite) = suite(port) {
        plan.security = Security::Srtp(Keys::new(key(suite, 1), key(suite, 2)).unwrap());
    }
    Box::new(plan)
}

/// Every third port is secured, in all suites; some of them with a plain partner.
fn suite(port: u32) -> Option<Suite> {
    let suites = port.is_multiple_of(3).then_some(Suite::ALL)?;
    suites.get(port as usize / 3 % 4).copied()
}

fn key(suite: Suite, seed: u8) -> MasterKey {
    let bytes = [seed; 46];
    MasterKey::new(suite, &bytes[..suite.key_len() + suite.salt_len()]).unwrap()
}

fn clips() -> Vec<Arc<Clip>> {
    let samples = (0..20_000).map(|n| (n * 37 % 9_000) as i16).collect();
    vec![Arc::new(Clip::from_pcm8k(samples).unwrap())]
}

/// What is read of a worker beside its events.
#[derive(Default)]
struct Readers {
    taps: Vec<rtrb::Consumer<media::tap::TapFrame>>,
    captures: Vec<rtrb::Consumer<RawPacket>>,
    /// Threads that answer nothing, so that their rings fill up.
    voices: Vec<VoiceEnd>,
}

/// A worker with every kind of port, all commands carried out.
fn full_worker(now: Now) -> (Worker, Readers) {
    let config = WorkerConfig {
        ports_max: PORTS as usize + 8,
        ..WorkerConfig::default()
    };
    let mut worker = Worker::new(config, now);
    let mut readers = Readers::default();
    let clips = clips();
    for port in 0..PORTS {
        worker.command(now, PortCommand::Open(plan(port)));
        let id = PortId(port);
        let bridge = match port {
            _ if port < RELAYED => Some(port / 2),
            _ if port < RELAYED + PLAYING => None,
            _ => Some(10_000 + port / 4),
        };
        if let Some(bridge) = bridge {
            worker.command(
                now,
                PortCommand::Bridge {
                    port: id,
                    bridge: BridgeId(bridge),
                },
            );
        } else {
            let play = Playback::music(PlayId(1), clips.clone());
            worker.command(now, PortCommand::Play { port: id, play });
        }
        if port % 50 == 0 {
            // Also at rates that no bridge of theirs has.
            let rate = if port % 100 == 0 { 8_000 } else { 48_000 };
            let (tap, reader) = Tap::new(rate, 100);
            readers.taps.push(reader);
            worker.command(now, PortCommand::Tap { port: id, tap });
        }
        if port >= RELAYED + PLAYING && port % 6 == 1 {
            let (tap, end) = VoiceTap::detour();
            readers.voices.push(end);
            worker.command(now, PortCommand::Voice { port: id, tap });
        }
        // Every fifth ring is so small that it overflows.
        if port % 20 == 0 {
            let (capture, reader) = Capture::new(if port % 100 == 0 { 1 } else { 64 });
            readers.captures.push(reader);
            worker.command(now, PortCommand::Capture { port: id, capture });
        }
        while worker.poll_event().is_some() {}
    }
    (worker, readers)
}

/// What every peer sends in frame `n`: sound, and now and then a key.
fn feed(
    worker: &mut Worker,
    peers: &mut [Option<Protector>],
    now: Now,
    n: u32,
    forwarded: &mut u64,
) {
    let mut packet = [0x2A; 172 + OVERHEAD_MAX];
    for (port, peer) in (0..).zip(peers) {
        packet.fill(0x2A);
        let key = port % 10 == 0 && n % 100 < 5;
        let header = Header {
            marker: false,
            payload_type: if key {
                101
            } else {
                codec(port).static_payload_type().unwrap()
            },
            sequence: Sequence(n as u16),
            time: RtpTime(if key { n / 100 * 16_000 } else { n * 160 }),
            ssrc: port,
        };
        let _ = write_header(&header, &mut packet);
        let len = if key {
            packet[12..16].copy_from_slice(&[5, if n % 100 == 4 { 0x8A } else { 0x0A }, 0, 160]);
            16
        } else {
            172
        };
        let len = match peer {
            Some(peer) => peer.rtp(&mut packet, len).unwrap(),
            None => len,
        };
        let forward = worker.receive(
            now,
            PortId(port),
            Lane::Rtp,
            address(port),
            &mut packet,
            len,
        );
        *forwarded += u64::from(forward.is_some());
    }
}

#[test]
fn a_worker_with_a_thousand_relayed_ports_asks_nothing_of_the_heap() {
    let mut now = Now::ZERO;
    let (mut worker, mut readers) = full_worker(now);
    // What comes and goes meanwhile is built before and dropped after, as control does it.
    let mut commands: Vec<PortCommand> = Vec::new();
    let clips = clips();
    for n in 0..40 {
        let port = PortId(PORTS + 1);
        commands.push(PortCommand::Open(plan(port.0)));
        commands.push(PortCommand::Bridge {
            port,
            bridge: BridgeId(77_000 + n),
        });
        let (capture, reader) = Capture::new(8);
        readers.captures.push(reader);
        commands.push(PortCommand::Capture { port, capture });
        commands.push(PortCommand::Play {
            port,
            play: Playback::once(PlayId(2), clips.clone()),
        });
        let digits = "1".chars().filter_map(Digit::from_char).collect();
        commands.push(PortCommand::SendDigits {
            port: PortId(3),
            digits,
            duration_ms: 100,
        });
        let keys = Keys::new(key(Suite::AeadAes256Gcm, 3), key(Suite::AeadAes256Gcm, 4)).unwrap();
        commands.push(PortCommand::Key { port, keys });
        commands.push(PortCommand::DetectTones { port, on: true });
        commands.push(PortCommand::Close { port });
    }
    commands.reverse();
    let mut events: Vec<PortEvent> = Vec::with_capacity(200_000);
    let (mut sent, mut forwarded, mut out) = (0_u64, 0_u64, [0; 1500]);
    let mut captured = [0_u64; 2];
    let keyed = |port| suite(port).and_then(|suite| Protector::new(key(suite, 2)));
    let mut peers: Vec<Option<Protector>> = (0..PORTS).map(keyed).collect();

    ASKED.set(Some(0));
    for n in 0..500_u32 {
        feed(&mut worker, &mut peers, now, n, &mut forwarded);
        for _ in 0..4 {
            now += TICK;
            if n % 2 == 0
                && let Some(command) = commands.pop()
            {
                worker.command(now, command);
            }
            worker.tick(now);
            while worker.poll_transmit(&mut out).is_some() {
                sent += 1;
            }
            while let Some(event) = worker.poll_event() {
                events.push(event);
            }
        }
        for reader in &mut readers.taps {
            while reader.pop().is_ok() {}
        }
        for reader in &mut readers.captures {
            while let Ok(packet) = reader.pop() {
                captured[usize::from(packet.sent)] += 1;
            }
        }
    }
    let asked = ASKED.replace(None);

    println!(
        "{forwarded} relayed, {sent} sent on ticks, {} events, heap calls {asked:?}",
        events.len()
    );
    assert_eq!(asked, Some(0));
    // The work was really done: relays, music and mixes, digits, keys, closed ports.
    assert!(forwarded > 490_000, "{forwarded}");
    assert!(sent > u64::from(PLAYING + MIXED) * 490, "{sent}");
    // 54 ports are captured, a fifth of them by rings of one packet a frame.
    assert!(captured.iter().all(|&count| count > 20_000), "{captured:?}");
    let count =
        |wanted: fn(&PortEvent) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert!(count(|event| matches!(event, PortEvent::Digit { .. })) > 100);
    assert_eq!(count(|event| matches!(event, PortEvent::Closed { .. })), 40);
    assert_eq!(count(|event| matches!(event, PortEvent::Refused { .. })), 0);
    assert!(count(|event| matches!(event, PortEvent::Garbage(_))) >= 120);
}

#[test]
fn the_counter_counts() {
    ASKED.set(Some(0));
    drop(std::hint::black_box(Box::new(1_u64)));
    assert_eq!(ASKED.replace(None), Some(2));
}

/// Codec and packet time of four ports in one bridge; the third comes and goes.
const WIDE: [(Codec, u16); 4] = [
    (Codec::Opus, 20),
    (Codec::Pcma, 30),
    (Codec::G722, 60),
    (Codec::Opus, 60),
];

fn wide_plan(port: u32) -> Box<PortPlan> {
    let (codec, ptime_ms) = WIDE[port as usize % WIDE.len()];
    let local = SocketAddr::from(([10, 1, 0, 1], 20_000));
    let mut plan = PortPlan::new(PortId(port), local, codec, u64::from(port) << 7);
    plan.remote = Some(Remote::of(address(port), false));
    plan.payload_type = 96;
    plan.ptime_ms = ptime_ms;
    plan.coding = Coding::with(codec, Encoder::new(codec), ptime_ms);
    plan.inband_dtmf = port % 4 == 3;
    Box::new(plan)
}

#[test]
fn wide_codecs_long_packets_and_changes_of_rate_ask_nothing_of_the_heap() {
    let mut now = Now::ZERO;
    let mut worker = Worker::new(WorkerConfig::default(), now);
    let (tap, mut reader) = Tap::new(8_000, 600);
    let play = Playback::music(PlayId(1), clips());
    let mut commands = vec![
        PortCommand::Tap {
            port: PortId(0),
            tap,
        },
        PortCommand::Play {
            port: PortId(1),
            play,
        },
    ];
    for port in 0..4 {
        worker.command(now, PortCommand::Open(wide_plan(port)));
    }
    let join = |port| PortCommand::Bridge {
        port: PortId(port),
        bridge: BridgeId(1),
    };
    (0..4).for_each(|port| worker.command(now, join(port)));
    let mut packets: Vec<Vec<Vec<u8>>> = Vec::new();
    for (port, (codec, ms)) in WIDE.into_iter().enumerate() {
        let mut encoder = Encoder::new(codec);
        let samples = encoder.rate() as usize / 1_000 * usize::from(codec.packet_ms(ms));
        let packet = |n: u32| {
            let sound: Vec<i16> = (0..samples).map(|i| (i * 97 % 7_000) as i16).collect();
            let mut packet = vec![0; 12 + 640 + OVERHEAD_MAX];
            let header = Header {
                marker: false,
                payload_type: 96,
                sequence: Sequence(n as u16),
                time: RtpTime(n * codec.clock_rate() / 1_000 * u32::from(codec.packet_ms(ms))),
                ssrc: port as u32,
            };
            let rest = write_header(&header, &mut packet).unwrap();
            let len = 12 + encoder.encode(&sound, rest);
            packet.truncate(len + OVERHEAD_MAX);
            packet
        };
        packets.push((0..500).map(packet).collect());
    }
    let (mut sent, mut frames, mut out) = (0_u64, 0_u64, [0; 1500]);
    let mut events: Vec<PortEvent> = Vec::with_capacity(10_000);

    ASKED.set(Some(0));
    for n in 0..2_000_u32 {
        for (port, (codec, ms)) in (0..).zip(WIDE) {
            let ms = u32::from(codec.packet_ms(ms));
            if (n * 5).is_multiple_of(ms)
                && let Some(packet) = packets[port as usize].get_mut((n * 5 / ms) as usize)
                // Each tenth is lost.
                && n % 10 != 9
            {
                let len = packet.len() - OVERHEAD_MAX;
                worker.receive(now, PortId(port), Lane::Rtp, address(port), packet, len);
            }
        }
        match n % 200 {
            50 => worker.command(now, PortCommand::Unbridge { port: PortId(2) }),
            150 => worker.command(now, join(2)),
            _ => {}
        }
        if let Some(command) = commands.pop() {
            worker.command(now, command);
        }
        now += TICK;
        worker.tick(now);
        while worker.poll_transmit(&mut out).is_some() {
            sent += 1;
        }
        while let Some(event) = worker.poll_event() {
            events.push(event);
        }
        while reader.pop().is_ok() {
            frames += 1;
        }
    }
    let asked = ASKED.replace(None);
    assert_eq!(asked, Some(0));
    // Ten seconds: 500, 333, at most 166 and 166 packets.
    assert!(sent > 1_000 && frames > 490, "{sent} {frames}");
}

/// Members of one room, of four codecs in turn; two of them begin to talk and cease again and again.
const ROOM: u32 = 60;

#[test]
fn a_large_room_whose_speakers_change_asks_nothing_of_the_heap() {
    let mut now = Now::ZERO;
    let mut worker = Worker::new(WorkerConfig::default(), now);
    let codec = |n: u32| Codec::ALL[n as usize % 4];
    let bridge = |n: u32| PortCommand::Bridge {
        port: PortId(n),
        bridge: BridgeId(1),
    };
    for n in 0..ROOM {
        let local = SocketAddr::from(([10, 1, 0, 1], 20_000));
        let mut plan = PortPlan::new(PortId(n), local, codec(n), u64::from(n) << 7);
        plan.remote = Some(Remote::of(address(n), false));
        plan.payload_type = 96;
        worker.command(now, PortCommand::Open(Box::new(plan)));
        worker.command(now, bridge(n));
    }
    let (tap, mut reader) = Tap::new(8_000, 600);
    let port = PortId(0);
    worker.command(now, PortCommand::TapBridge { port, tap });
    let mut plays: Vec<_> = (0..10)
        .map(|n| Playback::once(PlayId(n), clips()))
        .collect();
    let music = Playback::music(PlayId(99), clips());
    worker.command(now, PortCommand::Deafen { port, on: true });
    worker.command(now, PortCommand::Play { port, play: music });
    while worker.poll_event().is_some() {}

    // A packet of talk and one of silence for each codec.
    let payload = |codec: Codec, amplitude: i32| {
        let mut encoder = Encoder::new(codec);
        let count = encoder.rate() as i32 / 50;
        let samples: Vec<i16> = (0..count)
            .map(|i| (i * 7_919 % (2 * amplitude) - amplitude) as i16)
            .collect();
        let mut out = [0; 640];
        let mut len = 0;
        for _ in 0..20 {
            len = encoder.encode(&samples, &mut out);
        }
        out[..len].to_vec()
    };
    let said: Vec<[Vec<u8>; 2]> = Codec::ALL
        .iter()
        .map(|&codec| [payload(codec, 2), payload(codec, 6_000)])
        .collect();
    let mut events: Vec<PortEvent> = Vec::with_capacity(20_000);
    let (mut sent, mut frames, mut out) = (0_u64, 0_u64, [0; 1500]);

    ASKED.set(Some(0));
    for n in 0..500_u32 {
        for member in 0..ROOM {
            // Two talkers for a second each.
            let talks = (n / 50 * 2..=n / 50 * 2 + 1).contains(&(member % 20));
            let mut packet = [0; 700];
            let header = Header {
                marker: false,
                payload_type: 96,
                sequence: Sequence(n as u16),
                time: RtpTime(n * codec(member).frame_ticks()),
                ssrc: member,
            };
            let rest = write_header(&header, &mut packet).unwrap();
            let payload = &said[member as usize % 4][usize::from(talks)];
            rest[..payload.len()].copy_from_slice(payload);
            let len = 12 + payload.len();
            worker.receive(
                now,
                PortId(member),
                Lane::Rtp,
                address(member),
                &mut packet,
                len,
            );
        }
        for _ in 0..4 {
            now += TICK;
            worker.tick(now);
            while worker.poll_transmit(&mut out).is_some() {
                sent += 1;
            }
        }
        let (port, to) = (PortId(n % ROOM), PortId((n + 7) % ROOM));
        let gain = Some(media::dsp::mix::Gain::from_db(-6.0));
        match n % 50 {
            10 => worker.command(
                now,
                PortCommand::Gain {
                    port,
                    to: Some(to),
                    gain,
                },
            ),
            20 => worker.command(
                now,
                PortCommand::Gain {
                    port,
                    to: None,
                    gain,
                },
            ),
            30 => worker.command(now, PortCommand::Unbridge { port }),
            31 => worker.command(now, bridge((n - 1) % ROOM)),
            40 => {
                let port = PortId(5);
                let play = plays.pop().unwrap();
                worker.command(now, PortCommand::Announce { port, play });
            }
            _ => {}
        }
        while let Some(event) = worker.poll_event() {
            events.push(event);
        }
        while reader.pop().is_ok() {
            frames += 1;
        }
    }
    let asked = ASKED.replace(None);
    assert_eq!(asked, Some(0));
    assert!(
        sent > u64::from(ROOM) * 490 && frames >= 499,
        "{sent} {frames}"
    );
    let refused = events
        .iter()
        .filter(|it| matches!(it, PortEvent::Refused { .. }));
    assert_eq!(refused.count(), 0);
}
