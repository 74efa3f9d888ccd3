//! The wheel: every 5 ms one phase of the ports is due, each port every 20 ms.
//!
//! A bridge is worked on as a whole, when its first member is met. Nothing here looks at a port of
//! another phase, and a relayed port costs a glance.

use std::net::SocketAddr;

use clock::Now;

use super::port::{Port, Slot};
use super::receive::held_ms;
use super::transmit::TransmitQueue;
use super::{DtmfVia, Lane, PHASES, Worker, tick_of};
use crate::bridge::{MEMBERS_MAX, Mode};
use crate::dsp::mix;
use crate::jitter::Popped;
use crate::port::dial::Step;
use crate::rtp::{HEADER_LEN, Header, write_header};
use crate::{Digit, FRAME, Frame, SILENCE};

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
            match self
                .bridge_at(bridge)
                .map(|held| (held.members(), held.mode))
            {
                Some(([first], _)) if *first as usize == at => self.alone(now, frame, at),
                Some(([first, ..], mode)) if *first as usize == at => {
                    self.together(now, frame, bridge, mode);
                }
                _ => {}
            }
        }
    }

    /// A port that hears nobody but its source.
    fn alone(&mut self, now: Now, frame: u64, at: usize) {
        self.hear(now, at);
        self.speak(now, frame, at, None);
    }

    fn together(&mut self, now: Now, frame: u64, bridge: usize, mode: Mode) {
        let Some(held) = self.bridge_at(bridge) else {
            return;
        };
        let listens = |&at: &u32| self.port(at as usize).is_some_and(|port| port.listens);
        if mode == Mode::Relay && !held.members().iter().any(listens) {
            return;
        }
        let mut members = [0; MEMBERS_MAX];
        let count = held.members().len();
        for (place, &member) in members.iter_mut().zip(held.members()) {
            *place = member;
        }
        let members = members.get(..count).unwrap_or_default();
        let mut sum: mix::Sum = [0; FRAME];
        for &member in members {
            self.hear(now, member as usize);
            if let Some(port) = self.port(member as usize) {
                mix::add(&mut sum, &port.said);
            }
        }
        for &member in members {
            let Some(port) = self.port_mut(member as usize) else {
                continue;
            };
            let mut heard = SILENCE;
            mix::minus_own(&mut heard, &sum, &port.said);
            match mode {
                Mode::Mix => self.speak(now, frame, member as usize, Some(&heard)),
                // The packets are on their way already: this is the recording's copy.
                Mode::Relay => port.record(&heard),
            }
        }
    }

    /// Decodes what a port's peer said in this frame, if anybody needs it.
    fn hear(&mut self, now: Now, at: usize) {
        let pressed = self.slots.get_mut(at).and_then(|slot| slot.hear(now));
        if let Some((digit, duration_ms)) = pressed {
            self.pressed(at, digit, DtmfVia::InBand, duration_ms);
        }
    }

    /// Sends a port's peer its frame: a digit, or the mix, the playback, or both.
    fn speak(&mut self, now: Now, frame: u64, at: usize, heard: Option<&Frame>) {
        let Some(port) = self.slots.get_mut(at).and_then(|slot| slot.port.as_mut()) else {
            return;
        };
        let dialing = !port.dialer.is_idle();
        port.speak(now, frame, heard, &mut self.transmits);
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

impl Slot {
    /// Fills `said`; the key and its duration in ms when a tone in it ended.
    fn hear(&mut self, now: Now) -> Option<(Digit, u16)> {
        let Self {
            jitter,
            concealer,
            port,
        } = self;
        let port = port.as_mut()?;
        if !port.listens {
            port.said = SILENCE;
            return None;
        }
        match jitter.pop(now) {
            Popped::Frame { payload, spliced } => {
                port.said = SILENCE;
                port.plan.coding.decoder.decode(payload, &mut port.said);
                concealer.real(&mut port.said, spliced);
                port.background.heard();
            }
            Popped::Conceal => {
                port.stats.concealed += 1;
                concealer.invent(&mut port.said);
            }
            Popped::Silence | Popped::Hold => {
                concealer.silence(&mut port.said);
                port.background.add_to(&mut port.said);
            }
        }
        let detector = port.detector.as_mut()?;
        let heard = detector.listen(&port.said);
        if port.converts && (detector.is_down() || heard.released.is_some()) {
            port.said = SILENCE;
        }
        heard.released.map(held_ms)
    }
}

/// A port's sound of one frame.
pub(super) enum Sound {
    Nothing,
    /// Encoded already.
    Payload([u8; FRAME]),
    Samples(Frame),
}

impl Port {
    fn speak(&mut self, now: Now, frame: u64, heard: Option<&Frame>, out: &mut TransmitQueue) {
        let usual = self.sound(frame, heard);
        let to = self.source.rtp().filter(|_| self.plan.send);
        let silent = matches!(usual, Sound::Nothing) && self.dialer.is_idle();
        let (Some(to), false) = (to, silent) else {
            self.out.quiet();
            self.record_sound(&usual);
            return;
        };
        let (time, marker) = self.out.advance(now);
        let as_events = self.plan.dtmf_payload_type;
        let sound = match (self.dialer.step(time, as_events.is_some()), as_events) {
            (Step::Event(event), Some(payload_type)) => {
                let header = self.out.header(payload_type, event.time, event.marker);
                self.send(now, to, &header, &event.payload, out);
                self.record(&SILENCE);
                return;
            }
            (Step::Sound(samples), _) => Sound::Samples(samples),
            // An event whose payload type a re-offer took away in its middle is not told further.
            (Step::Event(_), None) | (Step::Usual, _) => usual,
        };
        self.record_sound(&sound);
        let (payload, len) = self.payload(&sound);
        if let Some(payload) = payload.get(..len).filter(|payload| !payload.is_empty()) {
            let header = self.out.header(self.plan.payload_type, time, marker);
            self.send(now, to, &header, payload, out);
        }
    }

    /// A frame's payload and its length. Encoded for each listener alone: G.711 takes some 35 ns, as
    /// long as to find out who hears the same; a codec that takes more will want it shared.
    fn payload(&mut self, sound: &Sound) -> ([u8; FRAME], usize) {
        let mut payload = [0; FRAME];
        match sound {
            Sound::Nothing => (payload, 0),
            Sound::Payload(encoded) => (*encoded, FRAME),
            Sound::Samples(samples) => {
                let len = self.plan.coding.encoder.encode(samples, &mut payload);
                (payload, len)
            }
        }
    }

    fn send(
        &mut self,
        now: Now,
        to: SocketAddr,
        header: &Header,
        payload: &[u8],
        out: &mut TransmitQueue,
    ) {
        let queued = out.push(self.plan.port, Lane::Rtp, to, |packet| {
            let place = write_header(header, packet)?.get_mut(..payload.len())?;
            place.copy_from_slice(payload);
            Some(HEADER_LEN + payload.len())
        });
        if queued {
            self.transmission.sent(now, header.time, payload.len());
        }
    }

    /// The playback, the others, or both; a playback moves on whether it is sent or not.
    fn sound(&mut self, frame: u64, heard: Option<&Frame>) -> Sound {
        match (&mut self.player, heard) {
            (None, None) => Sound::Nothing,
            (None, Some(heard)) => Sound::Samples(*heard),
            (Some(player), heard) => match (self.plan.codec.law(), heard) {
                (Some(law), None) => {
                    let mut payload = [0; FRAME];
                    player.encoded(law, frame, &mut payload);
                    Sound::Payload(payload)
                }
                _ => {
                    let mut samples = SILENCE;
                    player.linear(frame, &mut samples);
                    mix::add_to(&mut samples, heard.unwrap_or(&SILENCE));
                    Sound::Samples(samples)
                }
            },
        }
    }
}
