//! Seats: who is in which bridge, in the order of joining, and how loud each is to whom.
//!
//! One seat per port of the worker, made with it: the members of a bridge are a chain through them, so
//! that a bridge has as many as there are ports, and nothing is allocated when somebody joins.

use super::{Bridge, PAIRS_MAX};
use crate::bridge::edition::Reader;
use crate::bridge::floor::Floor;
use crate::codec::loudness::Loudness;
use crate::dsp::limit::Limiter;
use crate::dsp::mix::Gain;

/// A port's place in a bridge.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    before: Option<u32>,
    after: Option<u32>,
    /// How loud it is to all for whom nothing else was said.
    pub(crate) gain: Gain,
    /// Whether it hears nothing of the bridge.
    pub(crate) is_deaf: bool,
    /// How many pairs are about what it hears.
    pub(crate) hears_pairs: u8,
    /// Whether anybody hears it.
    pub(crate) is_audible: bool,
    /// Whether it is decoded and summed.
    pub(crate) has_floor: bool,
    /// How loud it has been lately, in dBFS; falls while it is silent.
    pub(crate) activity: f32,
    pub(crate) loudness: Loudness,
    /// Of what it hears when it speaks, or has pairs.
    pub(crate) limiter: Limiter,
    /// Which edition it heard last.
    pub(crate) reader: Reader,
}

impl Seat {
    const FREE: Self = Self {
        before: None,
        after: None,
        gain: Gain::UNITY,
        is_deaf: false,
        hears_pairs: 0,
        is_audible: true,
        has_floor: false,
        activity: 0.0,
        loudness: Loudness::new(),
        limiter: Limiter::new(),
        reader: Reader::NONE,
    };

    /// Whether it is heard as it speaks, and hears all others so.
    pub(crate) fn is_plain(&self) -> bool {
        self.gain == Gain::UNITY && !self.is_deaf && self.hears_pairs == 0
    }
}

/// The seats of all ports of a worker, by slot.
#[derive(Debug)]
pub(crate) struct Seats(Box<[Seat]>);

impl Seats {
    pub(crate) fn new(ports: usize) -> Self {
        Self(vec![Seat::FREE; ports].into())
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Seat> {
        self.0.get(slot as usize)
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Seat> {
        self.0.get_mut(slot as usize)
    }

    /// Another port has that slot now.
    pub(crate) fn clear(&mut self, slot: u32) {
        if let Some(seat) = self.get_mut(slot) {
            *seat = Seat::FREE;
        }
    }

    /// Which edition that slot's port heard last.
    pub(crate) fn reader(&self, slot: u32) -> Reader {
        self.get(slot).map_or(Reader::NONE, |seat| seat.reader)
    }

    /// It has heard that one.
    pub(crate) fn set_reader(&mut self, slot: u32, reader: Reader) {
        if let Some(seat) = self.get_mut(slot) {
            seat.reader = reader;
        }
    }

    /// Who joined after `slot`.
    pub(crate) fn after(&self, slot: u32) -> Option<u32> {
        self.get(slot)?.after
    }

    /// The members' slots, in the order they joined.
    pub(crate) fn members(&self, bridge: &Bridge) -> Members<'_> {
        Members {
            seats: self,
            next: bridge.first(),
            left: bridge.count,
        }
    }

    /// Adds a member, who is in no bridge.
    pub(crate) fn join(&mut self, bridge: &mut Bridge, slot: u32) {
        let last = bridge.ends.map(|(_, last)| last);
        if let Some(seat) = self.get_mut(slot) {
            *seat = Seat {
                before: last,
                reader: seat.reader,
                ..Seat::FREE
            };
        }
        if let Some(last) = last.and_then(|last| self.get_mut(last)) {
            last.after = Some(slot);
        }
        let first = bridge.first().unwrap_or(slot);
        bridge.ends = Some((first, slot));
        bridge.count += 1;
        self.settle(bridge);
    }

    /// Takes a member out, with all that was said of him.
    pub(crate) fn leave(&mut self, bridge: &mut Bridge, slot: u32) {
        let Some(seat) = self.get_mut(slot) else {
            return;
        };
        let (before, after, reader) = (seat.before, seat.after, seat.reader);
        *seat = Seat {
            reader,
            ..Seat::FREE
        };
        if let Some(seat) = before.and_then(|before| self.get_mut(before)) {
            seat.after = after;
        }
        if let Some(seat) = after.and_then(|after| self.get_mut(after)) {
            seat.before = before;
        }
        if let Some((first, last)) = bridge.ends {
            let first = if first == slot { after } else { Some(first) };
            let last = if last == slot { before } else { Some(last) };
            bridge.ends = first.zip(last);
        }
        bridge.count = bridge.count.saturating_sub(1);
        bridge.floor.leave(slot);
        bridge.pairs.forget(slot);
        self.settle(bridge);
    }

    /// Sets how loud `from` is: to one, or to all for whom nothing else was said. `false` when the bridge
    /// holds no more pairs.
    pub(crate) fn set_gain(
        &mut self,
        bridge: &mut Bridge,
        (from, to): (u32, Option<u32>),
        gain: Gain,
    ) -> bool {
        match to {
            Some(to) if !bridge.pairs.set(from, to, gain) => return false,
            Some(_) => {}
            None => {
                if let Some(seat) = self.get_mut(from) {
                    seat.gain = gain;
                }
            }
        }
        self.settle(bridge);
        true
    }

    /// Takes back what was said of one pair: it is as loud there as to all.
    pub(crate) fn clear_pair(&mut self, bridge: &mut Bridge, from: u32, to: u32) {
        bridge.pairs.remove(from, to);
        self.settle(bridge);
    }

    /// Decides anew what follows from gains and from who is there.
    pub(crate) fn settle(&mut self, bridge: &mut Bridge) {
        let mut next = bridge.first();
        for _ in 0..bridge.count {
            let Some(slot) = next else { break };
            let Some(seat) = self.get_mut(slot) else {
                break;
            };
            next = seat.after;
            let pairs = bridge.pairs.all();
            seat.hears_pairs = pairs.iter().filter(|pair| pair.to == slot).count() as u8;
            let heard_by_one = |pair: &Pair| pair.from == slot && pair.gain != Gain::MUTE;
            seat.is_audible = seat.gain != Gain::MUTE || pairs.iter().any(heard_by_one);
        }
        Floor::settle(bridge, self);
    }
}

/// The slots of a bridge's members.
pub(crate) struct Members<'a> {
    seats: &'a Seats,
    next: Option<u32>,
    /// A chain that were broken would not be followed for ever.
    left: usize,
}

impl Iterator for Members<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let slot = self.next.filter(|_| self.left > 0)?;
        self.left -= 1;
        self.next = self.seats.get(slot)?.after;
        Some(slot)
    }
}

/// How loud one member is to one other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) gain: Gain,
}

/// The pairs of which something was said.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    list: [Pair; PAIRS_MAX],
    count: usize,
}

impl Default for Pairs {
    fn default() -> Self {
        let nobody = Pair {
            from: u32::MAX,
            to: u32::MAX,
            gain: Gain::UNITY,
        };
        Self {
            list: [nobody; PAIRS_MAX],
            count: 0,
        }
    }
}

impl Pairs {
    pub(crate) fn all(&self) -> &[Pair] {
        self.list.get(..self.count).unwrap_or_default()
    }

    fn set(&mut self, from: u32, to: u32, gain: Gain) -> bool {
        let known = |pair: &&mut Pair| (pair.from, pair.to) == (from, to);
        let held = self.list.get_mut(..self.count).unwrap_or_default();
        if let Some(pair) = held.iter_mut().find(known) {
            pair.gain = gain;
            return true;
        }
        let Some(place) = self.list.get_mut(self.count) else {
            return false;
        };
        *place = Pair { from, to, gain };
        self.count += 1;
        true
    }

    fn remove(&mut self, from: u32, to: u32) {
        self.retain(|pair| (pair.from, pair.to) != (from, to));
    }

    fn forget(&mut self, slot: u32) {
        self.retain(|pair| pair.from != slot && pair.to != slot);
    }

    fn retain(&mut self, keep: impl Fn(&Pair) -> bool) {
        let mut kept = 0;
        for at in 0..self.count {
            let Some(pair) = self.list.get(at).copied().filter(&keep) else {
                continue;
            };
            if let Some(place) = self.list.get_mut(kept) {
                *place = pair;
                kept += 1;
            }
        }
        self.count = kept;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PAIRS_MAX, Seats};
    use crate::bridge::{Bridge, BridgeId, SPEAKERS_MAX};
    use crate::dsp::mix::Gain;

    proptest! {
        #[test]
        fn the_members_are_those_who_joined_and_did_not_leave(
            steps in prop::collection::vec((any::<bool>(), 0_u32..80), 0..300),
        ) {
            let mut seats = Seats::new(80);
            let (mut bridge, mut oracle) = (Bridge::new(BridgeId(1), 0, 0), Vec::new());
            for (join, slot) in steps {
                if join && !oracle.contains(&slot) {
                    seats.join(&mut bridge, slot);
                    oracle.push(slot);
                } else if !join && oracle.contains(&slot) {
                    seats.leave(&mut bridge, slot);
                    oracle.retain(|&member| member != slot);
                }
                let members: Vec<u32> = seats.members(&bridge).collect();
                prop_assert_eq!(&members, &oracle);
                prop_assert_eq!(bridge.count, oracle.len());
                let floor = bridge.floor.all();
                prop_assert!(floor.iter().all(|slot| oracle.contains(slot)));
                prop_assert!(bridge.is_large() || floor.len() == oracle.len());
                prop_assert!(floor.len() <= SPEAKERS_MAX);
            }
        }
    }

    #[test]
    fn only_one_of_two_has_a_partner() {
        let mut seats = Seats::new(16);
        let mut bridge = Bridge::new(BridgeId(1), 0, 0);
        seats.join(&mut bridge, 4);
        assert_eq!(bridge.partner(4), None);
        seats.join(&mut bridge, 9);
        assert_eq!(
            (bridge.partner(4), bridge.partner(9), bridge.partner(1)),
            (Some(9), Some(4), None)
        );
        seats.join(&mut bridge, 11);
        assert_eq!(bridge.partner(4), None);
    }

    #[test]
    fn pairs_are_bounded_replaced_and_forgotten_with_either_of_the_two() {
        let mut seats = Seats::new(64);
        let mut bridge = Bridge::new(BridgeId(1), 0, 0);
        for slot in 0..60 {
            seats.join(&mut bridge, slot);
        }
        for to in 1..=PAIRS_MAX as u32 {
            assert!(seats.set_gain(&mut bridge, (0, Some(to)), Gain::MUTE));
        }
        assert!(!seats.set_gain(&mut bridge, (0, Some(50)), Gain::MUTE));
        assert!(seats.set_gain(&mut bridge, (0, Some(1)), Gain::UNITY));
        assert_eq!(bridge.pairs.all().len(), PAIRS_MAX);
        assert_eq!(seats.get(1).unwrap().hears_pairs, 1);
        seats.clear_pair(&mut bridge, 0, 1);
        assert_eq!(seats.get(1).unwrap().hears_pairs, 0);
        seats.leave(&mut bridge, 2);
        assert_eq!(bridge.pairs.all().len(), PAIRS_MAX - 2);
        seats.leave(&mut bridge, 0);
        assert!(bridge.pairs.all().is_empty());
    }

    #[test]
    fn nobody_is_heard_whose_gain_is_nothing_to_all_unless_one_hears_him() {
        let mut seats = Seats::new(8);
        let mut bridge = Bridge::new(BridgeId(1), 0, 0);
        (0..3).for_each(|slot| seats.join(&mut bridge, slot));
        let floor = |bridge: &Bridge| bridge.floor.all().to_vec();
        assert_eq!(floor(&bridge), [0, 1, 2]);
        seats.set_gain(&mut bridge, (1, None), Gain::MUTE);
        assert_eq!(floor(&bridge), [0, 2]);
        seats.set_gain(&mut bridge, (1, Some(2)), Gain::UNITY);
        assert_eq!(floor(&bridge), [0, 1, 2]);
        seats.leave(&mut bridge, 2);
        assert_eq!(floor(&bridge), [0]);
    }
}
