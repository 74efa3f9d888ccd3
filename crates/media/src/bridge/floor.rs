//! Who has the floor: the members of a bridge who are decoded and summed.
//!
//! In a small bridge all who can be heard. In a large one [`SPEAKERS_MAX`] at most, the loudest: a
//! packet's loudness is read without decoding it, so that a member who listens costs the same however
//! many there are. Who begins to speak gets a free place with the very packet that tells of it, or
//! that of the one who has been quietest if he is clearly louder; who has been silent for a while gives
//! his place back.
//!
//! ```text
//!            a packet louder than SPEECH, and a place or MARGIN more than the quietest
//!   listens ───────────────────────────────────────────────────────────────────────────▶ has the floor
//!      ▲                                                                                      │
//!      └──── activity below SPEECH (it falls by FADE a frame), or somebody louder came ───────┘
//! ```

use super::seats::Seats;
use super::{Bridge, SPEAKERS_MAX};

/// The slots of those who have the floor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Floor {
    slots: [u32; SPEAKERS_MAX],
    count: usize,
}

/// What a packet came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nothing changes.
    No,
    /// Its member has the floor from now on, in place of that one if of any.
    Taken(Option<u32>),
}

impl Floor {
    /// In the order in which they took it.
    pub(crate) fn all(&self) -> &[u32] {
        self.slots.get(..self.count).unwrap_or_default()
    }

    /// Decides anew, when members, gains or the bridge's size have changed.
    pub(crate) fn settle(bridge: &mut Bridge, seats: &mut Seats) {
        let large = bridge.is_large();
        let mut floor = Self::default();
        let mut next = bridge.first();
        for _ in 0..bridge.count {
            let Some(slot) = next else { break };
            next = seats.after(slot);
            let Some(seat) = seats.get_mut(slot) else {
                break;
            };
            let keeps = seat.is_audible && (!large || seat.has_floor) && floor.push(slot);
            if keeps && !seat.has_floor {
                seat.activity = GRACE;
            }
            seat.has_floor = keeps;
        }
        bridge.floor = floor;
    }

    /// A member of a large bridge has sent a packet of that loudness, in dBFS.
    pub(crate) fn claim(bridge: &mut Bridge, seats: &mut Seats, slot: u32, level: f32) -> Claim {
        let Some(seat) = seats.get_mut(slot) else {
            return Claim::No;
        };
        if seat.has_floor {
            seat.activity = seat.activity.max(level);
            return Claim::No;
        }
        if !seat.is_audible || level < SPEECH {
            return Claim::No;
        }
        let gone = match bridge.floor.is_full() {
            false => None,
            true => match bridge.floor.quietest(seats) {
                Some((quietest, activity)) if level > activity + MARGIN => Some(quietest),
                _ => return Claim::No,
            },
        };
        if let Some(gone) = gone {
            bridge.floor.leave(gone);
            if let Some(seat) = seats.get_mut(gone) {
                seat.has_floor = false;
            }
        }
        if let Some(seat) = seats.get_mut(slot) {
            seat.has_floor = bridge.floor.push(slot);
            seat.activity = level;
        }
        Claim::Taken(gone)
    }

    /// A frame has passed in a large bridge; gives one who has been silent for so long that he has the floor
    /// no more. Ask once a frame.
    pub(crate) fn fade(bridge: &mut Bridge, seats: &mut Seats) -> Option<u32> {
        let mut silent = None;
        for &slot in bridge.floor.all() {
            if let Some(seat) = seats.get_mut(slot) {
                seat.activity -= FADE;
                if seat.activity < SPEECH {
                    silent = Some(slot);
                }
            }
        }
        let slot = silent?;
        bridge.floor.leave(slot);
        seats.get_mut(slot)?.has_floor = false;
        Some(slot)
    }

    pub(crate) fn leave(&mut self, slot: u32) {
        let Some(at) = self.all().iter().position(|&other| other == slot) else {
            return;
        };
        self.slots.copy_within(at + 1..self.count, at);
        self.count -= 1;
    }

    fn push(&mut self, slot: u32) -> bool {
        let Some(place) = self.slots.get_mut(self.count) else {
            return false;
        };
        *place = slot;
        self.count += 1;
        true
    }

    fn is_full(&self) -> bool {
        self.count == SPEAKERS_MAX
    }

    fn quietest(&self, seats: &Seats) -> Option<(u32, f32)> {
        let each = self.all().iter();
        let each = each.filter_map(|&slot| Some((slot, seats.get(slot)?.activity)));
        each.min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// What is louder is speech, in dBFS: a quiet talker far from his microphone, over the hiss of a line.
const SPEECH: f32 = -50.0;

/// How much louder somebody must be than the quietest of those who have the floor, in dB.
const MARGIN: f32 = 6.0;

/// How fast the memory of loudness falls, in dB a frame: from talk at −20 dBFS to [`SPEECH`] in 1.2 s,
/// longer than pauses between sentences.
const FADE: f32 = 0.5;

/// What somebody is taken for of whom nothing is known when the bridge grows large: 0.6 s of patience.
const GRACE: f32 = -35.0;

#[cfg(test)]
mod tests {
    use super::{Claim, Floor};
    use crate::bridge::seats::Seats;
    use crate::bridge::{Bridge, BridgeId, SPEAKERS_MAX};
    use crate::dsp::mix::Gain;

    /// A bridge of `members` in which everybody has been silent for long.
    fn silent(members: u32) -> (Bridge, Seats) {
        let (mut bridge, mut seats) = (Bridge::new(BridgeId(1), 0, 0), Seats::new(100));
        (0..members).for_each(|slot| seats.join(&mut bridge, slot));
        while Floor::fade(&mut bridge, &mut seats).is_some() || !bridge.floor.all().is_empty() {}
        (bridge, seats)
    }

    #[test]
    fn who_speaks_has_the_floor_at_once_and_until_he_has_been_silent_for_a_second() {
        let (mut bridge, mut seats) = silent(20);
        let mut claim = |slot, level| Floor::claim(&mut bridge, &mut seats, slot, level);
        assert_eq!(claim(7, -60.0), Claim::No, "the hiss of a line");
        assert_eq!(claim(7, -20.0), Claim::Taken(None));
        assert_eq!(claim(7, -20.0), Claim::No, "he has it already");
        let frames = (1..200).find(|_| Floor::fade(&mut bridge, &mut seats) == Some(7));
        assert_eq!(frames, Some(61), "1.2 s");
        assert!(bridge.floor.all().is_empty());
    }

    #[test]
    fn when_all_places_are_taken_only_somebody_clearly_louder_than_the_quietest_gets_one() {
        let (mut bridge, mut seats) = silent(20);
        let levels = [-20.0, -21.0, -40.0, -22.0, -23.0, -24.0, -25.0, -26.0];
        for (slot, level) in (0..SPEAKERS_MAX as u32).zip(levels) {
            let taken = Floor::claim(&mut bridge, &mut seats, slot, level);
            assert_eq!(taken, Claim::Taken(None));
        }
        let mut claim = |slot, level| Floor::claim(&mut bridge, &mut seats, slot, level);
        assert_eq!(claim(15, -36.0), Claim::No);
        assert_eq!(claim(15, -33.0), Claim::Taken(Some(2)));
        assert_eq!(claim(2, -30.0), Claim::No, "not louder by the margin");
        assert_eq!(bridge.floor.all().len(), SPEAKERS_MAX);
    }

    #[test]
    fn the_muted_never_have_the_floor_and_a_room_that_shrinks_gives_it_to_all() {
        let (mut bridge, mut seats) = silent(9);
        seats.set_gain(&mut bridge, (3, None), Gain::MUTE);
        assert_eq!(Floor::claim(&mut bridge, &mut seats, 3, 0.0), Claim::No);
        seats.leave(&mut bridge, 8);
        assert_eq!(bridge.floor.all(), [0, 1, 2, 4, 5, 6, 7]);
    }
}
