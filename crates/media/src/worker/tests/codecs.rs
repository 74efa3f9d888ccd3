//! Legs of different codecs, rates and packet times hear each other, as one steady stream each.

use clock::{Duration, Now};

use super::world::World;
use crate::bridge::BridgeId;
use crate::codec::{Codec, Coding, Decoder, Encoder};
use crate::dsp::{Goertzel, level};
use crate::port::{PlayId, Playback, PortId, PortPlan, Remote};
use crate::rtp::{Header, Packet, RtpTime, Sequence, write_header};
use crate::source::Clip;
use crate::tap::Tap;
use crate::worker::{Lane, PortCommand, TICK, Worker, WorkerConfig};

/// A telephone of any codec and packet time that speaks a tone.
struct Phone {
    codec: Codec,
    ms: u32,
    hz: f64,
    encoder: Encoder,
    decoder: Decoder,
    spoken: usize,
    /// Headers and the sound of what came, with when it came.
    heard: Vec<(Now, Header)>,
    sound: Vec<i16>,
}

/// Phones in one bridge, each with its port's number.
struct Room {
    worker: Worker,
    now: Now,
    phones: Vec<Phone>,
}

const PAYLOAD_TYPE: u8 = 96;

impl Room {
    fn new(members: &[(Codec, u32, f64)]) -> Self {
        let now = Now::from_nanos(3_000_000);
        let config = WorkerConfig {
            ports_max: 16,
            ..Default::default()
        };
        let mut room = Self {
            worker: Worker::new(config, now),
            now,
            phones: Vec::new(),
        };
        for &(codec, ms, hz) in members {
            room.join(codec, ms, hz);
        }
        room
    }

    fn join(&mut self, codec: Codec, ms: u32, hz: f64) {
        let n = self.phones.len() as u32;
        let local = "10.1.0.1:20000".parse().unwrap();
        let mut plan = PortPlan::new(PortId(n), local, codec, u64::from(n) << 17);
        plan.remote = Some(Remote::of(([10, 0, 0, n as u8], 4_000).into(), false));
        plan.payload_type = PAYLOAD_TYPE;
        plan.ptime_ms = ms as u16;
        plan.coding = Coding::with(codec, Encoder::new(codec), ms as u16);
        self.command(PortCommand::Open(Box::new(plan)));
        self.command(PortCommand::Bridge {
            port: PortId(n),
            bridge: BridgeId(1),
        });
        self.phones.push(Phone {
            codec,
            ms,
            hz,
            encoder: Encoder::new(codec),
            decoder: Decoder::new(codec),
            spoken: 0,
            heard: Vec::new(),
            sound: Vec::new(),
        });
    }

    fn command(&mut self, command: PortCommand) {
        self.worker.command(self.now, command);
        self.collect();
    }

    fn pass(&mut self, span: Duration) {
        for _ in 0..span.as_millis() / 5 {
            for n in 0..self.phones.len() {
                let step = (self.now.as_millis() / 5) as usize + n;
                if (step * 5).is_multiple_of(self.phones[n].ms as usize) {
                    self.speak(n);
                }
            }
            self.now += TICK;
            self.worker.tick(self.now);
            self.collect();
        }
    }

    fn speak(&mut self, n: usize) {
        let phone = &mut self.phones[n];
        let rate = phone.encoder.rate();
        let count = (rate / 1_000 * phone.ms) as usize;
        let step = std::f64::consts::TAU * phone.hz / f64::from(rate);
        let from = phone.spoken * count;
        let samples: Vec<i16> = (from..from + count)
            .map(|i| ((step * i as f64).sin() * 8_000.0) as i16)
            .collect();
        let mut packet = [0; 1_500];
        let time = phone.spoken as u32 * phone.codec.clock_rate() / 1_000 * phone.ms;
        let header = Header {
            marker: false,
            payload_type: PAYLOAD_TYPE,
            sequence: Sequence(phone.spoken as u16),
            time: RtpTime(time),
            ssrc: n as u32 + 77,
        };
        phone.spoken += 1;
        let rest = write_header(&header, &mut packet).unwrap();
        let len = 12 + phone.encoder.encode(&samples, rest);
        let from = ([10, 0, 0, n as u8], 4_000).into();
        let port = PortId(n as u32);
        let (now, buffer) = (self.now, &mut packet);
        let forward = self.worker.receive(now, port, Lane::Rtp, from, buffer, len);
        if let Some(forward) = forward {
            let packet = packet[..forward.len].to_vec();
            self.deliver(forward.port.0 as usize, &packet);
        }
    }

    fn collect(&mut self) {
        let mut packet = [0; 1_500];
        while let Some(sent) = self.worker.poll_transmit(&mut packet) {
            if sent.lane == Lane::Rtp {
                let packet = packet[..sent.len].to_vec();
                self.deliver(sent.port.0 as usize, &packet);
            }
        }
        while self.worker.poll_event().is_some() {}
    }

    fn deliver(&mut self, n: usize, packet: &[u8]) {
        let packet = Packet::parse(packet).unwrap();
        let phone = &mut self.phones[n];
        let mut samples = [0; 5_760];
        let count = phone.decoder.decode(packet.payload(), &mut samples);
        phone.sound.extend(&samples[..count]);
        phone.heard.push((self.now, packet.header()));
    }
}

impl Phone {
    /// The level of a tone in the last second of what it heard.
    fn level_of(&self, hz: f64) -> f32 {
        let rate = self.decoder.rate();
        let last = &self.sound[self.sound.len().saturating_sub(rate as usize)..];
        Goertzel::new(hz as f32, rate).dbfs(last)
    }

    /// Sequence +1, timestamp by the packet time, and each packet within a frame of its time.
    fn assert_steady(&self, ms: u32) {
        let ticks = (self.codec.clock_rate() / 1_000 * ms) as i32;
        for pair in self.heard.windows(2) {
            let ((_, a), (_, b)) = (&pair[0], &pair[1]);
            assert_eq!(b.sequence.ahead_of(a.sequence), 1);
            assert_eq!(b.time.ahead_of(a.time), ticks, "{:?}", self.codec);
        }
        let (first, last) = (self.heard[0].0, self.heard[self.heard.len() - 1].0);
        let passed = last.since(first).as_millis() as i64;
        let wanted = i64::from(ms) * (self.heard.len() as i64 - 1);
        assert!((passed - wanted).abs() <= 20, "{passed} ms for {wanted} ms");
    }
}

/// The level that each phone speaks at.
const SPOKEN_DBFS: f32 = -12.2;

fn both_hear(a: (Codec, u32), b: (Codec, u32)) {
    let mut room = Room::new(&[(a.0, a.1, 500.0), (b.0, b.1, 1_700.0)]);
    // Until the delay has settled: a path is known after 50 packets, three seconds of the longest.
    room.pass(Duration::from_secs(7));
    for (me, other) in [(0, 1), (1, 0)] {
        let (mine, theirs) = (&room.phones[me], &room.phones[other]);
        let heard = mine.level_of(theirs.hz);
        assert!(
            (heard - SPOKEN_DBFS).abs() < 2.0,
            "{a:?} {b:?}, {me} hears {heard} dBFS"
        );
        assert!(
            mine.level_of(mine.hz) < -45.0,
            "{a:?} {b:?}, {me} hears itself"
        );
        mine.assert_steady(mine.codec.packet_ms(mine.ms as u16).into());
    }
}

// covers: RFC 7587 §4.1, RFC 3551 §4.5.2
#[test]
fn legs_of_any_two_codecs_hear_each_others_tone_at_its_level() {
    for (n, a) in Codec::ALL.into_iter().enumerate() {
        for b in Codec::ALL.into_iter().skip(n) {
            both_hear((a, 20), (b, 20));
        }
    }
}

#[test]
fn legs_of_different_packet_times_hear_each_other() {
    for codec in [Codec::Pcmu, Codec::G722, Codec::Opus] {
        for ms in [10, 30, 40, 60] {
            let phone_ms = codec.packet_ms(ms);
            both_hear((Codec::Pcma, 20), (codec, phone_ms.into()));
            both_hear((codec, 20), (codec, phone_ms.into()));
        }
    }
}

#[test]
fn two_wide_legs_hear_what_a_narrow_one_could_not_and_a_third_changes_nothing_of_that() {
    let mut room = Room::new(&[
        (Codec::G722, 20, 5_000.0),
        (Codec::Opus, 20, 1_000.0),
        (Codec::Pcmu, 20, 700.0),
    ]);
    room.pass(Duration::from_secs(3));
    let hears = |n: usize, hz: f64| room.phones[n].level_of(hz) > SPOKEN_DBFS - 3.0;
    assert!(hears(1, 5_000.0), "{}", room.phones[1].level_of(5_000.0));
    assert!(hears(0, 1_000.0) && hears(0, 700.0) && hears(1, 700.0));
    assert!(hears(2, 1_000.0) && room.phones[2].level_of(3_000.0) < -50.0);
}

#[test]
fn equal_codecs_and_packet_times_are_relayed_undecoded() {
    for codec in Codec::ALL {
        let mut room = Room::new(&[(codec, 20, 500.0), (codec, 20, 1_700.0)]);
        room.pass(Duration::from_millis(500));
        let sent = room.phones[1].spoken;
        assert!(room.phones[0].heard.len() + 1 >= sent, "{codec:?}");
        assert_eq!(room.worker.stats().transmits_dropped, 0);
    }
}

#[test]
fn a_wideband_call_is_recorded_wideband_and_a_narrow_one_as_it_was() {
    for (a, b, wide) in [
        (Codec::G722, Codec::G722, true),
        (Codec::Opus, Codec::G722, true),
        (Codec::G722, Codec::Pcma, false),
    ] {
        let mut room = Room::new(&[(a, 20, 5_000.0), (b, 20, 6_000.0)]);
        // Until the bridge has found its place on the wheel.
        room.pass(Duration::from_millis(1_500));
        let (tap, mut reader) = Tap::new(16_000, 100);
        let port = PortId(0);
        room.command(PortCommand::Tap { port, tap });
        room.pass(Duration::from_millis(1_600));
        let frames: Vec<_> = std::iter::from_fn(|| reader.pop().ok()).collect();
        assert!(frames.iter().map(|it| it.index).eq(0..160));
        let late = || frames.iter().skip(60);
        let left: Vec<i16> = late().flat_map(|it| it.left).collect();
        let right: Vec<i16> = late().flat_map(|it| it.right).collect();
        for (side, hz) in [(left, 5_000.0), (right, 6_000.0)] {
            let level = Goertzel::new(hz, 16_000).dbfs(&side);
            assert_eq!(level > -20.0, wide, "{a:?} {b:?} {hz}: {level}");
        }
    }
}

#[test]
fn prompts_and_recordings_sound_right_on_every_codec() {
    let tone: Vec<i16> = (0..16_000)
        .map(|i| ((std::f64::consts::TAU * 440.0 * f64::from(i) / 8_000.0).sin() * 8_000.0) as i16)
        .collect();
    let clip = std::sync::Arc::new(Clip::from_pcm8k(tone).unwrap());
    for codec in Codec::ALL {
        for ms in [10, 20, 60] {
            let ms = u32::from(codec.packet_ms(ms));
            let mut room = Room::new(&[(codec, ms, 1_000.0)]);
            let (tap, mut frames) = Tap::new(8_000, 1_000);
            room.command(PortCommand::Tap {
                port: PortId(0),
                tap,
            });
            let play = Playback::once(PlayId(1), vec![clip.clone()]);
            room.command(PortCommand::Play {
                port: PortId(0),
                play,
            });
            room.pass(Duration::from_millis(1_900));
            let heard = room.phones[0].level_of(440.0);
            assert!((heard - SPOKEN_DBFS).abs() < 1.5, "{codec:?} {ms}: {heard}");
            room.phones[0].assert_steady(ms);
            let (mut left, mut right) = (Vec::new(), Vec::new());
            while let Ok(frame) = frames.pop() {
                left.extend(frame.left);
                right.extend(frame.right);
            }
            for (side, hz) in [(&left, 1_000.0), (&right, 440.0)] {
                let level = Goertzel::new(hz, 8_000).dbfs(&side[8_000..]);
                assert!((level - SPOKEN_DBFS).abs() < 1.5, "{codec:?} {hz}: {level}");
            }
            assert!(level::dbfs(&right[8_000..]) < -10.0);
        }
    }
}

#[test]
fn what_is_only_relayed_passes_byte_for_byte_and_reaches_nobody_who_speaks_otherwise() {
    for (other, ptime_ms) in [(Codec::G729, 20), (Codec::G729, 60), (Codec::Pcma, 20)] {
        let mut world = World::new();
        let a = world.phone(Codec::G729, 440.0, |_| {});
        let b = world.phone(other, 440.0, |plan| plan.ptime_ms = ptime_ms);
        world.bridge(a, 1);
        world.bridge(b, 1);
        world
            .phones
            .iter_mut()
            .for_each(|phone| phone.speaks = false);
        let mut said = Vec::new();
        for n in 0..50_u8 {
            let payload = [n; 20];
            world.send(a, 18, &payload);
            said.push(payload.to_vec());
            let header = &mut world.phones[a].header;
            header.time = header.time.plus(160);
            world.frames(1);
        }
        let heard = &world.phones[b].heard;
        if other == Codec::G729 {
            let heard: Vec<_> = heard.iter().map(|it| it.payload.clone()).collect();
            assert_eq!(heard, said);
            assert_eq!(world.stats(b).relayed, 50);
        } else {
            assert!(
                heard
                    .iter()
                    .all(|it| it.payload.iter().all(|&byte| byte == 0xD5))
            );
        }
        assert!(world.phones[a].heard.is_empty(), "nothing is encoded");
        assert_eq!(world.stats(a).received, 50);
    }
}
