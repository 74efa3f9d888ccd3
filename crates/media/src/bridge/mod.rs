//! A bridge: ports that hear each other and never themselves.
//!
//! Two ports that speak the same codec and need nothing else are relayed, packet by packet,
//! undecoded. Everything else is mixed: one sum of those who speak, each as loud as he is to all, and
//! for each speaker the sum less his own. The sum has the highest rate that two members carry: what
//! only one does, nobody else would hear. All members are on one worker and in one phase of its wheel.
//!
//! ```text
//!   packets ─ loudness ─ floor ─▶ at most SPEAKERS_MAX are decoded
//!                                   └─ × gain ─ sum ─┬─ less own, per-pair gains ─ limiter ─ encode   who speaks
//!                                      announcement ─┘   └────────── limiter ─ edition, once a codec  who does not
//! ```
//!
//! * [`seats`]: who is in which bridge, and how loud to whom
//! * [`floor`]: whose packets are decoded
//! * [`edition`]: what many hear is encoded once

pub(crate) mod edition;
pub(crate) mod floor;
pub(crate) mod seats;

use crate::dsp::limit::Limiter;
use crate::dsp::resample::{PAST_UP, Resampler};
use crate::port::PortId;
use crate::port::play::Player;
use crate::tap::Tap;
use floor::Floor;
use seats::Pairs;

/// Names a bridge; chosen by control, unique per worker while it has members.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BridgeId(pub u32);

/// The most members whose sound is summed at one time; in a larger bridge the loudest are.
pub const SPEAKERS_MAX: usize = 8;

/// The most pairs of a bridge whose gain is not what the speaker's is to all.
pub const PAIRS_MAX: usize = 32;

/// How a bridge's sound travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Packets are rewritten and passed on as they come.
    Relay,
    /// Frames are decoded, summed and encoded on the tick.
    Mix,
}

/// What the members of one bridge have in common. Who they are is in the worker's seats.
#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) id: BridgeId,
    /// Which of all bridges that this worker ever had.
    pub(crate) serial: u64,
    pub(crate) phase: u8,
    /// The wheel's frame that is the next of this bridge at the earliest: one that moves may meet one twice.
    pub(crate) next: u64,
    /// The frame after which it looks whether another phase would serve its members better.
    pub(crate) looks_at: u64,
    pub(crate) mode: Mode,
    /// Samples per second of its sum.
    pub(crate) rate: u32,
    /// The ends of the chain of its members' seats.
    pub(crate) ends: Option<(u32, u32)>,
    pub(crate) count: usize,
    pub(crate) floor: Floor,
    pub(crate) pairs: Pairs,
    /// What all members hear besides each other.
    pub(crate) announcement: Option<Announcement>,
    /// A copy of what somebody who says nothing hears, on both sides.
    pub(crate) tap: Option<Box<Tap>>,
    /// Of what those hear who do not speak.
    pub(crate) limiter: Limiter,
}

/// A playback to a whole bridge.
#[derive(Debug)]
pub(crate) struct Announcement {
    /// Under whose name its end is told.
    pub(crate) by: PortId,
    pub(crate) player: Player,
    /// From the rate of clips to the bridge's.
    pub(crate) to_bus: Resampler<PAST_UP>,
}

impl Bridge {
    pub(crate) fn new(id: BridgeId, serial: u64, phase: u8) -> Self {
        Self {
            id,
            serial,
            phase,
            next: 0,
            looks_at: 0,
            mode: Mode::Mix,
            rate: crate::SAMPLE_RATE,
            ends: None,
            count: 0,
            floor: Floor::default(),
            pairs: Pairs::default(),
            announcement: None,
            tap: None,
            limiter: Limiter::new(),
        }
    }

    /// The slot of the member who came first.
    pub(crate) fn first(&self) -> Option<u32> {
        self.ends.map(|(first, _)| first)
    }

    /// The two members of a pair.
    pub(crate) fn pair(&self) -> Option<(u32, u32)> {
        self.ends.filter(|_| self.count == 2)
    }

    /// The other one of two.
    pub(crate) fn partner(&self, slot: u32) -> Option<u32> {
        match self.pair()? {
            (a, b) if a == slot => Some(b),
            (a, b) if b == slot => Some(a),
            _ => None,
        }
    }

    /// Whether nothing but the members' own packets is heard or copied here.
    pub(crate) fn is_bare(&self) -> bool {
        self.announcement.is_none() && self.tap.is_none()
    }

    /// Whether it has more members than may speak at one time.
    pub(crate) fn is_large(&self) -> bool {
        self.count > SPEAKERS_MAX
    }
}
