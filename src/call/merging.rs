//! Two calls of one party that hear each other: a conference of three whose party in the middle keeps a leg in
//! each, and hears each side by the leg that it came by.
//!
//! ```text
//!   X ── call ── A           X, A and A', Y on one bridge: X hears A and Y, Y hears A' and X;
//!   Y ── other ── A'         A hears X alone, A' hears Y alone, and whoever is at both hears both
//! ```
//!
//! Each call keeps its legs, its plan and its end: who hangs up leaves the others as they are.

use media::bridge::BridgeId;
use media::dsp::mix::Gain;
use media::port::PortId;
use media::worker::PortCommand;

use super::machine::Call;

/// The two ports of a call, seen from one of its parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeSides {
    /// The bridge, on the call's worker.
    pub bridge: BridgeId,
    /// Whoever has both calls.
    pub own: PortId,
    /// Whom he talks to.
    pub other: PortId,
}

impl Call {
    /// The ports of that endpoint and of whom it talks to, if sound of both can be summed.
    pub fn merge_sides(&self, endpoint: &str) -> Option<MergeSides> {
        let partner = self.partner?;
        let is_own = |leg| {
            let label = self.label(leg);
            label.is_some_and(|label| label.endpoint.as_deref() == Some(endpoint))
        };
        let (own, other) = match (is_own(self.caller), is_own(partner)) {
            (_, true) => (partner, self.caller),
            (true, false) => (self.caller, partner),
            (false, false) => return None,
        };
        let is_decoded = |leg| {
            let spoken = self.legs.get(&leg).and_then(|leg| leg.agreed());
            spoken.is_some_and(|it| !it.codec.is_only_relayed())
        };
        (is_decoded(own) && is_decoded(other)).then_some(())?;
        Some(MergeSides {
            bridge: self.bridge,
            own: self.open_port_of(own)?,
            other: self.open_port_of(other)?,
        })
    }

    /// Its parties come to that bridge, which is another call's of the same worker, and theirs from now on.
    pub fn move_to_bridge(&mut self, bridge: BridgeId) {
        self.bridge = bridge;
        if let Some(partner) = self.partner {
            self.join(partner);
        }
    }

    /// Those two do not hear each other: whoever is at one hears the same by another.
    pub fn deafen_to_each_other(&mut self, one: PortId, other: PortId) {
        for (port, to) in [(one, other), (other, one)] {
            let (to, gain) = (Some(to), Some(Gain::MUTE));
            self.port(PortCommand::Gain { port, to, gain });
        }
    }
}
