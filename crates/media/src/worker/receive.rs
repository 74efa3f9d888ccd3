//! The way of one packet in: who may speak, what it is, and whether it is passed on at once.

use std::net::SocketAddr;

use clock::{Duration, Now};

use super::event::EventQueue;
use super::port::Port;
use super::{DtmfVia, Forward, Lane, PortEvent, Worker};
use crate::Digit;
use crate::bridge::Mode;
use crate::jitter::Inserted;
use crate::port::background::Background;
use crate::port::{PortId, PortPlan};
use crate::rtp::red::{self, Block};
use crate::rtp::stats::Reception;
use crate::rtp::{Header, Packet, RtpTime, rewrite_header};
use crate::srtp::SrtpError;

/// What a payload type stands for on one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Audio,
    Event,
    Noise,
    /// One of the others, and copies of what came before (RFC 2198).
    Redundant,
}

impl Kind {
    fn of(plan: &PortPlan, payload_type: u8) -> Option<Self> {
        match Some(payload_type) {
            is if is == Some(plan.payload_type) => Some(Self::Audio),
            is if is == plan.dtmf_payload_type => Some(Self::Event),
            is if is == plan.cn_payload_type => Some(Self::Noise),
            is if is == plan.coding.redundant_type() => Some(Self::Redundant),
            _ => None,
        }
    }

    fn payload_type(self, plan: &PortPlan) -> Option<u8> {
        match self {
            Self::Audio => Some(plan.payload_type),
            Self::Event => plan.dtmf_payload_type,
            Self::Noise => plan.cn_payload_type,
            Self::Redundant => None,
        }
    }
}

impl Worker {
    /// Takes a packet of `len` bytes that came to `port`'s socket of `lane`. It is opened in place when
    /// the port is secured. When its bridge relays, it is rewritten in `buffer` for the partner, and
    /// where to send it is returned: send it now. The buffer's room beyond `len` is for the
    /// partner's tag ([`OVERHEAD_MAX`](crate::srtp::OVERHEAD_MAX)): without it nothing is relayed.
    ///
    /// Hostile input is the rule: whatever is wrong is dropped and counted, never answered.
    pub fn receive(
        &mut self,
        now: Now,
        port: PortId,
        lane: Lane,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Forward> {
        let Some(at) = self.index.get(port.0) else {
            self.stats.strays += 1;
            return None;
        };
        let open = self.slots.get_mut(at)?.as_mut()?;
        let packet = buffer.get_mut(..len)?;
        let is_rtcp = open.is_rtcp(lane, packet);
        let len = open.admit(now, (lane, is_rtcp), from, packet)?;
        let packet = packet.get(..len)?;
        if is_rtcp {
            open.receive_report(now, packet, self.config.ntp_at_zero);
            return None;
        }
        let taken = open.take(now, from, packet, &mut self.events)?;
        if taken.kind == Kind::Audio {
            self.claim_floor(now, at, packet);
        }
        if let Some((digit, duration_ms)) = taken.digit {
            self.pressed(at, digit, DtmfVia::Rfc4733, duration_ms);
        }
        self.relay(now, at, &taken, (buffer, len))
    }

    /// Tells of a digit, and passes it on in a mixed bridge of two: there nobody relays its packets.
    /// A tone goes on as sound, unless the partner gets keys otherwise; one whose keys go by signalling
    /// gets none here.
    pub(super) fn pressed(&mut self, at: usize, digit: Digit, how: DtmfVia, duration_ms: u16) {
        let Some(port) = self.port(at) else { return };
        let (id, bridge) = (
            port.plan.port,
            port.bridge.and_then(|bridge| self.bridge_at(bridge)),
        );
        let partner = bridge
            .filter(|bridge| bridge.mode == Mode::Mix)
            .and_then(|bridge| bridge.partner(at as u32));
        self.events.news(PortEvent::Digit {
            port: id,
            digit,
            how,
            duration_ms,
        });
        if let Some(partner) = partner.and_then(|partner| self.port_mut(partner as usize))
            && !partner.plan.keys_elsewhere
            && (how == DtmfVia::Rfc4733 || partner.plan.dtmf_payload_type.is_some())
        {
            partner.dialer.push(digit, duration_ms);
        }
    }

    /// Whether a telephone-event began before its bridge relayed: then it was told here, and the rest of it,
    /// such as the repetitions of its end, would be another press to the partner.
    fn is_told_already(&mut self, at: usize, time: RtpTime) -> bool {
        let bridge = self.port(at).and_then(|port| port.bridge);
        let bridge = bridge.and_then(|bridge| self.bridge_at(bridge));
        let relays = bridge.is_some_and(|bridge| bridge.mode == Mode::Relay);
        let Some(port) = self.port_mut(at) else {
            return true;
        };
        if !relays {
            port.key_told = Some(time);
        }
        port.key_told == Some(time)
    }

    fn relay(
        &mut self,
        now: Now,
        at: usize,
        taken: &Taken,
        (buffer, len): (&mut [u8], usize),
    ) -> Option<Forward> {
        let told = taken.kind == Kind::Event && self.is_told_already(at, taken.header.time);
        let bridge = self.bridge_at(self.port(at)?.bridge?)?;
        if bridge.mode != Mode::Relay {
            return None;
        }
        let partner = bridge.partner(at as u32)?;
        let partner = self.port_mut(partner as usize)?;
        let to = partner.source.rtp()?;
        let payload_type = taken.kind.payload_type(&partner.plan).filter(|_| !told);
        let Some(payload_type) = payload_type else {
            // Or comfort noise that the partner did not agree to: it makes its own silence.
            partner.out.skipped(taken.header.sequence);
            return None;
        };
        let per_ms = partner.plan.codec.clock_rate() / 1_000;
        let ticks = u32::from(partner.plan.ptime_ms) * per_ms;
        let header = partner
            .out
            .relayed(now, taken.header, payload_type, ticks)?;
        if !rewrite_header(&header, buffer) {
            return None;
        }
        let len = partner.seal(now, (Lane::Rtp, to), buffer, len)?;
        partner
            .transmission
            .sent(now, header.time, taken.payload_len);
        partner.stats.relayed += 1;
        Some(Forward {
            port: partner.plan.port,
            to,
            len,
        })
    }
}

/// A packet that passed every gate.
struct Taken {
    header: Header,
    kind: Kind,
    payload_len: usize,
    /// The key it ends, and how long that was held.
    digit: Option<(Digit, u16)>,
}

impl Port {
    /// The gates after those of [`Port::admit`]: form, payload type, direction. Then the packet is
    /// counted and goes where its kind belongs.
    fn take(
        &mut self,
        now: Now,
        from: SocketAddr,
        bytes: &[u8],
        events: &mut EventQueue,
    ) -> Option<Taken> {
        let Ok(packet) = Packet::parse(bytes) else {
            self.stats.malformed += 1;
            return None;
        };
        let header = packet.header();
        let Some((kind, payload, copies)) = unwrap(&self.plan, &header, packet.payload()) else {
            self.stats.unknown_payload += 1;
            return None;
        };
        if self.source.lock(from) {
            events.news(PortEvent::FirstPacket {
                port: self.plan.port,
                from,
            });
        }
        if let Some(silent_ms) = self.heard(now) {
            let port = self.plan.port;
            events.news(PortEvent::MediaBack { port, silent_ms });
        }
        self.care.pauses = kind == Kind::Noise;
        if !self.plan.receive {
            self.stats.not_receiving += 1;
            return None;
        }
        self.count(now, &header, kind);
        self.stats.received_bytes += payload.len() as u64;
        match kind {
            Kind::Audio => self.background.sounded(header.sequence),
            Kind::Noise => self.background.told(header.sequence, payload),
            Kind::Event | Kind::Redundant => {}
        }
        let inserted = match kind {
            Kind::Audio if self.listens => Some(self.plan.playout.insert(now, &header, payload)),
            Kind::Audio => {
                self.glance(&header, payload);
                None
            }
            Kind::Event | Kind::Noise if self.listens => {
                Some(self.plan.playout.note_other(now, &header))
            }
            _ => None,
        };
        let digit = match kind {
            Kind::Event => self.key(now, &header, payload),
            Kind::Audio | Kind::Noise | Kind::Redundant => None,
        };
        if inserted.is_some_and(|inserted| inserted != Inserted::Stored) {
            self.stats.discarded += 1;
        }
        if inserted == Some(Inserted::Late) {
            self.was_late(&header);
        }
        if self.listens {
            for copy in copies.filter(|copy| copy.payload_type == self.plan.payload_type) {
                let place = (copy.back, copy.offset);
                let stored = self
                    .plan
                    .playout
                    .insert_redundant(now, &header, place, copy.payload);
                self.stats.recovered += u32::from(stored);
            }
        }
        Some(Taken {
            header,
            kind,
            payload_len: payload.len(),
            digit,
        })
    }
}

impl Port {
    /// Whether a packet is RTCP: by its socket, or by its second byte where one socket has both.
    pub(super) fn is_rtcp(&self, lane: Lane, packet: &[u8]) -> bool {
        let muxed = || packet.get(1).is_some_and(|kind| RTCP_TYPES.contains(kind));
        lane == Lane::Rtcp || (self.plan.rtcp_mux && muxed())
    }

    /// The first gates: the source, then the tag. What passes is in clear in place, and this long.
    ///
    /// The source is asked first: a packet from elsewhere, an authentic one sent again, must not
    /// use up the place of the true one. The capture sees what it can read: all of a port in clear,
    /// of a secured one what was opened.
    fn admit(
        &mut self,
        now: Now,
        (lane, is_rtcp): (Lane, bool),
        from: SocketAddr,
        packet: &mut [u8],
    ) -> Option<usize> {
        let known = if is_rtcp {
            self.source.allows_rtcp(from)
        } else {
            self.source.admits(from)
        };
        let opened = known.then(|| self.plan.security.open(is_rtcp, packet));
        let readable = match opened {
            Some(Ok(len)) => Some(len),
            _ => self.plan.security.is_plain().then_some(packet.len()),
        };
        if let (Some(capture), Some(len)) = (&mut self.capture, readable) {
            capture.offer(now, false, lane, from, packet.get(..len)?);
        }
        match opened {
            Some(Ok(_)) => {}
            None => self.stats.foreign += 1,
            Some(Err(SrtpError::Replayed)) => self.stats.replayed += 1,
            Some(Err(SrtpError::Malformed)) => self.stats.malformed += 1,
            Some(Err(_)) if self.plan.security.is_awaited() => self.stats.keyless += 1,
            Some(Err(_)) => self.stats.unauthentic += 1,
        }
        opened?.ok()
    }

    /// The last step of a packet out, after its copy for a capture: protects it in place, and gives its
    /// length on the wire; `None` when it must not be sent.
    pub(super) fn seal(
        &mut self,
        now: Now,
        (lane, to): (Lane, SocketAddr),
        buffer: &mut [u8],
        len: usize,
    ) -> Option<usize> {
        let packet = buffer.get(..len)?;
        let is_rtcp = self.is_rtcp(lane, packet);
        if let Some(capture) = &mut self.capture {
            capture.offer(now, true, lane, to, packet);
        }
        let sealed = self.plan.security.protect(is_rtcp, buffer, len);
        self.stats.unsent += u32::from(sealed.is_none());
        sealed
    }

    fn count(&mut self, now: Now, header: &Header, kind: Kind) {
        self.stats.received += 1;
        match &mut self.reception {
            Some(reception) if reception.ssrc() == header.ssrc => match kind {
                Kind::Audio => reception.receive(now, header),
                Kind::Event | Kind::Noise | Kind::Redundant => reception.count(header),
            },
            _ => {
                self.end_source();
                let clock_rate = self.plan.codec.clock_rate();
                self.reception = Some(Reception::new(now, header, clock_rate));
                self.background = Background::new(self.plan.ssrc);
            }
        }
    }

    /// The key that a telephone-event ended, and for how many ms it was held.
    fn key(&mut self, now: Now, header: &Header, payload: &[u8]) -> Option<(Digit, u16)> {
        let heard = self.keys.receive(now, header, payload);
        // A press whose only packet was its end is over at once.
        heard
            .released
            .or_else(|| self.keys.handle_timeout(now).released)
            .map(held_ms)
    }

    /// The key whose packets have stopped coming.
    pub(super) fn key_timed_out(&mut self, now: Now) -> Option<(Digit, u16)> {
        self.keys.handle_timeout(now).released.map(held_ms)
    }
}

/// What a packet is by the agreement, its payload, and the copies of older ones that it brings.
pub(super) fn unwrap<'a>(
    plan: &PortPlan,
    header: &Header,
    payload: &'a [u8],
) -> Option<(Kind, &'a [u8], impl Iterator<Item = Block<'a>> + use<'a>)> {
    let (kind, payload, copies) = match Kind::of(plan, header.payload_type)? {
        Kind::Redundant => {
            let (newest, copies) = red::parse(payload)?;
            let kind = Kind::of(plan, newest.payload_type);
            let kind = kind.filter(|kind| *kind != Kind::Redundant)?;
            (kind, newest.payload, Some(copies))
        }
        kind => (kind, payload, None),
    };
    Some((kind, payload, copies.into_iter().flatten()))
}

pub(super) fn held_ms((digit, held): (Digit, Duration)) -> (Digit, u16) {
    (digit, u16::try_from(held.as_millis()).unwrap_or(u16::MAX))
}

/// The second byte of RTCP where it shares RTP's port (RFC 5761 §4).
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 192..=223;
