//! Commands: what control asks of ports, carried out at once. What is asked of bridges is in `bridges`.

use std::net::SocketAddr;

use clock::Now;

use super::event::PortEvent;
use super::port::Port;
use super::{Garbage, PortCommand, Refusal, Worker};
use crate::bridge::Bridge;
use crate::capture::Capture;
use crate::port::play::Player;
use crate::port::{Keys, PlayId, Playback, PortId, PortPlan, PortUpdate, Security};
use crate::tap::{Tap, TapState};

impl Worker {
    /// Carries out `command`. Call it only while [`Worker::takes_commands`].
    ///
    /// What cannot be done is told as [`PortEvent::Refused`]; boxes come back as garbage.
    pub fn command(&mut self, now: Now, command: PortCommand) {
        let port = command.port();
        let done = match command {
            PortCommand::Open(plan) => self.open(now, plan),
            PortCommand::Update(update) => self.update(now, update),
            PortCommand::Bridge { port, bridge } => self.bridge(port, bridge),
            PortCommand::Unbridge { port } => self.unbridge(port),
            PortCommand::Gain { port, to, gain } => self.gain(port, to, gain),
            PortCommand::Deafen { port, on } => self.deafen(port, on),
            PortCommand::Announce { port, play } => self.announce(port, play),
            PortCommand::TapBridge { port, tap } => self.tap_bridge(port, tap),
            PortCommand::UntapBridge { port } => self.untap_bridge(port),
            PortCommand::Play { port, play } => self.play(port, play),
            PortCommand::Stop { port, play } => self.stop(port, play),
            PortCommand::SendDigits {
                port,
                digits,
                duration_ms,
            } => {
                let done = self.dial(port, &digits, duration_ms);
                self.discard(Garbage::Digits(digits));
                done
            }
            PortCommand::Tap { port, tap } => self.tap(port, tap),
            PortCommand::Untap { port } => self.untap(port),
            PortCommand::StandTap { port, state } => self.stand_tap(port, state),
            PortCommand::Voice { port, tap } => self.voice(port, tap),
            PortCommand::LendVoice { port, listener } => self.lend_voice(port, listener),
            PortCommand::Unvoice { port } => self.unvoice(port),
            PortCommand::Capture { port, capture } => self.capture(port, capture),
            PortCommand::Key { port, keys } => self.key(port, keys),
            PortCommand::Path { port, to } => self.lead(port, to),
            PortCommand::DetectTones { port, on } => self.detect(port, on),
            PortCommand::Depart { port, carriage } => self.depart(port, carriage),
            PortCommand::Arrive { port, carriage } => self.arrive(port, carriage),
            PortCommand::Close { port } => self.close(now, port),
        };
        if let Err(why) = done {
            self.events.must(PortEvent::Refused { port, why });
        }
    }

    fn open(&mut self, now: Now, plan: Box<PortPlan>) -> Result<(), Refusal> {
        if self.index.get(plan.port.0).is_some() {
            self.discard(Garbage::Plan(plan));
            return Err(Refusal::PortExists);
        }
        let Some(number) = self.free.pop() else {
            self.discard(Garbage::Plan(plan));
            return Err(Refusal::PortsFull);
        };
        let at = number as usize;
        self.index.insert(plan.port.0, at);
        self.stand(at);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(Port::new(plan, now, &self.config));
        }
        self.settle(at);
        Ok(())
    }

    fn update(&mut self, now: Now, mut update: Box<PortUpdate>) -> Result<(), Refusal> {
        let at = self.index.get(update.port.0);
        if let Some(port) = at.and_then(|at| self.port_mut(at)) {
            port.update(now, &mut update);
        }
        self.discard(Garbage::Update(update));
        self.settle(at.ok_or(Refusal::NoSuchPort)?);
        Ok(())
    }

    fn play(&mut self, port: PortId, play: Box<Playback>) -> Result<(), Refusal> {
        let at = match self.find(port) {
            Ok(at) => at,
            Err(why) => {
                self.discard(Garbage::Playback(play));
                return Err(why);
            }
        };
        match Player::new(play) {
            Ok(player) => {
                let before = self
                    .port_mut(at)
                    .and_then(|port| port.player.replace(player));
                self.played(port, before, false);
                self.settle(at);
                Ok(())
            }
            Err(play) => {
                self.discard(Garbage::Playback(play));
                Err(Refusal::EmptyPlayback)
            }
        }
    }

    fn stop(&mut self, port: PortId, play: PlayId) -> Result<(), Refusal> {
        let at = self.find(port)?;
        let player = self
            .port_mut(at)
            .and_then(|port| port.player.take_if(|player| player.id() == play));
        self.played(port, player, false);
        self.settle(at);
        Ok(())
    }

    /// Tells that a playback is over and gives its box back.
    pub(super) fn played(&mut self, port: PortId, player: Option<Player>, complete: bool) {
        let Some(player) = player else { return };
        self.events.must(PortEvent::Played {
            port,
            play: player.id(),
            complete,
        });
        self.discard(Garbage::Playback(player.into_box()));
    }

    fn dial(
        &mut self,
        port: PortId,
        digits: &[crate::Digit],
        duration_ms: u16,
    ) -> Result<(), Refusal> {
        let at = self.find(port)?;
        let port = self.port_mut(at).ok_or(Refusal::NoSuchPort)?;
        if !port.dialer.push_all(digits, duration_ms) {
            return Err(Refusal::DigitsFull);
        }
        self.settle(at);
        Ok(())
    }

    fn tap(&mut self, port: PortId, tap: Box<Tap>) -> Result<(), Refusal> {
        let at = match self.find(port) {
            Ok(at) => at,
            Err(why) => {
                self.discard(Garbage::Tap(tap));
                return Err(why);
            }
        };
        if let Some(before) = self.port_mut(at).and_then(|port| port.tap.replace(tap)) {
            self.discard(Garbage::Tap(before));
        }
        self.settle(at);
        Ok(())
    }

    fn untap(&mut self, port: PortId) -> Result<(), Refusal> {
        let at = self.find(port)?;
        if let Some(tap) = self.port_mut(at).and_then(|port| port.tap.take()) {
            self.discard(Garbage::Tap(tap));
        }
        self.settle(at);
        Ok(())
    }

    fn stand_tap(&mut self, port: PortId, state: TapState) -> Result<(), Refusal> {
        let at = self.find(port)?;
        if let Some(tap) = self.port_mut(at).and_then(|port| port.tap.as_mut()) {
            tap.stand(state);
        }
        Ok(())
    }

    fn capture(&mut self, port: PortId, capture: Box<Capture>) -> Result<(), Refusal> {
        let at = match self.find(port) {
            Ok(at) => at,
            Err(why) => {
                self.discard(Garbage::Capture(capture));
                return Err(why);
            }
        };
        let place = self.port_mut(at).map(|port| &mut port.capture);
        if let Some(before) = place.and_then(|place| place.replace(capture)) {
            self.discard(Garbage::Capture(before));
        }
        Ok(())
    }

    /// A port that awaits keys gets them; one that has keys follows.
    fn key(&mut self, port: PortId, keys: Box<Keys>) -> Result<(), Refusal> {
        let at = self.index.get(port.0);
        let port = at.and_then(|at| self.port_mut(at));
        let mut keys = Security::Srtp(keys);
        let done = match port {
            None => Err(Refusal::NoSuchPort),
            Some(port) if port.plan.security.is_plain() => Err(Refusal::NoKeysAwaited),
            Some(port) => {
                port.plan.security.follow(&mut keys);
                Ok(())
            }
        };
        if let Security::Srtp(keys) = keys {
            self.discard(Garbage::Keys(keys));
        }
        done
    }

    fn lead(&mut self, port: PortId, to: Option<SocketAddr>) -> Result<(), Refusal> {
        let at = self.find(port)?;
        if let Some(port) = self.port_mut(at) {
            port.source.lead(to);
        }
        Ok(())
    }

    fn detect(&mut self, port: PortId, on: bool) -> Result<(), Refusal> {
        let at = self.find(port)?;
        if let Some(port) = self.port_mut(at) {
            port.detect(on);
        }
        self.settle(at);
        Ok(())
    }

    fn close(&mut self, now: Now, id: PortId) -> Result<(), Refusal> {
        let at = self.find(id)?;
        self.vacate(id, at);
        let port = self.slots.get_mut(at).and_then(Option::take);
        let Some(mut port) = port else {
            return Err(Refusal::NoSuchPort);
        };
        port.goodbye(now, self.config.ntp_at_zero, &mut self.transmits);
        port.judge();
        let stats = port.snapshot();
        self.stats.totals.grow(&mut port.judged.told, &stats);
        let Port {
            plan,
            player,
            tap,
            voice,
            capture,
            ..
        } = port;
        self.played(id, player, false);
        if let Some(tap) = tap {
            self.discard(Garbage::Tap(tap));
        }
        if let Some(voice) = voice {
            self.discard(Garbage::Voice(voice));
        }
        if let Some(capture) = capture {
            self.discard(Garbage::Capture(capture));
        }
        self.discard(Garbage::Plan(plan));
        self.events.must(PortEvent::Closed { port: id, stats });
        Ok(())
    }

    pub(super) fn discard(&mut self, garbage: Garbage) {
        self.events.must(PortEvent::Garbage(garbage));
    }

    pub(super) fn find(&self, port: PortId) -> Result<usize, Refusal> {
        self.index.get(port.0).ok_or(Refusal::NoSuchPort)
    }

    pub(super) fn port(&self, at: usize) -> Option<&Port> {
        self.slots.get(at)?.as_ref()
    }

    pub(super) fn port_mut(&mut self, at: usize) -> Option<&mut Port> {
        self.slots.get_mut(at)?.as_mut()
    }

    pub(super) fn bridge_at(&self, bridge: usize) -> Option<&Bridge> {
        self.bridges.get(bridge)?.as_ref()
    }

    /// Starts or ends decoding what a port's peer says. A recording or a detector of a relayed
    /// bridge listens to a copy: the relay stays as it is.
    pub(super) fn listen(&mut self, at: usize, needed: bool) {
        let Some(port) = self.port_mut(at) else {
            return;
        };
        let wanted = needed || port.is_tapped() || port.ear.is_some();
        let listens = wanted && !port.plan.codec.is_only_relayed();
        if listens && !port.listens {
            port.plan.playout.reset(port.plan.codec);
            port.background.heard();
        }
        port.listens = listens;
    }
}
