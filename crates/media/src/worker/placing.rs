//! Where a bridge stands on the wheel: where what its members say waits least for its frame.
//!
//! Members send every 20 ms, each at a moment of his own that nobody chose. A packet waits from its coming to
//! the bridge's next frame, 10 ms on the mean of a phase drawn blindly. So a bridge whose members' paths are known
//! asks what each phase would cost them all, in delay and in packets too late, and goes to the cheapest. A frame then comes
//! 5 to 15 ms early or 5 ms late, once; so it asks rarely and moves for a gain that is worth it.

use super::{PHASES, TICK, Worker};
use crate::bridge::Mode;

impl Worker {
    /// Asks whether a mixed bridge should stand elsewhere, when it is time to, and moves it. Call it after the
    /// bridge's `frame`, which is the last at its old place: the next one is the first at the new.
    pub(super) fn place(&mut self, frame: u64, bridge: usize) {
        let Some(held) = self.bridges.get_mut(bridge).and_then(Option::as_mut) else {
            return;
        };
        if held.mode != Mode::Mix || frame < held.looks_at {
            return;
        }
        let (phase, count, floor) = (held.phase, held.count, held.floor.all().len());
        let (heard, here) = self.cost_ms(bridge, phase, phase);
        if let Some(held) = self.bridges.get_mut(bridge).and_then(Option::as_mut) {
            held.looks_at = frame + if heard < floor { LOOK_SOON } else { LOOK_AGAIN };
        }
        let wanted = here - GAIN_MIN_MS * heard as f32;
        let Some(best) = self.cheapest(bridge, (phase, wanted), count) else {
            return;
        };
        if let Some(held) = self.bridges.get_mut(bridge).and_then(Option::as_mut) {
            held.phase = best;
            held.looks_at = frame + LOOK_SOON;
            let mut next = held.first();
            while let Some(slot) = next {
                if let Some(place) = self.phases.get_mut(slot as usize) {
                    *place = Some(best);
                }
                next = self.seats.after(slot);
            }
        }
    }

    /// The phase that costs the members who are heard least, if that is less than what is `wanted`.
    fn cheapest(&self, bridge: usize, (here, wanted): (u8, f32), count: usize) -> Option<u8> {
        let others = (0..PHASES as u8).filter(|&phase| phase <= here + LATER_MAX);
        let others = others.filter(|&phase| phase != here && self.has_room(phase, count));
        let costs = others.map(|phase| (phase, self.cost_ms(bridge, here, phase).1));
        let (best, cost) = costs.min_by(|a, b| a.1.total_cmp(&b.1))?;
        (cost < wanted).then_some(best)
    }

    /// How many are heard whose path is known, and what a phase costs them in all. Asked in the tick of `here`.
    fn cost_ms(&self, bridge: usize, here: u8, phase: u8) -> (usize, f32) {
        let turn = TICK * u32::from((phase + PHASES as u8 - here) % PHASES as u8);
        let from = self.next_tick() + turn;
        let floor = self.bridge_at(bridge).map(|held| held.floor);
        let slots = floor.iter().flat_map(|floor| floor.all());
        let costs = slots.filter_map(|&slot| self.port(slot as usize)?.plan.playout.cost_ms(from));
        costs.fold((0, 0.0), |(heard, sum), cost| (heard + 1, sum + cost))
    }

    /// Whether so many ports more may stand in a phase: a tick must not have most of the work, even where all
    /// peers send at one moment.
    fn has_room(&self, phase: u8, more: usize) -> bool {
        let all = self.phases.iter().flatten();
        let (mut standing, mut there) = (0, more);
        for &one in all {
            standing += 1;
            there += usize::from(one == phase);
        }
        there <= (standing / 2).max(FEW)
    }
}

/// Frames from one look to the next: 10 s. Clocks that differ by 100 parts in a million move by a
/// millisecond meanwhile.
const LOOK_AGAIN: u64 = 500;
/// Frames from a change of who is in the bridge to the first look: what it takes to know a path. Also from one to
/// the next while not all members' paths are known, or after a move, which a better one may follow.
pub(super) const LOOK_SOON: u64 = 52;
/// How many phases later a bridge may go at once: the gap in what it sends is 25 ms then.
const LATER_MAX: u8 = 1;
/// What a move must gain each who is heard, in ms.
const GAIN_MIN_MS: f32 = 2.0;
/// So many ports are not too many for one tick.
const FEW: usize = 64;
