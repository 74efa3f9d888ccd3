//! Bridges: who joins and leaves, how loud each is to whom, and how the sound travels then.

use clock::Now;

use super::placing::LOOK_SOON;
use super::receive::unwrap;
use super::{Garbage, PHASES, Refusal, Worker};
use crate::SAMPLE_RATE;
use crate::bridge::floor::{Claim, Floor};
use crate::bridge::seats::Seat;
use crate::bridge::{Announcement, Bridge, BridgeId, Mode};
use crate::dsp::Resampler;
use crate::dsp::mix::Gain;
use crate::port::play::Player;
use crate::port::{Playback, PortId};
use crate::rtp::Packet;
use crate::tap::Tap;

impl Worker {
    pub(super) fn bridge(&mut self, port: PortId, id: BridgeId) -> Result<(), Refusal> {
        let at = self.find(port)?;
        let bridge = self.bridge_index.get(id.0);
        if bridge.is_some() && self.port(at).and_then(|port| port.bridge) == bridge {
            return Ok(());
        }
        if bridge.is_none() && self.bridges_free.is_empty() {
            return Err(Refusal::BridgesFull);
        }
        self.leave(at);
        let bridge = match bridge {
            Some(bridge) => bridge,
            None => self.make_bridge(id, at)?,
        };
        if let Some(held) = self.bridges.get_mut(bridge).and_then(Option::as_mut) {
            self.seats.join(held, at as u32);
            held.looks_at = self.tick / PHASES + LOOK_SOON;
            if let Some(place) = self.phases.get_mut(at) {
                *place = Some(held.phase);
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
        self.bridges_made += 1;
        if let Some(place) = self.bridges.get_mut(bridge) {
            *place = Some(Bridge::new(id, self.bridges_made, phase));
        }
        Ok(bridge)
    }

    pub(super) fn unbridge(&mut self, port: PortId) -> Result<(), Refusal> {
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
        let Some(held) = self.bridges.get_mut(bridge).and_then(Option::as_mut) else {
            return;
        };
        for member in self.seats.members(held) {
            let slot = self.slots.get_mut(member as usize);
            if let Some(port) = slot.and_then(Option::as_mut) {
                port.out.parted();
            }
        }
        self.seats.leave(held, at as u32);
        held.looks_at = self.tick / PHASES + LOOK_SOON;
        if held.count == 0 {
            self.end_bridge(bridge);
        } else {
            self.settle_bridge(bridge);
        }
    }

    fn end_bridge(&mut self, bridge: usize) {
        let Some(ended) = self.bridges.get_mut(bridge).and_then(Option::take) else {
            return;
        };
        self.bridge_index.remove(ended.id.0);
        self.bridges_free.push(bridge as u32);
        self.announced(ended.announcement, false);
        if let Some(tap) = ended.tap {
            self.discard(Garbage::Tap(tap));
        }
    }

    /// Which bridge a port is in.
    fn bridge_of(&self, port: PortId) -> Result<(usize, u32), Refusal> {
        let at = self.find(port)?;
        let bridge = self.port(at).and_then(|port| port.bridge);
        Ok((bridge.ok_or(Refusal::NotBridged)?, at as u32))
    }

    pub(super) fn gain(
        &mut self,
        port: PortId,
        to: Option<PortId>,
        gain: Option<Gain>,
    ) -> Result<(), Refusal> {
        let (bridge, from) = self.bridge_of(port)?;
        let to = to.map(|to| self.bridge_of(to)).transpose()?;
        if to.is_some_and(|(other, _)| other != bridge) {
            return Err(Refusal::NotBridged);
        }
        let to = to.map(|(_, slot)| slot);
        let held = self.bridges.get_mut(bridge).and_then(Option::as_mut);
        let held = held.ok_or(Refusal::NotBridged)?;
        match (gain, to) {
            (None, Some(to)) => self.seats.clear_pair(held, from, to),
            (gain, to) => {
                let gain = gain.unwrap_or(Gain::UNITY);
                if !self.seats.set_gain(held, (from, to), gain) {
                    return Err(Refusal::PairsFull);
                }
            }
        }
        self.settle_bridge(bridge);
        Ok(())
    }

    pub(super) fn deafen(&mut self, port: PortId, on: bool) -> Result<(), Refusal> {
        let (bridge, slot) = self.bridge_of(port)?;
        if let Some(seat) = self.seats.get_mut(slot) {
            seat.is_deaf = on;
        }
        self.settle_bridge(bridge);
        Ok(())
    }

    pub(super) fn announce(&mut self, port: PortId, play: Box<Playback>) -> Result<(), Refusal> {
        let place = self.bridge_of(port);
        let player = match place {
            Ok(_) => Player::new(play).map_err(|play| (Refusal::EmptyPlayback, play)),
            Err(why) => Err((why, play)),
        };
        let player = match player {
            Ok(player) => player,
            Err((why, play)) => {
                self.discard(Garbage::Playback(play));
                return Err(why);
            }
        };
        let (bridge, _) = place?;
        let next = Announcement {
            by: port,
            player,
            to_bus: Resampler::idle(),
        };
        let held = self.bridges.get_mut(bridge).and_then(Option::as_mut);
        let before = held.and_then(|held| held.announcement.replace(next));
        self.announced(before, false);
        self.settle_bridge(bridge);
        Ok(())
    }

    /// Tells that an announcement is over and gives its box back.
    pub(super) fn announced(&mut self, over: Option<Announcement>, complete: bool) {
        if let Some(over) = over {
            self.played(over.by, Some(over.player), complete);
        }
    }

    pub(super) fn tap_bridge(&mut self, port: PortId, tap: Box<Tap>) -> Result<(), Refusal> {
        let place = self.bridge_of(port);
        let held = place
            .ok()
            .and_then(|(bridge, _)| self.bridges.get_mut(bridge));
        let before = match held.and_then(Option::as_mut) {
            Some(held) => held.tap.replace(tap),
            None => Some(tap),
        };
        if let Some(before) = before {
            self.discard(Garbage::Tap(before));
        }
        let (bridge, _) = place?;
        self.settle_bridge(bridge);
        Ok(())
    }

    pub(super) fn untap_bridge(&mut self, port: PortId) -> Result<(), Refusal> {
        let (bridge, _) = self.bridge_of(port)?;
        let held = self.bridges.get_mut(bridge).and_then(Option::as_mut);
        if let Some(tap) = held.and_then(|held| held.tap.take()) {
            self.discard(Garbage::Tap(tap));
        }
        self.settle_bridge(bridge);
        Ok(())
    }

    /// A packet of sound came to a port: in a large bridge its member may take the floor with it.
    pub(super) fn claim_floor(&mut self, now: Now, at: usize, packet: &[u8]) {
        let place = self.slots.get(at).and_then(Option::as_ref);
        let Some((bridge, plan)) = place.and_then(|port| Some((port.bridge?, &port.plan))) else {
            return;
        };
        let held = self.bridges.get_mut(bridge).and_then(Option::as_mut);
        let Some(held) = held.filter(|held| held.is_large()) else {
            return;
        };
        let (Some(seat), Ok(packet)) = (self.seats.get_mut(at as u32), Packet::parse(packet))
        else {
            return;
        };
        let header = packet.header();
        let Some((_, payload, _)) = unwrap(plan, &header, packet.payload()) else {
            return;
        };
        let level = seat.loudness.of(plan.codec, payload);
        let claim = Floor::claim(held, &mut self.seats, at as u32, level);
        if let Claim::Taken(gone) = claim {
            if let Some(gone) = gone {
                self.listen(gone as usize, false);
            }
            let listened = self.port(at).is_some_and(|port| port.listens);
            self.listen(at, true);
            if let Some(port) = self.port_mut(at).filter(|_| !listened) {
                let _ = port.plan.playout.insert(now, &header, payload);
            }
        }
    }

    /// Decides anew how a port's sound travels, after something about it changed.
    pub(super) fn settle(&mut self, at: usize) {
        match self.port(at).and_then(|port| port.bridge) {
            Some(bridge) => self.settle_bridge(bridge),
            None => self.listen(at, false),
        }
    }

    /// Decides anew whether a bridge relays, and who of its members must be decoded.
    pub(super) fn settle_bridge(&mut self, bridge: usize) {
        let Some(held) = self.bridge_at(bridge) else {
            return;
        };
        let mode = match held.pair() {
            Some((a, b)) if held.is_bare() && self.may_relay(a, b) => Mode::Relay,
            _ => Mode::Mix,
        };
        // A relayed bridge is listened to by recordings and detectors alone.
        let rate = match mode {
            Mode::Mix => self.shared_rate(held),
            Mode::Relay => self.tapped_rate(held).min(self.shared_rate(held)),
        };
        let is_tapped = |slot: u32| {
            let port = self.port(slot as usize);
            port.is_some_and(|port| port.is_tapped())
        };
        let copied = mode == Mode::Relay && self.seats.members(held).any(is_tapped);
        let mixed = mode == Mode::Mix && (held.count > 1 || !held.is_bare());
        if let Some(held) = self.bridges.get_mut(bridge).and_then(Option::as_mut) {
            held.mode = mode;
            held.rate = rate;
        }
        self.settle_keys(bridge);
        let mut next = self.bridge_at(bridge).and_then(Bridge::first);
        while let Some(slot) = next {
            let speaks = self.seats.get(slot).is_some_and(|seat| seat.has_floor);
            self.listen(slot as usize, copied || (mixed && speaks));
            next = self.seats.after(slot);
        }
    }

    /// The highest rate that two members' codecs carry.
    fn shared_rate(&self, bridge: &Bridge) -> u32 {
        let (mut highest, mut second) = (SAMPLE_RATE, SAMPLE_RATE);
        for member in self.seats.members(bridge) {
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
        let members = self.seats.members(bridge);
        let ports = members.map(|at| self.port(at as usize));
        let rates = ports.filter_map(|port| port?.tapped_rate());
        rates.max().unwrap_or(SAMPLE_RATE)
    }

    /// Decides anew whose tones are taken out of a bridge of two.
    fn settle_keys(&mut self, bridge: usize) {
        let pair = match self.bridge_at(bridge).and_then(Bridge::pair) {
            Some((a, b)) => [(a as usize, b as usize), (b as usize, a as usize)],
            None => return,
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
    fn may_relay(&self, a: u32, b: u32) -> bool {
        let plain = |slot| self.seats.get(slot).is_some_and(Seat::is_plain);
        let (Some(one), Some(other)) = (self.port(a as usize), self.port(b as usize)) else {
            return false;
        };
        let alike = one.plan.codec == other.plan.codec;
        let free = one.may_be_relayed() && other.may_be_relayed() && plain(a) && plain(b);
        if one.plan.codec.is_only_relayed() {
            // There is no other way.
            return alike && free;
        }
        let same = alike
            && one.plan.ptime_ms == other.plan.ptime_ms
            // Copies are made use of here: the other side may not have agreed to them.
            && one.plan.coding.redundant_type().is_none()
            && other.plan.coding.redundant_type().is_none()
            // Telephone-events that the other side did not agree to must become tones.
            && one.plan.dtmf_payload_type.is_some() == other.plan.dtmf_payload_type.is_some()
            && one.plan.dtmf_clock_rate == other.plan.dtmf_clock_rate;
        let converted = one.must_convert_for(other) || other.must_convert_for(one);
        same && !converted && free
    }
}
