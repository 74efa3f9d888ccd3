//! Commands: what control asks of ports and bridges, carried out at once.

use clock::Now;

use super::event::PortEvent;
use super::port::Port;
use super::{Garbage, PortCommand, Refusal, Worker};
use crate::SAMPLE_RATE;
use crate::bridge::{Bridge, BridgeId, Mode};
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
            PortCommand::Capture { port, capture } => self.capture(port, capture),
            PortCommand::Key { port, keys } => self.key(port, keys),
            PortCommand::DetectTones { port, on } => self.detect(port, on),
            PortCommand::Depart { port, carriage } => self.depart(port, carriage),
            PortCommand::Arrive { port, carriage } => self.arrive(port, carriage),
            PortCommand::Close { port } => self.close(port),
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
            slot.jitter.reset(plan.codec);
            slot.port = Some(Port::new(plan, now, &self.config));
        }
        self.settle(at);
        Ok(())
    }

    fn update(&mut self, now: Now, mut update: Box<PortUpdate>) -> Result<(), Refusal> {
        let at = self.index.get(update.port.0);
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at))
            && let Some(port) = &mut slot.port
        {
            if port.plan.codec != update.codec {
                slot.jitter.reset(update.codec);
            }
            port.update(now, &mut update);
        }
        self.discard(Garbage::Update(update));
        self.settle(at.ok_or(Refusal::NoSuchPort)?);
        Ok(())
    }

    fn bridge(&mut self, port: PortId, id: BridgeId) -> Result<(), Refusal> {
        let at = self.find(port)?;
        let bridge = self.bridge_index.get(id.0);
        if bridge.is_some() && self.port(at).and_then(|port| port.bridge) == bridge {
            return Ok(());
        }
        if bridge
            .and_then(|bridge| self.bridge_at(bridge))
            .is_some_and(Bridge::is_full)
        {
            return Err(Refusal::BridgeFull);
        }
        if bridge.is_none() && self.bridges_free.is_empty() {
            return Err(Refusal::BridgesFull);
        }
        self.leave(at);
        let bridge = match bridge {
            Some(bridge) => bridge,
            None => self.make_bridge(id, at)?,
        };
        if let Some(bridge) = self.bridges.get_mut(bridge).and_then(Option::as_mut) {
            bridge.join(at as u32);
            if let Some(place) = self.phases.get_mut(at) {
                *place = Some(bridge.phase);
            }
        }
        if let Some(port) = self.port_mut(at) {
            port.bridge = Some(bridge);
            port.converts = false;
        }
        self.settle_bridge(bridge);
        Ok(())
    }

    /// A bridge in the phase of its first member.
    fn make_bridge(&mut self, id: BridgeId, first: usize) -> Result<usize, Refusal> {
        let bridge = self.bridges_free.pop().ok_or(Refusal::BridgesFull)? as usize;
        let phase = self.phases.get(first).copied().flatten().unwrap_or(0);
        self.bridge_index.insert(id.0, bridge);
        if let Some(place) = self.bridges.get_mut(bridge) {
            *place = Some(Bridge::new(id, phase));
        }
        Ok(bridge)
    }

    fn unbridge(&mut self, port: PortId) -> Result<(), Refusal> {
        let at = self.find(port)?;
        self.leave(at);
        self.settle(at);
        Ok(())
    }

    /// Takes a port out of its bridge, and ends the bridge with its last member.
    pub(super) fn leave(&mut self, at: usize) {
        let Some(bridge) = self.port_mut(at).and_then(|port| port.bridge.take()) else {
            return;
        };
        let Some(place) = self.bridges.get_mut(bridge) else {
            return;
        };
        let Some(held) = place else { return };
        for &member in held.members() {
            let slot = self.slots.get_mut(member as usize);
            if let Some(port) = slot.and_then(|slot| slot.port.as_mut()) {
                port.out.parted();
            }
        }
        held.leave(at as u32);
        if held.members().is_empty() {
            self.bridge_index.remove(held.id.0);
            *place = None;
            self.bridges_free.push(bridge as u32);
        } else {
            self.settle_bridge(bridge);
        }
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

    fn detect(&mut self, port: PortId, on: bool) -> Result<(), Refusal> {
        let at = self.find(port)?;
        if let Some(port) = self.port_mut(at) {
            port.detect(on);
        }
        self.settle(at);
        Ok(())
    }

    fn close(&mut self, id: PortId) -> Result<(), Refusal> {
        let at = self.find(id)?;
        self.vacate(id, at);
        let port = self.slots.get_mut(at).and_then(|slot| slot.port.take());
        let Some(mut port) = port else {
            return Err(Refusal::NoSuchPort);
        };
        port.judge();
        let stats = port.snapshot();
        self.stats.totals.grow(&mut port.judged.told, &stats);
        let Port {
            plan,
            player,
            tap,
            capture,
            ..
        } = port;
        self.played(id, player, false);
        if let Some(tap) = tap {
            self.discard(Garbage::Tap(tap));
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
        self.slots.get(at)?.port.as_ref()
    }

    pub(super) fn port_mut(&mut self, at: usize) -> Option<&mut Port> {
        self.slots.get_mut(at)?.port.as_mut()
    }

    pub(super) fn bridge_at(&self, bridge: usize) -> Option<&Bridge> {
        self.bridges.get(bridge)?.as_ref()
    }

    /// Decides anew how a port's sound travels, after something about it changed.
    pub(super) fn settle(&mut self, at: usize) {
        match self.port(at).and_then(|port| port.bridge) {
            Some(bridge) => self.settle_bridge(bridge),
            None => self.listen(at, false),
        }
    }

    /// Decides anew whether a bridge relays, and who of its members must be decoded.
    fn settle_bridge(&mut self, bridge: usize) {
        let Some(held) = self.bridge_at(bridge) else {
            return;
        };
        let mode = match *held.members() {
            [a, b] if self.may_relay(a as usize, b as usize) => Mode::Relay,
            _ => Mode::Mix,
        };
        // A relayed bridge is listened to by recordings and detectors alone.
        let rate = match mode {
            Mode::Mix => self.shared_rate(held),
            Mode::Relay => self.tapped_rate(held).min(self.shared_rate(held)),
        };
        let members = held.members().len();
        let tapped = held.members().iter().any(|&member| {
            self.port(member as usize)
                .is_some_and(|port| port.tap.is_some())
        });
        if let Some(held) = self.bridges.get_mut(bridge).and_then(Option::as_mut) {
            held.mode = mode;
            held.rate = rate;
        }
        self.settle_keys(bridge);
        for member in 0..members {
            let held = self
                .bridge_at(bridge)
                .and_then(|held| held.members().get(member).copied());
            if let Some(at) = held {
                self.listen(at as usize, (mode == Mode::Mix && members > 1) || tapped);
            }
        }
    }

    /// The highest rate that two members' codecs carry.
    fn shared_rate(&self, bridge: &Bridge) -> u32 {
        let (mut highest, mut second) = (SAMPLE_RATE, SAMPLE_RATE);
        for &member in bridge.members() {
            let rate = self
                .port(member as usize)
                .map_or(SAMPLE_RATE, |port| port.plan.codec.sample_rate());
            second = second.max(rate.min(highest));
            highest = highest.max(rate);
        }
        second
    }

    /// The highest rate that a tap of a member wants.
    fn tapped_rate(&self, bridge: &Bridge) -> u32 {
        let ports = bridge.members().iter().map(|&at| self.port(at as usize));
        let rates = ports.filter_map(|port| Some(port?.tap.as_ref()?.rate()));
        rates.max().unwrap_or(SAMPLE_RATE)
    }

    /// Decides anew whose tones are taken out of a bridge of two.
    fn settle_keys(&mut self, bridge: usize) {
        let pair = match self.bridge_at(bridge).map(Bridge::members) {
            Some(&[a, b]) => [(a as usize, b as usize), (b as usize, a as usize)],
            _ => return,
        };
        for (at, other) in pair {
            let converts = match (self.port(at), self.port(other)) {
                (Some(port), Some(partner)) => port.must_convert_for(partner),
                _ => false,
            };
            if let Some(port) = self.port_mut(at) {
                port.converts = converts;
            }
        }
    }

    /// Whether two ports' packets may be passed on undecoded, both ways.
    fn may_relay(&self, a: usize, b: usize) -> bool {
        let (Some(a), Some(b)) = (self.port(a), self.port(b)) else {
            return false;
        };
        if a.plan.codec.is_only_relayed() {
            // There is no other way.
            let open = a.may_be_relayed() && b.may_be_relayed();
            return a.plan.codec == b.plan.codec && open;
        }
        let same = a.plan.codec == b.plan.codec
            && a.plan.ptime_ms == b.plan.ptime_ms
            // Copies are made use of here: the other side may not have agreed to them.
            && a.plan.coding.redundant_type().is_none()
            && b.plan.coding.redundant_type().is_none()
            // Telephone-events that the other side did not agree to must become tones.
            && a.plan.dtmf_payload_type.is_some() == b.plan.dtmf_payload_type.is_some()
            && a.plan.dtmf_clock_rate == b.plan.dtmf_clock_rate;
        let converted = a.must_convert_for(b) || b.must_convert_for(a);
        same && !converted && a.may_be_relayed() && b.may_be_relayed()
    }

    /// Starts or ends decoding what a port's peer says. A recording or a detector of a relayed
    /// bridge listens to a copy: the relay stays as it is.
    fn listen(&mut self, at: usize, needed: bool) {
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        let Some(port) = &mut slot.port else { return };
        let wanted = needed || port.tap.is_some() || port.ear.is_some();
        let listens = wanted && !port.plan.codec.is_only_relayed();
        if listens && !port.listens {
            slot.jitter.reset(port.plan.codec);
            port.background.heard();
        }
        port.listens = listens;
    }
}
