//! A worker and the phones around it, on a table: no sockets, no clock.

use std::net::SocketAddr;

use clock::{Duration, Now};

use crate::bridge::BridgeId;
use crate::codec::{Decoder, Encoder};
use crate::dsp::{Tone, ToneMeter};
use crate::port::{PlayId, PortId, PortPlan, PortStats, Remote};
use crate::rtp::{Header, Packet, RtpTime, Sequence, write_header};
use crate::srtp::{Protector, Unprotector};
use crate::worker::{Garbage, Lane, PortCommand, PortEvent, TICK, Transmit, Worker, WorkerConfig};
use crate::{Codec, FRAME};

/// An RTP packet that reached a phone.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) at: Now,
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
}

/// A peer that speaks a tone of its own and keeps all it hears.
pub(super) struct Phone {
    pub(super) port: PortId,
    pub(super) address: SocketAddr,
    pub(super) codec: Codec,
    pub(super) speaks: bool,
    pub(super) heard: Vec<Heard>,
    pub(super) reports: Vec<Vec<u8>>,
    pub(super) header: Header,
    /// What it sends with and opens with, when its leg is secured.
    pub(super) keys: Option<(Protector, Unprotector)>,
    pub(super) tone: Tone,
}

/// The payload type of codecs that have none of their own: below those of telephone-events.
const UNNAMED: u8 = 96;

impl Phone {
    /// What it heard, decoded.
    pub(super) fn sound(&self) -> Vec<i16> {
        let mut sound = Vec::new();
        for heard in self
            .heard
            .iter()
            .filter(|heard| heard.header.payload_type < 96)
        {
            let mut samples = vec![0; heard.payload.len()];
            Decoder::new(self.codec).decode(&heard.payload, &mut samples);
            sound.extend(samples);
        }
        sound
    }

    /// Whether a tone is in what it heard since frame `from`, in at least 9 frames of 10.
    pub(super) fn hears(&self, hz: f32, from: usize) -> bool {
        let mut meter = ToneMeter::new(&[hz], -30.0);
        let sound = self.sound();
        let (frames, _) = sound.as_chunks::<FRAME>();
        let frames = frames.get(from..).unwrap_or_default();
        frames.iter().for_each(|frame| meter.measure(frame));
        let present = meter.track(hz).map_or(0, |track| track.frames_present);
        !frames.is_empty() && present as usize * 10 >= frames.len() * 9
    }

    /// Checks the law of one outgoing stream: sequence +1, timestamp +160, one SSRC, at most two
    /// packets within 2 ms. Telephone-events keep a timestamp of their own.
    pub(super) fn assert_one_steady_stream(&self) {
        for pair in self.heard.windows(2) {
            let (a, b) = (&pair[0].header, &pair[1].header);
            assert_eq!(b.ssrc, a.ssrc);
            assert_eq!(b.sequence.ahead_of(a.sequence), 1, "{a:?} then {b:?}");
            if a.payload_type < 96 && b.payload_type < 96 {
                assert_eq!(b.time.ahead_of(a.time), 160, "{a:?} then {b:?}");
            }
        }
        for three in self.heard.windows(3) {
            assert!(
                three[2].at.since(three[0].at) > Duration::from_millis(2),
                "a burst"
            );
        }
    }
}

pub(super) struct World {
    pub(super) worker: Worker,
    pub(super) now: Now,
    pub(super) phones: Vec<Phone>,
    pub(super) events: Vec<PortEvent>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::of(16)
    }

    /// A worker with room for `ports`.
    pub(super) fn of(ports: usize) -> Self {
        let now = Now::from_nanos(3_000_000);
        let config = WorkerConfig {
            ports_max: ports,
            stats_every: Duration::ZERO,
            ..Default::default()
        };
        Self {
            worker: Worker::new(config, now),
            now,
            phones: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Two phones with the same codec in one bridge.
    pub(super) fn bridged(codec: Codec, tones: &[f32]) -> Self {
        let mut world = Self::new();
        for &hz in tones {
            let phone = world.phone(codec, hz, |_| {});
            world.bridge(phone, 1);
        }
        world
    }

    /// Adds a phone and opens its port; both are known by the index returned.
    pub(super) fn phone(&mut self, codec: Codec, hz: f32, plan: impl Fn(&mut PortPlan)) -> usize {
        let n = self.phones.len();
        let port = PortId(100 + n as u32);
        let address: SocketAddr = format!("10.0.{}.{}:4000", n / 200, n % 200 + 1)
            .parse()
            .unwrap();
        let random = 0xFFFE_FFFF_FFFD_FF00 ^ (n as u64 * 0x1234_5678_9ABC);
        let mut told = PortPlan::new(port, "10.1.0.1:20000".parse().unwrap(), codec, random);
        told.remote = Some(Remote::of(address, false));
        told.dtmf_payload_type = Some(101 + n as u8 % 20);
        plan(&mut told);
        self.command(PortCommand::Open(Box::new(told)));
        self.phones.push(Phone {
            port,
            address,
            codec,
            speaks: true,
            heard: Vec::new(),
            reports: Vec::new(),
            header: Header {
                marker: false,
                payload_type: codec.static_payload_type().unwrap_or(UNNAMED),
                sequence: Sequence(65_500_u16.wrapping_add(n as u16)),
                time: RtpTime(u32::MAX - 1_000 * n as u32),
                ssrc: 0xABC0 + n as u32,
            },
            keys: None,
            tone: Tone::new(hz, -13.0),
        });
        n
    }

    pub(super) fn bridge(&mut self, phone: usize, bridge: u32) {
        let port = self.port(phone);
        self.command(PortCommand::Bridge {
            port,
            bridge: BridgeId(bridge),
        });
    }

    pub(super) fn port(&self, phone: usize) -> PortId {
        self.phones[phone].port
    }

    pub(super) fn command(&mut self, command: PortCommand) {
        assert!(self.worker.takes_commands());
        self.worker.command(self.now, command);
        self.collect();
    }

    /// Lets 20 ms pass `frames` times. Every phone speaks once a frame, each at its own moment.
    pub(super) fn frames(&mut self, frames: usize) {
        for _ in 0..frames * 4 {
            let step = (self.now.as_millis() / 5) as usize;
            for phone in 0..self.phones.len() {
                if self.phones[phone].speaks && (step + phone).is_multiple_of(4) {
                    self.speak(phone);
                }
            }
            self.now += TICK;
            self.worker.tick(self.now);
            self.collect();
        }
    }

    /// One packet of the phone's tone.
    pub(super) fn speak(&mut self, phone: usize) {
        let Phone { tone, codec, .. } = &mut self.phones[phone];
        let mut payload = [0; FRAME];
        Encoder::new(*codec).encode(&tone.frame(), &mut payload);
        let payload_type = codec.static_payload_type().unwrap_or(UNNAMED);
        self.send(phone, payload_type, &payload);
        let header = &mut self.phones[phone].header;
        header.time = header.time.plus(160);
    }

    /// A packet with the phone's next sequence number and its present timestamp.
    pub(super) fn send(&mut self, phone: usize, payload_type: u8, payload: &[u8]) {
        let from = self.phones[phone].address;
        let header = Header {
            payload_type,
            ..self.phones[phone].header
        };
        self.phones[phone].header.sequence = header.sequence.plus(1);
        self.inject(phone, from, &header, payload);
    }

    /// A packet to a phone's port from wherever.
    pub(super) fn inject(
        &mut self,
        phone: usize,
        from: SocketAddr,
        header: &Header,
        payload: &[u8],
    ) {
        let mut packet = [0; 1500];
        let rest = write_header(header, &mut packet).unwrap();
        rest[..payload.len()].copy_from_slice(payload);
        let mut len = 12 + payload.len();
        if let Some((protector, _)) = &mut self.phones[phone].keys {
            len = protector.rtp(&mut packet, len).unwrap();
        }
        self.arrive(phone, from, &mut packet, len);
    }

    /// Bytes that come to a phone's port from wherever.
    pub(super) fn arrive(
        &mut self,
        phone: usize,
        from: SocketAddr,
        packet: &mut [u8; 1500],
        len: usize,
    ) {
        let port = self.port(phone);
        let forward = self
            .worker
            .receive(self.now, port, Lane::Rtp, from, packet, len);
        if let Some(forward) = forward {
            self.deliver(forward.to, Lane::Rtp, &packet[..forward.len]);
        }
        self.collect();
    }

    /// Takes what the worker has made.
    pub(super) fn collect(&mut self) {
        let mut packet = [0; 1500];
        while let Some(Transmit { lane, to, len, .. }) = self.worker.poll_transmit(&mut packet) {
            self.deliver(to, lane, &packet[..len]);
        }
        while let Some(event) = self.worker.poll_event() {
            self.events.push(event);
        }
    }

    fn deliver(&mut self, to: SocketAddr, lane: Lane, packet: &[u8]) {
        let now = self.now;
        let phone = self
            .phones
            .iter_mut()
            .find(|phone| phone.address.ip() == to.ip());
        let Some(phone) = phone else {
            panic!("{to} is nobody")
        };
        let mut packet = packet.to_vec();
        let is_rtcp = lane == Lane::Rtcp || to.port() != phone.address.port();
        if let Some((_, unprotector)) = &mut phone.keys {
            let len = match is_rtcp {
                true => unprotector.rtcp(&mut packet),
                false => unprotector.rtp(&mut packet),
            };
            packet.truncate(len.expect("what reaches a secured phone opens"));
        }
        if is_rtcp {
            phone.reports.push(packet);
            return;
        }
        let parsed = Packet::parse(&packet).unwrap();
        let payload = parsed.payload().to_vec();
        phone.heard.push(Heard {
            at: now,
            header: parsed.header(),
            payload,
        });
    }

    /// The counters of a phone's port.
    pub(super) fn stats(&self, phone: usize) -> PortStats {
        let at = self.worker.index.get(self.port(phone).0).unwrap();
        self.worker.port(at).unwrap().snapshot()
    }

    pub(super) fn clear(&mut self) {
        self.phones.iter_mut().for_each(|phone| phone.heard.clear());
        self.events.clear();
    }

    pub(super) fn played(&self) -> Vec<(PlayId, bool)> {
        let played = |event: &PortEvent| match event {
            PortEvent::Played { play, complete, .. } => Some((*play, *complete)),
            _ => None,
        };
        self.events.iter().filter_map(played).collect()
    }

    pub(super) fn digits(&self) -> Vec<(char, u16)> {
        let digit = |event: &PortEvent| match event {
            PortEvent::Digit {
                digit, duration_ms, ..
            } => Some((digit.as_char(), *duration_ms)),
            _ => None,
        };
        self.events.iter().filter_map(digit).collect()
    }

    pub(super) fn garbage(&self) -> Vec<&'static str> {
        let garbage = |event: &PortEvent| match event {
            PortEvent::Garbage(Garbage::Plan(_)) => Some("plan"),
            PortEvent::Garbage(Garbage::Update(_)) => Some("update"),
            PortEvent::Garbage(Garbage::Playback(_)) => Some("playback"),
            PortEvent::Garbage(Garbage::Tap(_)) => Some("tap"),
            PortEvent::Garbage(Garbage::Digits(_)) => Some("digits"),
            _ => None,
        };
        self.events.iter().filter_map(garbage).collect()
    }
}
