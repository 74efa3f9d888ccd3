//! The wheel: every 5 ms one phase of the ports is due, each port every 20 ms.
//!
//! A bridge is worked on as a whole, when its first member is met. Nothing here looks at a port of
//! another phase, and a relayed port costs a glance.

use std::net::SocketAddr;

use clock::{Duration, Now};

use super::port::{KeysHeard, Port};
use super::receive::held_ms;
use super::transmit::TransmitQueue;
use super::{DtmfVia, Lane, PHASES, TICK, Worker, tick_of};
use crate::bridge::edition::{Editions, Program, Reader};
use crate::codec::PAYLOAD_MAX;
use crate::dsp::mix;
use crate::jitter::Popped;
use crate::port::PortPlan;
use crate::port::dial::Step;
use crate::rtp::red::Redundancy;
use crate::rtp::{HEADER_LEN, Header, RtpTime, write_header};
use crate::{BUS_FRAME_MAX, Digit, FRAME, SAMPLE_RATE, SILENCE};

impl Worker {
    /// Makes every tick that is due at `now`. Then drain [`Worker::poll_transmit`].
    ///
    /// A caller who is late makes up for at most a frame, so that nobody is sent a burst; older
    /// ticks are left out and counted.
    pub fn tick(&mut self, now: Now) {
        let due = tick_of(now);
        self.ticked_at = now;
        if due >= self.tick + PHASES {
            let skipped = due + 1 - PHASES - self.tick;
            self.stats.ticks_missed += skipped;
            self.tick += skipped;
        }
        while self.tick <= due {
            let (frame, phase) = (self.tick / PHASES, (self.tick % PHASES) as u8);
            self.phase(now, frame, phase);
            self.tick += 1;
            self.stats.ticks += 1;
        }
    }

    fn phase(&mut self, now: Now, frame: u64, phase: u8) {
        for at in 0..self.phases.len() {
            if self.phases.get(at).copied().flatten() != Some(phase) {
                continue;
            }
            self.look_after(now, at);
            let Some(bridge) = self.port(at).and_then(|port| port.bridge) else {
                self.alone(now, frame, at);
                continue;
            };
            let held = self.bridge_at(bridge);
            let Some(held) = held.filter(|held| held.first() == Some(at as u32)) else {
                continue;
            };
            if held.count == 1 && held.is_bare() {
                self.alone(now, frame, at);
            } else {
                self.together(now, frame, bridge);
            }
        }
    }

    /// A port that hears nobody but its source.
    fn alone(&mut self, now: Now, frame: u64, at: usize) {
        let mut said = SILENCE;
        self.hear(now, at, SAMPLE_RATE, &mut said);
        let bus = Bus {
            frame,
            rate: SAMPLE_RATE,
            said: &said,
            heard: None,
            program: None,
        };
        self.speak(now, frame, at, &bus);
    }

    /// Decodes what a port's peer said in this frame, at `rate`, if anybody needs it.
    pub(super) fn hear(&mut self, now: Now, at: usize, rate: u32, said: &mut [i16]) {
        let tick = Duration::from_millis(self.tick * TICK.as_millis() as u64);
        let pressed = self.port_mut(at).and_then(|port| {
            let pressed = port.hear(now, rate, said);
            port.hear_by_voice(tick, rate, said);
            pressed
        });
        if let Some((digit, duration_ms)) = pressed {
            self.pressed(at, digit, DtmfVia::InBand, duration_ms);
        }
    }

    /// Sends a port's peer its frame: a digit, or the mix, the playback, or both.
    pub(super) fn speak(&mut self, now: Now, frame: u64, at: usize, bus: &Bus<'_>) {
        let Some(port) = self.slots.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        let dialing = !port.dialer.is_idle();
        let mut reader = self.seats.reader(at as u32);
        let shared = (&mut self.editions, &mut reader);
        port.speak((now, frame), bus, shared, &mut self.transmits);
        self.seats.set_reader(at as u32, reader);
        let ended = self.events.has_room()
            && port
                .player
                .as_ref()
                .is_some_and(crate::port::play::Player::ended);
        let player = port.player.take_if(|_| ended);
        let (id, dialed) = (port.plan.port, dialing && port.dialer.is_idle());
        if ended || dialed {
            self.played(id, player, true);
            self.settle(at);
        }
    }
}

/// One frame on a bridge, or of a port alone.
pub(super) struct Bus<'a> {
    /// The wheel's.
    pub(super) frame: u64,
    /// Samples per second of the slices.
    pub(super) rate: u32,
    /// What the port's peer said.
    pub(super) said: &'a [i16],
    /// What all others said.
    pub(super) heard: Option<&'a [i16]>,
    /// What that is called, when others hear exactly the same.
    pub(super) program: Option<Program>,
}

impl Port {
    /// Fills `said`, a frame at `rate`; the key and its duration in ms when a tone in it ended.
    fn hear(&mut self, now: Now, rate: u32, said: &mut [i16]) -> Option<(Digit, u16)> {
        said.fill(0);
        if !self.listens {
            return None;
        }
        let decoder = &mut self.plan.coding.decoder;
        decoder.tune(rate);
        let native_rate = decoder.rate();
        let heard = if native_rate == rate {
            self.play_out(now, rate, said)
        } else {
            let mut native = [0; BUS_FRAME_MAX];
            let native = native.get_mut(..native_rate as usize / 50)?;
            let heard = self.play_out(now, native_rate, native);
            self.to_bus.tune(native_rate, rate);
            self.to_bus.convert(native, said);
            heard
        };
        let heard = heard?;
        if self.converts && (heard.down || heard.released.is_some()) {
            said.fill(0);
        }
        heard.released.map(held_ms)
    }

    /// The frame that is due, at the decoder's rate, and what its keys are.
    fn play_out(&mut self, now: Now, rate: u32, out: &mut [i16]) -> Option<KeysHeard> {
        let PortPlan {
            playout, coding, ..
        } = &mut *self.plan;
        let recovered = playout.counters().recovered;
        let popped = playout.pop(now, &mut coding.decoder, out);
        self.stats.recovered += (playout.counters().recovered - recovered) as u32;
        self.played(popped, out);
        match popped {
            Popped::Sound => self.background.heard(),
            Popped::Concealed => {}
            Popped::Silence | Popped::Hold => self.background.add_to(out),
        }
        Some(self.ear.as_mut()?.listen(rate, out))
    }
}

/// A port's sound of one frame.
pub(super) enum Sound<'a> {
    Nothing,
    /// Encoded already, by the law of the port's codec.
    Payload([u8; FRAME]),
    /// At the rate of the bus.
    Samples(&'a [i16]),
}

impl Port {
    fn speak(
        &mut self,
        (now, frame): (Now, u64),
        bus: &Bus<'_>,
        (editions, reader): (&mut Editions, &mut Reader),
        out: &mut TransmitQueue,
    ) {
        let mut program = match &self.player {
            None => bus.program,
            Some(player) => player.program().filter(|_| bus.heard.is_none()),
        };
        let mut mixed;
        let usual = if self.player.is_none() {
            bus.heard.map_or(Sound::Nothing, Sound::Samples)
        } else {
            mixed = [0; BUS_FRAME_MAX];
            self.playing(frame, bus, &mut mixed)
        };
        let to = self.source.rtp().filter(|_| self.plan.send);
        let silent = matches!(usual, Sound::Nothing) && self.dialer.is_idle();
        let (Some(to), false) = (to, silent) else {
            self.quiet();
            self.record_sound(bus, &usual);
            return;
        };
        let (time, marker) = self.out.advance(now);
        let as_events = self.plan.dtmf_payload_type;
        let mut tone;
        let sound = match (self.dialer.step(time, as_events.is_some()), as_events) {
            (Step::Event(event), Some(payload_type)) => {
                self.plan.coding.waiting.clear();
                let header = self.out.header(payload_type, event.time, event.marker);
                self.send(now, to, &header, &event.payload, out);
                self.record(bus, &[0; BUS_FRAME_MAX]);
                return;
            }
            (Step::Sound(samples), _) => {
                tone = [0; BUS_FRAME_MAX];
                program = None;
                self.played.tune(SAMPLE_RATE, bus.rate);
                let count = self.played.convert(&samples, &mut tone);
                Sound::Samples(tone.get(..count).unwrap_or_default())
            }
            // An event whose payload type a re-offer took away in its middle is not told further.
            (Step::Event(_), None) | (Step::Usual, _) => usual,
        };
        self.record_sound(bus, &sound);
        match sound {
            Sound::Nothing => {}
            Sound::Payload(payload) => {
                let header = self.out.header(self.plan.payload_type, time, marker);
                self.send(now, to, &header, &payload, out);
            }
            Sound::Samples(samples) => {
                let start = Start {
                    now,
                    to,
                    time,
                    marker,
                };
                let sound = (bus.rate, samples);
                let whole = self.plan.coding.waiting.packet_ms == 20;
                let own = &mut self.plan.coding.encoder;
                let edition = match program.filter(|_| whole) {
                    Some(program) => editions.payload(program, frame, sound, own, reader),
                    None => None,
                };
                match edition {
                    Some(payload) => self.send_payload(start, payload, out),
                    None => {
                        editions.hand_over(reader, own);
                        self.send_samples(start, bus.rate, samples, out);
                    }
                }
            }
        }
    }

    /// Nothing is sent in this frame, and what waited for the rest of its packet is not either.
    fn quiet(&mut self) {
        self.out.quiet();
        self.plan.coding.waiting.clear();
    }

    /// Encodes a frame for this listener alone and sends the packets that it completes.
    fn send_samples(&mut self, start: Start, rate: u32, samples: &[i16], out: &mut TransmitQueue) {
        let encoder = &mut self.plan.coding.encoder;
        if encoder.rate() != rate {
            let before = encoder.rate();
            encoder.tune(rate);
            if encoder.rate() != before {
                self.plan.coding.waiting.clear();
            }
        }
        let native_rate = self.plan.coding.encoder.rate();
        let mut native;
        let samples = if native_rate == rate {
            samples
        } else {
            native = [0; BUS_FRAME_MAX];
            self.from_bus.tune(rate, native_rate);
            let count = self.from_bus.convert(samples, &mut native);
            native.get(..count).unwrap_or_default()
        };
        match self.plan.coding.waiting.packet_ms {
            20 => self.send_packet(start, samples, out),
            0..20 => {
                let (first, second) = samples.split_at(samples.len() / 2);
                self.send_packet(start, first, out);
                let time = start.time.plus(self.plan.codec.frame_ticks() / 2);
                let marker = false;
                self.send_packet(
                    Start {
                        time,
                        marker,
                        ..start
                    },
                    second,
                    out,
                );
            }
            packet_ms => self.send_joined(start, samples, packet_ms, out),
        }
    }

    /// Adds a frame to those that wait, and sends the packets of more than a frame that are complete.
    fn send_joined(&mut self, start: Start, native: &[i16], ms: u16, out: &mut TransmitQueue) {
        let per_ms = (native.len() / 20).max(1);
        let ticks_per_ms = self.plan.codec.clock_rate() / 1_000;
        let waiting = &mut self.plan.coding.waiting;
        // A frame has 20 ms, so what waits is told by its samples.
        let waited_ms = (waiting.held() / per_ms) as u32;
        if waited_ms == 0 {
            self.spurt = start.marker;
        }
        waiting.push(native);
        let mut time = RtpTime(start.time.0.wrapping_sub(waited_ms * ticks_per_ms));
        let samples = usize::from(ms) * per_ms;
        let mut packet = [0; 3 * BUS_FRAME_MAX];
        while let Some(whole) = self.plan.coding.waiting.packet(samples) {
            let Some(packet) = packet.get_mut(..samples) else {
                return;
            };
            packet.copy_from_slice(whole);
            self.plan.coding.waiting.taken(samples);
            let marker = std::mem::take(&mut self.spurt);
            self.send_packet(
                Start {
                    time,
                    marker,
                    ..start
                },
                packet,
                out,
            );
            time = time.plus(u32::from(ms) * ticks_per_ms);
        }
    }

    fn send_packet(&mut self, start: Start, samples: &[i16], out: &mut TransmitQueue) {
        let mut payload = [0; PAYLOAD_MAX];
        let len = self.plan.coding.encoder.encode(samples, &mut payload);
        self.send_payload(start, payload.get(..len).unwrap_or_default(), out);
    }

    /// Sends a payload, if there is anything in it.
    fn send_payload(&mut self, start: Start, payload: &[u8], out: &mut TransmitQueue) {
        if payload.is_empty() {
            return;
        }
        let header = self
            .out
            .header(self.plan.payload_type, start.time, start.marker);
        self.send(start.now, start.to, &header, payload, out);
    }

    fn send(
        &mut self,
        now: Now,
        to: SocketAddr,
        header: &Header,
        payload: &[u8],
        out: &mut TransmitQueue,
    ) {
        let audio = header.payload_type == self.plan.payload_type;
        let redundancy = self.plan.coding.redundancy.as_mut().filter(|_| audio);
        let queued = out.push(self.plan.port, Lane::Rtp, to, |packet| {
            if let Some(redundancy) = redundancy {
                return redundant(header, redundancy, payload, packet);
            }
            let place = write_header(header, packet)?.get_mut(..payload.len())?;
            place.copy_from_slice(payload);
            Some(HEADER_LEN + payload.len())
        });
        if queued {
            self.transmission.sent(now, header.time, payload.len());
        }
    }

    /// The playback, with the others if there are any; it moves on whether it is sent or not. A port
    /// alone hears it as it is kept, encoded, where its codec and packet time allow.
    fn playing<'a>(
        &mut self,
        frame: u64,
        bus: &Bus<'a>,
        mixed: &'a mut [i16; BUS_FRAME_MAX],
    ) -> Sound<'a> {
        let Some(player) = &mut self.player else {
            return Sound::Nothing;
        };
        let whole = self.plan.coding.waiting.packet_ms == 20;
        let law = self.plan.codec.law().filter(|_| whole);
        if let (Some(law), None) = (law, bus.heard) {
            let mut payload = [0; FRAME];
            player.encoded(law, frame, &mut payload);
            return Sound::Payload(payload);
        }
        let mut samples = SILENCE;
        player.linear(frame, &mut samples);
        self.played.tune(SAMPLE_RATE, bus.rate);
        let count = self.played.convert(&samples, mixed);
        let mixed = mixed.get_mut(..count).unwrap_or_default();
        mix::add_to(mixed, bus.heard.unwrap_or_default());
        Sound::Samples(mixed)
    }
}

/// Writes a packet that repeats the one before it, or, when there is no room for that, one that does not.
fn redundant(
    header: &Header,
    redundancy: &mut Redundancy,
    payload: &[u8],
    packet: &mut [u8],
) -> Option<usize> {
    let repeats = Header {
        payload_type: redundancy.payload_type(),
        ..*header
    };
    let place = write_header(&repeats, packet)?;
    let len = redundancy.write(header.payload_type, header.time, payload, place);
    if let Some(len) = len {
        return Some(HEADER_LEN + len);
    }
    let place = write_header(header, packet)?.get_mut(..payload.len())?;
    place.copy_from_slice(payload);
    Some(HEADER_LEN + payload.len())
}

/// When a frame is sent, where to, and how its packet begins.
#[derive(Clone, Copy)]
struct Start {
    now: Now,
    to: SocketAddr,
    time: RtpTime,
    marker: bool,
}
