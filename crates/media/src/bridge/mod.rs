//! A bridge: ports that hear each other and never themselves.
//!
//! Two ports that speak the same codec and need nothing else are relayed, packet by packet,
//! undecoded. Everything else is mixed: one sum per frame, and for each member the sum less its own.
//! The sum has the highest rate that two members carry: what only one does, nobody else would hear.
//! All members are on one worker and in one phase of its wheel.

/// Names a bridge; chosen by control, unique per worker while it has members.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BridgeId(pub u32);

/// The most ports one bridge may have; `MEMBERS_MAX · i16::MIN` fits the mix's `i32`.
pub const MEMBERS_MAX: usize = 64;

/// How a bridge's sound travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Packets are rewritten and passed on as they come.
    Relay,
    /// Frames are decoded, summed and encoded on the tick.
    Mix,
}

/// The slots of the ports in one bridge.
#[derive(Clone, Debug)]
pub(crate) struct Bridge {
    pub(crate) id: BridgeId,
    pub(crate) phase: u8,
    pub(crate) mode: Mode,
    /// Samples per second of its sum.
    pub(crate) rate: u32,
    members: [u32; MEMBERS_MAX],
    count: usize,
}

impl Bridge {
    pub(crate) fn new(id: BridgeId, phase: u8) -> Self {
        Self {
            id,
            phase,
            mode: Mode::Mix,
            rate: crate::SAMPLE_RATE,
            members: [0; MEMBERS_MAX],
            count: 0,
        }
    }

    /// The members' slots, in the order they joined.
    pub(crate) fn members(&self) -> &[u32] {
        self.members.get(..self.count).unwrap_or_default()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count == MEMBERS_MAX
    }

    /// Adds a member; `false` when the bridge is full.
    pub(crate) fn join(&mut self, slot: u32) -> bool {
        let Some(place) = self.members.get_mut(self.count) else {
            return false;
        };
        *place = slot;
        self.count += 1;
        true
    }

    pub(crate) fn leave(&mut self, slot: u32) {
        let Some(at) = self.members().iter().position(|&member| member == slot) else {
            return;
        };
        self.members.copy_within(at + 1..self.count, at);
        self.count -= 1;
    }

    /// The other one of two.
    pub(crate) fn partner(&self, slot: u32) -> Option<u32> {
        match *self.members() {
            [a, b] if a == slot => Some(b),
            [a, b] if b == slot => Some(a),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Bridge, BridgeId, MEMBERS_MAX};

    proptest! {
        #[test]
        fn the_members_are_those_who_joined_and_did_not_leave(
            steps in prop::collection::vec((any::<bool>(), 0_u32..80), 0..300),
        ) {
            let (mut bridge, mut oracle) = (Bridge::new(BridgeId(1), 0), Vec::new());
            for (join, slot) in steps {
                if join && !oracle.contains(&slot) {
                    let room = oracle.len() < MEMBERS_MAX;
                    prop_assert_eq!(bridge.join(slot), room);
                    if room {
                        oracle.push(slot);
                    }
                } else if !join {
                    bridge.leave(slot);
                    oracle.retain(|&member| member != slot);
                }
                prop_assert_eq!(bridge.members(), &oracle[..]);
            }
        }
    }

    #[test]
    fn only_one_of_two_has_a_partner() {
        let mut bridge = Bridge::new(BridgeId(1), 0);
        bridge.join(4);
        assert_eq!(bridge.partner(4), None);
        bridge.join(9);
        assert_eq!(
            (bridge.partner(4), bridge.partner(9), bridge.partner(1)),
            (Some(9), Some(4), None)
        );
        bridge.join(11);
        assert_eq!(bridge.partner(4), None);
    }
}
