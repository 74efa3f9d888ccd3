//! Who talks when: a fast gate, and a slower look that confirms it.
//!
//! ```text
//!            gate opens                 the look says speech
//!   Quiet ───────────────▶ Raised ───────────────────────────▶ Talking ──┐
//!     ▲                      │ closed, or never confirmed         │ ▲     │ quiet for the
//!     └──────────────────────┘ (nothing is told)                  │ └─────┘ hangover
//!     └───────────────────────────── Ended ───────────────────────┘
//! ```
//!
//! The gate ([`gate`]) opens 10 to 20 ms after sound begins, at anything that is louder than the
//! background. The look is a small neural network (`earshot`), right more often and some 60 ms
//! later. A spurt is told when both agree, with the position where the gate had opened: what was said
//! before the decision is not lost, and its listener gets the sound from [`Spurt::Began`]'s `from` on.

pub mod gate;

use earshot::Detector;

use crate::{FRAME, Frame};
use gate::Gate;

/// A spurt of talk began or ended. Positions count samples at 16 kHz from the first frame on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spurt {
    /// Somebody talks.
    Began {
        /// Where his voice began.
        at: u64,
        /// Where a listener should begin: earlier by the pre-roll, as far as there was sound.
        from: u64,
    },
    /// He has paused for the hangover.
    Ended {
        /// Where his voice began.
        began: u64,
        /// Where it ended.
        at: u64,
    },
}

/// How patient the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a pause may be within a spurt, in frames of 10 ms.
    pub hangover: u16,
    /// How much of what was before its beginning belongs to a spurt, in frames of 10 ms.
    pub pre_roll: u16,
}

impl Default for Patience {
    /// Words pause for a fifth of a second; a weak consonant before the gate opens lasts as long.
    fn default() -> Self {
        Self {
            hangover: 25,
            pre_roll: 20,
        }
    }
}

/// The two-step voice activity machine of one leg.
pub struct Activity {
    patience: Patience,
    gate: Gate,
    look: Look,
    state: State,
    /// Frames so far.
    frames: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Quiet,
    /// The gate opened at this frame, and was last open at that one.
    Raised {
        since: u64,
        open: u64,
    },
    /// The voice began at this frame, and was last heard at that one.
    Talking {
        since: u64,
        heard: u64,
    },
}

impl Activity {
    /// A machine that has heard nothing yet.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            gate: Gate::default(),
            look: Look::new(),
            state: State::Quiet,
            frames: 0,
        }
    }

    /// Takes the next frame; tells a spurt's beginning or end.
    pub fn handle(&mut self, frame: &Frame) -> Option<Spurt> {
        let now = self.frames;
        self.frames += 1;
        let open = self.gate.handle(frame);
        let look = self.look.handle(frame);
        let (state, told) = self.step(now, open, look);
        self.state = state;
        told
    }

    /// Leaves out frames that were lost: positions go on as if they had come.
    pub fn skip(&mut self, frames: u64) {
        self.frames += frames;
    }

    /// Whether somebody talks, pauses within the hangover included.
    pub const fn talking(&self) -> bool {
        matches!(self.state, State::Talking { .. })
    }

    /// Whether there is sound above the background: speech, or not yet known not to be.
    pub const fn raised(&self) -> bool {
        !matches!(self.state, State::Quiet)
    }

    fn step(&self, now: u64, open: bool, look: Looked) -> (State, Option<Spurt>) {
        match self.state {
            State::Quiet if open && look.sure => self.talk(now, now),
            State::Quiet if open => (
                State::Raised {
                    since: now,
                    open: now,
                },
                None,
            ),
            State::Quiet => (State::Quiet, None),
            State::Raised { since, open: last } => {
                let last = if open { now } else { last };
                if now - last > STILL {
                    return (State::Quiet, None);
                }
                if !(open && look.sure) {
                    return (State::Raised { since, open: last }, None);
                }
                // A noise may have held the gate open long before.
                self.talk(since.max(now.saturating_sub(BACK)), now)
            }
            State::Talking { since, .. } if open && look.likely => {
                (State::Talking { since, heard: now }, None)
            }
            State::Talking { since, heard } if now - heard >= u64::from(self.patience.hangover) => {
                let (began, at) = (position(since), position(heard + 1));
                (State::Quiet, Some(Spurt::Ended { began, at }))
            }
            state @ State::Talking { .. } => (state, None),
        }
    }

    fn talk(&self, since: u64, now: u64) -> (State, Option<Spurt>) {
        let from = since.saturating_sub(u64::from(self.patience.pre_roll));
        let began = Spurt::Began {
            at: position(since),
            from: position(from),
        };
        (State::Talking { since, heard: now }, Some(began))
    }
}

impl std::fmt::Debug for Activity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Activity")
            .field("state", &self.state)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

const fn position(frame: u64) -> u64 {
    frame * FRAME as u64
}

/// The slow step: `earshot` looks at 16 ms at a time.
///
/// Babble is speech to it, and noise may be a little. What it says of the background is learnt as the
/// gate learns levels, and a talker has to be clearly more than that.
struct Look {
    detector: Detector,
    waiting: [i16; LOOK],
    held: usize,
    /// How likely the newest look was speech, 0 to 1,
    likely: f32,
    /// and how likely the background is.
    usual: f32,
}

/// What the newest look says.
#[derive(Clone, Copy, Debug)]
struct Looked {
    /// Speech, more than the background is.
    sure: bool,
    /// Speech, if there was some just before.
    likely: bool,
}

impl Look {
    fn new() -> Self {
        Self {
            detector: Detector::default(),
            waiting: [0; LOOK],
            held: 0,
            likely: 0.0,
            usual: 0.0,
        }
    }

    fn handle(&mut self, frame: &Frame) -> Looked {
        for &sample in frame {
            if let Some(place) = self.waiting.get_mut(self.held) {
                *place = sample;
            }
            self.held += 1;
            if self.held == LOOK {
                self.likely = self.detector.predict_i16(&self.waiting);
                self.held = 0;
            }
        }
        let above = self.likely - self.usual;
        self.usual += if above < 0.0 {
            DOWN * above
        } else {
            above.min(UP)
        };
        let needed = |share: f32| self.usual + (1.0 - self.usual) * share;
        Looked {
            sure: self.likely >= needed(0.5),
            likely: self.likely > needed(0.2),
        }
    }
}

/// Samples that `earshot` looks at.
const LOOK: usize = 256;
/// What the background is likely to be falls within 200 ms,
const DOWN: f32 = 0.05;
/// and rises by a twentieth a second.
const UP: f32 = 0.000_5;
/// Frames that a raised gate may close for between two syllables.
const STILL: u64 = 8;
/// A confirmation is about the last so many frames.
const BACK: u64 = 20;
