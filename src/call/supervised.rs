//! A call of two with somebody who listens: what its supervisor, or whoever mutes a party, has to know of it.

use media::bridge::BridgeId;
use media::dsp::mix::Gain;
use media::port::PortId;
use media::worker::PortCommand;

use super::hearing::LegFigures;
use super::leg::Leg;
use super::machine::Call;
use super::{LegId, Party};

/// What the two parties of a call hear each other by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// The bridge, on the call's worker.
    pub bridge: BridgeId,
    /// The ports on it.
    pub ports: [(Party, PortId); 2],
}

impl Call {
    /// Where its two parties hear each other, if they do.
    pub fn sides(&self) -> Option<Sides> {
        let caller = self.open_port_of(self.caller)?;
        let callee = self.open_port_of(self.partner?)?;
        Some(Sides {
            bridge: self.bridge,
            ports: [(Party::Caller, caller), (Party::Callee, callee)],
        })
    }

    /// Whether its caller is answered and nobody else is, or is rung, in it.
    pub fn is_alone(&self) -> bool {
        self.answered.is_some() && self.dialing.is_none() && self.movable().is_some()
    }

    /// The other party does not hear this one any more, or does again; `false` if it is not here.
    pub fn mute(&mut self, party: Party, on: bool) -> bool {
        let Some(leg) = self.leg_of_party(party) else {
            return false;
        };
        let Some(it) = self.legs.get_mut(&leg).filter(|it| it.muted != on) else {
            return true;
        };
        it.muted = on;
        if self.partner.is_some()
            && let Some(port) = self.open_port_of(leg)
        {
            let (to, gain) = (None, on.then_some(Gain::MUTE));
            self.port(PortCommand::Gain { port, to, gain });
        }
        true
    }

    /// Who of its parties is muted.
    pub fn muted(&self) -> impl Iterator<Item = Party> {
        let both = [Party::Caller, Party::Callee].into_iter();
        both.filter(|party| {
            let leg = self.leg_of_party(*party);
            leg.and_then(|leg| self.legs.get(&leg))
                .is_some_and(|it| it.muted)
        })
    }

    /// A port that has come to its bridge is as loud there as was said.
    pub(super) fn say_muted(&mut self, leg: LegId) {
        let is_muted = self.legs.get(&leg).is_some_and(|it| it.muted);
        if let Some(port) = self.open_port_of(leg).filter(|_| is_muted) {
            let (to, gain) = (None, Some(Gain::MUTE));
            self.port(PortCommand::Gain { port, to, gain });
        }
    }

    /// How the media of the legs that have a port fares now, the caller's first. Counters are a second old at most.
    pub fn figures_now(&self) -> Vec<LegFigures> {
        let figures = |leg: &Leg| {
            Some(LegFigures {
                who: leg.label.address.clone(),
                trunk: leg.label.trunk.clone(),
                codec: leg.agreed()?.codec.encoding(),
                stats: *leg.figures.clone()?,
            })
        };
        self.legs.values().filter_map(figures).collect()
    }

    pub(super) fn leg_of_party(&self, party: Party) -> Option<LegId> {
        match party {
            Party::Caller => Some(self.caller),
            Party::Callee => self.partner,
            Party::Server => None,
        }
    }
}
